import type { MemcacheHealth } from './server-health.ts'

/** The counters and the current state of a `Memcache`, counted since it was created. */
export interface CacheStats {
  /** Values found, including those in memory. */
  hits: number
  /** Values found in memory (`l1`); `hits` includes them. */
  memoryHits: number
  /** Values not found. */
  misses: number
  /** Stale values that were served while one caller reloads them. */
  stale: number
  /** Calls that shared the load of another call in this process. */
  coalesced: number
  /** Loaders run. Each held a lease, except `unleasedLoads`. */
  loads: number
  /** Loads that are running now, until their values are stored. */
  loading: number
  /** The total time of all loaders, including those that failed, in milliseconds. */
  loadMs: number
  /** Loaders that threw, or took longer than `hardTimeoutMs`. */
  loadErrors: number
  /** Loaders run before their value expired, by `earlyRefresh`. */
  earlyRefreshes: number
  /**
   * Loaders run without a lease: the cache was away or granted none, the wait for another process timed out, or a
   * loader needed a value that it is part of.
   */
  unleasedLoads: number
  /** Waits for another process that was already loading the key. */
  leasesLost: number
  /** Loaded values that were not stored because their key or tag was invalidated during the load. */
  discarded: number
  /** Values stored. */
  sets: number
  /** Deletes and stale marks that were confirmed, and invalidations of tags. */
  invalidations: number
  /** Calls that a rate limiter of this cache denied, in this process. */
  limited: number
  /** Cache operations that failed; the application continued without the cache. */
  cacheErrors: number
  /** Deletes and invalidations that wait until a server is back. */
  pending: number
  /** The number of values in memory (`l1`). */
  memoryItems: number
  /** Their size in bytes, as stored in memcached. */
  memoryBytes: number
  /** Values evicted from memory to make room. */
  memoryEvictions: number
  /**
   * The same as `Memcache.health`: `down` while no server responds; `degraded` while some do not, or invalidations are
   * pending; otherwise `up`.
   */
  health: MemcacheHealth
  /**
   * The health in other words: `open`, `half-open`, `closed`.
   *
   * @deprecated Use `health`.
   */
  breaker: 'closed' | 'half-open' | 'open'
}
