import { getDefaultMemcache } from '../default-memcache.ts'
import type { Memcache } from '../memcache.ts'
import { ownKey } from '../engine/engine.ts'
import { requireCache } from '../option-types.ts'
import { CounterLayout } from './counter-layout.ts'
import type { WindowCount } from './counter-layout.ts'
import { FirstHitCounter } from './first-hit-counter.ts'
import { aloneKey, MemcachedCounters } from './rate-limit-store.ts'
import type { GroupedKey } from './rate-limit-store.ts'
import { FRESH_MS, isFreshAge } from './client-state.ts'

/** The state of a counter of hits. */
export interface Hits {
  readonly hits: number
  /** The time when its window ends, in milliseconds since 1970. */
  readonly resetAtMs: number
}

interface Opened {
  readonly cache: Memcache
  readonly store: MemcachedCounters
  readonly counter: FirstHitCounter
}

/**
 * Counts hits by key, in windows that start at a key's first hit: for the stores of other libraries, which compare the
 * counts with their own limits. All processes share the counters. If the cache fails, methods reject.
 */
export class HitCounter {
  readonly #name: string
  readonly #cache: Memcache | undefined
  readonly #windowMs: number
  readonly #layout: CounterLayout
  #opened: Opened | undefined
  /** The generation in the counters' keys; `resetAll` raises it. */
  #generation = 0
  #readAtMs = -Infinity

  /**
   * @param name separates these counters from others; counters with the same name and window are shared.
   * @param windowMs how long a window lasts, in milliseconds.
   * @param cache the cache that counts. Default: the default cache of this process, opened at the first use.
   * @throws MemcacheOptionError if a window of this length cannot be counted.
   */
  constructor(name: string, windowMs: number, cache: Memcache | undefined) {
    requireCache('a rate limit', cache)
    this.#name = name
    this.#windowMs = windowMs
    this.#cache = cache
    this.#layout = new CounterLayout(windowMs)
  }

  /** Counts a hit, in one round trip. */
  async increment(key: string): Promise<Hits> {
    const reading = this.#checkReset()
    const hits = await this.#increment(key)
    return (await reading) === true ? this.#increment(key) : hits
  }

  /** Takes a hit back from the current window. */
  async decrement(key: string): Promise<void> {
    await this.#checkReset()
    const { counter, nowMs } = this.#open()
    await counter.giveBack(this.#key(key), { amount: 1 }, nowMs)
  }

  /** Returns a counter's state; `undefined` if nothing was counted in the current window. */
  async get(key: string): Promise<Hits | undefined> {
    await this.#checkReset()
    const { counter, nowMs } = this.#open()
    const found = await counter.get(this.#key(key), nowMs)
    return found && this.#hitsOf(found)
  }

  async reset(key: string): Promise<void> {
    await this.#checkReset()
    const { store } = this.#open()
    await store.delete(this.#key(key))
  }

  /** Forgets all counters of the name; other processes see it within a second. */
  async resetAll(): Promise<void> {
    const { store } = this.#open()
    this.#generation = await store.incr(this.#generationKey(), 1, Infinity)
  }

  async #increment(key: string): Promise<Hits> {
    const { counter, nowMs } = this.#open()
    return this.#hitsOf(await counter.add(this.#key(key), 1, nowMs))
  }

  #hitsOf({ startMs, count }: WindowCount): Hits {
    return { hits: Math.max(0, count), resetAtMs: startMs + this.#windowMs }
  }

  /** Checks once a second whether another process has called `resetAll`; resolves to whether one has. */
  #checkReset(): Promise<boolean> | undefined {
    const { store, nowMs } = this.#open()
    if (isFreshAge(nowMs - this.#readAtMs, FRESH_MS)) return undefined
    this.#readAtMs = nowMs
    const before = this.#generation
    const reading = store.count(this.#generationKey()).then((generation) => {
      // This process may have raised it meanwhile, or the item may have been evicted.
      if (this.#generation === before && generation !== 0) this.#generation = generation
      return this.#generation !== before
    })
    // If the counter fails first, no caller awaits this.
    reading.catch(() => {})
    return reading
  }

  #key(key: string): GroupedKey {
    const parts = [this.#name, 'hits', this.#windowMs, this.#generation, key.toWellFormed()]
    return aloneKey(ownKey(this.#open().cache, 'rate', parts))
  }

  #generationKey(): GroupedKey {
    return aloneKey(ownKey(this.#open().cache, 'rate', [this.#name, 'generation']))
  }

  /** Returns the cache with its counter; in tests, the default cache may have been replaced. */
  #open(): Opened & { readonly nowMs: number } {
    const cache = this.#cache ?? getDefaultMemcache()
    let opened = this.#opened
    if (cache !== opened?.cache) {
      const store = new MemcachedCounters(cache.client)
      this.#opened = opened = { cache, store, counter: new FirstHitCounter(store, this.#layout) }
    }
    return { ...opened, nowMs: cache.clock.nowMs() }
  }
}
