const SPACE = 32
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

/** A decimal number that fits a signed 32-bit integer from a whole token, else NaN. */
export function parseInt32(buffer: Uint8Array, start: number, end: number): number {
  const sign = buffer[start]
  const signed = start < end && sign === MINUS
  const value = parseUint53(buffer, signed ? start + 1 : start, end)
  if (signed) return value <= 0x8000_0000 ? -value : NOT_A_NUMBER
  return value <= 0x7fff_ffff ? value : NOT_A_NUMBER
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
