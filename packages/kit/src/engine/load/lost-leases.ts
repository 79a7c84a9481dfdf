import { MemcacheError } from 'memcache-ts-protocol'
import type { Clock } from 'memcache-ts-protocol'
import { BoundedMap } from '../../bounded-map.ts'
import type { AdaptiveStore } from '../store/adaptive-store.ts'

const MAX_WATCHED = 10_000

/**
 * Stale values that another process has claimed to reload. memcached grants that right once: if the process dies, no
 * process reloads the value until it expires. A caller that sees the same claim for longer than a lease lasts therefore
 * lets the next caller try. After a loader's error the same rule allows one attempt per lease.
 */
export class AbandonedClaims {
  readonly #seen = new BoundedMap<{ casUnique: bigint; sinceMs: number }>(MAX_WATCHED)
  readonly #leaseMs: number
  readonly #clock: Clock

  constructor(leaseSeconds: number, clock: Clock) {
    this.#leaseMs = leaseSeconds * 1000
    this.#clock = clock
  }

  /** Notes that a key's value is claimed; returns whether the same claim has lasted longer than a lease. */
  isAbandoned(key: string, casUnique: bigint): boolean {
    const nowMs = this.#clock.nowMs()
    const seen = this.#seen.get(key)
    // A time in the future means that the clock was set back.
    if (seen?.casUnique !== casUnique || nowMs < seen.sinceMs) {
      this.#seen.set(key, { casUnique, sinceMs: nowMs })
      return false
    }
    if (nowMs - seen.sinceMs <= this.#leaseMs) return false
    this.#seen.delete(key)
    return true
  }
}

/** The number of keys whose leases are remembered; leases of further keys expire by themselves. */
const MAX_KEYS = 10_000

/**
 * Leases that this process may hold without knowing: the request was sent, and no response came. A slow server may
 * grant a lease after the client timed out; until it is released, other callers wait for a value that no process loads.
 * The unfilled item is therefore deleted, at once (behind the request on the same connection) and again when the server
 * is back.
 */
export class AmbiguousLeases {
  readonly #store: AdaptiveStore
  readonly #keys = new Set<string>()

  constructor(store: AdaptiveStore) {
    this.#store = store
  }

  /** Notes a lookup that failed and may have been granted a lease. */
  add(key: string, error: unknown): void {
    // A request that was never sent was granted nothing.
    if (error instanceof MemcacheError && error.ambiguous) this.notFilled(key)
  }

  /** Records a lease that this process holds and could not fill: no caller will fill it. */
  notFilled(key: string): void {
    if (this.#keys.size >= MAX_KEYS) return
    this.#keys.add(key)
    this.#free(key)
  }

  /** Tries again to release all of them, since a server may be back. */
  run(): void {
    for (const key of this.#keys) this.#free(key)
  }

  #free(key: string): void {
    this.#store
      .use(key, (store) => store.freeUnfilled(key))
      .then(
        () => this.#keys.delete(key),
        () => {},
      )
  }
}
