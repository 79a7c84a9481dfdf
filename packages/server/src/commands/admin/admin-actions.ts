import type { CommandContext } from '../command-context.ts'
import type { LongReply } from '../../long-reply.ts'
import type { Maintenance } from '../../maintenance.ts'
import type { ResolvedServerOptions } from '../../options.ts'
import type { Statistic } from '../../stats/statistics-source.ts'

/** The server as the admin commands see it. */
export interface AdminActions {
  readonly context: CommandContext
  readonly options: ResolvedServerOptions
  readonly maintenance: Maintenance
  /** Updates the store's clock. */
  tick(): void
  /** Invalidates, in `delaySeconds`, all items that are stored until then. */
  flushAll(delaySeconds: number): void
  setVerbosity(level: number): void
  /** Returns the statistics of a form, '' for the general form; `undefined` if the form is unknown. */
  statistics(form: string): Statistic[] | undefined
  resetStatistics(): void
  /** Reads the certificates again; returns the response line. */
  refreshCertificates(): string
  /** Ends the server after the response was sent. */
  shutDown(graceful: boolean): void
}

/** An admin command as it was sent. */
export interface AdminCommand {
  /** The words of its line; the first is the command. */
  readonly words: readonly string[]
  /** Whether another request was run in the same turn. Dumps and watchers are then refused. */
  readonly isPipelining: boolean
}

/** The action of the connection after an admin command that has no reply. */
export const AfterAdmin = { goOn: 0, close: 1, shutDown: 2 } as const

/** The event streams that a client wants to watch. */
interface WatchOrder {
  readonly streams: number
}

/**
 * The result of an admin command: a response (a string is one line, without its end), an action, streams to watch, or a
 * long response.
 */
export type AdminResult = Buffer | string | (typeof AfterAdmin)[keyof typeof AfterAdmin] | WatchOrder | LongReply

const INTEGER = /^-?\d{1,10}$/
const UNSIGNED = /^\d{1,10}$/
const DECIMAL = /^[+-]?\d+(?:\.\d*)?$/

/** Reads a signed 32-bit number; `undefined` if the word is no such number. */
export function integer(word: string | undefined): number | undefined {
  if (word === undefined || !INTEGER.test(word)) return undefined
  const value = Number(word)
  return value >= -0x8000_0000 && value <= 0x7fff_ffff ? value : undefined
}

/** Reads an unsigned 32-bit number; `undefined` if the word is no such number. */
export function unsigned(word: string | undefined): number | undefined {
  if (word === undefined || !UNSIGNED.test(word)) return undefined
  const value = Number(word)
  return value <= 0xffff_ffff ? value : undefined
}

/** Reads a number with or without decimals; `undefined` if the word is no such number. */
export function decimal(word: string | undefined): number | undefined {
  return word !== undefined && DECIMAL.test(word) ? Number(word) : undefined
}
