import type { Shared, SharedMetric, SharedView } from 'memcache-ts-server/dashboard'
import { KeyPrefix } from '../engine/engine.ts'
import type { Memcache } from '../memcache.ts'
import { KIT_METRIC_PREFIX, KIT_METRICS } from '../telemetry/kit-metrics.ts'

/** Caches by the names that the page and the label `cache` use. */
export type NamedCaches = readonly (readonly [name: string, cache: Memcache])[]

/** Returns the section of each cache on the page, from its `stats()`. */
export function viewsOf(caches: NamedCaches, servers: Parameters<Shared>[0]): SharedView[] {
  return caches.map(([name, cache]) => {
    const stats = cache.stats()
    const { hits, misses, loads, loadErrors, loadMs } = stats
    const lookups = hits + misses
    const finished = loads + loadErrors
    return {
      title: caches.length === 1 ? 'This application' : `This application: ${name}`,
      figures: [
        { name: 'Hit ratio', value: lookups === 0 ? 0 : (100 * hits) / lookups, unit: '%' },
        { name: 'Hits', value: hits },
        { name: 'of those in memory', value: stats.memoryHits },
        { name: 'Misses', value: misses },
        { name: 'Loads', value: loads },
        { name: 'Average load', value: finished === 0 ? 0 : loadMs / finished, unit: 'ms' },
        { name: 'Loads that failed', value: loadErrors },
        { name: 'Loads under way', value: stats.loading },
        { name: 'Coalesced', value: stats.coalesced },
        { name: 'Served stale', value: stats.stale },
        { name: 'Refreshed early', value: stats.earlyRefreshes },
        { name: 'Leases lost', value: stats.leasesLost },
        { name: 'Loads without lease', value: stats.unleasedLoads },
        { name: 'Values in memory', value: stats.memoryItems },
        { name: 'Bytes in memory', value: stats.memoryBytes, unit: 'bytes' },
        { name: 'Limits denied', value: stats.limited },
        ...sessionsOf(cache, servers),
        { name: 'Invalidations waiting', value: stats.pending },
        { name: 'Errors of the cache', value: stats.cacheErrors },
      ],
    }
  })
}

/**
 * Returns how many sessions the servers hold, estimated like all key prefixes: memcached has no list of them, and a
 * dump each second would read every key. It returns no figure if there are no sessions, or if prefixes are counted by
 * `stats detail`, which has no numbers of items.
 */
function sessionsOf(cache: Memcache, servers: Parameters<Shared>[0]): SharedView['figures'] {
  const prefix = `${cache.client.prefix}${KeyPrefix.session}:`
  const rows = servers.flatMap(({ prefixes }) => prefixes?.rows.filter((row) => row.prefix === prefix) ?? [])
  const sessions = rows.reduce((sum, { items = 0 }) => sum + items, 0)
  return sessions === 0 ? [] : [{ name: 'Sessions, about', value: sessions }]
}

/** Returns the metrics `memcache_ts_…` of caches with the label `cache`, the same as `memcache-ts/prometheus`. */
export function metricsOf(caches: NamedCaches): SharedMetric[] {
  const all = caches.map(([name, cache]) => [name, cache.stats()] as const)
  return KIT_METRICS.map(({ name, type, help, read }) => ({
    name: KIT_METRIC_PREFIX + name,
    type,
    help,
    samples: all.map(([cache, stats]) => ({ labels: { cache }, value: read(stats) })),
  }))
}
