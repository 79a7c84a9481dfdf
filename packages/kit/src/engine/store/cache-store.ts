import { MemcacheDecodeError } from 'memcache-ts-protocol'
import type { EncodedItem } from '../values/kit-codec.ts'

/** An item as it is stored in memcached. */
export interface StoredItem {
  /** The value, an `Entry`, or `undefined` if it was not requested. */
  readonly stored: unknown
  /** The value's bytes. */
  readonly size: number
  /** `undefined` if the server does not report it. */
  readonly casUnique: bigint | undefined
  /** The remaining lifetime; `Infinity` if the item does not expire, or the server does not report it. */
  readonly ttlSeconds: number
}

/** The result of a fetch. */
export type Fetched =
  /** A value. */
  | {
      readonly kind: 'found'
      readonly item: StoredItem
      /** It was marked stale. */
      readonly stale: boolean
      /** It is stale, and this caller has the right to reload it. */
      readonly claimed: boolean
      /** Another caller has the right to reload it. */
      readonly lost: boolean
    }
  /** A miss, and this caller loads the value: it holds a lease that only this cas unique fills. */
  | { readonly kind: 'miss-with-lease'; readonly casUnique: bigint }
  /**
   * A miss, and another caller is loading the value under a lease with this cas unique (`undefined` if it is not
   * known).
   */
  | { readonly kind: 'miss-locked'; readonly casUnique: bigint | undefined }
  /** An item that cannot be decoded, since the kit did not write it. */
  | { readonly kind: 'unreadable'; readonly error: unknown }
  /** A miss, and no lease was granted: the value is loaded but not stored. */
  | { readonly kind: 'miss-without-lease' }

/** The options of a fetch. */
export interface FetchRequest {
  /** Whether the value is fetched, or only the item's metadata. */
  readonly value: boolean
}

/** A value for a lease. */
export interface Filling {
  readonly item: EncodedItem
  /** The cas unique of the item that the value replaces. */
  readonly casUnique: bigint
  readonly ttlSeconds: number
}

/**
 * The new cas unique of a filled item, if the server reports it; `undefined` if nothing was stored, since the item was
 * changed or deleted.
 */
export type Filled = { readonly casUnique?: bigint } | undefined

/** A tag's generation. */
export interface TagGeneration {
  readonly generation: number
  /** Whether this request created it. */
  readonly made: boolean
  /** Seconds since it was created or last raised, by the server's clock; `undefined` if the server does not report it. */
  readonly ageSeconds: number | undefined
}

/**
 * The operations that the cache needs of memcached: leases on the data keys, and generations of tags. There are two
 * implementations: meta commands, and classic commands for servers without meta commands.
 *
 * ```text
 * nothing stored → miss with lease → fill, or free after an error
 *                ↘ miss locked: poll until it is found, or a miss with lease again (the lease of a dead process expired)
 * found, marked stale → claimed → fill
 *                     ↘ lost: serve it, another caller is reloading it
 * found, past the end that it carries → claim → fill
 * ```
 */
export interface CacheStore {
  /** Whether the server reports the remaining lifetime of items. */
  readonly reportsTtl: boolean
  /** Looks up a key, and takes its lease on a miss. `failed` turns an error into a result. */
  fetch<Failed>(
    key: string,
    request: FetchRequest,
    failed: (error: unknown) => Failed | Promise<Failed | Fetched>,
  ): Promise<Fetched | Failed>
  /** Claims the right to reload an item; returns its cas unique, or `undefined` if another caller has the right. */
  claim(key: string, item: StoredItem): Promise<bigint | undefined>
  /**
   * Stores a value in place of the item with this cas unique; `undefined` if that item was changed or deleted. `failed`
   * turns an error into a result.
   */
  fill<Failed>(
    key: string,
    filling: Filling,
    failed: (error: unknown) => Failed | Promise<Failed | Filled>,
  ): Promise<Filled | Failed>
  /** Stores a value unconditionally. */
  set(key: string, item: EncodedItem, ttlSeconds: number): Promise<{ casUnique?: bigint }>
  /**
   * Releases a lease without a value, so that the next caller loads immediately. Resolves to whether the lease was
   * still held.
   */
  free(key: string, casUnique: bigint): Promise<boolean>
  /** Releases a lease that this process may hold without knowing its cas unique: deletes the item if it is unfilled. */
  freeUnfilled(key: string): Promise<void>
  /**
   * Extends a lease by `leaseSeconds`; returns its cas unique from now on, or `undefined` if the lease was lost. A
   * value that was stored meanwhile keeps its lifetime, and a claim on it stays free.
   */
  renew(lease: RenewedLease): Promise<bigint | undefined>
  /** Lets the next caller claim this stale item, since the caller that claimed it has not filled it. */
  rearm(key: string, casUnique: bigint): Promise<void>
  delete(key: string): Promise<void>
  /** Deletes an item that cannot be decoded; a lease that was granted meanwhile stays. */
  dropUnreadable(key: string): Promise<void>
  /** Deletes an item if it still has this cas unique; resolves to whether it did. */
  drop(key: string, casUnique: bigint | undefined): Promise<boolean>
  /** Marks an item stale, so that one caller reloads it while the others are served the old value. */
  markStale(key: string): Promise<void>
  /** Returns a tag's generation; a missing generation is created. */
  generation(tagKey: string): Promise<TagGeneration>
  /** Raises a tag's generation, and returns the new generation. */
  raise(tagKey: string, by: number): Promise<number>
}

/** A lease that is extended. */
export interface RenewedLease {
  readonly key: string
  readonly casUnique: bigint
  /** Whether the item has a value, which is stale. */
  readonly filled: boolean
}

/** Returns the fetch result for a value that cannot be decoded; `undefined` for any other error. */
export function unreadable(error: unknown): Fetched | undefined {
  return error instanceof MemcacheDecodeError ? { kind: 'unreadable', error } : undefined
}

/** The lifetime of a tag that is not raised, in seconds: 30 days, the longest relative exptime of memcached. */
export const TAG_SECONDS = 2_592_000

/** Raising a generation by this step makes the values that carry it invalid. */
export const HARD_STEP = 65_536
/** Raising a generation by this step only makes the values that carry it stale. */
export const SOFT_STEP = 1

const RANDOM_SPAN = 2 ** 52

/**
 * Returns a generation for a new tag. It is random, so that an evicted tag does not return with a generation that it
 * had before, even if the clocks of the processes disagree.
 */
export function newGeneration(): number {
  return Math.floor(Math.random() * RANDOM_SPAN)
}

/** Returns the state of a value that carries one generation, when its tag has the current one. */
export function compareGenerations(carried: number, current: number): 'same' | 'stale' | 'invalid' {
  if (carried === current) return 'same'
  return Math.floor(carried / HARD_STEP) === Math.floor(current / HARD_STEP) ? 'stale' : 'invalid'
}
