import { MemcacheError } from 'memcache-ts-protocol'
import type { AdaptiveStore } from '../store/adaptive-store.ts'

/** Beyond that, leases end by themselves. */
const MAX_KEYS = 10_000

/**
 * Leases that this process may hold without knowing: it has asked, and the answer never came. A server that was only slow takes
 * the lease when it comes to the question, and then everybody would wait for a value that nobody loads. So what is unfilled under
 * the key is given back: at once, behind the question, or when the server is back.
 */
export class AmbiguousLeases {
  readonly #store: AdaptiveStore
  readonly #keys = new Set<string>()

  constructor(store: AdaptiveStore) {
    this.#store = store
  }

  /** A lookup has failed that would have taken a lease. */
  add(key: string, error: unknown): void {
    // What was never sent has taken nothing.
    if (!(error instanceof MemcacheError) || !error.ambiguous || this.#keys.size >= MAX_KEYS) return
    this.#keys.add(key)
    this.#free(key)
  }

  /** Gives all of them back: a server may be there again. */
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
