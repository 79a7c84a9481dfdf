import type { Credentials } from './auth/credentials.ts'
import type { PasswordDatabase } from './auth/password-database.ts'
import type { AdminActions } from './commands/admin/admin-actions.ts'
import type { TurnQueue } from './turn-queue.ts'

/** What a connection, and the sessions that speak over it, need of the server. */
export interface ConnectionOwner extends AdminActions {
  readonly verbosity: number
  /** Whether every command is logged (`-vv`, `watch rawcmds`); a field, since every command looks at it. */
  logsCommands: boolean
  /** Requests of one connection before the others have their turn. */
  readonly maxRequestsPerTurn: number
  /** Whether a connection that runs so many in one turn has more responses pending than it may. */
  readonly limitsResponses: boolean
  log(line: string): void
  /** The connections that have more to do. */
  readonly turns: TurnQueue
  /** What clients have to say first (`-Y`); `undefined` where anybody may speak. */
  readonly credentials: Credentials | undefined
  /** Whom SASL lets in (`-S`); `undefined` where the binary protocol asks nobody. */
  readonly passwords: PasswordDatabase | undefined
  /** A client has sent wrong credentials; `user` is empty if they name nobody. */
  refusedCredentials(user: Buffer): void
  /** Running a request has thrown: a fault of ours. */
  failed(error: unknown, peer: string): void
}
