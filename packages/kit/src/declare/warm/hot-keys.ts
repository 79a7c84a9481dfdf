import { MemcacheOptionError } from 'memcache-ts-protocol'
import { engineOf } from '../../engine/engine.ts'
import type { Memcache } from '../../memcache.ts'
import { ownKey } from '../../own-key.ts'

/** The shortest time between two saves, in milliseconds. */
const SAVE_EVERY_MS = 60_000
/** Counters per remembered key: more counters make the order more reliable. */
const COUNTERS_PER_KEY = 4

/**
 * Finds the most requested ids. It counts in this process, in bounded memory (Space-Saving; Metwally, Agrawal, El
 * Abbadi, ICDT 2005), and merges the counts into the cache regularly and when the cache is closed. Counts decay, so
 * that old hot keys do not stay forever.
 */
export class HotKeys<Id> {
  readonly #name: string
  readonly #maxIds: number
  readonly #cache: () => Memcache
  readonly #counts = new Map<Id, number>()
  #savedAtMs = 0
  #isRegistered = false

  /** @param maxIds how many ids are remembered. */
  constructor(name: string, maxIds: number, cache: () => Memcache) {
    if (!Number.isInteger(maxIds) || maxIds < 1)
      throw new MemcacheOptionError(`hotKeys must be a whole number, got ${maxIds}`)
    this.#name = name
    this.#maxIds = maxIds
    this.#cache = cache
  }

  record(id: Id): void {
    const count = this.#counts.get(id)
    if (count !== undefined) this.#counts.set(id, count + 1)
    else this.#admit(id)
    if (!this.#isRegistered) this.#register()
    if (performance.now() - this.#savedAtMs > SAVE_EVERY_MS) void this.save()
  }

  /** Returns the hottest ids, the hottest first: the stored counts and those of this process since its last save. */
  async read(): Promise<Id[]> {
    return [...(await this.#merged()).values()].map(([id]) => id)
  }

  /** Adds this process's counts to the stored ones. */
  async save(): Promise<void> {
    this.#savedAtMs = performance.now()
    const cache = this.#cache()
    if (this.#counts.size === 0) return
    const merged = await this.#merged()
    // Counts are halved at each save, so that ids that are no longer requested are forgotten.
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
    // Ids that are objects are compared by content.
    const byText = new Map<string, readonly [Id, number]>()
    for (const [id, count] of [...(stored ?? []), ...this.#counts]) {
      const text = JSON.stringify(id) ?? String(id)
      byText.set(text, [id, count + (byText.get(text)?.[1] ?? 0)])
    }
    return [...byText.values()].toSorted(([, a], [, b]) => b - a).slice(0, this.#maxIds)
  }

  #register(): void {
    this.#isRegistered = true
    this.#savedAtMs = performance.now()
    engineOf(this.#cache()).host.onClose(() => this.save())
  }

  /**
   * Adds a new id. If all counters are used, it takes over the smallest one with its count, since the id may have been
   * counted before.
   */
  #admit(id: Id): void {
    if (this.#counts.size < this.#maxIds * COUNTERS_PER_KEY) {
      this.#counts.set(id, 1)
      return
    }
    let smallest: Id | undefined
    let smallestCount = Infinity
    for (const [other, count] of this.#counts) {
      if (count >= smallestCount) continue
      smallest = other
      smallestCount = count
      if (count === 1) break
    }
    this.#counts.delete(smallest as Id)
    this.#counts.set(id, smallestCount + 1)
  }
}
