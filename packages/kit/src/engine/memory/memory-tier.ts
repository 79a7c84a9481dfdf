import { LRUCache } from 'lru-cache'
import { checkOptions, MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import type { Clock, Ttl } from 'memcache-ts-protocol'
import type { CacheStats } from '../observe/cache-stats.ts'
import { canFreeze, copyValue, freezeValue } from '../values/copy-value.ts'
import type { EntryFacts } from '../values/kit-codec.ts'

/** Options of values in memory, in front of memcached. */
export interface MemoryOptions {
  /** How long a value is kept that memcached keeps confirming. Default 5. */
  ttlSeconds?: Ttl | undefined
  /** Most values. Default 10 000. */
  maxItems?: number | undefined
  /** Most bytes, as they are stored. Default 64 000 000. */
  maxBytes?: number | undefined
  /**
   * `copied`: each caller has a copy of his own. `frozen`: plain objects and arrays are shared, and nobody can change
   * them; other kinds are copied. Default `copied`.
   */
  values?: 'copied' | 'frozen' | undefined
}

/** How memory stands, for `CacheStats`. */
export type MemoryStats = Pick<CacheStats, 'memoryItems' | 'memoryBytes' | 'memoryEvictions'>

/** A value in memory. */
export interface MemoryItem {
  readonly value: unknown
  readonly facts: EntryFacts
  /** What memcached is asked about, once it is no longer fresh; without it the value is fetched again. */
  readonly casUnique: bigint | undefined
  readonly size: number
  readonly shared: boolean
  /** From when on memcached is asked, in milliseconds since 1970. */
  freshUntilMs: number
  readonly expiresAtMs: number
  /** How often tags had been invalidated here when it was read. */
  readonly tagEpoch: number
}

/** When memcached was asked for a value: what is invalidated here after that, the answer knows nothing of. */
export interface MemoryStamp {
  readonly askedAtMs: number
  readonly tagEpoch: number
  readonly deletions: number
}

/** How long a value in memory is believed without asking: no value is staler than that. */
const FRESH_MS = 1000
/** Deleted keys that are remembered, for as long as older answers may be under way. */
const MAX_DELETIONS = 10_000
/** What an item takes besides its bytes. */
const OVERHEAD_BYTES = 200

const KNOWN = ['ttlSeconds', 'maxItems', 'maxBytes', 'values'] as const satisfies readonly (keyof MemoryOptions)[]

/**
 * Values in memory: bounded, and coherent without a broker. A value is believed for a second from when memcached was
 * asked; then its cas unique is compared, and only if that has changed is the value fetched.
 */
export class MemoryTier {
  readonly #items: LRUCache<string, MemoryItem>
  readonly #ttlMs: number
  readonly #freezes: boolean
  readonly #clock: Clock
  #evictions = 0
  #tagEpoch = 0
  #deletions = 0
  /** Which deletion a key's last one was, and up to which one nothing is known any more. */
  #deleted = new Map<string, number>()
  #forgotten = 0

  /** @throws MemcacheOptionError for options that cannot be. */
  constructor(options: MemoryOptions, clock: Clock) {
    checkOptions('l1', options, KNOWN, { ttl: 'ttlSeconds', max: 'maxItems', maxSize: 'maxBytes' })
    const { ttlSeconds = 5, maxItems = 10_000, maxBytes = 64e6, values = 'copied' } = options
    if (!Number.isInteger(maxItems) || maxItems < 1) throw mustBe('maxItems', 'a whole number over 0', maxItems)
    if (!Number.isInteger(maxBytes) || maxBytes < 1) throw mustBe('maxBytes', 'a whole number over 0', maxBytes)
    if (values !== 'copied' && values !== 'frozen') throw mustBe('values', `'copied' or 'frozen'`, values)
    this.#ttlMs = ttlToSeconds(ttlSeconds, 'l1.ttlSeconds') * 1000
    this.#freezes = values === 'frozen'
    this.#clock = clock
    this.#items = new LRUCache({
      max: maxItems,
      maxSize: maxBytes,
      sizeCalculation: ({ size }) => size + OVERHEAD_BYTES,
      dispose: (_item, _key, reason) => {
        if (reason === 'evict') this.#evictions++
      },
    })
  }

  stats(): MemoryStats {
    const { size: memoryItems, calculatedSize: memoryBytes } = this.#items
    return { memoryItems, memoryBytes, memoryEvictions: this.#evictions }
  }

  /** The value of a key where it can be believed as it is; in a box, since it may be anything. */
  fresh(key: string): MemoryItem | undefined {
    const item = this.#items.get(key)
    if (item === undefined || this.#clock.nowMs() >= item.freshUntilMs) return undefined
    return item.facts.tags !== undefined && item.tagEpoch !== this.#tagEpoch ? undefined : item
  }

  /** A value that memcached has to confirm: it is to be used if memcached's cas unique is this one. */
  known(key: string): MemoryItem | undefined {
    const item = this.#items.peek(key)
    if (item?.casUnique === undefined || this.#clock.nowMs() >= item.expiresAtMs) return undefined
    return item
  }

  /** What a caller is given. */
  valueOf(item: MemoryItem): unknown {
    return item.shared ? item.value : copyValue(item.value)
  }

  /** To be taken before memcached is asked, and handed in with the answer. */
  stamp(): MemoryStamp {
    return { askedAtMs: this.#clock.nowMs(), tagEpoch: this.#tagEpoch, deletions: this.#deletions }
  }

  /**
   * Takes a value in; the caller may go on with his own. One that was deleted here since memcached was asked is refused.
   * @param about `freshSeconds`: for how long it is fresh in any case.
   */
  put(
    key: string,
    value: unknown,
    facts: EntryFacts,
    about: { casUnique: bigint | undefined; size: number; freshSeconds: number },
    stamp: MemoryStamp,
  ): void {
    if (this.#isOutdated(key, stamp)) return
    const { casUnique, size, freshSeconds } = about
    const { askedAtMs, tagEpoch } = stamp
    const isPlain = typeof value !== 'object' || value === null
    const shared = isPlain || (this.#freezes && canFreeze(value))
    // A frozen one is a copy too: the caller who loaded it may go on building it.
    const mine = shared ? freezeValue(copyValue(value)) : copyValue(value)
    const expiresAtMs = askedAtMs + Math.min(this.#ttlMs, freshSeconds * 1000)
    const freshUntilMs = Math.min(expiresAtMs, askedAtMs + FRESH_MS)
    this.#items.set(key, { value: mine, facts, casUnique, size, shared, freshUntilMs, expiresAtMs, tagEpoch })
  }

  /** memcached has confirmed a value when it was asked. */
  confirm(key: string, item: MemoryItem, stamp: MemoryStamp): void {
    if (this.#items.peek(key) !== item || this.#isOutdated(key, stamp)) return
    const freshUntilMs = Math.min(item.expiresAtMs, stamp.askedAtMs + FRESH_MS)
    this.#items.set(key, { ...item, freshUntilMs, tagEpoch: stamp.tagEpoch })
  }

  delete(key: string): void {
    this.#items.delete(key)
    this.#deletions++
    this.#deleted.set(key, this.#deletions)
    if (this.#deleted.size <= MAX_DELETIONS) return
    this.#deleted = new Map()
    this.#forgotten = this.#deletions
  }

  clear(): void {
    this.#items.clear()
    this.#deletions++
    this.#forgotten = this.#deletions
  }

  /** Tags were invalidated: what carries some has to be confirmed anew. */
  tagsChanged(): void {
    this.#tagEpoch++
  }

  #isOutdated(key: string, { deletions }: MemoryStamp): boolean {
    return deletions < Math.max(this.#forgotten, this.#deleted.get(key) ?? 0)
  }
}

function mustBe(name: string, what: string, got: unknown): MemcacheOptionError {
  return new MemcacheOptionError(`l1.${name} must be ${what}, got ${String(got)}`)
}
