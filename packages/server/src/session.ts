import type { CommandContext } from './commands/command-context.ts'
import type { LongReply } from './long-reply.ts'
import type { Credentials } from './auth/credentials.ts'
import type { PasswordDatabase } from './auth/password-database.ts'
import type { AdminActions } from './commands/admin/admin-actions.ts'
import type { TurnQueue } from './turn-queue.ts'

/**
 * One protocol on a connection: it parses received bytes and runs commands. The first byte selects the protocol. The
 * connection owns the stream, the pauses and the responses.
 */
export interface Session {
  /** The state of the connection, by memcached's names; `undefined` between two requests. */
  readonly state: string | undefined
  /** Whether it has paused in the middle of the received bytes; `resume` continues. */
  readonly isPaused: boolean
  /** Processes received bytes; `buffer` may be reused afterwards. */
  push(buffer: Buffer, start: number, end: number): void
  /** Continues where it has paused. */
  resume(): void
  /** Ends with the connection: drops the received bytes, and releases reserved memory. */
  dispose(): void
}

/** The reason why a connection was closed, in the lines of watchers. */
export type CloseReason = 'error' | 'normal' | 'idle_timeout' | 'shutdown'

/** The parts of a connection that its session uses. */
export interface SessionHost {
  readonly id: number
  readonly context: CommandContext
  readonly owner: ConnectionOwner
  /** Whether the connection is closing: nothing more is run. */
  readonly isClosing: boolean
  /** Whether a long response is being built: no command is run until it is complete. */
  readonly hasLongReply: boolean
  /** Whether another request was run in this turn, so that its response may not be sent yet. */
  readonly isPipelining: boolean
  /** Counts a request. Returns whether to pause, because the turn is over or the client must read first. */
  countRequest(): boolean
  /** Ends the turn after this request, because it costs as much as a whole turn. */
  endTurn(): void
  /** Begins a long response, which is built in pieces as the client reads it. */
  beginLongReply(reply: LongReply): void
  /** Replaces the session. */
  become(session: Session): void
  /** Sends the client the events of these streams until it disconnects. */
  watch(streams: number): void
  /** Closes the connection after the responses were sent; the reason is one of memcached's words. */
  close(reason: CloseReason): void
}

/** The parts of a server that its connections and their sessions use. */
export interface ConnectionOwner extends AdminActions {
  readonly verbosity: number
  /** Whether every command is logged (`-vv`, `watch rawcmds`); a field, since every command reads it. */
  logsCommands: boolean
  /** Requests of one connection in one turn. */
  readonly maxRequestsPerTurn: number
  /** Whether a connection that runs so many requests in one turn has more responses pending than allowed. */
  readonly limitsResponses: boolean
  log(line: string): void
  /** The connections that have more to do. */
  readonly turns: TurnQueue
  /** The credentials that clients of the text protocol must send first (`-Y`); `undefined` without authentication. */
  readonly credentials: Credentials | undefined
  /** The passwords for SASL (`-S`); `undefined` without authentication. */
  readonly passwords: PasswordDatabase | undefined
  /** Called when a client has sent wrong credentials; `user` is empty if they contain no user name. */
  refusedCredentials(user: Buffer): void
  /** Reports that running a request has thrown: a fault of the server. */
  failed(error: unknown, peer: string): void
}
