import { LRUCache } from 'lru-cache'
import type { MemcachedClient } from 'memcache-ts-client'
import { MemcacheConnectionError, MemcacheDecodeError, MemcacheServerError } from 'memcache-ts-protocol'
import { orUnavailable, UNAVAILABLE } from '../or-unavailable.ts'
import type { AdaptiveStore } from '../store/adaptive-store.ts'
import type { CacheReport } from '../observe/cache-report.ts'
import type { CacheStore, TagGeneration } from '../store/cache-store.ts'
import { compareGenerations, HARD_STEP, SOFT_STEP } from './tag-generation.ts'
import type { PendingInvalidations } from './pending-invalidations.ts'

/** Generations by the tags' keys. */
export type Generations = Readonly<Record<string, number>>

/** What became of an entry; `UNAVAILABLE` where its tags cannot be asked for. */
export type EntryState = 'same' | 'stale' | 'invalid' | typeof UNAVAILABLE

export const NO_GENERATIONS: Generations = {}
const MAX_REMEMBERED = 10_000
/** memcached's seconds are whole, and its and ours do not begin together. */
const GRAIN_SECONDS = 2

/**
 * Tags: an entry carries the generations that its tags had when its load began; raising a tag's generation, one operation,
 * makes all that carry the old one invalid. Generations that are asked for in one tick are asked for once.
 */
export class Tags {
  readonly #store: AdaptiveStore
  readonly #pending: PendingInvalidations
  #asked = new Map<string, Promise<TagGeneration>>()
  /** The generation that a tag was last seen with, and when. */
  readonly #seen = new LRUCache<string, { generation: number; atMs: number }>({ max: MAX_REMEMBERED })

  constructor(store: AdaptiveStore, pending: PendingInvalidations) {
    this.#store = store
    this.#pending = pending
  }

