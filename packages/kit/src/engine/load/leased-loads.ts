import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { Abandonment, StopSource } from './abandonment.ts'
import { orUnavailable, unavailable, UNAVAILABLE } from '../or-unavailable.ts'
import type { CacheContext } from '../context.ts'
import type { Filled } from '../store/cache-store.ts'
import { lateSeconds, lifetimeFrom } from '../lifetime.ts'
import type { Lifetime } from '../lifetime.ts'
import { copyValue, isCopiedWhole } from '../values/copy-value.ts'
import type { EntryFacts, EncodedItem } from '../values/kit-codec.ts'
import { Flights, currentLoad } from './flights.ts'
import type { Flight, LoadNode } from './flights.ts'
import type { ResolvedLoading } from './get-or-set-options.ts'
import { originalOf, UnrevivableValue } from '../values/class-warnings.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import type { HeldLease } from './lease-keeper.ts'
import type { Loaded } from './load-run.ts'
import { ttlOf } from './get-or-set-options.ts'
import { NO_GENERATIONS } from '../invalidate/tags.ts'
import type { Generations } from '../invalidate/tags.ts'
import { MAX_TAGS } from '../values/kit-codec.ts'

/** The result of a load. */
export interface LoadOutcome {
  /** The value. If several callers wait, each of them gets a copy. */
  readonly value: unknown
  /** Nothing was invalidated since the load began, so callers that joined it meanwhile may use the value too. */
  readonly confirmed: boolean
  /** The value cannot be copied: callers that joined run their own loaders. */
  readonly isUnstorable?: boolean
  /** It is not to be stored, as its loader or its lifetime says. */
  readonly isKeptBack?: boolean
}

/** The key of a load, and how its value is stored. */
export interface LoadTarget {
  readonly name: string
  readonly loading: ResolvedLoading
  readonly l1: boolean
  /** The reason why the value cannot be stored, if it is known before the load. */
  readonly fault?: unknown
}

/** How a load is started. */
export interface LoadStart {
  readonly node: LoadNode
  /** The right to load. Without it the value is not stored, since an invalidation could not refuse it. */
  readonly right: LoadRight | undefined
  /** Whether the load runs in the background. */
  readonly background?: boolean
  /** How long the lease is renewed, in milliseconds. Default: until the load ends. */
  readonly keptMs?: number
}

/** A value as every caller gets it, and as it is stored; `encoded` is `undefined` if it is not stored. */
interface Prepared {
  readonly value: unknown
  readonly encoded: EncodedItem | undefined
  /** Whether the value could be copied, so that other callers may share it. */
  readonly isCopied: boolean
}

/** A loaded value, as every caller gets it and as it is stored. */
interface LoadedItem {
  readonly value: unknown
  readonly encoded: EncodedItem
  readonly facts: EntryFacts
  readonly lifetime: Lifetime
}

/** The right to load a key, and the generations of its tags when the right was granted. */
export interface LoadRight {
  readonly lease: HeldLease
  readonly generations: Generations
}

/** The assumed size of a value that was not encoded. */
const UNKNOWN_BYTES = 1024

/**
 * The running loads of this process, and what happens to their values: a value is stored under its lease, unless it was
 * invalidated meanwhile; a lease is released if there is nothing to store.
 */
export class LeasedLoads {
  /** The running loads, by key. */
  readonly running = new Flights<LoadOutcome>()
  readonly #context: CacheContext
  readonly #keeper: LeaseKeeper
  #underWay = 0

  constructor(context: CacheContext) {
    this.#context = context
    this.#keeper = new LeaseKeeper(context.store, context.leaseSeconds)
  }

  /** The number of running loads, until their values are stored. */
  get underWay(): number {
    return this.#underWay
  }

  /**
   * Waits for a running load.
   *
   * @throws the signal's reason if the signal is aborted first.
   */
  wait(name: string, flight: Flight<LoadOutcome>, signal: StopSource | undefined): Promise<LoadOutcome> {
    return this.running.wait(name, flight, signal).then((outcome) => {
      // A value that is not confirmed goes only to the caller that loaded it.
      if (flight.waiters === 1 || !outcome.confirmed) return outcome
      return { ...outcome, value: copyValue(outcome.value) }
    })
  }

  start(
    target: LoadTarget,
    { node, right, background = false, keptMs = Infinity }: LoadStart,
    run: (stop: Abandonment) => Promise<Loaded>,
  ): Flight<LoadOutcome> {
    const work = (stop: Abandonment): Promise<LoadOutcome> => {
      this.#underWay++
      return right === undefined
        ? this.#loadUnleased(target, run(stop))
        : this.#loadAndStore(target, { right, keptMs }, run(stop))
    }
    return this.running.start(target.name, work, { background, node })
  }

