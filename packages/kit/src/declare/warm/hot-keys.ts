import type { KeyPart } from 'memcache-ts-protocol'
import { keyText } from '../../engine/cache-key.ts'
import { engineOf } from '../../engine/engine.ts'
import type { Memcache } from '../../memcache.ts'
import { ownKey } from '../../engine/engine.ts'

/** The minimum time between two saves, in milliseconds. */
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
  readonly #keyOf: (id: Id) => readonly KeyPart[]
  /** The counts by the keys of the ids, so that ids with the same key count together. */
  readonly #counts = new Map<string, Counted<Id>>()
  #savedAtMs = 0
  #isRegistered = false

  /** @param about `maxIds`: how many ids are remembered; `keyOf`: the key of an id, which distinguishes ids. */
  constructor(
    name: string,
    { maxIds, cache, keyOf }: { maxIds: number; cache: () => Memcache; keyOf: (id: Id) => readonly KeyPart[] },
  ) {
    this.#name = name
    this.#maxIds = maxIds
    this.#cache = cache
    this.#keyOf = keyOf
  }

  /**
   * Counts a request for an id.
   *
   * @throws the error of the id's key function.
   */
  record(id: Id): void {
    const text = keyText(this.#keyOf(id))
    const counted = this.#counts.get(text)
    if (counted !== undefined) counted.count++
    else if (isStorable(id)) this.#admit(text, id)
    if (!this.#isRegistered) this.#register()
    if (performance.now() - this.#savedAtMs > SAVE_EVERY_MS) void this.save()
  }

  /**
   * Returns the hottest ids, the hottest first, by the stored counts and the counts of this process since its last
   * save.
   */
  async read(): Promise<Id[]> {
    return (await this.#merged()).map(({ id }) => id)
  }

  /** Adds this process's counts to the stored ones. Never rejects: it runs in the background. */
  async save(): Promise<void> {
    this.#savedAtMs = performance.now()
    if (this.#counts.size === 0) return
    const cache = this.#cache()
    try {
      // Counts are halved at each save, so that ids that are no longer requested are forgotten.
      const decayed = (await this.#merged()).map(({ id, count }) => [id, count / 2] as const)
      const value = decayed.filter(([, count]) => count >= 1 / 2)
      const stored = { value, ttlSeconds: Infinity, tagKeys: [] }
      if (await engineOf(cache).set(ownKey(cache, 'hot', [this.#name]), stored)) this.#counts.clear()
    } catch (error) {
      // An id that cannot be stored must not fail every later save too.
      this.#counts.clear()
      engineOf(cache).host.report.failed(error)
    }
  }

  async #merged(): Promise<Counted<Id>[]> {
    const cache = this.#cache()
    const stored = await engineOf(cache).get(ownKey(cache, 'hot', [this.#name]), [])
    const merged = new Map<string, Counted<Id>>()
    for (const { id, count } of this.#readable(stored)) merged.set(keyText(this.#keyOf(id)), { id, count })
    for (const [text, { id, count }] of this.#counts) {
      merged.set(text, { id, count: count + (merged.get(text)?.count ?? 0) })
    }
    return [...merged.values()].toSorted((a, b) => b.count - a.count).slice(0, this.#maxIds)
  }

  /** Yields the valid entries of the stored counts, since another program may have written the item. */
  *#readable(stored: unknown): Generator<Counted<Id>, void> {
    if (!Array.isArray(stored)) return
    for (const entry of stored as unknown[]) {
      if (!Array.isArray(entry) || entry.length !== 2) continue
      const [id, count] = entry as [Id, unknown]
      if (typeof count === 'number' && Number.isFinite(count) && count > 0 && this.#hasKey(id)) yield { id, count }
    }
  }

  #hasKey(id: Id): boolean {
    try {
      return keyText(this.#keyOf(id)) !== ''
    } catch {
      return false
    }
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
  #admit(text: string, id: Id): void {
    if (this.#counts.size < this.#maxIds * COUNTERS_PER_KEY) {
      this.#counts.set(text, { id, count: 1 })
      return
    }
    let smallest: string | undefined
    let smallestCount = Infinity
    for (const [other, { count }] of this.#counts) {
      if (count >= smallestCount) continue
      smallest = other
      smallestCount = count
      if (count === 1) break
    }
    this.#counts.delete(smallest!)
    this.#counts.set(text, { id, count: smallestCount + 1 })
  }
}

interface Counted<Id> {
  readonly id: Id
  count: number
}

/** Returns whether an id can be stored for the next start: functions and symbols, for which a cache needs `key`, cannot. */
function isStorable(id: unknown): boolean {
  return typeof id !== 'function' && typeof id !== 'symbol'
}
