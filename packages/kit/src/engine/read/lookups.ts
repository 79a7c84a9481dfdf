import { orUnavailable, unavailable, UNAVAILABLE } from '../or-unavailable.ts'
import type { CacheContext } from '../context.ts'
import type { Fetched, StoredItem } from '../store/cache-store.ts'
import { copyValue } from '../values/copy-value.ts'
import { freshSecondsLeft } from '../lifetime.ts'
import { factsOf, isPastEnd, valueOf } from '../values/kit-codec.ts'
import type { EntryFacts } from '../values/kit-codec.ts'
import type { HeldLease } from '../load/lease-keeper.ts'
import type { MemoryItem, MemoryStamp } from '../memory/memory-tier.ts'
import { NO_GENERATIONS } from '../invalidate/tags.ts'
import type { Generations, EntryState } from '../invalidate/tags.ts'

/** One lookup. */
export interface LookupRequest {
  /** The key as it is stored. */
  readonly name: string
  /** The tags that an entry must carry to be valid: those of its namespace. */
  readonly required: readonly string[]
  /** The tags that are known before the value is read, including `required`. */
  readonly tagKeys: readonly string[]
  readonly staleSeconds: number
  readonly l1: boolean
}

type Found = Extract<Fetched, { kind: 'found' }>

/** The result of a lookup. */
export type Lookup =
  | { readonly kind: 'fresh'; readonly value: SharedValue; readonly facts: EntryFacts; readonly item: StoredItem }
  | {
      readonly kind: 'stale'
      readonly value: SharedValue
      readonly item: StoredItem
      /** This caller has the right to reload it. */
      readonly claimed: boolean
      /**
       * It is stale in a way that memcached does not know (by a tag, or by its end), and no other caller is known to
       * reload it: the right to must be claimed first.
       */
      readonly claimable: boolean
      readonly generations: Generations
    }
  /** A miss: this caller has the lease and loads the value. */
  | { readonly kind: 'miss-with-lease'; readonly lease: OfferedLease; readonly generations: Generations }
  /**
   * A miss, and another caller is loading the value. `lease` is that caller's lease, which may be filled after the wait
   * has timed out.
   */
  | { readonly kind: 'miss-locked'; readonly lease: OfferedLease | undefined; readonly generations: Generations }
  /** A miss without a lease: the cache is away (`isAway`), or it responds but granted none. */
  | { readonly kind: 'miss-without-lease'; readonly isAway: boolean }

/** A lease that several callers of one lookup share; the first to take it has it. */
class OfferedLease implements HeldLease {
  readonly key: string
  casUnique: bigint
  readonly filled: boolean
  #isTaken = false

  /** @param item whether the item has a value, which is stale, or is the stub that the lease has created. */
  constructor(key: string, casUnique: bigint, item: 'value' | 'stub') {
    this.key = key
    this.casUnique = casUnique
    this.filled = item === 'value'
  }

  /** Returns true for the first caller only. */
  take(): boolean {
    if (this.#isTaken) return false
    this.#isTaken = true
    return true
  }
}

/** A value that several callers of one lookup share: the first gets the value, the others get copies. */
class SharedValue {
  readonly #value: unknown
  #isTaken: boolean

  /** @param owner if memory keeps the value, every caller gets a copy. */
  constructor(value: unknown, owner: 'memory' | 'caller') {
    this.#value = value
    this.#isTaken = owner === 'memory'
  }

  /** Returns the value for reading only; it must not be handed out. */
  peek(): unknown {
    return this.#value
  }

