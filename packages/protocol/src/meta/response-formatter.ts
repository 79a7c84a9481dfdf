import { writeFlag } from './flag-writer.ts'

const SPACE = 32
const LETTER_K = 107
const LETTER_B = 98
const MINUS = 45
const DIGIT_ONE = 49

/** The result codes of the meta commands, as their two letters in one number. */
export const MetaCode = {
  HD: 0x4844,
  VA: 0x5641,
  EN: 0x454e,
  NF: 0x4e46,
  NS: 0x4e53,
  EX: 0x4558,
  MN: 0x4d4e,
  ME: 0x4d45,
} as const

/** Writes a result code; returns the position after it. */
export function writeMetaCode(out: Buffer, at: number, code: number): number {
  out[at] = code >>> 8
  out[at + 1] = code & 0xff
  return at + 2
}

/** Writes ` <letter>-1`, the lifetime of an item that does not expire; returns the position after it. */
export function writeMetaForever(out: Buffer, at: number, letter: number): number {
  out[at] = SPACE
  out[at + 1] = letter
  out[at + 2] = MINUS
  out[at + 3] = DIGIT_ONE
  return at + 4
}

/** Writes ` ` and a flag as it was sent, such as the opaque; returns the position after it. */
export function writeMetaEcho(out: Buffer, at: number, source: Buffer, start: number, end: number): number {
  out[at] = SPACE
  let position = at + 1
  for (let index = start; index < end; index++) out[position++] = source[index]!
  return position
}

/** Writes ` k<key>`, followed by ` b` if the key is binary and written as base64; returns the position after it. */
export function writeMetaKey(
  out: Buffer,
  at: number,
  key: Buffer,
  keyStart: number,
  keyLength: number,
  binary: boolean,
): number {
  out[at] = SPACE
  out[at + 1] = LETTER_K
  let position = at + 2
  if (!binary) {
    for (let index = 0; index < keyLength; index++) out[position++] = key[keyStart + index]!
    return position
  }
  position += out.write(key.toString('base64', keyStart, keyStart + keyLength), position, 'latin1')
  return writeFlag(out, position, LETTER_B)
}
