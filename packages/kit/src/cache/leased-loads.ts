import { MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import { attempt, AWAY } from './attempt.ts'
import type { CacheParts } from './cache-parts.ts'
import { surelyFreshUntilMs } from './early-refresh.ts'
import { Entry } from './entry.ts'
import { Flights } from './flights.ts'
import type { Flight } from './flights.ts'
import type { ResolvedLoading } from './get-or-set-options.ts'
import type { EncodedItem } from './kit-codec.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import type { HeldLease } from './lease-keeper.ts'
import { isLoading, isRepeated, loadNode, runAsLoad, whileWaiting, wouldWaitForItself } from './load-graph.ts'
import type { LoadNode } from './load-graph.ts'
import type { Loaded } from './load-run.ts'
import type { Generations } from './tags.ts'

/** What a load brought. */
export interface LoadOutcome {
  readonly value: unknown
  /** Nothing was invalidated since it began, so that those who joined it meanwhile may have it too. */
  readonly confirmed: boolean
  /** It cannot be stored, and so not be copied either: those who joined run their own loaders. */
  readonly isUnstorable?: boolean
}

/** What is loaded, and how it is stored. */
export interface LoadTarget {
  readonly name: string
  readonly loading: ResolvedLoading
  readonly l1: boolean
}

/** The right to load a key, and the generations that its tags had when it was had. */
export interface LoadRight {
  readonly lease: HeldLease
  readonly generations: Generations
}

/** How long a value is fresh, and how long it is kept. */
interface Lifetime {
  readonly freshSeconds: number
  readonly keptSeconds: number
}

/** How a load is started. */
interface StartOptions {
  readonly background?: boolean
  readonly node?: LoadNode
}

/** A loader that is running. */
interface Running {
  readonly loading: Promise<Loaded>
  /** Aborted when nobody waits for it. */
  readonly signal: AbortSignal
  readonly background: boolean
}

/** What a value is taken for that was never encoded. */
const UNKNOWN_BYTES = 1024

/**
 * Loads that are under way in this process, and what becomes of their values: stored under their leases, refused when they
 * were invalidated meanwhile, given back when there is nothing to store.
 */
export class LeasedLoads {
  readonly #parts: CacheParts
  readonly #flights = new Flights<LoadOutcome>()
  readonly #nodes = new WeakMap<Flight<LoadOutcome>, LoadNode>()
  readonly #keeper: LeaseKeeper
  #underWay = 0

  constructor(parts: CacheParts) {
    this.#parts = parts
    this.#keeper = new LeaseKeeper(parts.store, parts.leaseSeconds)
  }

  /** How many loads are under way, until their values are stored. */
  get underWay(): number {
    return this.#underWay
  }

  /** The load of a key that is under way. */
  get(name: string): Flight<LoadOutcome> | undefined {
    return this.#flights.get(name)
  }

  /** The load of a key that somebody waits for; one in the background is for those who come after. */
  joinable(name: string): Flight<LoadOutcome> | undefined {
    const flight = this.#flights.get(name)
    return flight?.background === false ? flight : undefined
  }

  wait(name: string, flight: Flight<LoadOutcome>, signal: AbortSignal | undefined): Promise<LoadOutcome> {
    const waiting = this.#flights.wait(name, flight, signal)
    const node = this.#nodes.get(flight)
    return node === undefined ? waiting : whileWaiting(node, waiting)
  }

  /** Whether what asks is the loader of this very key, or was begun by it. */
  isOwnKey(name: string): boolean {
    return isLoading(name, this)
  }

  /** Whether the loader that asks would wait for itself if it joined a load. */
  isOwnCircle(flight: Flight<LoadOutcome>): boolean {
    const node = this.#nodes.get(flight)
    return node !== undefined && wouldWaitForItself(node)
  }

  /**
   * Starts a load.
   * @param right without it the value is not stored, since nobody could refuse it.
   * @param options `background`: nobody waits for it. `node`: what it is one of several keys of, which one loader loads.
   */
  start(
    target: LoadTarget,
    right: LoadRight | undefined,
    run: (signal: AbortSignal) => Promise<Loaded>,
    { background = false, node = this.nodeOf([target.name]) }: StartOptions = {},
  ): Flight<LoadOutcome> {
    const work = async (signal: AbortSignal): Promise<LoadOutcome> => {
      this.#underWay++
      try {
        const loading = runAsLoad(node, () => run(signal))
        return await (right === undefined
          ? this.#loadUnleased(target, loading)
          : this.#loadAndStore(target, right, { loading, signal, background }))
      } finally {
        this.#underWay--
      }
    }
    const flight = this.#flights.start(target.name, work, background)
    this.#nodes.set(flight, node)
    return flight
  }

  /**
   * Runs a loader for the one that asks, beside all others: nobody joins it, and what it brings is not stored.
   * @throws MemcacheOptionError for a loader that asks for its own value again and again.
   */
  async runAlone(name: string, run: (signal: AbortSignal) => Promise<Loaded>): Promise<unknown> {
    if (isRepeated(name, this)) {
      throw new MemcacheOptionError(
        `the loader of ${name} asks for ${name} again and again: it must not need its own value`,
      )
    }
    this.#parts.report.stats.unleasedLoads++
    const loaded = await runAsLoad(loadNode([name], this, true), () => run(new AbortController().signal))
    return this.#plain(name, loaded).value
  }

  /** A load of one or more keys by one loader, which begins now. */
  nodeOf(names: readonly string[]): LoadNode {
    return loadNode(names, this)
  }

  /** Lets nobody join what is being loaded for a key: it was invalidated. */
  detach(name: string): void {
    this.#flights.detach(name)
  }

  detachAll(): void {
    this.#flights.detachAll()
  }

  close(): void {
    this.#keeper.close()
  }

  /** What cannot be stored is kept in memory, as long as nothing there has to be confirmed. */
  async #loadUnleased({ name, l1, loading }: LoadTarget, run: Promise<Loaded>): Promise<LoadOutcome> {
    const { memory, report } = this.#parts
    report.stats.unleasedLoads++
    const stamp = memory?.stamp()
    const loaded = this.#plain(name, await run)
    const { value, skipsStore } = loaded
    if (l1 && !skipsStore && value !== undefined) {
      const { freshSeconds } = lifetimeOf(loading, loaded)
      memory?.put(name, value, { tags: {} }, { casUnique: undefined, size: UNKNOWN_BYTES, freshSeconds }, stamp!)
    }
    return { value, confirmed: true }
  }

  /** Who loads a value gets it as later callers get it. */
  #plain(name: string, loaded: Loaded): Loaded {
    const value = this.#parts.classes.ofLoad(name, loaded.value)
    return value === loaded.value ? loaded : { ...loaded, value }
  }

  async #loadAndStore(
    target: LoadTarget,
    right: LoadRight,
    { loading, signal, background }: Running,
  ): Promise<LoadOutcome> {
    this.#keeper.keep(right.lease, background)
    try {
      // A loader need not heed its signal: when nobody waits for it any more, its lease is the next caller's.
      const loaded = await Promise.race([loading, rejectionOf(signal)])
      return await this.#store(target, right, this.#plain(target.name, loaded))
    } catch (error) {
      // The loader failed, or what it brought cannot be stored: the next caller is to try at once.
      await this.#free(right.lease)
      throw error
    } finally {
      this.#keeper.release(right.lease)
    }
  }

  async #store(target: LoadTarget, { lease, generations }: LoadRight, loaded: Loaded): Promise<LoadOutcome> {
    const { value, skipsStore } = loaded
    // undefined is how a miss looks, so it cannot be stored as a value.
    if (skipsStore || value === undefined) {
      // Whoever asks from now on finds out for himself.
      this.#flights.detach(target.name)
      return { value, confirmed: await this.#free(lease) }
    }
    const { freshSeconds, keptSeconds } = lifetimeOf(target.loading, loaded)
    const all = await this.#withLoadedTags(generations, loaded)
    if (all !== undefined) {
      const entry = this.#entryOf(target.loading, loaded, freshSeconds, all)
      return this.#fill(target, lease, entry, { freshSeconds, keptSeconds }, all)
    }
    this.#flights.detach(target.name)
    this.#parts.report.stats.discarded++
    await this.#free(lease)
    return { value, confirmed: false }
  }

  async #fill(
    { name, l1 }: LoadTarget,
    lease: HeldLease,
    entry: Entry,
    { freshSeconds, keptSeconds }: Lifetime,
    generations: Generations,
  ): Promise<LoadOutcome> {
    const { store, codec, report, tags, memory } = this.#parts
    const { value, facts } = entry
    const isBare = facts.tags === undefined && facts.freshUntilMs === undefined
    let item: EncodedItem
    try {
      item = codec.encode(isBare ? value : entry)
    } catch (error) {
      report.unstorable(name, error)
      this.#flights.detach(name)
      await this.#free(lease)
      return { value, confirmed: false, isUnstorable: true }
    }
    // Whoever asks after the fill was sent must not be given what a later delete has taken away.
    this.#flights.detach(name)
    const stamp = memory?.stamp()
    const filling = attempt(
      store.use((using) => using.fill(name, item, lease.casUnique, keptSeconds)),
      report,
    )
    const tagKeys = Object.keys(generations)
    const current = tagKeys.length === 0 ? generations : await attempt(tags.read(tagKeys), report)
    const filled = await filling
    if (filled === AWAY) return { value, confirmed: false }
    if (filled === undefined || current === AWAY || tags.judge(generations, current) !== 'same') {
      report.stats.discarded++
      return { value, confirmed: false }
    }
    report.set(name)
    if (l1) memory?.put(name, value, facts, { casUnique: filled.casUnique, size: item.size, freshSeconds }, stamp!)
    return { value, confirmed: true }
  }

  /** The generations of all tags as they were when the load began; `undefined` when one may have changed since. */
  async #withLoadedTags(known: Generations, { tags: named, beganMs }: Loaded): Promise<Generations | undefined> {
    const { tags, report, tagKey } = this.#parts
    const unknown = [...new Set(named.map((tag) => tagKey(tag)))].filter((key) => known[key] === undefined)
    if (unknown.length === 0) return known
    const read = await attempt(tags.readSince(unknown, beganMs), report)
    return read === AWAY || read === undefined ? undefined : { ...known, ...read }
  }

  #entryOf({ beta, staleSeconds }: ResolvedLoading, loaded: Loaded, freshSeconds: number, tags: Generations): Entry {
    const { clock, store } = this.#parts
    // Where items do not tell how long they live, the entry says when it is stale.
    const needsEnd = (beta > 0 || (staleSeconds > 0 && !store.tellsTtl)) && freshSeconds !== Infinity
    return new Entry(loaded.value, {
      tags: Object.keys(tags).length === 0 ? undefined : tags,
      loadMs: needsEnd ? loaded.tookMs : undefined,
      freshUntilMs: needsEnd ? Math.round(surelyFreshUntilMs(clock.nowMs(), freshSeconds)) : undefined,
    })
  }

  /**
   * Gives a lease back without a value; whether it was still held. A stale value stays where it is, and is claimed anew
   * when this claim is old enough.
   */
  async #free({ key, casUnique, filled }: HeldLease): Promise<boolean> {
    if (filled) return false
    const { store, report } = this.#parts
    return (
      (await attempt(
        store.use((using) => using.free(key, casUnique)),
        report,
      )) === true
    )
  }
}

function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}

function lifetimeOf(loading: ResolvedLoading, { value, ttlSeconds: own }: Loaded): Lifetime {
  const ttl = own ?? loading.ttlSeconds
  const isShorter = value === null && loading.nullTtlSeconds < ttlToSeconds(ttl)
  const freshSeconds = loading.vary(isShorter ? loading.nullTtlSeconds : ttl)
  return { freshSeconds, keptSeconds: freshSeconds + loading.staleSeconds }
}
