import type { Uint64 } from '../uint64.ts'
import { writeUint } from '../uint64.ts'

/** Room that a request's line needs at most: its key, its flags, its end. */
export const MAX_REQUEST_LINE_BYTES = 1024

const SPACE = 32
const MINUS = 45

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

/** Writes ` <letter>`; returns the position behind it. */
export function writeFlag(out: Buffer, at: number, letter: number): number {
  out[at] = SPACE
  out[at + 1] = letter
  return at + 2
}

/** Writes ` <letter><integer>`; returns the position behind it. */
export function writeIntFlag(out: Buffer, at: number, letter: number, value: number): number {
  out[at] = SPACE
  out[at + 1] = letter
  if (value >= 0) return writeUint(out, at + 2, value)
  out[at + 2] = MINUS
  return writeUint(out, at + 3, -value)
}

/** Writes ` <letter><64-bit number>`; returns the position behind it. */
export function writeUint64Flag(out: Buffer, at: number, letter: number, value: Uint64): number {
  out[at] = SPACE
  out[at + 1] = letter
  return value.write(out, at + 2)
}
