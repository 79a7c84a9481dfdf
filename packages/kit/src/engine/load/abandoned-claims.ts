import { LRUCache } from 'lru-cache'
import type { Clock } from 'memcache-ts-protocol'

const MAX_WATCHED = 10_000

/**
 * Stale values that another process has claimed to load anew. memcached gives that right once: where the process died, nobody
 * would ever load again until the value expires. So who sees the same claim for longer than a lease lasts lets the next one
 * try. The same holds after a loader's error: one attempt in the time of a lease.
 */
export class AbandonedClaims {
  readonly #seen = new LRUCache<string, { casUnique: bigint; sinceMs: number }>({ max: MAX_WATCHED })
  readonly #leaseMs: number
  readonly #clock: Clock

  constructor(leaseSeconds: number, clock: Clock) {
    this.#leaseMs = leaseSeconds * 1000
    this.#clock = clock
  }

  /** Notes that a key's value is claimed; whether that has been so for longer than a lease lasts. */
  isAbandoned(key: string, casUnique: bigint): boolean {
    const nowMs = this.#clock.nowMs()
    const seen = this.#seen.get(key)
    if (seen?.casUnique !== casUnique) {
      this.#seen.set(key, { casUnique, sinceMs: nowMs })
      return false
    }
    if (nowMs - seen.sinceMs <= this.#leaseMs) return false
    this.#seen.delete(key)
    return true
  }
}
