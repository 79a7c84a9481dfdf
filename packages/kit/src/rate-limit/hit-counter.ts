import { getDefaultMemcache } from '../default-memcache.ts'
import type { Memcache } from '../memcache.ts'
import { ownKey } from '../own-key.ts'
import { lifetimeOver, windowIndex } from './rate-limit-window.ts'
import { MemcachedCounters } from './rate-limit-store.ts'
import { BELIEVED_MS, isYoung } from './standing.ts'

/** Where a counter of hits stands. */
export interface Hits {
  readonly hits: number
  /** When its window ends, in milliseconds since 1970. */
  readonly resetAtMs: number
}

/**
 * Hits by key in fixed windows, which are aligned so that all processes mean the same ones: for the stores of other
 * libraries, which judge by themselves. Faults of the cache reject.
 */
export class HitCounter {
  readonly #name: string
  readonly #cache: Memcache | undefined
  /** Which counters are the ones in use; `resetAll` goes on to new ones. */
  #generation = 0
  #askedAtMs = -Infinity

  /**
   * @param name tells counters apart; those of one name are shared.
   * @param cache default: this process's, found at the first use.
   */
  constructor(name: string, cache: Memcache | undefined) {
    this.#name = name
    this.#cache = cache
  }

  /** Counts a hit, in one round trip. */
  async increment(key: string, windowMs: number): Promise<Hits> {
    const asking = this.#askForReset()
    const hits = await this.#increment(key, windowMs)
    return (await asking) === true ? this.#increment(key, windowMs) : hits
  }

  /** Takes a hit back. */
  async decrement(key: string, windowMs: number): Promise<void> {
    await this.#askForReset()
    const at = this.#place(key, windowMs)
    await this.#store.decr(at.key, 1, at.key)
  }

  /** Where a counter stands; `undefined` where nothing was counted. */
  async get(key: string, windowMs: number): Promise<Hits | undefined> {
    await this.#askForReset()
    const at = this.#place(key, windowMs)
    const hits = await this.#store.count(at.key, at.key)
    return hits === 0 ? undefined : { hits, resetAtMs: at.resetAtMs }
  }

  async reset(key: string, windowMs: number): Promise<void> {
    await this.#askForReset()
    const at = this.#place(key, windowMs)
    await this.#store.delete(at.key, at.key)
  }

  /** Forgets all counters of the name; other processes see it within a second. */
  async resetAll(): Promise<void> {
    const key = this.#generationKey()
    this.#generation = await this.#store.incr(key, 1, Infinity, key)
  }

  async #increment(key: string, windowMs: number): Promise<Hits> {
    const at = this.#place(key, windowMs)
    return { hits: await this.#store.incr(at.key, 1, lifetimeOver(windowMs), at.key), resetAtMs: at.resetAtMs }
  }

  #place(key: string, windowMs: number): { readonly key: string; readonly resetAtMs: number } {
    const index = windowIndex(windowMs, this.#opened.clock.nowMs())
    const parts = [this.#name, 'hits', windowMs, index, this.#generation, key]
    return { key: ownKey(this.#opened, 'rate', parts), resetAtMs: (index + 1) * windowMs }
  }

  /** Asks once a second whether there was a `resetAll` elsewhere; resolves to whether there was. */
  #askForReset(): Promise<boolean> | undefined {
    const nowMs = this.#opened.clock.nowMs()
    if (isYoung(nowMs - this.#askedAtMs, BELIEVED_MS)) return undefined
    this.#askedAtMs = nowMs
    const before = this.#generation
    const generationKey = this.#generationKey()
    const asking = this.#store.count(generationKey, generationKey).then((generation) => {
      // Unless this process has gone on itself meanwhile, or it was evicted.
      if (this.#generation === before && generation !== 0) this.#generation = generation
      return this.#generation !== before
    })
    // Who waits for a counter that fails first does not come to wait for this.
    asking.catch(() => {})
    return asking
  }

  #generationKey(): string {
    return ownKey(this.#opened, 'rate', [this.#name, 'generation'])
  }

  get #store(): MemcachedCounters {
    return new MemcachedCounters(this.#opened.client)
  }

  get #opened(): Memcache {
    return this.#cache ?? getDefaultMemcache()
  }
}
