import { setTimeout as delay } from 'node:timers/promises'
import type { MemcachedClient } from 'memcache-ts-client'
import { kindOf, MemcacheOptionError } from 'memcache-ts-protocol'
import { orUnavailable, unavailable, UNAVAILABLE } from '../or-unavailable.ts'
import { lifetimeFrom } from '../lifetime.ts'
import type { CacheContext } from '../context.ts'
import { factsOf, isPastEnd, valueOf, LEASE_STUB } from '../values/kit-codec.ts'
import { currentLoad } from '../load/flights.ts'
import type { LeasedLoads } from '../load/leased-loads.ts'
import type { LookupRequest, Lookups } from '../read/lookups.ts'
import { FIRST_POLL_MS, nextPollMs, pollDelayMs } from '../load/waiting.ts'
import { NO_GENERATIONS } from '../invalidate/tags.ts'
import type { Generations } from '../invalidate/tags.ts'

/** A key, the tags that its value must carry, and those that it is stored with. */
export interface AtomicTarget extends Pick<LookupRequest, 'name' | 'required' | 'tagKeys'> {
  readonly ttlSeconds: number
}

/** A new value in place of the item with this cas unique. */
interface Change {
  readonly value: unknown
  readonly casUnique: bigint
  readonly generations: Generations
  readonly keptSeconds: number
  readonly freshUntilMs: number | undefined
}

/** The number of attempts on a value that others keep changing. */
const MAX_ROUNDS = 20

/**
 * Changes that depend on the stored value, each by one compare-and-swap: of the callers in all processes, one at a time
 * succeeds, and none overwrites an invalidation.
 */
export class AtomicWrites {
  readonly #client: MemcachedClient
  readonly #context: CacheContext
  readonly #lookups: Lookups
  readonly #loads: LeasedLoads
  /**
   * The last running increment of each key. Increments of one process take turns, since concurrent ones would only make
   * each other's compare-and-swap fail.
   */
  readonly #turns = new Map<string, Promise<unknown>>()

  constructor(
    client: MemcachedClient,
    context: CacheContext,
    { lookups, loads }: { readonly lookups: Lookups; readonly loads: LeasedLoads },
  ) {
    this.#client = client
    this.#context = context
    this.#lookups = lookups
    this.#loads = loads
  }

  /**
   * Stores a value if there is none, and resolves to whether that is confirmed.
   *
   * @throws MemcacheOptionError if the value cannot be stored.
   */
  async add(target: AtomicTarget, given: unknown): Promise<boolean> {
    const { name, ttlSeconds } = target
    const { codec, classes } = this.#context
    const checking = classes.checkSet(given)
    if (checking !== undefined) await checking
    const value = classes.ofSet(name, given)
    codec.encode(value)
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const found = await this.#find(target)
      if (found.kind === 'stale' && found.claimed) await this.#giveBack(name, found.item.casUnique)
      if (found.kind !== 'miss-with-lease') return false
      const { lease, generations } = found
      if (!lease.take()) continue
      const { casUnique } = lease
      if (await this.#change(name, { value, casUnique, generations, ...this.#lifetimeOf(ttlSeconds) })) return true
    }
    return false
  }

