import { MetaCode, writeFlag, writeIntFlag, writeLineEnd, writeUint, writeUint64Flag } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import type { StoreOperation, StoreStatus } from '../../operations/store-operation.ts'
import { DONE } from '../line/line-codec.ts'
import type { LineCodec, LineResponses } from '../line/line-codec.ts'
import { writeStore } from '../line/write-store.ts'
import { readMetaResponse, writeCommandAndKey, writeKeyFlag, writeOpaque } from './meta-response.ts'

const LETTER = { c: 99, s: 115, C: 67, E: 69, F: 70, I: 73, M: 77, N: 78, T: 84 } as const
const SPACE = 32
const MODES = { set: 83, add: 69, replace: 82, append: 65, prepend: 80 } as const

const STATUS: Readonly<Record<number, StoreStatus>> = {
  [MetaCode.HD]: 'stored',
  [MetaCode.NS]: 'notStored',
  [MetaCode.EX]: 'exists',
  [MetaCode.NF]: 'notFound',
}

/** ms (protocol.txt, "Meta Set"). */
export const metaStore: LineCodec<StoreOperation> = {
  write(operation: StoreOperation, requests: RequestBuffer): void {
    writeStore(operation, requests, writeLine)
  },
  readLine(operation: StoreOperation, responses: LineResponses, buffer: Buffer, start: number, end: number): number {
    const status = readMetaResponse(operation, responses.meta, buffer, start, end)
      ? STATUS[responses.meta.code]
      : undefined
    if (status === undefined) return responses.unexpected(operation, buffer, start, end)
    operation.finish(status, responses.meta.casUnique)
    return DONE
  },
}

function writeLine(operation: StoreOperation, requests: RequestBuffer, length: number): void {
  const { wireKey, clientFlags, exptime, mode, conditions } = operation
  const out = requests.buffer
  let at = writeCommandAndKey(out, requests.at, LETTER.s, wireKey)
  out[at] = SPACE
  at = writeKeyFlag(out, writeUint(out, at + 1, length), wireKey)
  if (clientFlags !== 0) at = writeIntFlag(out, at, LETTER.F, clientFlags)
  if (exptime !== 0) at = writeIntFlag(out, at, LETTER.T, exptime)
  if (mode !== 'set') {
    at = writeFlag(out, at, LETTER.M)
    out[at++] = MODES[mode]
  }
  if (conditions.returnCas === true) at = writeFlag(out, at, LETTER.c)
  if (conditions.compareCas !== undefined) at = writeUint64Flag(out, at, LETTER.C, conditions.compareCas)
  if (conditions.newCas !== undefined) at = writeUint64Flag(out, at, LETTER.E, conditions.newCas)
  if (conditions.vivifyExptime !== undefined) at = writeIntFlag(out, at, LETTER.N, conditions.vivifyExptime)
  if (conditions.invalidate === true) at = writeFlag(out, at, LETTER.I)
  requests.at = writeLineEnd(out, writeOpaque(out, at, operation))
}
