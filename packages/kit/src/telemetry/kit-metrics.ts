import type { CacheStats } from '../engine/engine.ts'

/** A metric of a cache, the same in every exporter. */
export interface KitMetric {
  /** The name without the prefix `memcache_ts_`. A counter's name ends with `_total` (Prometheus naming conventions). */
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly read: (stats: CacheStats) => number
}

/** The prefix of the kit's metric names. */
export const KIT_METRIC_PREFIX = 'memcache_ts_'

const MS_PER_SECOND = 1000

/** The metrics of a cache, computed from `cache.stats()`; one table for Prometheus, OpenTelemetry and the dashboard. */
export const KIT_METRICS: readonly KitMetric[] = [
  counter('hits_total', 'Values found, in memory or in memcached.', ({ hits }) => hits),
  counter('memory_hits_total', 'Values found in memory (l1).', ({ memoryHits }) => memoryHits),
  counter('misses_total', 'Values not found.', ({ misses }) => misses),
  counter('stale_total', 'Stale values served while one caller loaded them again.', ({ stale }) => stale),
  counter(
    'coalesced_total',
    'Calls that shared the load of another call in this process.',
    ({ coalesced }) => coalesced,
  ),
  counter('loads_total', 'Loaders run.', ({ loads }) => loads),
  counter('load_seconds_total', 'Total time of all loaders.', ({ loadMs }) => loadMs / MS_PER_SECOND),
  counter('load_errors_total', 'Loaders that threw or exceeded their hard timeout.', ({ loadErrors }) => loadErrors),
  counter('early_refreshes_total', 'Loaders run before their value expired.', ({ earlyRefreshes }) => earlyRefreshes),
  counter('unleased_loads_total', 'Loaders run without a lease.', ({ unleasedLoads }) => unleasedLoads),
  counter(
    'leases_lost_total',
    'Waits for another process that was already loading the key.',
    ({ leasesLost }) => leasesLost,
  ),
  counter(
    'discarded_total',
    'Values refused because of an invalidation during their load.',
    ({ discarded }) => discarded,
  ),
  counter('sets_total', 'Values stored.', ({ sets }) => sets),
  counter(
    'invalidations_total',
    'Deletes and invalidations that were confirmed.',
    ({ invalidations }) => invalidations,
  ),
  counter('limited_total', 'Calls that a rate limiter denied.', ({ limited }) => limited),
  counter('errors_total', 'Operations of the cache that failed.', ({ cacheErrors }) => cacheErrors),
  counter('memory_evictions_total', 'Values evicted from memory (l1).', ({ memoryEvictions }) => memoryEvictions),
  gauge('loading', 'Running loads.', ({ loading }) => loading),
  gauge('pending_invalidations', 'Invalidations that wait for a server to come back.', ({ pending }) => pending),
  gauge('memory_items', 'Values in memory (l1).', ({ memoryItems }) => memoryItems),
  gauge('memory_bytes', 'Bytes of the values in memory (l1), as stored.', ({ memoryBytes }) => memoryBytes),
  gauge('up', 'Whether a server responds: 1 for all, 0.5 for some, 0 for none.', ({ health }) => UP[health]),
]

const UP: Readonly<Record<CacheStats['health'], number>> = { up: 1, degraded: 0.5, down: 0 }

function counter(name: string, help: string, read: KitMetric['read']): KitMetric {
  return { name, type: 'counter', help, read }
}

function gauge(name: string, help: string, read: KitMetric['read']): KitMetric {
  return { name, type: 'gauge', help, read }
}