  /** Deletes a value and returns it, to one caller alone; `undefined` is a miss, or a cache that does not respond. */
  async pull({ name, required: wanted }: Pick<AtomicTarget, 'name' | 'required'>): Promise<unknown> {
    const { tags, report, pending, store, root, clock } = this.#context
    await root.known()
    const required = root.with(wanted)
    for (let round = 0; round < MAX_ROUNDS && !pending.has(name); round++) {
      this.#forget(name)
      const [found, generations] = await Promise.all([
        orUnavailable(this.#client.gets(name), report),
        required.length === 0 ? NO_GENERATIONS : orUnavailable(tags.read(required), report),
      ])
      if (found === UNAVAILABLE || found === undefined || found.value === LEASE_STUB) break
      const state = await tags.stateOf(factsOf(found.value).tags, required, generations)
      if (state === UNAVAILABLE || state === 'invalid') break
      const dropped = await orUnavailable(
        store.use(name, (using) => using.drop(name, found.casUnique)),
        report,
      )
      this.#forget(name)
      if (dropped === UNAVAILABLE) {
        // The server may have deleted it; then no caller may get it any more.
        pending.addDelete(name)
        break
      }
      if (!dropped) continue
      // A value past its end is deleted, too, so that no caller is served it afterwards.
      if (isPastEnd(factsOf(found.value), clock)) break
      report.hit(name)
      report.deleted(name)
      return valueOf(found.value)
    }
    report.miss(name)
    return undefined
  }

  /**
   * Adds to a number; a missing number counts as 0. Resolves to the new number, or to `undefined` if the cache does not
   * respond.
   *
   * @throws MemcacheOptionError if the stored value is not a number.
   */
  async increment(target: AtomicTarget, by: number): Promise<number | undefined> {
    const { name } = target
    const before = this.#turns.get(name)
    const turn = (before ?? Promise.resolve()).then(
      () => this.#increment(target, by),
      () => this.#increment(target, by),
    )
    this.#turns.set(name, turn)
    try {
      return await turn
    } finally {
      if (this.#turns.get(name) === turn) this.#turns.delete(name)
    }
  }

  async #increment(target: AtomicTarget, by: number): Promise<number | undefined> {
    const { name } = target
    const deadline = performance.now() + this.#context.leaseSeconds * 1000
    for (let pauseMs = FIRST_POLL_MS; performance.now() < deadline; pauseMs = nextPollMs(pauseMs)) {
      const change = await this.#nextNumber(target, by)
      if (change === UNAVAILABLE) return undefined
      if (change !== undefined && (await this.#change(name, change))) return change.value
      await delay(pollDelayMs(pauseMs))
    }
    return undefined
  }

  /** Returns the next number to store; `undefined` if another caller is loading or changing the value. */
  async #nextNumber(
    target: AtomicTarget,
    by: number,
  ): Promise<(Change & { value: number }) | undefined | typeof UNAVAILABLE> {
    const { name, ttlSeconds } = target
    const found = await this.#find(target)
    switch (found.kind) {
      case 'miss-with-lease': {
        const { lease, generations } = found
        if (!lease.take()) return undefined
        return { value: 0 + by, casUnique: lease.casUnique, generations, ...this.#lifetimeOf(ttlSeconds) }
      }
      case 'stale': {
        const { casUnique } = found.item
        if (casUnique === undefined) return undefined
        return { value: 0 + by, casUnique, generations: found.generations, ...this.#lifetimeOf(ttlSeconds) }
      }
      case 'fresh': {
        const { item, facts } = found
        const value = found.value.peek()
        if (typeof value !== 'number') {
          throw new MemcacheOptionError(`${name} holds ${kindOf(value)}: only a number can be incremented`)
        }
        if (item.casUnique === undefined) return undefined
        // It keeps its remaining lifetime, if the server reports it.
        const reportsTtl = this.#context.store.reportsTtl(name)
        return {
          value: sum(name, value, by),
          casUnique: item.casUnique,
          generations: facts.tags ?? NO_GENERATIONS,
          keptSeconds: reportsTtl ? item.ttlSeconds : this.#lifetimeOf(ttlSeconds).keptSeconds,
          freshUntilMs: facts.freshUntilMs,
        }
      }
      case 'miss-locked':
        // Its own loader would wait for itself.
        return currentLoad()?.isWithin(this.#context, name) === true ? UNAVAILABLE : undefined
      default:
        return UNAVAILABLE
    }
  }

  #find({ name, required, tagKeys }: AtomicTarget) {
    return this.#lookups.find({ name, required, tagKeys, staleSeconds: 0, l1: false })
  }

  #lifetimeOf(freshSeconds: number) {
    return lifetimeFrom(this.#context.clock.nowMs(), { freshSeconds })
  }

  async #change(name: string, change: Change): Promise<boolean> {
    const { value, casUnique, generations, keptSeconds, freshUntilMs } = change
    const { codec, store, report, ambiguous } = this.#context
    const encoded = codec.encode(value)
    const hasTags = Object.keys(generations).length > 0
    const isBare = !hasTags && freshUntilMs === undefined
    const item = isBare ? encoded : codec.entry(encoded, { tags: generations, freshUntilMs })
    this.#forget(name)
    const filled = await store.fill(name, { item, casUnique, ttlSeconds: keptSeconds }, (error) =>
      unavailable(error, report, () => ambiguous.notFilled(name)),
    )
    this.#forget(name)
    if (filled === UNAVAILABLE || filled === undefined) return false
    report.set(name)
    return true
  }

  async #giveBack(name: string, casUnique: bigint | undefined): Promise<void> {
    const { store, report } = this.#context
    if (casUnique === undefined) return
    await orUnavailable(
      store.use(name, (using) => using.rearm(name, casUnique)),
      report,
    )
  }

  #forget(name: string): void {
    this.#loads.running.detach(name)
    this.#context.memory?.delete(name)
  }
}

/**
 * Adds two numbers. Beyond 2^53 a number cannot represent every step, so that two callers could get the same result.
 *
 * @throws MemcacheOptionError if the sum is not finite, or the sum of whole numbers is not exact.
 */
function sum(name: string, value: number, by: number): number {
  const total = value + by
  const isWhole = Number.isInteger(value) && Number.isInteger(by)
  if (Number.isFinite(total) && (!isWhole || Number.isSafeInteger(total))) return total
  throw new MemcacheOptionError(
    `${name} holds ${value}, and ${value} + ${by} is more than a number can count exactly: start a new counter`,
  )
}
