import type { MemcachedClient } from 'memcache-ts-client'
import { ClientFlags, MemcacheDecodeError, MemcacheUnsupportedError } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { SessionData } from './session-merge.ts'
import type { SessionText } from './session-codec.ts'

/** The place of a session in memcached. */
export interface Place {
  readonly key: string
  /** The key that selects the server: a new generation changes the key of a session but not its server. */
  readonly groupKey: string | undefined
}

/** An item that was read from a place. */
export interface FetchedItem {
  readonly value: unknown
  readonly casUnique: bigint
  /** The remaining lifetime in seconds; `Infinity` if the server does not report it. */
  readonly ttlSeconds: number
  /** Whether the read has reset its lifetime. */
  readonly touched: boolean
}

/** The result of reading an item whose value cannot be decoded. */
export const UNDECODABLE = 'undecodable'

/**
 * Reads the item in a place; `undefined` if there is none.
 *
 * @param touchTtl the new lifetime. It is not set without meta commands, nor for a value in chunks.
 */
export async function fetchItem(
  client: MemcachedClient,
  { key, groupKey }: Place,
  touchTtl?: Ttl,
): Promise<FetchedItem | typeof UNDECODABLE | undefined> {
  try {
    const found = await client.meta.get(key, { touchTtl, groupKey })
    if (found === undefined) return undefined
    const { value, casUnique, ttlSeconds, clientFlags } = found
    // For a value in chunks, only the list of the chunks was touched.
    return { value, casUnique, ttlSeconds, touched: touchTtl !== undefined && clientFlags !== ClientFlags.chunks }
  } catch (error) {
    if (error instanceof MemcacheDecodeError) return UNDECODABLE
    if (!(error instanceof MemcacheUnsupportedError)) throw error
  }
  // Without meta commands, a read neither reports nor sets the lifetime.
  try {
    const found = await client.gets(key, { groupKey })
    return found && { value: found.value, casUnique: found.casUnique, ttlSeconds: Infinity, touched: false }
  } catch (error) {
    if (error instanceof MemcacheDecodeError) return UNDECODABLE
    throw error
  }
}

/**
 * Returns the cas unique of an item that exists but cannot be decoded, for example because some of its chunks were
 * evicted; `undefined` if it is gone. Without meta commands, the item is deleted.
 */
export async function casOfUndecodable(client: MemcachedClient, { key, groupKey }: Place): Promise<bigint | undefined> {
  try {
    return (await client.meta.get(key, { value: false, groupKey }))?.casUnique
  } catch (error) {
    if (!(error instanceof MemcacheUnsupportedError)) throw error
    await client.delete(key, { groupKey })
    return undefined
  }
}

/** A session as it was read or written; a later write is merged against it. */
export interface SessionSnapshot extends Place {
  /** The session as its request sees it. */
  readonly seen: SessionText
  /** The session as it is stored, with writes of other requests that this one has not seen. */
  readonly stored: SessionText
  readonly casUnique: bigint
  /** The time of the read or write, in milliseconds of the cache's clock. */
  readonly atMs: number
  /** The same time by a monotonic clock. */
  readonly monotonicMs: number
}

/** A session that was found. */
export interface FoundSession extends SessionSnapshot {
  /** The data, which the caller may change, except for its `cookie`, which must be copied first. */
  readonly data: SessionData
  /** The remaining lifetime in seconds; `Infinity` if the server does not report it. */
  readonly ttlSeconds: number
  /** Whether the read has reset its lifetime. */
  readonly touched: boolean
}

/** Returns the lifetime for the data of a session; `undefined` if the session has ended. */
export type LifetimeOf = (data: SessionData) => Ttl | undefined

/** The outcome of destroying a session that another one replaces. */
export type Retirement =
  /** It was destroyed now (`retired`), or another request had destroyed it before (`destroyed`). */
  | { readonly outcome: 'retired' | 'destroyed' }
  /** It still exists (`kept`), or it is unknown whether it exists (`unknown`). */
  | { readonly outcome: 'kept' | 'unknown'; readonly error: unknown }

/** The result of reading a destroyed session. */
export const DESTROYED = 'destroyed'

/** The result of reading an item that is no session, or is encrypted with an unknown key. */
export const UNREADABLE = 'unreadable'

export type Found = FoundSession | typeof DESTROYED | typeof UNREADABLE | undefined

/** Returns the result of a read if it is a session; `undefined` otherwise. */
export function foundIn(found: Found): FoundSession | undefined {
  return found === DESTROYED || found === UNREADABLE ? undefined : found
}

/**
 * Returns the lifetime of a session.
 *
 * @param session its data, or its JSON.
 */
export function lifetimeOf(lifetime: Ttl | LifetimeOf, session: SessionData | string): Ttl | undefined {
  if (typeof lifetime !== 'function') return lifetime
  return lifetime(typeof session === 'string' ? (JSON.parse(session) as SessionData) : session)
}

/** A session to be written. */
export interface NewState {
  readonly id: string
  /** The session as its request has it. */
  readonly data: SessionData
  readonly lifetime: Ttl | LifetimeOf
}

/** A session after a write: as its request has seen it, and as it is stored. */
export interface StoredTexts {
  readonly seen: string
  readonly stored: string
  readonly casUnique: bigint
}
