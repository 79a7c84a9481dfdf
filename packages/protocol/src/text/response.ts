import { RequestError } from '../request.ts'
import { writeLineEnd } from '../framing.ts'
import { Uint64, writeUint } from '../uint64.ts'

const SPACE = 32
const DIGIT_ZERO = 48
/** Client flags and lengths have fewer digits than this, and numbers with so many are exact. */
const MAX_DIGITS = 15

function line(text: string): Buffer {
  return Buffer.from(`${text}\r\n`, 'latin1')
}

/** The fixed replies and errors of the text protocol, ready to be sent. */
export const Reply = {
  stored: line('STORED'),
  notStored: line('NOT_STORED'),
  exists: line('EXISTS'),
  notFound: line('NOT_FOUND'),
  deleted: line('DELETED'),
  touched: line('TOUCHED'),
  ok: line('OK'),
  end: line('END'),
  reset: line('RESET'),
  error: line('ERROR'),
  badFormat: line('CLIENT_ERROR bad command line format'),
  badDataChunk: line('CLIENT_ERROR bad data chunk'),
  nonNumeric: line('CLIENT_ERROR cannot increment or decrement non-numeric value'),
  tooLarge: line('SERVER_ERROR object too large for cache'),
  outOfMemoryStoring: line('SERVER_ERROR out of memory storing object'),
  outOfMemory: line('SERVER_ERROR out of memory'),
  // memcached 1.6.45 sends an empty line after this one error.
  badRetrievalKey: line('CLIENT_ERROR bad command line format\r\n'),
} as const

const REPLIES: Readonly<Record<number, Buffer>> = {
  [RequestError.unknownCommand]: Reply.error,
  [RequestError.badFormat]: Reply.badFormat,
  [RequestError.invalidExptime]: line('CLIENT_ERROR invalid exptime argument'),
  [RequestError.invalidDelta]: line('CLIENT_ERROR invalid numeric delta argument'),
  [RequestError.duplicateFlag]: line('CLIENT_ERROR duplicate flag'),
  [RequestError.invalidFlag]: line('CLIENT_ERROR invalid flag'),
  [RequestError.invalidOrDuplicateFlag]: line('CLIENT_ERROR invalid or duplicate flag'),
  [RequestError.tooManyFlags]: line('CLIENT_ERROR options flags are too long'),
  [RequestError.opaqueTooLong]: line('CLIENT_ERROR opaque token too long'),
  [RequestError.badToken]: line('CLIENT_ERROR bad token in command line format'),
  [RequestError.badKeyEncoding]: line('CLIENT_ERROR error decoding key'),
  [RequestError.badSetMode]: line('CLIENT_ERROR invalid mode for ms M token'),
  [RequestError.badArithmeticMode]: line('CLIENT_ERROR invalid mode for ma M token'),
  [RequestError.badInitial]: line('CLIENT_ERROR invalid numeric initial value'),
  [RequestError.badDelta]: line('CLIENT_ERROR invalid numeric delta value'),
}

/** Returns the reply to a request that `parseRequest` refused; `undefined` if there is no reply. */
export function errorReply(error: number): Buffer | undefined {
  return REPLIES[error]
}

/** The maximum length of a reply's line, for any command. */
export const MAX_REPLY_LINE_BYTES = 1024

/**
 * Writes `VALUE <key> <flags> <bytes> [<cas unique>]\r\n` at `at` (protocol.txt, "Retrieval command"); returns the
 * position after it.
 */
export function writeValueLine(
  out: Buffer,
  at: number,
  key: Buffer,
  keyStart: number,
  keyLength: number,
  clientFlags: number,
  valueLength: number,
  casUnique: Uint64 | undefined,
): number {
  // 'VALUE '
  out[at] = 86
  out[at + 1] = 65
  out[at + 2] = 76
  out[at + 3] = 85
  out[at + 4] = 69
  out[at + 5] = SPACE
  let position = at + 6
  for (let index = 0; index < keyLength; index++) out[position++] = key[keyStart + index]!
  out[position++] = SPACE
  position = writeUint(out, position, clientFlags)
  out[position++] = SPACE
  position = writeUint(out, position, valueLength)
  if (casUnique !== undefined) {
    out[position++] = SPACE
    position = casUnique.write(out, position)
  }
  return writeLineEnd(out, position)
}

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
