import { parseUint53, tokenEnd } from '../tokens.ts'
import { Uint64 } from '../uint64.ts'

/** A `VALUE` line, read in place; refilled by each. */
export class ValueLine {
  keyStart = 0
  keyEnd = 0
  clientFlags = 0
  valueLength = 0
  /** Zero where the line has none. */
  readonly casUnique = new Uint64()
}

/** Reads `VALUE <key> <flags> <bytes> [<cas unique>]`; returns false for any other line. */
export function parseValueLine(into: ValueLine, buffer: Buffer, start: number, end: number): boolean {
  if (buffer[start] !== 86 || buffer[start + 1] !== 65 || buffer[start + 5] !== 32) return false
  into.keyStart = start + 6
  into.keyEnd = tokenEnd(buffer, into.keyStart, end)
  const flagsEnd = tokenEnd(buffer, into.keyEnd + 1, end)
  const lengthEnd = tokenEnd(buffer, flagsEnd + 1, end)
  into.clientFlags = parseUint53(buffer, into.keyEnd + 1, flagsEnd)
  into.valueLength = parseUint53(buffer, flagsEnd + 1, lengthEnd)
  if (lengthEnd === end) into.casUnique.set(0, 0)
  else if (!into.casUnique.parse(buffer, lengthEnd + 1, end)) return false
  return into.clientFlags >= 0 && into.valueLength >= 0
}

/** Whether the line is `END`. */
export function isEnd(buffer: Buffer, start: number, end: number): boolean {
  return end - start === 3 && buffer[start] === 69 && buffer[start + 1] === 78 && buffer[start + 2] === 68
}

/** The outcomes that the text protocol tells in one word, by their words. */
const OUTCOMES = {
  STORED: 'stored',
  NOT_STORED: 'notStored',
  EXISTS: 'exists',
  NOT_FOUND: 'notFound',
  DELETED: 'deleted',
  TOUCHED: 'touched',
} as const

/** How a storage command, `delete` or `touch` ended. */
export type TextOutcome = (typeof OUTCOMES)[keyof typeof OUTCOMES]

const OUTCOME_BY_WORD: ReadonlyMap<string, TextOutcome> = new Map(Object.entries(OUTCOMES))

/** The outcome that a line tells, or `undefined` for any other line. */
export function parseOutcome(buffer: Buffer, start: number, end: number): TextOutcome | undefined {
  return end - start > 10 ? undefined : OUTCOME_BY_WORD.get(buffer.toString('latin1', start, end))
}

/** The kinds of error lines (protocol.txt, "Error strings"). */
export type ErrorLineKind = 'ERROR' | 'CLIENT_ERROR' | 'SERVER_ERROR'

/** What an error line says, or `undefined` for a line that is none. */
export function parseErrorLine(
  buffer: Buffer,
  start: number,
  end: number,
): { kind: ErrorLineKind; message: string } | undefined {
  const first = buffer[start]
  // E, C, S: nothing else begins an error, and of the good replies only a few do.
  if (first !== 69 && first !== 67 && first !== 83) return undefined
  const match = /^(ERROR|CLIENT_ERROR|SERVER_ERROR):?(?: (.*))?$/s.exec(buffer.toString('latin1', start, end))
  return match === null ? undefined : { kind: match[1] as ErrorLineKind, message: match[2] ?? '' }
}
