import type { CommandContext } from '../command-context.ts'
import type { LongReply } from '../../long-reply.ts'
import type { Maintenance } from '../../maintenance.ts'
import type { ResolvedServerOptions } from '../../options.ts'
import type { Statistic } from '../../stats/statistics-source.ts'

/** The server as the rare commands see it: its items, and what they may do beyond those. */
export interface AdminActions {
  readonly context: CommandContext
  readonly options: ResolvedServerOptions
  readonly maintenance: Maintenance
  /** Brings the store's clock up to date. */
  tick(): void
  /** Everything stored until `delaySeconds` from now is gone then. */
  flushAll(delaySeconds: number): void
  setVerbosity(level: number): void
  /** A statistics form, '' for the general one; `undefined` if the form is unknown. */
  statistics(form: string): Statistic[] | undefined
  resetStatistics(): void
  /** Reads the certificates again; returns the line that tells how it went. */
  refreshCertificates(): string
  /** Ends the server, once the reply has left. */
  shutDown(graceful: boolean): void
}

/** A rare command as it was sent. */
export interface AdminCommand {
  /** The words of its line, the command's own first. */
  readonly words: readonly string[]
  /** Whether another request was run in the same turn, which dumps and watchers exclude. */
  readonly isPipelining: boolean
}

/** What the connection does after an admin command that has no reply. */
export const AfterAdmin = { goOn: 0, close: 1, shutDown: 2 } as const

/** The event streams that a client wants to watch. */
interface WatchOrder {
  readonly streams: number
}

/**
 * A reply (a text is one line, without its end), what else to do, streams to watch, or a reply that is made piece by
 * piece.
 */
export type AdminResult = Buffer | string | (typeof AfterAdmin)[keyof typeof AfterAdmin] | WatchOrder | LongReply
