import type { Credentials } from './auth/credentials.ts'
import type { PasswordDatabase } from './auth/password-database.ts'
import type { AdminActions } from './commands/admin/admin-actions.ts'
import type { TurnQueue } from './turn-queue.ts'

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
