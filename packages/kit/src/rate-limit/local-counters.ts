import { LRUCache } from 'lru-cache'
import { ttlToSeconds } from 'memcache-ts-protocol'
import type { Clock, Ttl } from 'memcache-ts-protocol'
import type { Memcache } from '../memcache.ts'
import type { GroupedKey, RateLimitStore, StoredWord, SwappedValue, WordChange } from './rate-limit-store.ts'

const MAX_ITEMS = 100_000

interface LocalItem {
  value: unknown
  readonly expiresMs: number
  casUnique: bigint
}

/** The counters of each cache, created when memcached is away for the first time. */
const ofCaches = new WeakMap<Memcache, LocalCounters>()

/**
 * Counts in this process while memcached is away. The number of counters is limited for all limiters of a cache
 * together; the least recently used ones are dropped first.
 */
export class LocalCounters implements RateLimitStore {
  static of(cache: Memcache): LocalCounters {
    let counters = ofCaches.get(cache)
    if (counters === undefined) ofCaches.set(cache, (counters = new LocalCounters(cache.clock)))
    return counters
  }

  // With `max`, the tables for all items would be allocated at once, at the moment when memcached goes away.
  readonly #items = new LRUCache<string, LocalItem>({ maxSize: MAX_ITEMS, sizeCalculation: () => 1 })
  readonly #clock: Clock
  #lastCas = 0n

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async incr({ key }: GroupedKey, amount: number, ttl: Ttl): Promise<number> {
    const item = this.#find(key)
    if (item === undefined) this.#store(key, amount, ttl)
    else item.value = Number(item.value) + amount
    return item === undefined ? amount : Number(item.value)
  }

  async decr({ key }: GroupedKey, amount: number): Promise<number> {
    const item = this.#find(key)
    if (item === undefined) return 0
    const count = Math.max(0, Number(item.value) - amount)
    item.value = count
    return count
  }

  async count({ key }: GroupedKey): Promise<number> {
    return Number(this.#find(key)?.value ?? 0)
  }

  async get({ key }: GroupedKey): Promise<unknown> {
    return this.#find(key)?.value
  }

  async set({ key }: GroupedKey, value: unknown, ttl: Ttl): Promise<void> {
    this.#store(key, value, ttl)
  }

  async gets({ key }: GroupedKey): Promise<LocalItem | undefined> {
    return this.#find(key)
  }

  async swap({ key }: GroupedKey, { value, casUnique }: SwappedValue, ttl: Ttl): Promise<boolean> {
    if (this.#find(key)?.casUnique !== casUnique) return false
    this.#store(key, value, ttl)
    return true
  }

  async delete({ key }: GroupedKey): Promise<void> {
    this.#items.delete(key)
  }

  addToWord(key: GroupedKey, change: WordChange, ttl: Ttl): Promise<bigint | undefined>
  addToWord(key: GroupedKey, change: WordChange & { readonly initial: bigint }, ttl: Ttl): Promise<bigint>
  async addToWord({ key }: GroupedKey, { delta, initial }: WordChange, ttl: Ttl): Promise<bigint | undefined> {
    const item = this.#find(key)
    if (item === undefined) {
      if (initial !== undefined) this.#store(key, initial, ttl)
      return initial
    }
    const word = BigInt.asUintN(64, (item.value as bigint) + delta)
    item.value = word
    item.casUnique = ++this.#lastCas
    return word
  }

  async getsWord({ key }: GroupedKey): Promise<StoredWord | undefined> {
    const item = this.#find(key)
    return item && { word: item.value as bigint, casUnique: item.casUnique }
  }

  async swapWord(key: GroupedKey, { word, casUnique }: StoredWord, ttl: Ttl): Promise<boolean> {
    return this.swap(key, { value: word, casUnique }, ttl)
  }

  #find(key: string): LocalItem | undefined {
    const item = this.#items.get(key)
    return item !== undefined && item.expiresMs > this.#clock.nowMs() ? item : undefined
  }

  #store(key: string, value: unknown, ttl: Ttl): void {
    const expiresMs = this.#clock.nowMs() + ttlToSeconds(ttl, 'ttl') * 1000
    this.#items.set(key, { value, expiresMs, casUnique: ++this.#lastCas })
  }
}
