import { MetaCode, MetaReply, parseMetaReply, writeFlag, writeMetaCommand, writeRequestKey } from 'memcache-ts-protocol'
import type { ItemResponse } from '../../operations/item-response.ts'
import type { WireKey } from '../../client-key.ts'

/** The response to a meta command. */
export class MetaResponse extends MetaReply implements ItemResponse {
  get isFound(): boolean {
    return this.code !== MetaCode.EN
  }
}

/** An operation whose response echoes an opaque. */
interface EchoedOperation {
  opaque: number
}

const LETTER_O = 79
const LETTERS = Buffer.from('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_')
const BITS_PER_LETTER = 6
/**
 * The length of an opaque: enough for different opaques of all operations that can wait on a connection, even if a
 * proxy loses responses.
 */
const LENGTH = 4
const MASK = 2 ** (BITS_PER_LETTER * LENGTH) - 1

let last = 0

/**
 * Writes ` O<four letters>`, which the response must echo, so that a response that a proxy lost or doubled is noticed
 * immediately.
 */
export function writeOpaque(out: Buffer, at: number, operation: EchoedOperation): number {
  last = (last + 1) & MASK
  operation.opaque = last
  const start = writeFlag(out, at, LETTER_O)
  for (let index = 0; index < LENGTH; index++) out[start + index] = letterOf(last, index)
  return start + LENGTH
}

/** Reads the line of a meta response; returns false if the line is invalid, or is the response to another operation. */
export function readMetaResponse(
  operation: EchoedOperation,
  into: MetaResponse,
  buffer: Buffer,
  start: number,
  end: number,
): boolean {
  return parseMetaReply(into, buffer, start, end) && isResponseTo(operation, into, buffer)
}

function isResponseTo(operation: EchoedOperation, response: MetaResponse, buffer: Buffer): boolean {
  const { opaqueStart, opaqueEnd, code } = response
  // Old servers echo the opaque with a hit, but not with a miss.
  if (opaqueStart === 0) return code !== MetaCode.VA && code !== MetaCode.HD
  if (opaqueEnd - opaqueStart !== LENGTH) return false
  for (let index = 0; index < LENGTH; index++) {
    if (buffer[opaqueStart + index] !== letterOf(operation.opaque, index)) return false
  }
  return true
}

function letterOf(opaque: number, index: number): number {
  return LETTERS[(opaque >> (BITS_PER_LETTER * index)) & 63]!
}

const LETTER_B = 98

/** Writes `m<letter> <key>`; bytes that are not text are written as base64, whose flag `writeKeyFlag` writes. */
export function writeCommandAndKey(out: Buffer, at: number, letter: number, key: WireKey): number {
  const start = writeMetaCommand(out, at, letter)
  if (typeof key === 'string') return writeRequestKey(out, start, key)
  return start + out.write(key.toString('base64'), start, 'latin1')
}

/** Writes `m<letter> <key>`, and ` b` if the key is base64, of a command without further arguments. */
export function writeCommand(out: Buffer, at: number, letter: number, key: WireKey): number {
  return writeKeyFlag(out, writeCommandAndKey(out, at, letter, key), key)
}

/** Writes ` b` if the key is base64. */
export function writeKeyFlag(out: Buffer, at: number, key: WireKey): number {
  return typeof key === 'string' ? at : writeFlag(out, at, LETTER_B)
}
