import { writeUint } from '../uint64.ts'
import type { Uint64 } from '../uint64.ts'

const SPACE = 32
const MINUS = 45

/** Writes ` <letter>`, a flag of a request or a reply; returns the position after it. */
export function writeFlag(out: Buffer, at: number, letter: number): number {
  out[at] = SPACE
  out[at + 1] = letter
  return at + 2
}

/** Writes ` <letter><whole number>`; returns the position after it. */
export function writeUintFlag(out: Buffer, at: number, letter: number, value: number): number {
  return writeUint(out, writeFlag(out, at, letter), value)
}

/** Writes ` <letter><integer>`, which may be negative; returns the position after it. */
export function writeIntFlag(out: Buffer, at: number, letter: number, value: number): number {
  if (value >= 0) return writeUintFlag(out, at, letter, value)
  const digits = writeFlag(out, at, letter)
  out[digits] = MINUS
  return writeUint(out, digits + 1, -value)
}

/** Writes ` <letter><64-bit number>`; returns the position after it. */
export function writeUint64Flag(out: Buffer, at: number, letter: number, value: Uint64): number {
  return value.write(out, writeFlag(out, at, letter))
}
