import { LRUCache } from 'lru-cache'

const MOST_COUNTERS = 100_000

/** Counters in this process: the insurance for when memcached is away. Bounded; the longest unused go first. */
export class LocalCounters {
  readonly #counters = new LRUCache<string, number>({ max: MOST_COUNTERS })

  /** Adds to a counter and returns where it stands. Keys carry their window, so that old ones are never asked again. */
  add(key: string, cost: number): number {
    const count = (this.#counters.get(key) ?? 0) + cost
    this.#counters.set(key, count)
    return count
  }
}
