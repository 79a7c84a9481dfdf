import { writeLineEnd } from '../framing.ts'
import { writeUint } from '../uint64.ts'
import type { Uint64 } from '../uint64.ts'

const SPACE = 32

/** The maximum length of a reply's line, for any command. */
export const MAX_REPLY_LINE_BYTES = 1024

/**
 * Writes `VALUE <key> <flags> <bytes> [<cas unique>]\r\n` at `at` (protocol.txt, "Retrieval command"); returns the
 * position after it.
 */
export function writeValueLine(
  out: Buffer,
  at: number,
  key: Buffer,
  keyStart: number,
  keyLength: number,
  clientFlags: number,
  valueLength: number,
  casUnique: Uint64 | undefined,
): number {
  // 'VALUE '
  out[at] = 86
  out[at + 1] = 65
  out[at + 2] = 76
  out[at + 3] = 85
  out[at + 4] = 69
  out[at + 5] = SPACE
  let position = at + 6
  for (let index = 0; index < keyLength; index++) out[position++] = key[keyStart + index]!
  out[position++] = SPACE
  position = writeUint(out, position, clientFlags)
  out[position++] = SPACE
  position = writeUint(out, position, valueLength)
  if (casUnique !== undefined) {
    out[position++] = SPACE
    position = casUnique.write(out, position)
  }
  return writeLineEnd(out, position)
}
