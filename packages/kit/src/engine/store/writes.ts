import type { Ttl } from 'memcache-ts-protocol'
import { ttlToSeconds } from 'memcache-ts-protocol'
import { orUnavailable, UNAVAILABLE } from '../or-unavailable.ts'
import type { CacheContext } from '../context.ts'
import type { CacheStore } from './cache-store.ts'
import { lifetimeFrom } from '../lifetime.ts'
import { Entry } from '../values/kit-codec.ts'
import type { Generations } from '../invalidate/tags.ts'
import type { LeasedLoads } from '../load/leased-loads.ts'

/** A value to store. */
export interface StoredValue {
  readonly value: unknown
  readonly ttlSeconds: Ttl
  /** The tags that it carries, including those of its namespace. */
  readonly tagKeys: readonly string[]
  /** The generations that it carries of these tags. Default: those that they have now. */
  readonly generations?: Generations | undefined
}

/**
 * Explicit writes and invalidations. An invalidation that is not confirmed is remembered: this process does not serve
 * the values that it concerns, and sends it again as soon as the server is back.
 */
export class Writes {
  readonly #context: CacheContext
  readonly #loads: LeasedLoads

  constructor(context: CacheContext, loads: LeasedLoads) {
    this.#context = context
    this.#loads = loads
  }

  /**
   * Stores a value, and resolves to whether that is confirmed.
   *
   * @throws MemcacheOptionError if the value cannot be stored.
   */
  async set(
    name: string,
    { value: given, ttlSeconds, tagKeys: wanted, generations: known }: StoredValue,
  ): Promise<boolean> {
    const { store, codec, tags, memory, pending, report, classes, root, clock } = this.#context
    const learning = root.known()
    if (learning !== undefined) await learning
    const tagKeys = root.with(wanted)
    const checking = classes.checkSet(given)
    if (checking !== undefined) await checking
    const value = classes.ofSet(name, given)
    const freshSeconds = ttlToSeconds(ttlSeconds)
    const beforeTags = memory?.stamp()
    const generations = tagKeys.length === 0 ? {} : await orUnavailable(tags.read(tagKeys), report)
    if (generations === UNAVAILABLE) return this.#unconfirmed(name)
    const { keptSeconds, freshUntilMs } = lifetimeFrom(clock.nowMs(), { freshSeconds })
    const carried = tagKeys.length === 0 ? undefined : { ...generations, ...known }
    const entry = new Entry(value, { tags: carried, freshUntilMs })
    const item = codec.encode(carried === undefined && freshUntilMs === undefined ? value : entry)
    this.#forget(name)
    const stamp = memory?.stamp(beforeTags)
    const stored = await orUnavailable(
      store.use(name, (using) => using.set(name, item, keptSeconds)),
      report,
    )
    this.#loads.running.detach(name)
    if (stored === UNAVAILABLE) return this.#unconfirmed(name)
    pending.settle(name)
    const { casUnique } = stored
    memory?.put(name, { value, facts: entry.facts, casUnique, size: item.size, freshSeconds }, stamp!)
    report.set(name)
    return true
  }

  /** Deletes a value, and resolves to whether that is confirmed. */
  delete(name: string): Promise<boolean> {
    return this.#invalidate(name, (store) => store.delete(name))
  }

  /**
   * Marks a value stale, so that one caller reloads it while the others are served the old value. Resolves to whether
   * that is confirmed.
   */
  markStale(name: string): Promise<boolean> {
    return this.#invalidate(name, (store) => store.markStale(name))
  }

  /**
   * Makes all values that carry one of these tags invalid, or only stale: one operation per tag, however many values
   * there are. Resolves to whether that is confirmed.
   */
  async invalidateTags(
    tagKeys: readonly string[],
    { soft, given }: { soft: boolean; given: readonly string[] },
  ): Promise<boolean> {
    const { tags, memory, report } = this.#context
    memory?.tagsChanged()
    const failed = (error: unknown): void => report.failed(error)
    const confirmed = await Promise.all(tagKeys.map((tagKey) => tags.invalidate(tagKey, { soft }, failed)))
    memory?.tagsChanged()
    this.#loads.running.detachAll()
    report.invalidated(given)
    return confirmed.every(Boolean)
  }

  async #invalidate(name: string, task: (store: CacheStore) => Promise<void>): Promise<boolean> {
    const { store, pending, report } = this.#context
    this.#forget(name)
    const done = await orUnavailable(store.use(name, task), report)
    this.#forget(name)
    if (done === UNAVAILABLE) return this.#unconfirmed(name)
    pending.settle(name)
    report.deleted(name)
    return true
  }

  #forget(name: string): void {
    this.#loads.running.detach(name)
    this.#context.memory?.delete(name)
  }

  #unconfirmed(name: string): false {
    this.#forget(name)
    this.#context.pending.addDelete(name)
    return false
  }
}