  /** Returns a copy. */
  copy(): unknown {
    return copyValue(this.#value)
  }

  /** Returns the value to the first caller, and a copy to each later one. */
  take(): unknown {
    if (this.#isTaken) return copyValue(this.#value)
    this.#isTaken = true
    return this.#value
  }
}

/** A lookup that was sent. */
interface SentLookup {
  readonly request: LookupRequest
  /** The item in memory, if only its cas unique was requested from memcached. */
  readonly kept: MemoryItem | undefined
  /** The time of the request; `undefined` if the cache has no memory. */
  readonly stamp: MemoryStamp | undefined
}

/** A value that was looked up, before its tags are compared. */
interface ReadValue {
  readonly value: unknown
  readonly facts: EntryFacts
  readonly fetched: Found
  readonly generations: Generations
}

/**
 * From this size on, the lookup of a value that memory has reads only its cas unique, so that the value does not travel
 * again.
 */
const MIN_CONFIRM_BYTES = 1024
/** The number of lookups in a row that find an invalid value; then the key is invalidated faster than it is read. */
const MAX_ROUNDS = 5

const CACHE_UNAVAILABLE: Lookup = { kind: 'miss-without-lease', isAway: true }
export const NO_LEASE: Lookup = { kind: 'miss-without-lease', isAway: false }

interface SharedLookup {
  readonly request: LookupRequest
  readonly lookup: Promise<Lookup>
}

/**
 * Returns whether a caller may share another caller's lookup: the caller that gets the lease stores its value with the
 * generations of that lookup, so they must include those of all of its own tags.
 */
function mayShare({ required, tagKeys }: LookupRequest, shared: LookupRequest): boolean {
  return (
    required.length === shared.required.length && isAmong(required, shared.required) && isAmong(tagKeys, shared.tagKeys)
  )
}

function isAmong(some: readonly string[], all: readonly string[]): boolean {
  return some === all || some.every((tagKey) => all.includes(tagKey))
}

/** Looks up keys together with their tags, in one pipeline. Lookups of the same key in one tick share one request. */
export class Lookups {
  readonly #context: CacheContext
  /** The lookups of this tick, by key and stale time. */
  #shared = new Map<string, SharedLookup>()

  constructor(context: CacheContext) {
    this.#context = context
  }

  /** Looks up a key. It rejects only for usage errors; if the cache does not respond, the result is `CACHE_UNAVAILABLE`. */
  find(request: LookupRequest): Promise<Lookup> {
    const { name, staleSeconds } = request
    const learning = this.#context.root.known()
    if (learning !== undefined) return learning.then(() => this.find(request))
    if (this.#context.pending.has(name)) return Promise.resolve(CACHE_UNAVAILABLE)
    const sharedKey = staleSeconds === 0 ? name : `${name} ${staleSeconds}`
    const shared = this.#shared.get(sharedKey)
    if (shared !== undefined && mayShare(request, shared.request)) return shared.lookup
    const lookup = this.#find(this.#withRoot(request), 0)
    // Later callers must not share a lookup that is already on the wire: the key may be deleted in between.
    if (this.#shared.size === 0) process.nextTick(() => (this.#shared = new Map()))
    if (shared === undefined) this.#shared.set(sharedKey, { request, lookup })
    return lookup
  }

  /** Adds the root's tag, if it was ever raised. */
  #withRoot(request: LookupRequest): LookupRequest {
    const { root } = this.#context
    const required = root.with(request.required)
    if (required === request.required) return request
    // The parts of a lookup only: copying a whole request, with its functions, takes longer than the rest.
    const { name, staleSeconds, l1 } = request
    return { name, required, tagKeys: root.with(request.tagKeys), staleSeconds, l1 }
  }

  /** Uses callbacks instead of `await`, since every read passes here and each promise costs. */
  #find(request: LookupRequest, round: number): Promise<Lookup> {
    const { store, tags, memory, report, ambiguous } = this.#context
    const { name, tagKeys } = request
    const known = request.l1 ? memory?.known(name) : undefined
    const kept = known !== undefined && known.size >= MIN_CONFIRM_BYTES ? known : undefined
    const sent: SentLookup = { request, kept, stamp: memory?.stamp() }
    const fetching = store.fetch<typeof UNAVAILABLE>(name, { value: kept === undefined }, (error) =>
      unavailable(error, report, (reason) => ambiguous.add(name, reason)),
    )
    const found = (fetched: Fetched | typeof UNAVAILABLE, generations: Generations | typeof UNAVAILABLE) => {
      const read = this.#read(sent, fetched, generations)
      // Usually there is no promise.
      return read instanceof Promise
        ? read.then((later) => later ?? this.#again(request, round))
        : (read ?? this.#again(request, round))
    }
    if (tagKeys.length === 0) return fetching.then((fetched) => found(fetched, NO_GENERATIONS))
    return Promise.all([fetching, orUnavailable(tags.read(tagKeys), report)]).then(([fetched, generations]) =>
      found(fetched, generations),
    )
  }

  #again(request: LookupRequest, round: number): Promise<Lookup> | Lookup {
    return round + 1 < MAX_ROUNDS ? this.#find(request, round + 1) : NO_LEASE
  }

  /** Interprets the responses; `undefined` if the item was invalid and has been deleted. */
  #read(
    sent: SentLookup,
    fetched: Fetched | typeof UNAVAILABLE,
    generations: Generations | typeof UNAVAILABLE,
  ): Lookup | undefined | Promise<Lookup | undefined> {
    const { memory } = this.#context
    const { kept } = sent
    const { name } = sent.request
    if (fetched === UNAVAILABLE) return CACHE_UNAVAILABLE
    if (generations === UNAVAILABLE) return this.#withoutTags(name, fetched)
    if (fetched.kind === 'miss-with-lease') {
      return { kind: 'miss-with-lease', lease: new OfferedLease(name, fetched.casUnique, 'stub'), generations }
    }
    if (fetched.kind === 'unreadable') return this.#dropUnreadable(name, fetched.error)
    if (fetched.kind === 'miss-locked') {
      const lease = fetched.casUnique === undefined ? undefined : new OfferedLease(name, fetched.casUnique, 'stub')
      return { kind: 'miss-locked', lease, generations }
    }
    if (fetched.kind === 'miss-without-lease') return NO_LEASE
    if (kept !== undefined) {
      // If memory has lost the value meanwhile, the server may have restarted and count its cas uniques from 1 again.
      if (fetched.item.casUnique === kept.casUnique && memory!.known(name) === kept) {
        const { value, facts } = kept
        return this.#compareTags(sent, { value, facts, fetched, generations })
      }
      memory!.delete(name)
      // Without a claim, the value is fetched in another round.
      if (!fetched.claimed) return undefined
      // This caller has claimed the value, but its bytes were not fetched: it is loaded as if nothing were stored.
      return { kind: 'miss-with-lease', lease: new OfferedLease(name, fetched.item.casUnique!, 'value'), generations }
    }
    const { stored } = fetched.item
    return this.#compareTags(sent, { value: valueOf(stored), facts: factsOf(stored), fetched, generations })
  }

  /** Releases a lease that was granted: without its tags, no value can be trusted or stored. */
  #withoutTags(name: string, fetched: Fetched): Lookup {
    const { store, report } = this.#context
    if (fetched.kind === 'miss-with-lease')
      void orUnavailable(
        store.use(name, (using) => using.free(name, fetched.casUnique)),
        report,
      )
    return CACHE_UNAVAILABLE
  }

  #compareTags(sent: SentLookup, read: ReadValue): Lookup | undefined | Promise<Lookup | undefined> {
    const { required } = sent.request
    const carried = read.facts.tags
    const hasNone = carried === undefined && required.length === 0
    const state = hasNone ? 'same' : this.#context.tags.stateOf(carried, required, read.generations)
    return state instanceof Promise
      ? state.then((given) => this.#lookupOf(sent, read, given))
      : this.#lookupOf(sent, read, state)
  }

  #lookupOf(
    { request, kept, stamp }: SentLookup,
    { value, facts, fetched, generations }: ReadValue,
    state: EntryState,
  ): Lookup | undefined | Promise<Lookup | undefined> {
    const { memory, clock } = this.#context
    const { name, staleSeconds } = request
    const { item, claimed, lost } = fetched
    if (state === UNAVAILABLE) return CACHE_UNAVAILABLE
    const { freshUntilMs } = facts
    // Stored for callers that may be served it stale for longer than this one.
    if (state === 'invalid' || isPastEnd(facts, clock, staleSeconds)) return this.#drop(name, item)
    // The server's remaining lifetime limits what a clock that is behind the writer's could do.
    const isPast = isPastEnd(facts, clock) || (freshUntilMs !== undefined && item.ttlSeconds <= staleSeconds)
    const isStale = fetched.stale || state === 'stale' || isPast
    const shared = new SharedValue(value, kept === undefined ? 'caller' : 'memory')
    if (isStale) {
      return { kind: 'stale', value: shared, item, claimed, claimable: !claimed && !lost, generations }
    }
    // Only after the tags were compared, since memory serves its values to all callers.
    if (kept !== undefined) {
      memory!.confirm(name, kept, stamp!)
    } else if (request.l1 && stamp !== undefined) {
      const { casUnique, size, ttlSeconds } = item
      const freshSeconds = freshSecondsLeft(clock, { freshUntilMs, ttlSeconds })
      memory?.put(name, { value, facts, casUnique, size, freshSeconds }, stamp)
    }
    return { kind: 'fresh', value: shared, facts, item }
  }

  /** Deletes an item that the kit did not write, so that the value is loaded and stored again. */
  async #dropUnreadable(name: string, error: unknown): Promise<Lookup | undefined> {
    const { store, report } = this.#context
    report.failed(error)
    const dropped = await orUnavailable(
      store.use(name, (using) => using.dropUnreadable(name)),
      report,
    )
    return dropped === UNAVAILABLE ? CACHE_UNAVAILABLE : undefined
  }

  /** Deletes an invalid item by compare-and-swap: a value that was stored meanwhile stays. */
  async #drop(name: string, { casUnique }: StoredItem): Promise<Lookup | undefined> {
    const { store, report } = this.#context
    const dropped = await orUnavailable(
      store.use(name, (using) => using.drop(name, casUnique)),
      report,
    )
    return dropped === UNAVAILABLE ? CACHE_UNAVAILABLE : undefined
  }
}
