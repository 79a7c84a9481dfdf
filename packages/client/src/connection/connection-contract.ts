import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { MemcacheError } from 'memcache-ts-protocol'
import type { Operation } from '../operations/operation.ts'
import type { ProtocolName } from '../protocols/protocol.ts'
import type { Credentials } from './credentials.ts'

/** Options of a `Connection`. */
export interface ConnectionOptions {
  readonly timeoutMs: number
  readonly connectTimeoutMs: number
  /** The time after which a connection without operations is closed, in milliseconds; `Infinity` never closes it. */
  readonly idleTimeoutMs: number
  readonly maxQueue: number
  readonly tls: TlsOptions | undefined
  readonly credentials: Credentials | undefined
  readonly protocol: ProtocolName | 'auto'
}

/** Another connection to the same server; it accepts operations that already have a deadline. */
interface Successor {
  adopt(operation: Operation): void
}

/** Why a connection was given up. */
export interface Retirement {
  readonly reason: MemcacheError
  /** Whether no byte at all was received during a whole timeout. */
  readonly isSilent: boolean
}

/** The owner of a connection: it is notified of events, and provides its other connections to the same server. */
export interface ConnectionObserver {
  connected(): void
  /** Called when the connection was closed; `error` is `undefined` if it had no pending operations. */
  disconnected(error: MemcacheError | undefined): void
  /** Called when the connection will be opened again after this delay. */
  retrying(delayMs: number): void
  /** Called if no byte was received during a whole timeout: the other connections may be dead, too. */
  silent(): void
  /**
   * Called when the connection accepts no more operations; it ends when the operations with longer limits are done. The
   * owner replaces it.
   */
  retired(retirement: Retirement): void
  /** Returns another connection that can serve the waiting operations of a connection that could not connect. */
  successor(): Successor | undefined
  /**
   * Called when the connection is open again; resolves when the operations that other connections served for it are
   * done.
   */
  returned(): Promise<void> | undefined
}

/**
 * The life of a connection:
 *
 * ```text
 * idle → connecting → ready       by the first operation; operations wait until the handshake is done
 * ready → idle                    closed by the server, or desynchronised; the next operation connects again,
 *                                 and so do reads of whose response no byte had arrived
 * connecting, ready → down        refused, timed out, or a response was invalid: operations fail immediately, and
 *                                 in the background one attempt at a time is made until a handshake succeeds
 * down → connecting → ready       it succeeds; operations wait until those that other connections served are done
 * ready → closed                  given up while operations with longer limits wait: it ends after them
 * any → closed                    by `close`
 * ```
 */
export type ConnectionState = 'idle' | 'connecting' | 'ready' | 'down' | 'closed'

/** One connection of a client, as `client.connections()` reports it. */
export interface ConnectionReport {
  /** The server's name. */
  readonly server: string
  /** `idle` means not connected: the next operation connects. */
  readonly state: ConnectionState
  /** The number of callers that wait for a response on it. */
  readonly waiting: number
}
