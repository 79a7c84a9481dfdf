import { LRUCache } from 'lru-cache'
import { checkOptions, MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import type { Clock, Ttl } from 'memcache-ts-protocol'
import type { CacheStats } from '../observe/cache-stats.ts'
import { canFreeze, copyValue, freezeValue } from '../values/copy-value.ts'
import type { EntryFacts } from '../values/kit-codec.ts'
import { describeValue } from '../../option-types.ts'

/** Options of the memory tier in front of memcached (`l1`). */
export interface MemoryOptions {
  /** How long a value is kept at most, while memcached confirms it every second. Default 5. */
  ttlSeconds?: Ttl | undefined
  /** The maximum number of values. Default 10 000. */
  maxItems?: number | undefined
  /** The maximum number of bytes, counted as stored in memcached. Default 64 000 000. */
  maxBytes?: number | undefined
  /**
   * `copied`: each caller gets a copy. `frozen`: plain objects and arrays are frozen and shared; values of other kinds
   * are copied. Default `copied`.
   */
  values?: 'copied' | 'frozen' | undefined
}

/** The state of the memory tier, for `CacheStats`. */
export type MemoryStats = Pick<CacheStats, 'memoryItems' | 'memoryBytes' | 'memoryEvictions'>

/** A value in memory. */
export interface MemoryItem {
  readonly value: unknown
  readonly facts: EntryFacts
  /**
   * The cas unique by which memcached confirms the value once it is no longer fresh; without it, the value is fetched
   * again.
   */
  readonly casUnique: bigint | undefined
  readonly size: number
  readonly shared: boolean
  /** From when on memcached must confirm the value, in milliseconds since 1970. */
  freshUntilMs: number
  readonly expiresAtMs: number
  /** How often this process had invalidated tags when the value was read. */
  readonly tagEpoch: number
}

/** A value that memcached has. */
export interface KnownValue extends Pick<MemoryItem, 'value' | 'facts' | 'casUnique' | 'size'> {
  /** The remaining fresh time of the stored value. */
  readonly freshSeconds: number
}

/**
 * The state before a request is sent to memcached: its response does not reflect invalidations that this process makes
 * afterwards.
 */
export interface MemoryStamp {
  readonly requestedAtMs: number
  readonly tagEpoch: number
  readonly deletions: number
}

/** How long a value in memory is served without a confirmation by memcached: no value is more outdated than that. */
const FRESH_MS = 1000
/** The number of deleted keys that are remembered, since older responses may still arrive. */
const MAX_DELETIONS = 10_000
/** The largest number of items for which lru-cache may allocate its tables when it is created, all at once. */
const MAX_PREALLOCATED = 100_000
/** The estimated size of an item besides its bytes. */
const OVERHEAD_BYTES = 200

const OPTION_NAMES = [
  'ttlSeconds',
  'maxItems',
  'maxBytes',
  'values',
] as const satisfies readonly (keyof MemoryOptions)[]

/**
 * Values in memory, bounded, and coherent across processes without a message broker. A value is served for one second
 * from when memcached was read; then its cas unique is compared, and the value is fetched only if it has changed.
 */
export class MemoryTier {
  readonly #items: LRUCache<string, MemoryItem>
  readonly #maxItems: number
  readonly #ttlMs: number
  readonly #freezes: boolean
  readonly #clock: Clock
  #latestMs = -Infinity
  #evictions = 0
  #tagEpoch = 0
  #deletions = 0
  /** The number of each key's last deletion; deletions up to `#forgotten` are no longer known by key. */
  #deleted = new Map<string, number>()
  #forgotten = 0

  /** @throws MemcacheOptionError if an option is unknown or invalid. */
  constructor(options: MemoryOptions, clock: Clock) {
    checkOptions('l1', options, {
      names: OPTION_NAMES,
      hints: { ttl: 'ttlSeconds', max: 'maxItems', maxSize: 'maxBytes' },
    })
    const { ttlSeconds = 5, maxItems = 10_000, maxBytes = 64e6, values = 'copied' } = options
    if (!Number.isSafeInteger(maxItems) || maxItems < 1)
      throw mustBe('maxItems', 'a whole number greater than 0', maxItems)
    if (!Number.isSafeInteger(maxBytes) || maxBytes < 1)
      throw mustBe('maxBytes', 'a whole number greater than 0', maxBytes)
    if (values !== 'copied' && values !== 'frozen') throw mustBe('values', `'copied' or 'frozen'`, values)
    this.#maxItems = maxItems
    this.#ttlMs = ttlToSeconds(ttlSeconds, 'l1.ttlSeconds') * 1000
    this.#freezes = values === 'frozen'
    this.#clock = clock
    this.#items = new LRUCache({
      ...(maxItems > MAX_PREALLOCATED ? undefined : { max: maxItems }),
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

  /**
   * Returns the item of a key if it may be served without a confirmation; the value is in a box, since it may be
   * `undefined`.
   */
  fresh(key: string): MemoryItem | undefined {
    const nowMs = this.#nowMs()
    const item = this.#items.get(key)
    if (item === undefined || nowMs >= item.freshUntilMs) return undefined
    return item.facts.tags !== undefined && item.tagEpoch !== this.#tagEpoch ? undefined : item
  }

  /** Returns an item that memcached has to confirm: it may be served if its cas unique is still the stored one. */
  known(key: string): MemoryItem | undefined {
    const nowMs = this.#nowMs()
    const item = this.#items.peek(key)
    if (item?.casUnique === undefined || nowMs >= item.expiresAtMs) return undefined
    return item
  }

  /** Returns the value of an item as a caller gets it. */
  valueOf(item: MemoryItem): unknown {
    return item.shared ? item.value : copyValue(item.value)
  }

  /**
   * Returns a stamp. It is taken before a request is sent, and passed to `put` or `confirm` with its response.
   *
   * @param beforeTags the stamp from before the value's tags were read, if that was in an earlier request.
   */
  stamp(beforeTags?: MemoryStamp): MemoryStamp {
    const tagEpoch = beforeTags === undefined ? this.#tagEpoch : beforeTags.tagEpoch
    return { requestedAtMs: this.#nowMs(), tagEpoch, deletions: this.#deletions }
  }

  /** Keeps a copy of a value, unless its key was deleted here after the stamp was taken. */
  put(key: string, { value, facts, casUnique, size, freshSeconds }: KnownValue, stamp: MemoryStamp): void {
    if (this.#isOutdated(key, stamp)) return
    const { requestedAtMs, tagEpoch } = stamp
    const isPlain = typeof value !== 'object' || value === null
    const shared = isPlain || (this.#freezes && canFreeze(value))
    // A frozen value is a copy too: the caller that loaded it may go on changing its own.
    const mine = shared ? freezeValue(copyValue(value)) : copyValue(value)
    const expiresAtMs = requestedAtMs + Math.min(this.#ttlMs, freshSeconds * 1000)
    const freshUntilMs = Math.min(expiresAtMs, requestedAtMs + FRESH_MS)
    this.#keep(key, { value: mine, facts, casUnique, size, shared, freshUntilMs, expiresAtMs, tagEpoch })
  }

  /** Keeps serving a value that memcached has confirmed. */
  confirm(key: string, item: MemoryItem, stamp: MemoryStamp): void {
    if (this.#items.peek(key) !== item || this.#isOutdated(key, stamp)) return
    const freshUntilMs = Math.min(item.expiresAtMs, stamp.requestedAtMs + FRESH_MS)
    this.#keep(key, { ...item, freshUntilMs, tagEpoch: stamp.tagEpoch })
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

  /** Makes every value with tags wait for a confirmation, since tags were invalidated. */
  tagsChanged(): void {
    this.#tagEpoch++
  }

  #keep(key: string, item: MemoryItem): void {
    this.#items.set(key, item)
    if (this.#items.size > this.#maxItems) this.#items.pop()
  }

  #isOutdated(key: string, { requestedAtMs, deletions }: MemoryStamp): boolean {
    if (this.#nowMs() < requestedAtMs) return true
    return deletions < Math.max(this.#forgotten, this.#deleted.get(key) ?? 0)
  }

  /**
   * Returns the time. If the clock was set back, all values are dropped: their times are in the future, so that they
   * would be served without a confirmation until the clock gets there.
   */
  #nowMs(): number {
    const nowMs = this.#clock.nowMs()
    if (nowMs < this.#latestMs) this.#items.clear()
    return (this.#latestMs = nowMs)
  }
}

function mustBe(name: string, what: string, got: unknown): MemcacheOptionError {
  return new MemcacheOptionError(`l1.${name} must be ${what}, got ${describeValue(got)}`)
}
