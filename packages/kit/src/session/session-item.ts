import type { MemcachedClient } from 'memcache-ts-client'
import { ClientFlags, MemcacheDecodeError, MemcacheUnsupportedError } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { SessionData } from './session-merge.ts'
import type { SessionText } from './session-text.ts'

/** The place of a session in memcached. */
export interface Place {
  readonly key: string
  /** The key that decides about the server: a new generation changes the key of a session, and not its server. */
  readonly groupKey: string | undefined
}

/** The item in a place. */
export interface FetchedItem {
  readonly value: unknown
  readonly casUnique: bigint
  /** The seconds that it still lives; `Infinity` where the server does not tell. */
  readonly ttlSeconds: number
  /** Whether the read has set its lifetime. */
  readonly touched: boolean
}

/** The result of reading an item whose value cannot be decoded. */
export const UNDECODABLE = 'undecodable'

/**
 * Reads the item in a place; `undefined` when there is none.
 *
 * @param touchTtl its lifetime from now on; without meta commands, and for a value in chunks, it is not set.
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
    // Of a value in chunks only the list of them was touched.
    return { value, casUnique, ttlSeconds, touched: touchTtl !== undefined && clientFlags !== ClientFlags.chunks }
  } catch (error) {
    if (error instanceof MemcacheDecodeError) return UNDECODABLE
    if (!(error instanceof MemcacheUnsupportedError)) throw error
  }
  // Without meta commands the lifetime is neither told nor set by reading.
  try {
    const found = await client.gets(key, { groupKey })
    return found && { value: found.value, casUnique: found.casUnique, ttlSeconds: Infinity, touched: false }
  } catch (error) {
    if (error instanceof MemcacheDecodeError) return UNDECODABLE
    throw error
  }
}

/** The cas unique of an item that is there and cannot be decoded: some of its chunks were evicted. */
export async function casOfUndecodable(client: MemcachedClient, { key, groupKey }: Place): Promise<bigint | undefined> {
  try {
    return (await client.meta.get(key, { value: false, groupKey }))?.casUnique
  } catch (error) {
    if (!(error instanceof MemcacheUnsupportedError)) throw error
    await client.delete(key, { groupKey })
    return undefined
  }
}

/** A session as it was read or written: what a later write is merged against. */
export interface SessionSnapshot extends Place {
  /** The session as its request sees it. */
  readonly seen: SessionText
  /** The session as it is stored: with what other requests wrote that this one has not seen. */
  readonly stored: SessionText
  readonly casUnique: bigint
  /** When that was, in milliseconds of the cache's clock. */
  readonly atMs: number
  /** The same, of a clock that never jumps. */
  readonly monotonicMs: number
}

/** A session that was found. */
export interface FoundSession extends SessionSnapshot {
  /** The reader's own, to change; only of its `cookie` the reader has to make a copy first. */
  readonly data: SessionData
  /** The seconds that it still lives; `Infinity` where the server does not tell. */
  readonly ttlSeconds: number
  /** Whether the read has set its lifetime again. */
  readonly touched: boolean
}

/** The lifetime of a session's data; `undefined` for one that has ended. */
export type LifetimeOf = (data: SessionData) => Ttl | undefined

/** What has become of a session whose place another one takes. */
export type Retirement =
  /** It was there until now, or another request had destroyed it before. */
  | { readonly outcome: 'retired' | 'destroyed' }
  /** It is still there, or it is not known whether it is. */
  | { readonly outcome: 'kept' | 'unknown'; readonly error: unknown }

/** The result of reading a destroyed session. */
export const DESTROYED = 'destroyed'

/** The result of reading an item that is no session, or is sealed by an unknown key. */
export const UNREADABLE = 'unreadable'

export type Found = FoundSession | typeof DESTROYED | typeof UNREADABLE | undefined

/** Returns a result of reading if it is a session. */
export function foundIn(found: Found): FoundSession | undefined {
  return found === DESTROYED || found === UNREADABLE ? undefined : found
}

/** Returns how long a session is to live. @param session its data, or their text. */
export function lifetimeOf(lifetime: Ttl | LifetimeOf, session: SessionData | string): Ttl | undefined {
  if (typeof lifetime !== 'function') return lifetime
  return lifetime(typeof session === 'string' ? (JSON.parse(session) as SessionData) : session)
}
