import type { EncodedItem } from '../values/kit-codec.ts'

/** An item as it lies in memcached. */
export interface StoredItem {
  /** The value, an `Entry`, or `undefined` where it was not asked for. */
  readonly stored: unknown
  /** The value's bytes. */
  readonly size: number
  /** `undefined` where the server does not tell. */
  readonly casUnique: bigint | undefined
  /** `Infinity` for an item that does not expire, and where the server does not tell. */
  readonly ttlSeconds: number
}

/** What a fetch found. */
export type Fetched =
  /** A value. */
  | {
      readonly kind: 'found'
      readonly item: StoredItem
      /** It was expired by `expire`, or is within `staleSeconds` of its end. */
      readonly stale: boolean
      /** It is stale, and this caller is the one to load it anew. */
      readonly claimed: boolean
      /** It is stale, and memcached has not told who is to load it anew: the right is yet to be claimed. */
      readonly unclaimed?: boolean
    }
  /** Nothing, and this caller is the one to load: a lease was made that only its cas unique fills. */
  | { readonly kind: 'miss-with-lease'; readonly casUnique: bigint }
  /** Nothing, and another caller is loading it: there is a lease with this cas unique. */
  | { readonly kind: 'miss-locked'; readonly casUnique: bigint | undefined }
  /** Something that the kit did not write and cannot read. */
  | { readonly kind: 'unreadable'; readonly error: unknown }
  /** Nothing, and no lease could be made: load, but keep it to yourself. */
  | { readonly kind: 'miss-without-lease' }

/** How an item is asked for. */
export interface FetchRequest {
  /** How long before its end an item is stale. 0: never. */
  readonly staleSeconds: number
  /** Whether the value is wanted, or just what is known of it. */
  readonly value: boolean
}

/** A value for a lease. */
export interface Filling {
  readonly item: EncodedItem
  /** What the value is stored in place of. */
  readonly casUnique: bigint
  readonly ttlSeconds: number
}

/** What a filled item has, as far as the server tells; `undefined`: it was changed or deleted, so that nothing was stored. */
export type Filled = { readonly casUnique?: bigint } | undefined

/** A tag's generation. */
export interface TagGeneration {
  readonly generation: number
  /** Whether this very question made it. */
  readonly made: boolean
  /** Seconds since it was made or last raised, by the server's clock; `undefined` where the server does not tell. */
  readonly ageSeconds: number | undefined
}

/**
 * What the cache needs of memcached: the lease on the data key, and generations of tags. Two ways to do it: by meta
 * commands, and by classic ones for servers that have no others.
 *
 *   nothing → vacant → fill, or free after an error
 *          ↘ taken: poll until it is found, or vacant again (the winner died, and its lease ran out)
 *   found, stale → claimed → fill
 *                ↘ not claimed: serve it, another one is loading
 */
export interface CacheStore {
  /** Whether the remaining lifetime of items is told, so that a bare value's soft expiry can be seen. */
  readonly tellsTtl: boolean
  /** Looks a key up; on a miss, takes its lease. `failed` makes of an error what the lookup comes to. */
  fetch<Failed>(
    key: string,
    request: FetchRequest,
    failed: (error: unknown) => Failed | Promise<Failed | Fetched>,
  ): Promise<Fetched | Failed>
  /** Takes the right to load an item anew before it is stale; its cas unique, or `undefined` when another has it. */
  claim(key: string, item: StoredItem): Promise<bigint | undefined>
  /** Stores a value in place of the item with this cas unique; the new one, or `undefined` when it was changed or deleted. */
  fill<Failed>(
    key: string,
    filling: Filling,
    failed: (error: unknown) => Failed | Promise<Failed | Filled>,
  ): Promise<Filled | Failed>
  /** Stores a value whatever is there. */
  set(key: string, item: EncodedItem, ttlSeconds: number): Promise<{ casUnique?: bigint }>
  /** Gives a lease back without a value: the next caller loads at once. Whether it was still held. */
  free(key: string, casUnique: bigint): Promise<boolean>
  /** Gives back a lease that nobody is known to hold: an item that is there and unfilled. */
  freeUnfilled(key: string): Promise<void>
  /** Makes a lease last for a further `leaseSeconds`; its cas unique from now on, or `undefined` when it was lost. */
  renew(key: string, casUnique: bigint, filled: boolean): Promise<bigint | undefined>
  /** Whoever claimed this item has not filled it: lets the next one try. */
  rearm(key: string, casUnique: bigint): Promise<void>
  delete(key: string): Promise<void>
  /** Takes an item away that cannot be read; a lease that was made meanwhile stays. */
  dropUnreadable(key: string): Promise<void>
  /** Deletes an item if it still has this cas unique; whether it did. */
  drop(key: string, casUnique: bigint | undefined): Promise<boolean>
  /** Marks an item stale, so that one caller loads it anew while the others are served the old value. */
  markStale(key: string): Promise<void>
  /** A tag's generation, which is made if there is none. */
  generation(tagKey: string): Promise<TagGeneration>
  /** Raises a tag's generation; the one that it has then. */
  raise(tagKey: string, by: number): Promise<number>
}
