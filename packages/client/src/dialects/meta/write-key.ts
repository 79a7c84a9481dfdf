import { writeFlag, writeMetaCommand, writeRequestKey } from 'memcache-ts-protocol'
import type { WireKey } from '../../operations/operation.ts'

const LETTER_B = 98

/** Writes `m<letter> <key>`; bytes that are no text go as base64, whose flag `writeKeyFlag` writes. */
export function writeCommandAndKey(out: Buffer, at: number, letter: number, key: WireKey): number {
  const start = writeMetaCommand(out, at, letter)
  if (typeof key === 'string') return writeRequestKey(out, start, key)
  return start + out.write(key.toString('base64'), start, 'latin1')
}

/** Writes ` b` where the key is base64. */
export function writeKeyFlag(out: Buffer, at: number, key: WireKey): number {
  return typeof key === 'string' ? at : writeFlag(out, at, LETTER_B)
}