  /**
   * Loads for one caller that is part of the load that others wait for: no caller joins, and the value is not stored.
   *
   * @throws MemcacheOptionError if the loader asks for its own value endlessly.
   */
  async runAlone({ name }: LoadTarget, node: LoadNode, run: () => Promise<Loaded>): Promise<unknown> {
    node.checkNesting()
    const waited = currentLoad()?.waitFor(node)
    this.#underWay++
    this.#context.report.stats.unleasedLoads++
    try {
      return this.#isolated(name, await run()).value
    } finally {
      waited?.()
      this.#underWay--
    }
  }

  close(): void {
    this.#keeper.close()
  }

  /** Loads without a lease. The value is kept only in memory, as long as it need not be confirmed. */
  async #loadUnleased({ name, l1, loading }: LoadTarget, run: Promise<Loaded>): Promise<LoadOutcome> {
    const { memory, report } = this.#context
    report.stats.unleasedLoads++
    const stamp = memory?.stamp()
    try {
      const loaded = await run
      const { value, isCopied } = this.#isolated(name, loaded)
      if (!isCopied) return { value, confirmed: false, isUnstorable: true }
      if (l1 && memory !== undefined && !loaded.skipsStore && value !== undefined) {
        const lifetime = this.#lifetimeOf(name, loading, loaded)
        const item = { value, facts: { tags: {} }, casUnique: undefined, size: UNKNOWN_BYTES }
        if (lifetime !== undefined) memory.put(name, { ...item, freshSeconds: lifetime.freshSeconds }, stamp!)
      }
      return { value, confirmed: true }
    } finally {
      this.#underWay--
    }
  }

  /** Returns a loaded value as later callers would get it, and as a copy: the loader may keep what it returned. */
  #isolated(name: string, { value: given }: Loaded): Prepared {
    if (isPrimitive(given)) return { value: given, encoded: undefined, isCopied: true }
    if (given instanceof UnrevivableValue) return { value: given, encoded: undefined, isCopied: false }
    try {
      const plain = this.#context.classes.ofLoad(name, given)
      if (!isCopiedWhole(plain)) return { value: given, encoded: undefined, isCopied: false }
      return { value: copyValue(plain), encoded: undefined, isCopied: true }
    } catch {
      return { value: given, encoded: undefined, isCopied: false }
    }
  }

  /**
   * Like `#isolated`, and encodes the value. A value that cannot be encoded is returned unchanged to the caller that
   * loads it.
   */
  #prepared({ name, fault: known }: LoadTarget, loaded: Loaded): Prepared {
    const { codec, classes, report } = this.#context
    const { value: given, skipsStore, fault = known } = loaded
    // undefined means a miss, so it cannot be stored as a value.
    if (skipsStore || given === undefined) return this.#isolated(name, loaded)
    const refused = given instanceof UnrevivableValue ? given.reason : fault
    if (refused !== undefined) {
      report.unstorable(name, refused)
      return this.#isolated(name, loaded)
    }
    try {
      const plain = classes.ofLoad(name, given)
      const encoded = codec.encode(plain)
      return { value: isPrimitive(plain) ? plain : copyValue(plain), encoded, isCopied: true }
    } catch (error) {
      report.unstorable(name, error)
      return { value: given, encoded: undefined, isCopied: false }
    }
  }

  async #loadAndStore(
    target: LoadTarget,
    { right, keptMs }: { right: LoadRight; keptMs: number },
    loading: Promise<Loaded>,
  ): Promise<LoadOutcome> {
    this.#keeper.keep(right.lease, keptMs)
    try {
      return await this.#store(target, right, await loading)
    } catch (error) {
      // The loader failed, or its value cannot be stored: the next caller may try immediately.
      await this.#free(right.lease)
      throw error
    } finally {
      void this.#keeper.release(right.lease)
      this.#underWay--
    }
  }

  /** Stores a loaded value. It has no `await`, since usually it only returns the promise of `#fill`. */
  #store(target: LoadTarget, { lease, generations }: LoadRight, loaded: Loaded): Promise<LoadOutcome> {
    const { value, encoded, isCopied } = this.#prepared(target, loaded)
    const lifetime = encoded === undefined ? undefined : this.#lifetimeOf(target.name, target.loading, loaded)
    if (encoded === undefined || lifetime === undefined) {
      // Later callers look the key up themselves.
      this.running.detach(target.name)
      return this.#free(lease).then((isHeld) =>
        isCopied ? { value, confirmed: isHeld, isKeptBack: true } : { value, confirmed: false, isUnstorable: true },
      )
    }
    const fill = (all: Generations): Promise<LoadOutcome> => {
      const facts = factsOf(loaded, lifetime, all)
      return this.#fill(target, lease, { value, encoded, facts, lifetime })
    }
    const fillTagged = (all: Generations | undefined): Promise<LoadOutcome> => {
      const isTooMuch = all !== undefined && Object.keys(all).length > MAX_TAGS
      if (all !== undefined && !isTooMuch) return fill(all)
      this.running.detach(target.name)
      const { report } = this.#context
      if (!isTooMuch) report.stats.discarded++
      else report.unstorable(target.name, new MemcacheOptionError(`a value can have at most ${MAX_TAGS} tags`))
      return this.#free(lease).then((isHeld) => ({ value, confirmed: isTooMuch && isHeld, isKeptBack: true }))
    }
    if (loaded.tags.length > 0) return this.#withLoadedTags(generations, loaded).then(fillTagged)
    return generations === NO_GENERATIONS ? fill(generations) : fillTagged(generations)
  }

  /** Fills a lease; a renewal after the fill would shorten the lifetime of the value. */
  #fill(target: LoadTarget, lease: HeldLease, item: LoadedItem): Promise<LoadOutcome> {
    const renewal = this.#keeper.release(lease)
    if (renewal === undefined) return this.#fillNow(target, lease, item)
    return renewal.then(() => this.#fillNow(target, lease, item))
  }

  #fillNow(
    { name, l1 }: LoadTarget,
    { casUnique }: HeldLease,
    { value, encoded, facts, lifetime: { freshSeconds, keptSeconds } }: LoadedItem,
  ): Promise<LoadOutcome> {
    const { store, codec, report, tags, memory, ambiguous } = this.#context
    const generations = facts.tags ?? NO_GENERATIONS
    const isBare = facts.tags === undefined && facts.freshUntilMs === undefined
    const item = isBare ? encoded : codec.entry(encoded, facts)
    // Callers that come after the fill was sent must not get a value that a later delete has removed.
    this.running.detach(name)
    const stamp = memory?.stamp()
    const filling = store.fill<typeof UNAVAILABLE>(name, { item, casUnique, ttlSeconds: keptSeconds }, (error) =>
      unavailable(error, report, () => ambiguous.notFilled(name)),
    )
    const filled = (given: Filled | typeof UNAVAILABLE, current: Generations | typeof UNAVAILABLE): LoadOutcome => {
      if (given === UNAVAILABLE) return { value, confirmed: false }
      if (given === undefined || current === UNAVAILABLE || tags.compare(generations, current) !== 'same') {
        report.stats.discarded++
        return { value, confirmed: false }
      }
      report.set(name)
      if (l1) memory?.put(name, { value, facts, casUnique: given.casUnique, size: item.size, freshSeconds }, stamp!)
      return { value, confirmed: true }
    }
    const tagKeys = Object.keys(generations)
    if (tagKeys.length === 0) return filling.then((given) => filled(given, generations))
    return Promise.all([filling, orUnavailable(tags.read(tagKeys), report)]).then(([given, current]) =>
      filled(given, current),
    )
  }

  /** Returns the generations of all tags as they were when the load began; `undefined` if one may have changed since. */
  async #withLoadedTags(known: Generations, { tags: named, beganMs }: Loaded): Promise<Generations | undefined> {
    const { tags, report, tagKey } = this.#context
    const unknown = [...new Set(named.map((tag) => tagKey(tag)))].filter((key) => known[key] === undefined)
    if (unknown.length === 0) return known
    const read = await orUnavailable(tags.readSince(unknown, beganMs), report)
    return read === UNAVAILABLE || read === undefined ? undefined : { ...known, ...read }
  }

  /** Returns the lifetime of a loaded value; `undefined` if the value is not stored. */
  #lifetimeOf(name: string, loading: ResolvedLoading, { value, ttlSeconds }: Loaded): Lifetime | undefined {
    try {
      // A function that returns nothing, as for a token without `expires_in`, leaves it to the cache.
      const own = ttlSeconds ?? lateSeconds(ttlOf(loading.ttlSeconds, originalOf(value)) ?? this.#context.ttlSeconds)
      if (own === 0) return undefined
      const seconds = value === null ? Math.min(own, loading.nullTtlSeconds) : own
      const { staleSeconds, beta } = loading
      const freshSeconds = loading.vary(seconds)
      return lifetimeFrom(this.#context.clock.nowMs(), { freshSeconds, staleSeconds, beta })
    } catch (error) {
      this.#context.report.unstorable(name, error)
      return undefined
    }
  }

  /**
   * Releases a lease without a value, and resolves to whether it was still held. A stale value stays; another caller
   * may claim it once this claim is older than a lease.
   */
  async #free(lease: HeldLease): Promise<boolean> {
    const { key, filled } = lease
    if (filled) return false
    const renewal = this.#keeper.release(lease)
    if (renewal !== undefined) await renewal
    const { store, report } = this.#context
    return (
      (await orUnavailable(
        store.use(key, (using) => using.free(key, lease.casUnique)),
        report,
      )) === true
    )
  }
}

function isPrimitive(value: unknown): boolean {
  return (typeof value !== 'object' && typeof value !== 'function') || value === null
}

/** Returns the metadata of a loaded value. */
function factsOf({ tookMs }: Loaded, { freshUntilMs }: Lifetime, tags: Generations): EntryFacts {
  return {
    tags: Object.keys(tags).length === 0 ? undefined : tags,
    loadMs: freshUntilMs === undefined ? undefined : Math.max(1, tookMs),
    freshUntilMs,
  }
}
