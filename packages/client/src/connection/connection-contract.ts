import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { MemcacheError } from 'memcache-ts-protocol'
import type { Operation } from '../operations/operation.ts'
import type { ProtocolName } from '../protocols/protocol.ts'
import type { Credentials } from './credentials.ts'

/** Options of a `Connection`. */
export interface ConnectionOptions {
  readonly timeoutMs: number
  readonly connectTimeoutMs: number
  /** A connection without operations for this long is closed; `Infinity` is never. */
  readonly idleTimeoutMs: number
  readonly maxQueue: number
  readonly tls: TlsOptions | undefined
  readonly credentials: Credentials | undefined
  readonly protocol: ProtocolName | 'auto'
}

/** Another connection to the same server, which takes operations that have their deadline already. */
interface Successor {
  adopt(operation: Operation): void
}

/** What a connection tells its owner, and what it needs of its owner's other connections to the same server. */
export interface ConnectionObserver {
  connected(): void
  /** It is gone; `error` says why, unless it was closed without pending operations. */
  disconnected(error: MemcacheError | undefined): void
  /** It will be tried again after this long. */
  retrying(delayMs: number): void
  /** Not a byte has come in a whole timeout: the other connections may be dead, too. */
  silent(): void
  /**
   * It takes no more operations, and ends when those with longer limits are done: another connection is to take its
   * place.
   */
  retired(reason: MemcacheError, isSilent: boolean): void
  /** It could not connect: the connection that can serve the operations that wait, if there is one. */
  successor(): Successor | undefined
  /** It has connected again: resolves when the operations that went elsewhere meanwhile are done. */
  returned(): Promise<void> | undefined
}

/**
 * The life of a connection:
 *
 * ```text
 * idle → connecting → ready       by the first operation; operations wait until the handshake is done
 * ready → idle                    closed by the server, or out of step; the next operation connects again,
 *                                 and so do reads of which no byte had come
 * connecting, ready → down        refused, timed out or talking nonsense: operations fail at once, and in the
 *                                 background one attempt at a time is made until a handshake succeeds
 * down → connecting → ready       it does; operations wait for what the other connections did in its place
 * ready → closed                  given up while operations with longer limits wait: it ends after them
 * any → closed                    by `close`
 * ```
 */
export type ConnectionState = 'idle' | 'connecting' | 'ready' | 'down' | 'closed'

/** One connection of a client, as `client.connections()` reports it. */
export interface ConnectionReport {
  /** The server's name. */
  readonly server: string
  /** `idle` is not connected now: the next operation connects. */
  readonly state: ConnectionState
  /** How many callers wait for a response on it. */
  readonly waiting: number
}
