import { orUnavailable, unavailable, UNAVAILABLE } from '../or-unavailable.ts'
import type { CacheContext } from '../context.ts'
import type { Fetched, StoredItem } from '../store/cache-store.ts'
import { copyValue } from '../values/copy-value.ts'
import { factsOf, valueOf } from '../values/kit-codec.ts'
import type { EntryFacts } from '../values/kit-codec.ts'
import type { HeldLease } from '../load/lease-keeper.ts'
import type { MemoryItem, MemoryStamp } from '../memory/memory-tier.ts'
import { NO_GENERATIONS } from '../invalidate/tags.ts'
import type { Generations, EntryState } from '../invalidate/tags.ts'

/** What is looked up. */
export interface LookupRequest {
  /** The key as it is stored. */
  readonly name: string
  /** Tags that an entry must carry to be believed: those of its namespace. */
  readonly required: readonly string[]
  /** The tags that are known before the value is; `required` among them. */
  readonly tagKeys: readonly string[]
  readonly staleSeconds: number
  readonly l1: boolean
}

type Found = Extract<Fetched, { kind: 'found' }>

/** What a lookup found. */
export type Lookup =
  | { readonly kind: 'fresh'; readonly value: SharedValue; readonly facts: EntryFacts; readonly item: StoredItem }
  | {
      readonly kind: 'stale'
      readonly value: SharedValue
      readonly item: StoredItem
      /** This caller is the one to load it anew. */
      readonly claimed: boolean
      /** It is stale, as a tag says, of which memcached knows nothing: the right to load it anew is yet to be claimed. */
      readonly claimable: boolean
      readonly generations: Generations
    }
  /** Nothing: this caller is the one to load. */
  | { readonly kind: 'miss-with-lease'; readonly lease: OfferedLease; readonly generations: Generations }
  /** Nothing, and another caller is loading it; `lease` is what he has, for who has waited long enough. */
  | { readonly kind: 'miss-locked'; readonly lease: OfferedLease | undefined; readonly generations: Generations }
  /** The value is to be loaded without a lease: the cache is away, or up but of no help. */
  | { readonly kind: 'miss-without-lease'; readonly isAway: boolean }

/** A lease for the first of several callers who were looking for its key. */
class OfferedLease implements HeldLease {
  readonly key: string
  casUnique: bigint
  readonly filled: boolean
  #isTaken = false

  constructor(key: string, casUnique: bigint, filled: boolean) {
    this.key = key
    this.casUnique = casUnique
    this.filled = filled
  }

  /** Whether it is this caller's. */
  take(): boolean {
    if (this.#isTaken) return false
    this.#isTaken = true
    return true
  }
}

/** A value that several callers were looking for: the first has it, the others have copies. */
class SharedValue {
  readonly #value: unknown
  #isTaken: boolean

  /** @param isKept whether somebody else has it already. */
  constructor(value: unknown, isKept: boolean) {
    this.#value = value
    this.#isTaken = isKept
  }

  /** The value, to look at. */
  peek(): unknown {
    return this.#value
  }

