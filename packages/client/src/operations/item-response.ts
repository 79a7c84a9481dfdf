import { Uint64 } from 'memcache-ts-protocol'

/**
 * A server's response about one item, in any protocol. The object is reused: it is valid only during the call that
 * receives it.
 */
export interface ItemResponse {
  readonly isFound: boolean
  readonly clientFlags: number
  /** The value's size in bytes, if it was requested; else 0. */
  readonly size: number
  /** Seconds left to live; -1 if the item does not expire, or the server does not report it. */
  readonly ttlSeconds: number
  /** Zero if the server does not report it. */
  readonly casUnique: Uint64
  /** W: this caller has the right to recache. */
  readonly won: boolean
  /** X: the item is stale. */
  readonly stale: boolean
  /** Z: another caller has the right to recache. */
  readonly lost: boolean
  /** Whether the item was fetched before, if that was requested. */
  readonly hitBefore: boolean
  /** Seconds since the last access, if they were requested. */
  readonly lastAccessSeconds: number
}

/** The response of a protocol that reports only client flags and cas unique: classic text and binary. */
export class ClassicItemResponse implements ItemResponse {
  isFound = false
  clientFlags = 0
  readonly casUnique = new Uint64()
  readonly size = 0
  readonly ttlSeconds = -1
  readonly won = false
  readonly stale = false
  readonly lost = false
  readonly hitBefore = false
  readonly lastAccessSeconds = 0
}
