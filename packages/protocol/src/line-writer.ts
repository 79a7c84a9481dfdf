import { writeUint } from './uint64.ts'

/** Room that a request's line needs at most: its key, its flags, its end. */
export const MAX_REQUEST_LINE_BYTES = 1024

const SPACE = 32
const MINUS = 45
const CR = 13
const LF = 10

/** Writes a command's word; returns the position behind it. */
export function writeWord(out: Uint8Array, at: number, word: string): number {
  for (let index = 0; index < word.length; index++) out[at + index] = word.charCodeAt(index)
  return at + word.length
}

/** Writes ` <integer>`, which may be negative; returns the position behind it. */
export function writeNumber(out: Uint8Array, at: number, value: number): number {
  out[at] = SPACE
  if (value >= 0) return writeUint(out, at + 1, value)
  out[at + 1] = MINUS
  return writeUint(out, at + 2, -value)
}

/** Writes `<c1><c2> `, a meta command's word; returns the position behind it. */
export function writeMetaCommand(out: Buffer, at: number, letter: number): number {
  out[at] = 109
  out[at + 1] = letter
  out[at + 2] = SPACE
  return at + 3
}

/** Writes a key that was checked; returns the position behind it. */
export function writeRequestKey(out: Buffer, at: number, key: string): number {
  for (let index = 0; index < key.length; index++) {
    const code = key.charCodeAt(index)
    if (code > 126) return at + out.write(key, at, 'utf8')
    out[at + index] = code
  }
  return at + key.length
}

/** Writes `\r\n`; returns the position behind it. */
export function writeLineEnd(out: Buffer, at: number): number {
  out[at] = CR
  out[at + 1] = LF
  return at + 2
}