  /** The generations of tags, now; rejects when one cannot be had. */
  async read(tagKeys: readonly string[]): Promise<Generations> {
    if (tagKeys.length === 0) return NO_GENERATIONS
    const generations = await Promise.all(tagKeys.map((tagKey) => this.#read(tagKey)))
    return Object.fromEntries(tagKeys.map((tagKey, index) => [tagKey, generations[index]!.generation]))
  }

  /**
   * The generations of tags that a loader named while it ran; `undefined` where one may have changed since the load began.
   * It has not if it was seen before with the same generation, if nobody had ever used it, or if the server says that it was last
   * raised before.
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
      if (!seenBefore && !made && ageSeconds <= loadSeconds + GRAIN_SECONDS) return undefined
    }
    return generations
  }

  /** What became of an entry, given the generations that its tags have now. */
  compare(carried: Generations, current: Generations): 'same' | 'stale' | 'invalid' {
    let state: 'same' | 'stale' = 'same'
    for (const tagKey in carried) {
      const now = current[tagKey]
      const one = now === undefined ? 'invalid' : compareGenerations(carried[tagKey]!, now)
      if (one === 'invalid') return 'invalid'
      if (one === 'stale') state = 'stale'
    }
    return state
  }

  /**
   * What became of an entry: its generations are compared with those that are known, at once, and the others are asked for.
   * @param carried `undefined` for a bare value.
   * @param required the tags that it has to carry.
   */
  stateOf(
    carried: Generations | undefined,
    required: readonly string[],
    known: Generations | typeof UNAVAILABLE,
    report: CacheReport,
  ): EntryState | Promise<EntryState> {
    if (known === UNAVAILABLE) return UNAVAILABLE
    if (carried === undefined) return required.length === 0 ? 'same' : 'invalid'
    if (required.some((tagKey) => carried[tagKey] === undefined)) return 'invalid'
    const unknown = Object.keys(carried).filter((tagKey) => known[tagKey] === undefined)
    if (unknown.length === 0) return this.compare(carried, known)
    return orUnavailable(this.read(unknown), report).then((read) =>
      read === UNAVAILABLE ? UNAVAILABLE : this.compare(carried, { ...known, ...read }),
    )
  }

  /** Makes all that carries a tag invalid, or just stale; resolves to whether that is confirmed. */
  async invalidate(tagKey: string, soft: boolean, failed: (error: unknown) => void): Promise<boolean> {
    const by = soft ? SOFT_STEP : HARD_STEP
    this.#asked.delete(tagKey)
    try {
      const atMs = performance.now()
      const generation = await this.raise(tagKey, by)
      this.#seen.set(tagKey, { generation, atMs })
      return true
    } catch (error) {
      failed(error)
      this.#pending.addRaise(tagKey, by)
      return false
    }
  }

  raise(tagKey: string, by: number): Promise<number> {
    return this.#readable(tagKey, (store) => store.raise(tagKey, by))
  }

  /** Counts in a tag's item; where somebody has stored something there that is no number, a new one is made: what carries the old one is invalid. */
  async #readable<Result>(tagKey: string, task: (store: CacheStore) => Promise<Result>): Promise<Result> {
    try {
      return await this.#store.use(tagKey, task)
    } catch (error) {
      const isGarbage =
        error instanceof MemcacheDecodeError ||
        (error instanceof MemcacheServerError && error.message.includes('non-numeric'))
      if (!isGarbage) throw error
      await this.#store.use(tagKey, (store) => store.delete(tagKey))
      return this.#store.use(tagKey, task)
    }
  }

  #read(tagKey: string): Promise<TagGeneration> {
    if (this.#pending.hasTag(tagKey)) {
      return Promise.reject(new MemcacheConnectionError(`${tagKey} is still to be invalidated: its server is away`))
    }
    let asked = this.#asked.get(tagKey)
    if (asked === undefined) {
      // What was sent must not be joined by who asks later: a tag may be raised in between.
      if (this.#asked.size === 0) process.nextTick(() => (this.#asked = new Map()))
      asked = this.#ask(tagKey)
      this.#asked.set(tagKey, asked)
    }
    return asked
  }

  async #ask(tagKey: string): Promise<TagGeneration> {
    const atMs = performance.now()
    const answer = await this.#readable(tagKey, (store) => store.generation(tagKey))
    const seen = this.#seen.get(tagKey)
    if (seen?.generation !== answer.generation) this.#seen.set(tagKey, { generation: answer.generation, atMs })
    return answer
  }
}

/** How long a process believes that the root generation was not raised since it looked. */
const BELIEVED_MS = 1000

/**
 * The generation of everything that is stored under the prefix. It is raised in place of more invalidations than can be remembered, and until then
 * there is none, so that values need not carry it. Each process looks once a second, while it is used, whether it was raised.
 */
export class RootGeneration {
  readonly tagKey: string
  readonly #client: MemcachedClient
  readonly #report: CacheReport
  #isRaised = false
  #lookedAtMs: number | undefined
  #looking: Promise<void> | undefined

  constructor(client: MemcachedClient, tagKey: string, report: CacheReport) {
    this.#client = client
    this.tagKey = tagKey
    this.#report = report
  }

  /** Makes sure that it is known whether it was raised; `undefined` if it is known. */
  known(): Promise<void> | undefined {
    const nowMs = performance.now()
    if (this.#isRaised || (this.#lookedAtMs !== undefined && nowMs - this.#lookedAtMs < BELIEVED_MS)) return undefined
    const isFirst = this.#lookedAtMs === undefined
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined))
    return isFirst ? this.#looking : undefined
  }

  /** From now on what does not carry it is invalid. */
  raised(): void {
    this.#isRaised = true
  }

  /** The tags that a value must carry, or is stored with: these, and the root's, if that was ever raised. */
  with(tagKeys: readonly string[]): readonly string[] {
    return this.#isRaised && !tagKeys.includes(this.tagKey) ? [...tagKeys, this.tagKey] : tagKeys
  }

  async #look(): Promise<void> {
    const found = await orUnavailable(this.#client.get(this.tagKey), this.#report)
    this.#lookedAtMs = performance.now()
    if (found !== UNAVAILABLE && found !== undefined) this.#isRaised = true
  }
}
