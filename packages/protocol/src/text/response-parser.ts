import { Uint64 } from '../uint64.ts'

const SPACE = 32
const DIGIT_ZERO = 48
/** Client flags and lengths have fewer digits than this, and numbers with so many are exact. */
const MAX_DIGITS = 15

/** A parsed `VALUE` line. The record is reused. */
export class ValueLine {
  keyStart = 0
  keyEnd = 0
  clientFlags = 0
  valueLength = 0
  /** Whether the line has a cas unique. */
  hasCas = false
  /** The cas unique; zero if the line has none. */
  readonly casUnique = new Uint64()
}

/**
 * Parses `VALUE <key> <flags> <bytes> [<cas unique>]` (protocol.txt, "Retrieval command") in one pass; returns false
 * for any other line.
 */
export function parseValueLine(into: ValueLine, buffer: Buffer, start: number, end: number): boolean {
  if (buffer[start] !== 86 || buffer[start + 1] !== 65 || buffer[start + 5] !== SPACE) return false
  let at = start + 6
  into.keyStart = at
  while (at < end && buffer[at] !== SPACE) at++
  into.keyEnd = at

  const flagsStart = ++at
  let clientFlags = 0
  while (at < end && buffer[at] !== SPACE) {
    const digit = buffer[at++]! - DIGIT_ZERO
    if (digit < 0 || digit > 9) return false
    clientFlags = clientFlags * 10 + digit
  }
  if (at <= flagsStart || at - flagsStart > MAX_DIGITS) return false
  into.clientFlags = clientFlags

  const lengthStart = ++at
  let valueLength = 0
  while (at < end && buffer[at] !== SPACE) {
    const digit = buffer[at++]! - DIGIT_ZERO
    if (digit < 0 || digit > 9) return false
    valueLength = valueLength * 10 + digit
  }
  if (at <= lengthStart || at - lengthStart > MAX_DIGITS) return false
  into.valueLength = valueLength

  if (at < end) {
    into.hasCas = true
    return into.casUnique.parse(buffer, at + 1, end)
  }
  if (into.hasCas) into.casUnique.set(0, 0)
  into.hasCas = false
  return true
}

/** Returns whether the line is `END`. */
export function isEnd(buffer: Buffer, start: number, end: number): boolean {
  return end - start === 3 && buffer[start] === 69 && buffer[start + 1] === 78 && buffer[start + 2] === 68
}

/** The one-word outcomes of the text protocol. */
const OUTCOMES = {
  STORED: 'stored',
  NOT_STORED: 'notStored',
  EXISTS: 'exists',
  NOT_FOUND: 'notFound',
  DELETED: 'deleted',
  TOUCHED: 'touched',
} as const

/** The outcome of a storage command, `delete` or `touch`. */
export type TextOutcome = (typeof OUTCOMES)[keyof typeof OUTCOMES]

const OUTCOME_BY_WORD: ReadonlyMap<string, TextOutcome> = new Map(Object.entries(OUTCOMES))

/** Returns the outcome of a line; `undefined` for any other line. */
export function parseOutcome(buffer: Buffer, start: number, end: number): TextOutcome | undefined {
  return end - start > 10 ? undefined : OUTCOME_BY_WORD.get(buffer.toString('latin1', start, end))
}

/** The kinds of error lines (protocol.txt, "Error strings"). */
export type ErrorLineKind = 'ERROR' | 'CLIENT_ERROR' | 'SERVER_ERROR'

/** Parses an error line; `undefined` for any other line. */
export function parseErrorLine(
  buffer: Buffer,
  start: number,
  end: number,
): { kind: ErrorLineKind; message: string } | undefined {
  const first = buffer[start]
  // Errors begin with E, C or S, and few other lines do.
  if (first !== 69 && first !== 67 && first !== 83) return undefined
  const match = /^(ERROR|CLIENT_ERROR|SERVER_ERROR):?(?: (.*))?$/s.exec(buffer.toString('latin1', start, end))
  return match === null ? undefined : { kind: match[1] as ErrorLineKind, message: match[2] ?? '' }
}
