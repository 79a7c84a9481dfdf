import type { MemcachedClient } from 'memcache-ts-client'
import { attempt, AWAY } from '../or-unavailable.ts'
import type { CacheParts } from '../context.ts'
import { factsOf, valueOf } from '../values/entry.ts'
import { LEASE_STUB } from '../values/kit-codec.ts'
import type { Generations } from '../invalidate/tags.ts'

/**
 * Values that are only read, never loaded: by plain gets, which are the cheapest and take no lease away from those who
 * load. What is stale counts as there: who wants to know, loads.
 */
export class Reads {
  readonly #client: MemcachedClient
  readonly #parts: CacheParts

  constructor(client: MemcachedClient, parts: CacheParts) {
    this.#client = client
    this.#parts = parts
  }

  /** A value; `undefined` is a miss, or a cache that does not answer. */
  async get(name: string, wanted: readonly string[]): Promise<unknown> {
    const { memory, pending, report, root } = this.#parts
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
    const stored = await attempt(this.#client.get(name), report)
    const generations = await reading
    if (stored === AWAY || stored === undefined || stored === LEASE_STUB) return this.#missed(name)
    if (!(await this.#isValid(stored, required, generations))) return this.#missed(name)
    report.hit(name)
    return valueOf(stored)
  }

  /** The hits among many keys, in one round trip a server. */
  async getMany(names: readonly string[], wanted: readonly string[]): Promise<Map<string, unknown>> {
    const { memory, pending, report, root } = this.#parts
    const learning = root.known()
    if (learning !== undefined) await learning
    const required = root.with(wanted)
    const hits = new Map<string, unknown>()
    const asked: string[] = []
    for (const name of names) {
      const item = memory?.fresh(name)
      if (item === undefined) {
        if (pending.has(name)) this.#missed(name)
        else asked.push(name)
        continue
      }
      report.memoryHit(name)
      hits.set(name, memory!.valueOf(item))
    }
    if (asked.length === 0) return hits
    const reading = this.#generations(required)
    const found = await attempt(this.#client.getMulti<unknown, string>(asked), report)
    const generations = await reading
    if (found !== AWAY) for (const error of found.errors.values()) report.failed(error)
    const valid = await Promise.all(
      asked.map(async (name) => {
        const stored = found === AWAY ? undefined : found.get(name)
        const isThere = stored !== LEASE_STUB && found !== AWAY && found.has(name)
        return isThere && (await this.#isValid(stored, required, generations)) ? { name, stored } : undefined
      }),
    )
    for (const [index, hit] of valid.entries()) {
      if (hit === undefined) {
        this.#missed(asked[index]!)
        continue
      }
      report.hit(hit.name)
      hits.set(hit.name, valueOf(hit.stored))
    }
    return hits
  }

  #missed(name: string): undefined {
    this.#parts.report.miss(name)
  }

  async #generations(tagKeys: readonly string[]): Promise<Generations | typeof AWAY> {
    if (tagKeys.length === 0) return {}
    return attempt(this.#parts.tags.read(tagKeys), this.#parts.report)
  }

  async #isValid(stored: unknown, required: readonly string[], known: Generations | typeof AWAY): Promise<boolean> {
    const verdict = await this.#parts.tags.verdict(factsOf(stored).tags, required, known, this.#parts.report)
    return verdict !== 'invalid' && verdict !== AWAY
  }
}
