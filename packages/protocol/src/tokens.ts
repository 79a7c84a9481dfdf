import { Uint64 } from './uint64.ts'

const SPACE = 32
const PLUS = 43
const DIGIT_ZERO = 48
const DIGIT_NINE = 57
const MINUS = 45

/** The result of `parseInt32` and `parseUint53` if the token is not such a number. */
const NOT_A_NUMBER = NaN

/** Returns the first position from `at` on that is not a space. */
export function skipSpaces(buffer: Uint8Array, at: number, end: number): number {
  let position = at
  while (position < end && buffer[position] === SPACE) position++
  return position
}

/** Returns the end of the token that starts at `at`. */
export function tokenEnd(buffer: Uint8Array, at: number, end: number): number {
  let position = at
  while (position < end && buffer[position] !== SPACE) position++
  return position
}

/** Parses a decimal number of up to 15 digits from a whole token; NaN if it is not one. */
export function parseUint53(buffer: Uint8Array, start: number, end: number): number {
  if (start >= end || end - start > 15) return NOT_A_NUMBER
  let value = 0
  for (let at = start; at < end; at++) {
    const digit = buffer[at]!
    if (digit < DIGIT_ZERO || digit > DIGIT_NINE) return NOT_A_NUMBER
    value = value * 10 + (digit - DIGIT_ZERO)
  }
  return value
}

/**
 * Parses a decimal number that fits a signed 32-bit integer from a whole token; NaN if it is not one. A minus alone is
 * 0, as in memcached.
 */
export function parseInt32(buffer: Uint8Array, start: number, end: number): number {
  const signed = start < end && buffer[start] === MINUS
  const value = parseUint53(buffer, signed ? start + 1 : start, end)
  if (signed) return value <= 0x8000_0000 ? -value : end === start + 1 ? 0 : NOT_A_NUMBER
  return value <= 0x7fff_ffff ? value : NOT_A_NUMBER
}

const magnitude = new Uint64()

/**
 * Returns the lower 32 bits of a number as C's `strtol` and `strtoul` read it, which memcached uses for the flags and
 * the exptime of storage commands: white space and a sign may precede the digits, and white space or a NUL byte ends
 * them. NaN if it is not a number of 64 bits. An unsigned number may be negative as long as its two's complement is
 * not.
 */
export function parseLong(buffer: Uint8Array, start: number, end: number, kind: 'signed' | 'unsigned'): number {
  const isSigned = kind === 'signed'
  let at = start
  while (at < end && isWhiteSpace(buffer[at]!)) at++
  const isNegative = buffer[at] === MINUS && at < end
  if (at < end && (isNegative || buffer[at] === PLUS)) at++
  let digitsEnd = at
  while (digitsEnd < end && buffer[digitsEnd]! >= DIGIT_ZERO && buffer[digitsEnd]! <= DIGIT_NINE) digitsEnd++
  const isEnded = digitsEnd === end || buffer[digitsEnd] === 0 || isWhiteSpace(buffer[digitsEnd]!)
  if (!isEnded || !magnitude.parse(buffer, at, digitsEnd)) return NOT_A_NUMBER
  const { high, low } = magnitude
  const isMinimum = high === 0x8000_0000 && low === 0
  const isUnderHalf = high < 0x8000_0000
  if (isSigned) {
    if (!isUnderHalf && !(isNegative && isMinimum)) return NOT_A_NUMBER
  } else if (isNegative && isMinusNegative(high, low)) {
    return NOT_A_NUMBER
  }
  return isSigned ? (isNegative ? -low : low) | 0 : (isNegative ? -low : low) >>> 0
}

/** Returns whether the negated number, in two's complement of 64 bits, has its highest bit set. */
function isMinusNegative(high: number, low: number): boolean {
  return high < 0x8000_0000 ? high !== 0 || low !== 0 : high === 0x8000_0000 && low === 0
}

/** Returns whether a byte is white space for C's `isspace`. */
function isWhiteSpace(byte: number): boolean {
  return byte === SPACE || (byte >= 9 && byte <= 13)
}

/** Returns whether the token is this word of ASCII letters. */
export function tokenIs(buffer: Uint8Array, start: number, end: number, word: string): boolean {
  if (end - start !== word.length) return false
  for (let index = 0; index < word.length; index++) {
    if (buffer[start + index] !== word.charCodeAt(index)) return false
  }
  return true
}

/** Returns whether the last token of the line is `noreply`. */
export function endsWithNoreply(buffer: Uint8Array, start: number, end: number): boolean {
  let last = end
  while (last > start && buffer[last - 1] === SPACE) last--
  // Checking the last letter first excludes nearly every line.
  return (
    last - start >= 8 &&
    buffer[last - 1] === 121 &&
    buffer[last - 8] === SPACE &&
    tokenIs(buffer, last - 7, last, 'noreply')
  )
}
