import type { LongReply } from '../../long-reply.ts'
import type { Maintenance } from '../../maintenance.ts'
import type { ResolvedServerOptions } from '../../options.ts'
import type { Statistic } from '../../stats/statistics-source.ts'

/** What the rare commands may do to the server, beyond its items. */
export interface AdminActions {
  readonly options: ResolvedServerOptions
  readonly maintenance: Maintenance
  /** Brings the store's clock up to date. */
  tick(): void
  /** Everything stored until `delaySeconds` from now is gone then. */
  flushAll(delaySeconds: number): void
  setVerbosity(level: number): void
  /** A statistics form, '' for the general one; `undefined` for one that there is not. */
  statistics(form: string): Statistic[] | undefined
  resetStatistics(): void
  /** Reads the certificates again; returns the line that tells how it went. */
  refreshCertificates(): string
  /** Ends the server, once the reply has left. */
  shutDown(graceful: boolean): void
}

/** What the connection does after an admin command that has no reply. */
export const AfterAdmin = { goOn: 0, close: 1, shutDown: 2 } as const

/** The event streams that a client wants to watch. */
interface WatchOrder {
  readonly streams: number
}

/** A reply (a text is one line, without its end), what else to do, streams to watch, or a reply that is made piece by piece. */
export type AdminResult = Buffer | string | (typeof AfterAdmin)[keyof typeof AfterAdmin] | WatchOrder | LongReply
