import { Uint64 } from './uint64.ts'

const SPACE = 32
const PLUS = 43
const DIGIT_ZERO = 48
const DIGIT_NINE = 57
const MINUS = 45

/** What `parseInt32` and `parseUint53` return for what is no such number. */
const NOT_A_NUMBER = NaN

/** The first position from `at` on that is no space. */
export function skipSpaces(buffer: Uint8Array, at: number, end: number): number {
  let position = at
  while (position < end && buffer[position] === SPACE) position++
  return position
}

/** The end of the token that starts at `at`. */
export function tokenEnd(buffer: Uint8Array, at: number, end: number): number {
  let position = at
  while (position < end && buffer[position] !== SPACE) position++
  return position
}

/** A decimal number under 2^53 from a whole token, else NaN. */
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

/** A decimal number that fits a signed 32-bit integer from a whole token, else NaN; a minus alone is 0, as in memcached. */
export function parseInt32(buffer: Uint8Array, start: number, end: number): number {
  const signed = start < end && buffer[start] === MINUS
  const value = parseUint53(buffer, signed ? start + 1 : start, end)
  if (signed) return value <= 0x8000_0000 ? -value : end === start + 1 ? 0 : NOT_A_NUMBER
  return value <= 0x7fff_ffff ? value : NOT_A_NUMBER
}

const magnitude = new Uint64()

/**
 * The lower 32 bits of a number as C's `strtol` and `strtoul` read it, which memcached uses for the flags and the exptime
 * of storage commands: white space and a sign may stand before the digits, and white space or a NUL byte ends them. NaN
 * for what is no number of 64 bits. An unsigned one may be negative as long as its two's complement is not.
 */
export function parseLong(buffer: Uint8Array, start: number, end: number, isSigned: boolean): number {
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

/** Whether minus the number, in two's complement of 64 bits, has its highest bit set. */
function isMinusNegative(high: number, low: number): boolean {
  return high < 0x8000_0000 ? high !== 0 || low !== 0 : high === 0x8000_0000 && low === 0
}

/** What C's `isspace` takes. */
function isWhiteSpace(byte: number): boolean {
  return byte === SPACE || (byte >= 9 && byte <= 13)
}

/** Whether the token is this word of ASCII letters. */
export function tokenIs(buffer: Uint8Array, start: number, end: number, word: string): boolean {
  if (end - start !== word.length) return false
  for (let index = 0; index < word.length; index++) {
    if (buffer[start + index] !== word.charCodeAt(index)) return false
  }
  return true
}

/** Whether the last token of the line is `noreply`. */
export function endsWithNoreply(buffer: Uint8Array, start: number, end: number): boolean {
  let last = end
  while (last > start && buffer[last - 1] === SPACE) last--
  // The letter y in last place rules out nearly every line at once.
  return (
    last - start >= 8 &&
    buffer[last - 1] === 121 &&
    buffer[last - 8] === SPACE &&
    tokenIs(buffer, last - 7, last, 'noreply')
  )
}
