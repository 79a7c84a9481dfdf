import { MemcacheOptionError } from 'memcache-ts-protocol'
import { engineOf } from '../../engine/engine.ts'
import type { Memcache } from '../../memcache.ts'
import { ownKey } from '../../own-key.ts'

/** How often what was counted is stored at most. */
const SAVE_EVERY_MS = 60_000
/** Counters for each key that is remembered: the more, the surer the order. */
const COUNTERS_PER_KEY = 4

/**
 * Which ids are asked for most: counted in this process, in bounded memory (Space-Saving; Metwally, Agrawal, El Abbadi, ICDT
 * 2005), and stored in the cache from time to time and at its close, together with what other processes counted. Old counts
 * fade, so that yesterday's do not stay for ever.
 */
export class HotKeys<Id> {
  readonly #name: string
  readonly #most: number
  readonly #cache: () => Memcache
  readonly #counts = new Map<Id, number>()
  #savedAtMs = 0
  #isRegistered = false

  /** @param most how many are remembered. */
  constructor(name: string, most: number, cache: () => Memcache) {
    if (!Number.isInteger(most) || most < 1)
      throw new MemcacheOptionError(`hotKeys must be a whole number, got ${most}`)
    this.#name = name
    this.#most = most
    this.#cache = cache
  }

  record(id: Id): void {
    const count = this.#counts.get(id)
    if (count !== undefined) this.#counts.set(id, count + 1)
    else this.#admit(id)
    if (!this.#isRegistered) this.#register()
    if (performance.now() - this.#savedAtMs > SAVE_EVERY_MS) void this.save()
  }

  /** The hottest ids, the hottest first: what is stored, and what was counted here since. */
  async read(): Promise<Id[]> {
    return [...(await this.#merged()).values()].map(([id]) => id)
  }

  /** Stores what was counted, added to what is stored. */
  async save(): Promise<void> {
    this.#savedAtMs = performance.now()
    const cache = this.#cache()
    if (this.#counts.size === 0) return
    const merged = await this.#merged()
    // Half of a count is left each time, so that what is no longer asked for is forgotten.
    const fading = merged.map(([id, count]) => [id, count / 2] as const).filter(([, count]) => count >= 1 / 2)
    if (
      await engineOf(cache).set(ownKey(cache, 'hot', [this.#name]), {
        value: fading,
        ttlSeconds: Infinity,
        tagKeys: [],
      })
    )
      this.#counts.clear()
  }

  async #merged(): Promise<(readonly [Id, number])[]> {
    const cache = this.#cache()
    const stored = (await engineOf(cache).get(ownKey(cache, 'hot', [this.#name]), [])) as [Id, number][] | undefined
    // Ids that are objects are the same when they hold the same.
    const byText = new Map<string, readonly [Id, number]>()
    for (const [id, count] of [...(stored ?? []), ...this.#counts]) {
      const text = JSON.stringify(id) ?? String(id)
      byText.set(text, [id, count + (byText.get(text)?.[1] ?? 0)])
    }
    return [...byText.values()].toSorted(([, a], [, b]) => b - a).slice(0, this.#most)
  }

  #register(): void {
    this.#isRegistered = true
    this.#savedAtMs = performance.now()
    engineOf(this.#cache()).host.onClose(() => this.save())
  }

  /** Where all counters are taken, the smallest goes to the newcomer, with its count: he may have been there before. */
  #admit(id: Id): void {
    if (this.#counts.size < this.#most * COUNTERS_PER_KEY) {
      this.#counts.set(id, 1)
      return
    }
    let least: Id | undefined
    let leastCount = Infinity
    for (const [other, count] of this.#counts) {
      if (count >= leastCount) continue
      least = other
      leastCount = count
      if (count === 1) break
    }
    this.#counts.delete(least as Id)
    this.#counts.set(id, leastCount + 1)
  }
}
