import type { Ttl } from 'memcache-ts-protocol'
import type { Place } from './session-item.ts'
import type { SessionData } from './session-merge.ts'
import type { SessionText } from './session-text.ts'

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
