import type { CommandContext } from './commands/command-context.ts'
import type { ConnectionOwner } from './connection-owner.ts'
import type { LongReply } from './long-reply.ts'

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