  /** A copy, whoever has the value. */
  copy(): unknown {
    return copyValue(this.#value)
  }

  take(): unknown {
    if (this.#isTaken) return copyValue(this.#value)
    this.#isTaken = true
    return this.#value
  }
}

/** An item whose chunks of a known value need not travel again. */
const WORTH_ASKING_BYTES = 1024
/** A key whose value is found invalid over and over is being invalidated faster than it is read. */
const MAX_ROUNDS = 5

const CACHE_UNAVAILABLE: Lookup = { kind: 'miss-without-lease', isAway: true }
export const NO_LEASE: Lookup = { kind: 'miss-without-lease', isAway: false }

/** Looks keys up together with their tags, in one pipeline; what is asked for in one tick is asked for once. */
export class Lookups {
  readonly #context: CacheContext
  #asked = new Map<string, Promise<Lookup>>()

  constructor(context: CacheContext) {
    this.#context = context
  }

  /** Never rejects but for the caller's own mistakes: a cache that does not answer is `CACHE_UNAVAILABLE`. */
  find(request: LookupRequest): Promise<Lookup> {
    const { name, staleSeconds } = request
    const learning = this.#context.root.known()
    if (learning !== undefined) return learning.then(() => this.find(request))
    if (this.#context.pending.has(name)) return Promise.resolve(CACHE_UNAVAILABLE)
    const question = staleSeconds === 0 ? name : `${name} ${staleSeconds}`
    let asked = this.#asked.get(question)
    if (asked === undefined) {
      // What was sent must not be joined by who asks later: the key may be deleted in between.
      if (this.#asked.size === 0) process.nextTick(() => (this.#asked = new Map()))
      asked = this.#find(this.#withRoot(request), 0)
      this.#asked.set(question, asked)
    }
    return asked
  }

  /** With the root's tag, if it was ever raised. */
  #withRoot(request: LookupRequest): LookupRequest {
    const { root } = this.#context
    const required = root.with(request.required)
    return required === request.required ? request : { ...request, required, tagKeys: root.with(request.tagKeys) }
  }

  /** Callbacks instead of `await`: each promise less counts on the way of every read. */
  #find(request: LookupRequest, round: number): Promise<Lookup> {
    const { store, tags, memory, report, ambiguous } = this.#context
    const { name, tagKeys, staleSeconds } = request
    const known = request.l1 ? memory?.known(name) : undefined
    const asksAbout = known !== undefined && known.size >= WORTH_ASKING_BYTES ? known : undefined
    const stamp = memory?.stamp()
    const fetching = store.fetch<typeof UNAVAILABLE>(name, { staleSeconds, value: asksAbout === undefined }, (error) =>
      unavailable(error, report, (reason) => ambiguous.add(name, reason)),
    )
    const found = (fetched: Fetched | typeof UNAVAILABLE, generations: Generations | typeof UNAVAILABLE) => {
      const read = this.#read(request, fetched, generations, asksAbout, stamp)
      // Mostly it is known at once.
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

  /** `undefined`: what was there is invalid and has been taken away. */
  #read(
    request: LookupRequest,
    fetched: Fetched | typeof UNAVAILABLE,
    generations: Generations | typeof UNAVAILABLE,
    /** What memory has, where memcached was asked about it. */
    known: MemoryItem | undefined,
    stamp: MemoryStamp | undefined,
  ): Lookup | undefined | Promise<Lookup | undefined> {
    const { memory } = this.#context
    const { name } = request
    if (fetched === UNAVAILABLE) return CACHE_UNAVAILABLE
    if (generations === UNAVAILABLE) return this.#withoutTags(name, fetched)
    if (fetched.kind === 'miss-with-lease') {
      return { kind: 'miss-with-lease', lease: new OfferedLease(name, fetched.casUnique, false), generations }
    }
    if (fetched.kind === 'unreadable') return this.#dropUnreadable(name, fetched.error)
    if (fetched.kind === 'miss-locked') {
      const lease = fetched.casUnique === undefined ? undefined : new OfferedLease(name, fetched.casUnique, false)
      return { kind: 'miss-locked', lease, generations }
    }
    if (fetched.kind === 'miss-without-lease') return NO_LEASE
    if (known !== undefined) {
      // Where memory has lost it meanwhile, the server may be another one, which counts its cas uniques anew.
      if (fetched.item.casUnique === known.casUnique && memory!.known(name) === known) {
        memory!.confirm(name, known, stamp!)
        return this.#judge(request, fetched, known, generations, undefined)
      }
      memory!.delete(name)
      // A claim that was won stays ours: it is asked for the value alone.
      if (!fetched.claimed) return undefined
      // The value that was claimed did not travel: it is loaded as if there were none.
      return { kind: 'miss-with-lease', lease: new OfferedLease(name, fetched.item.casUnique!, true), generations }
    }
    const { stored } = fetched.item
    return this.#judge(request, fetched, { value: valueOf(stored), facts: factsOf(stored) }, generations, stamp)
  }

  /** Without its tags nothing can be believed; a lease is given back. */
  #withoutTags(name: string, fetched: Fetched): Lookup {
    const { store, report } = this.#context
    if (fetched.kind === 'miss-with-lease')
      void orUnavailable(
        store.use(name, (using) => using.free(name, fetched.casUnique)),
        report,
      )
    return CACHE_UNAVAILABLE
  }

  #judge(
    request: LookupRequest,
    fetched: Found,
    known: Pick<MemoryItem, 'value' | 'facts'>,
    generations: Generations,
    /** When it was fetched; `undefined` where memory had it, or there is none. */
    stamp: MemoryStamp | undefined,
  ): Lookup | undefined | Promise<Lookup | undefined> {
    const { report, tags } = this.#context
    const state = tags.stateOf(known.facts.tags, request.required, generations, report)
    return state instanceof Promise
      ? state.then((given) => this.#follow(given, request, fetched, known, generations, stamp))
      : this.#follow(state, request, fetched, known, generations, stamp)
  }

  #follow(
    state: EntryState,
    request: LookupRequest,
    fetched: Found,
    { value, facts }: Pick<MemoryItem, 'value' | 'facts'>,
    generations: Generations,
    stamp: MemoryStamp | undefined,
  ): Lookup | undefined | Promise<Lookup | undefined> {
    const { memory } = this.#context
    const { name, staleSeconds } = request
    const { item } = fetched
    if (state === UNAVAILABLE) return CACHE_UNAVAILABLE
    if (state === 'invalid') return this.#drop(name, item)
    const isStale = fetched.stale || state === 'stale'
    // Without a stamp the value is the one that memory keeps.
    const shared = new SharedValue(value, memory !== undefined && stamp === undefined)
    if (isStale) {
      const { claimed, unclaimed = false } = fetched
      return { kind: 'stale', value: shared, item, claimed, claimable: !fetched.stale || unclaimed, generations }
    }
    if (request.l1 && stamp !== undefined) {
      const { casUnique, size, ttlSeconds } = item
      memory?.put(name, value, facts, { casUnique, size, freshSeconds: ttlSeconds - staleSeconds }, stamp)
    }
    return { kind: 'fresh', value: shared, facts, item }
  }

  /** Takes away what somebody has stored who is not the kit, so that it is loaded, and stored, anew. */
  async #dropUnreadable(name: string, error: unknown): Promise<Lookup | undefined> {
    const { store, report } = this.#context
    report.failed(error)
    const dropped = await orUnavailable(
      store.use(name, (using) => using.dropUnreadable(name)),
      report,
    )
    return dropped === UNAVAILABLE ? CACHE_UNAVAILABLE : undefined
  }

  /** Takes an invalid item away, as long as it is this very one: what was stored meanwhile stays. */
  async #drop(name: string, { casUnique }: StoredItem): Promise<Lookup | undefined> {
    const { store, report } = this.#context
    const dropped = await orUnavailable(
      store.use(name, (using) => using.drop(name, casUnique)),
      report,
    )
    return dropped === UNAVAILABLE ? CACHE_UNAVAILABLE : undefined
  }
}
