import type { MemcacheHealth } from './server-health.ts'

/** What a `Memcache` has counted since it was made. */
export interface CacheStats {
  /** Values found, those in memory among them. */
  hits: number
  /** Of those, the ones found in memory (`l1`). */
  memoryHits: number
  /** Values not found. */
  misses: number
  /** Values found that were stale and served all the same, while one caller loads them anew. */
  stale: number
  /** Calls that shared the load of another call in this process. */
  coalesced: number
  /** Loaders run; each under a lease that was won, but for `unleasedLoads`. */
  loads: number
  /** Loads under way now, until their values are stored. */
  loading: number
  /** How long loaders took, in milliseconds all together, those that failed among them. */
  loadMs: number
  /** Loaders that threw, or took longer than `hardTimeoutMs`. */
  loadErrors: number
  /** Loaders run ahead of need, by `earlyRefresh`. */
  earlyRefreshes: number
  /** Loaders run without a lease, since the cache was away or who had the lease took too long. */
  unleasedLoads: number
  /** Keys that another process was found loading, and was waited for. */
  leasesLost: number
  /** Values that were refused since their key or tag was invalidated while they were loaded. */
  discarded: number
  /** Values stored. */
  sets: number
  /** Deletes and invalidations that were confirmed. */
  invalidations: number
  /** Calls that a rate limiter of this cache denied, in this process. */
  limited: number
  /** Operations of the cache that failed; the application went on without. */
  cacheErrors: number
  /** Deletes and invalidations that wait for a server to come back. */
  pending: number
  /** Values in memory (`l1`), their bytes as stored, and how many had to make room for others. */
  memoryItems: number
  memoryBytes: number
  memoryEvictions: number
  /** As `Memcache.health`: `down` while no server answers, `degraded` while some do not or missed invalidations wait, else `up`. */
  health: MemcacheHealth
  /**
   * The same in other words: `open`, `half-open`, `closed`.
   * @deprecated Use `health`.
   */
  breaker: 'closed' | 'half-open' | 'open'
}
