import type { MemcachedClient } from 'memcache-ts-client'
import { orUnavailable, UNAVAILABLE } from '../or-unavailable.ts'
import type { CacheContext } from '../context.ts'
import { factsOf, isPastEnd, valueOf, LEASE_STUB } from '../values/kit-codec.ts'
import type { Generations } from '../invalidate/tags.ts'

/** The options of a read. */
export interface ReadOptions {
  /** Whether to return a value that is past its end, for a caller that decides itself how to use it. */
  readonly pastEnd: boolean
}

const FRESH: ReadOptions = { pastEnd: false }

/**
 * Reads values without loading them, by plain gets: they are the cheapest requests, and take no lease away from callers
 * that load. A value that was marked stale counts as a hit, and one that is past its end as a miss.
 */
export class Reads {
  readonly #client: MemcachedClient
  readonly #context: CacheContext

  constructor(client: MemcachedClient, context: CacheContext) {
    this.#client = client
    this.#context = context
  }

  /** Returns a value; `undefined` is a miss, or a cache that does not respond. */
  async get(name: string, wanted: readonly string[], { pastEnd } = FRESH): Promise<unknown> {
    const { memory, pending, report, root, clock } = this.#context
    const learning = root.known()
    if (learning !== undefined) await learning
    const required = root.with(wanted)
    const item = memory?.fresh(name)
    if (item !== undefined) {
      report.memoryHit(name)
      return memory!.valueOf(item)
    }
    if (pending.has(name)) return this.#missed(name)
    const reading = this.#generations(required)
    const stored = await orUnavailable(this.#client.get(name), report)
    const generations = await reading
    if (stored === UNAVAILABLE || stored === undefined || stored === LEASE_STUB) return this.#missed(name)
    if (!(await this.#isValid(stored, required, generations))) return this.#missed(name)
    if (!pastEnd && isPastEnd(factsOf(stored), clock)) return this.#missed(name)
    report.hit(name)
    return valueOf(stored)
  }

  /** Returns the hits among many keys, by one round trip per server. */
  async getMany(names: readonly string[], wanted: readonly string[]): Promise<Map<string, unknown>> {
    const { memory, pending, report, root, clock } = this.#context
    const learning = root.known()
    if (learning !== undefined) await learning
    const required = root.with(wanted)
    const hits = new Map<string, unknown>()
    const missing: string[] = []
    for (const name of names) {
      const item = memory?.fresh(name)
      if (item === undefined) {
        if (pending.has(name)) this.#missed(name)
        else missing.push(name)
        continue
      }
      report.memoryHit(name)
      hits.set(name, memory!.valueOf(item))
    }
    if (missing.length === 0) return hits
    const reading = this.#generations(required)
    const found = await orUnavailable(this.#client.getMulti<unknown, string>(missing), report)
    const generations = await reading
    if (found !== UNAVAILABLE) for (const error of found.errors.values()) report.failed(error)
    const valid = await Promise.all(
      missing.map(async (name) => {
        const stored = found === UNAVAILABLE ? undefined : found.get(name)
        const isThere = stored !== LEASE_STUB && found !== UNAVAILABLE && found.has(name)
        if (!isThere || !(await this.#isValid(stored, required, generations))) return undefined
        return isPastEnd(factsOf(stored), clock) ? undefined : { name, stored }
      }),
    )
    for (const [index, hit] of valid.entries()) {
      if (hit === undefined) {
        this.#missed(missing[index]!)
        continue
      }
      report.hit(hit.name)
      hits.set(hit.name, valueOf(hit.stored))
    }
    return hits
  }

  #missed(name: string): undefined {
    this.#context.report.miss(name)
  }

  async #generations(tagKeys: readonly string[]): Promise<Generations | typeof UNAVAILABLE> {
    if (tagKeys.length === 0) return {}
    return orUnavailable(this.#context.tags.read(tagKeys), this.#context.report)
  }

  async #isValid(
    stored: unknown,
    required: readonly string[],
    known: Generations | typeof UNAVAILABLE,
  ): Promise<boolean> {
    const state = await this.#context.tags.stateOf(factsOf(stored).tags, required, known)
    return state !== 'invalid' && state !== UNAVAILABLE
  }
}
