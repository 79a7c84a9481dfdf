import { writeFlag } from './flag.ts'
import { parseInt32, parseUint53, skipSpaces, tokenEnd } from '../tokens.ts'
import { Uint64 } from '../uint64.ts'

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

/** A reply to a meta command, parsed in place. The record is reused. */
export class MetaReply {
  /** One of `MetaCode`. */
  code = 0
  /** The length of the data block; -1 without one. */
  valueLength = -1
  clientFlags = 0
  /** The value's size, from the flag s. */
  size = 0
  /** The remaining lifetime in seconds; -1 if it does not expire. */
  ttlSeconds = -1
  readonly casUnique = new Uint64()
  /** W: this caller has the right to recache. */
  won = false
  /** X: the item is stale. */
  stale = false
  /** Z: another caller has the right to recache. */
  lost = false
  /** Whether the item was fetched before, from the flag h. */
  hitBefore = false
  /** Seconds since the last access, from the flag l. */
  lastAccessSeconds = 0
  opaqueStart = 0
  opaqueEnd = 0
}

const CODES: ReadonlySet<number> = new Set(Object.values(MetaCode))

/** Parses the line of a meta reply; returns false if it is not one. */
export function parseMetaReply(into: MetaReply, buffer: Buffer, start: number, end: number): boolean {
  const code = (buffer[start]! << 8) | buffer[start + 1]!
  if (end - start < 2 || !CODES.has(code)) return false
  into.code = code
  into.valueLength = -1
  into.clientFlags = 0
  into.size = 0
  into.ttlSeconds = -1
  into.casUnique.set(0, 0)
  into.won = false
  into.stale = false
  into.lost = false
  into.hitBefore = false
  into.lastAccessSeconds = 0
  into.opaqueStart = 0
  into.opaqueEnd = 0
  let at = start + 2
  if (code === MetaCode.VA) {
    const lengthEnd = tokenEnd(buffer, at + 1, end)
    into.valueLength = parseUint53(buffer, at + 1, lengthEnd)
    if (!(into.valueLength >= 0)) return false
    at = lengthEnd
  }
  // A code is a whole word: HDX is not a code.
  if (at < end && buffer[at] !== 32) return false
  if (code === MetaCode.ME) return true
  while ((at = skipSpaces(buffer, at, end)) < end) {
    const flagEnd = tokenEnd(buffer, at, end)
    if (!readFlag(into, buffer, at, flagEnd)) return false
    at = flagEnd
  }
  return true
}

function readFlag(into: MetaReply, buffer: Buffer, at: number, end: number): boolean {
  switch (buffer[at]) {
    case 87: // W
      into.won = true
      return true
    case 88: // X
      into.stale = true
      return true
    case 90: // Z
      into.lost = true
      return true
    case 102: // f
      into.clientFlags = parseUint53(buffer, at + 1, end)
      return into.clientFlags >= 0
    case 99: // c
      return into.casUnique.parse(buffer, at + 1, end)
    case 115: // s
      into.size = parseUint53(buffer, at + 1, end)
      return into.size >= 0
    case 116: // t
      into.ttlSeconds = parseInt32(buffer, at + 1, end)
      // An item that is about to expire can have a lifetime below zero, sent as an unsigned number.
      if (Number.isNaN(into.ttlSeconds)) into.ttlSeconds = 0
      return true
    case 104: // h
      into.hitBefore = buffer[at + 1] === 49
      return true
    case 108: // l
      into.lastAccessSeconds = parseUint53(buffer, at + 1, end)
      return into.lastAccessSeconds >= 0
    case 79: // O
      into.opaqueStart = at + 1
      into.opaqueEnd = end
      return true
    default:
      // k, b, and flags of later servers.
      return true
  }
}
