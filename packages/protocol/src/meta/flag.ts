import { writeUint } from '../uint64.ts'
import type { Uint64 } from '../uint64.ts'

/**
 * The flags of the meta commands as bits (protocol.txt, "Meta Commands"): small letters in one set, capitals in the
 * other. A letter's bit is its place in the alphabet.
 */
export const Flag = {
  /** The key is base64. */
  base64: 1 << 2,
  /** Return the cas unique. */
  returnCas: 1 << 3,
  /** Return the client flags. */
  returnClientFlags: 1 << 6,
  /** Return whether the item was fetched before. */
  returnHit: 1 << 8,
  /** Return the key. */
  returnKey: 1 << 11,
  /** Return the seconds since the last access. */
  returnLastAccess: 1 << 12,
  /** Suppress the response to the normal outcome. */
  quiet: 1 << 17,
  /** Return the value's size. */
  returnSize: 1 << 19,
  /** Return the seconds left to live. */
  returnTtl: 1 << 20,
  /** Do not count as an access. */
  noBump: 1 << 21,
  /** Return the value. */
  returnValue: 1 << 22,
  /** Remove the value, but keep the item. */
  removeValue: 1 << 24,
} as const

/** The capital letters: flags with an argument, and `I`. */
export const CapitalFlag = {
  /** C: compare the cas unique. */
  compareCas: 1 << 3,
  /** D: the delta. */
  delta: 1 << 4,
  /** E: the new cas unique. */
  newCas: 1 << 5,
  /** F: the client flags. */
  clientFlags: 1 << 6,
  /** I: mark stale (md), or accept an older cas as a stale write (ms). */
  invalidate: 1 << 9,
  /** J: the initial value. */
  initial: 1 << 10,
  /** M: the mode. */
  mode: 1 << 13,
  /** N: create the item on a miss. */
  vivify: 1 << 14,
  /** O: the opaque. */
  opaque: 1 << 15,
  /** R: win the right to recache if fewer seconds are left. */
  recache: 1 << 18,
  /** T: the lifetime. */
  exptime: 1 << 20,
} as const

/** All letters that memcached accepts, as bits; P and L are for proxies and ignored. */
export const FLAG_LETTERS =
  Flag.base64 |
  Flag.returnCas |
  Flag.returnClientFlags |
  Flag.returnHit |
  Flag.returnKey |
  Flag.returnLastAccess |
  Flag.quiet |
  Flag.returnSize |
  Flag.returnTtl |
  Flag.noBump |
  Flag.returnValue |
  Flag.removeValue

export const CAPITAL_FLAG_LETTERS =
  CapitalFlag.compareCas |
  CapitalFlag.delta |
  CapitalFlag.newCas |
  CapitalFlag.clientFlags |
  CapitalFlag.invalidate |
  CapitalFlag.initial |
  CapitalFlag.mode |
  CapitalFlag.vivify |
  CapitalFlag.opaque |
  CapitalFlag.recache |
  CapitalFlag.exptime |
  (1 << 12) |
  (1 << 16)

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
