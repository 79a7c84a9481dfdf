import type { CommandContext } from './commands/command-context.ts'
import type { ConnectionOwner } from './connection-owner.ts'
import type { LongReply } from './long-reply.ts'

/**
 * One protocol spoken over a connection: received bytes in, commands run. The first byte says which protocol it is; the
 * connection owns the stream, the pauses and the replies.
 */
export interface Session {
  /** What the client is doing, by memcached's names of connection states; `undefined` between two requests. */
  readonly state: string | undefined
  /** Whether it has stopped in the middle of what was received, and goes on by `resume`. */
  readonly isPaused: boolean
  /** Takes received bytes; `buffer` may be used again afterwards. */
  push(buffer: Buffer, start: number, end: number): void
  /** Goes on where it has paused. */
  resume(): void
  /** The connection is closed: forgets what was received, and gives back what was reserved for it. */
  dispose(): void
}

/** Why a connection was closed, in the lines of watchers. */
export type CloseReason = 'error' | 'normal' | 'idle_timeout' | 'shutdown'

/** What a session needs of its connection. */
export interface SessionHost {
  readonly id: number
  readonly context: CommandContext
  readonly owner: ConnectionOwner
  /** Whether the connection is closing: nothing more is run. */
  readonly isClosing: boolean
  /** Whether a reply is being made piece by piece: no command is looked at until it is done. */
  readonly hasLongReply: boolean
  /** Whether another request was run in this turn, so that its reply may not have left yet. */
  readonly isPipelining: boolean
  /**
   * Counts a request that was run. Returns whether to pause: the other connections have their turn, or the client has
   * to read first.
   */
  countRequest(): boolean
  /** The request that is run costs as much as a whole turn: the others have theirs behind it. */
  endTurn(): void
  /** Makes a reply piece by piece, as the client reads it. */
  beginLongReply(reply: LongReply): void
  /** Speaks another way from now on. */
  become(session: Session): void
  /** Sends the client what happens, in these streams, from now on and until it goes. */
  watch(streams: number): void
  /** Closes the connection once the replies have left; the reason is one of memcached's words. */
  close(reason: CloseReason): void
}
