/** What a `Memcache` has counted since it was made. */
export interface CacheStats {
  /** Values found. */
  hits: number
  /** Values not found. */
  misses: number
  /** Calls that shared the load of another call in this process. */
  coalesced: number
  /** Loaders run. */
  loads: number
  /** Loaders that threw. */
  loadErrors: number
  /** Values that were refused since the key was deleted while they were loaded. */
  discarded: number
  /** Operations of the cache that failed; the application went on without. */
  cacheErrors: number
}
