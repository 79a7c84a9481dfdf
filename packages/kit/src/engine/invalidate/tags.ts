import { MemcacheConnectionError } from 'memcache-ts-protocol'
import { BoundedMap } from '../../bounded-map.ts'
import { MAX_ROUNDING_SECONDS } from '../lifetime.ts'
import { orUnavailable, UNAVAILABLE } from '../or-unavailable.ts'
import type { AdaptiveStore } from '../store/adaptive-store.ts'
import { isForeign } from '../store/foreign-items.ts'
import type { CacheReport } from '../observe/cache-report.ts'
import type { CacheStore, TagGeneration } from '../store/cache-store.ts'
import { compareGenerations, HARD_STEP, SOFT_STEP } from '../store/cache-store.ts'
import type { PendingInvalidations } from './pending-invalidations.ts'

/** Generations by the tags' keys. */
export type Generations = Readonly<Record<string, number>>

/** The state of an entry by its tags; `UNAVAILABLE` if they cannot be read. */
export type EntryState = 'same' | 'stale' | 'invalid' | typeof UNAVAILABLE

export const NO_GENERATIONS: Generations = {}
const MAX_REMEMBERED = 10_000

/**
 * Tags. An entry carries the generations that its tags had when its load began; raising a tag's generation, one
 * operation, invalidates all entries that carry the old one. Lookups of the same tag in one tick share one request.
 */
export class Tags {
  readonly #store: AdaptiveStore
  readonly #pending: PendingInvalidations
  readonly #report: CacheReport
  /** The lookups of this tick, by tag key. */
  #lookups = new Map<string, Promise<TagGeneration>>()
  /**
   * The last known generation of a tag, and when a response first had it. The time of the request would be too early:
   * another process may raise the tag until the server responds.
   */
  readonly #seen = new BoundedMap<{ generation: number; atMs: number }>(MAX_REMEMBERED)

  constructor(store: AdaptiveStore, pending: PendingInvalidations, report: CacheReport) {
    this.#store = store
    this.#pending = pending
    this.#report = report
  }

  /** Returns the current generations of tags; rejects if one cannot be read. */
  async read(tagKeys: readonly string[]): Promise<Generations> {
    if (tagKeys.length === 0) return NO_GENERATIONS
    const generations = await Promise.all(tagKeys.map((tagKey) => this.#read(tagKey)))
    return Object.fromEntries(tagKeys.map((tagKey, index) => [tagKey, generations[index]!.generation]))
  }

  /**
   * Returns the generations of tags that a loader named while it ran; `undefined` if one may have changed since the
   * load began. A tag is unchanged if it was seen before the load with the same generation, if it was only created now,
   * or if the server says that it was last raised before the load.
   *
   * @param beganMs when the load began, by `performance.now()`.
   */
  async readSince(tagKeys: readonly string[], beganMs: number): Promise<Generations | undefined> {
    const generations: Record<string, number> = {}
    for (const tagKey of tagKeys) {
      const seen = this.#seen.get(tagKey)
      const { generation, made, ageSeconds = 0 } = await this.#read(tagKey)
      generations[tagKey] = generation
      const loadSeconds = (performance.now() - beganMs) / 1000
      const seenBefore = seen !== undefined && seen.atMs <= beganMs && seen.generation === generation
      if (!seenBefore && !made && ageSeconds <= loadSeconds + MAX_ROUNDING_SECONDS) return undefined
    }
    return generations
  }

  /** Returns the state of an entry, given the current generations of its tags. */
  compare(carried: Generations, current: Generations): 'same' | 'stale' | 'invalid' {
    let state: 'same' | 'stale' = 'same'
    for (const tagKey of Object.keys(carried)) {
      const now = current[tagKey]
      const tagState = now === undefined ? 'invalid' : compareGenerations(carried[tagKey]!, now)
      if (tagState === 'invalid') return 'invalid'
      if (tagState === 'stale') state = 'stale'
    }
    return state
  }

  /**
   * Returns the state of an entry. Generations that are known are compared immediately; the others are read first.
   *
   * @param carried the entry's generations; `undefined` for a value without an entry.
   * @param required the tags that the entry must carry.
   */
  stateOf(
    carried: Generations | undefined,
    required: readonly string[],
    known: Generations | typeof UNAVAILABLE,
  ): EntryState | Promise<EntryState> {
    if (known === UNAVAILABLE) return UNAVAILABLE
    if (carried === undefined) return required.length === 0 ? 'same' : 'invalid'
    if (required.some((tagKey) => carried[tagKey] === undefined)) return 'invalid'
    const unknown = Object.keys(carried).filter((tagKey) => known[tagKey] === undefined)
    if (unknown.length === 0) return this.compare(carried, known)
    return orUnavailable(this.read(unknown), this.#report).then((read) =>
      read === UNAVAILABLE ? UNAVAILABLE : this.compare(carried, { ...known, ...read }),
    )
  }

  /** Makes all values that carry a tag invalid, or only stale, and resolves to whether that is confirmed. */
  async invalidate(
    tagKey: string,
    { soft }: { readonly soft: boolean },
    failed: (error: unknown) => void,
  ): Promise<boolean> {
    const by = soft ? SOFT_STEP : HARD_STEP
    this.#lookups.delete(tagKey)
    try {
      const generation = await this.raise(tagKey, by)
      this.#seen.set(tagKey, { generation, atMs: performance.now() })
      return true
    } catch (error) {
      failed(error)
      this.#pending.addRaise(tagKey, by)
      return false
    }
  }

  async raise(tagKey: string, by: number): Promise<number> {
    const { generation } = await this.#readable(tagKey, async (store) => ({
      generation: await store.raise(tagKey, by),
    }))
    return generation
  }

  /**
   * Runs a counter command on a tag. If another program stored something there that is not a number, or a number that
   * no value could carry exactly, the item is deleted and the tag created again, which invalidates the values that
   * carry it.
   */
  async #readable<Result extends Pick<TagGeneration, 'generation'>>(
    tagKey: string,
    task: (store: CacheStore) => Promise<Result>,
  ): Promise<Result> {
    try {
      const result = await this.#store.use(tagKey, task)
      if (Number.isSafeInteger(result.generation)) return result
    } catch (error) {
      if (!isForeign(error)) throw error
    }
    await this.#store.use(tagKey, (store) => store.delete(tagKey))
    return this.#store.use(tagKey, task)
  }

  #read(tagKey: string): Promise<TagGeneration> {
    if (this.#pending.hasTag(tagKey)) {
      return Promise.reject(
        new MemcacheConnectionError(`${tagKey} has a pending invalidation: its server does not respond`),
      )
    }
    let lookup = this.#lookups.get(tagKey)
    if (lookup === undefined) {
      // Later callers must not share a lookup that is already on the wire: the tag may be raised in between.
      if (this.#lookups.size === 0) process.nextTick(() => (this.#lookups = new Map()))
      lookup = this.#fetch(tagKey)
      this.#lookups.set(tagKey, lookup)
    }
    return lookup
  }

  async #fetch(tagKey: string): Promise<TagGeneration> {
    const found = await this.#readable(tagKey, (store) => store.generation(tagKey))
    const { generation } = found
    if (this.#seen.get(tagKey)?.generation !== generation)
      this.#seen.set(tagKey, { generation, atMs: performance.now() })
    return found
  }
}
