import { MetaCode, writeFlag, writeIntFlag, writeLineEnd, writeUint64Flag } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import type { DeleteOperation, DeleteStatus } from '../../operations/delete-operation.ts'
import { DONE } from '../line/line-codec.ts'
import type { LineCodec, LineResponses } from '../line/line-codec.ts'
import { readMetaResponse, writeCommandAndKey, writeKeyFlag, writeOpaque } from './meta-response.ts'

const LETTER = { d: 100, x: 120, C: 67, E: 69, I: 73, T: 84 } as const

const STATUS: Readonly<Record<number, DeleteStatus>> = {
  [MetaCode.HD]: 'deleted',
  [MetaCode.EX]: 'exists',
  [MetaCode.NF]: 'notFound',
}

/** md (protocol.txt, "Meta Delete"). */
export const metaDelete: LineCodec<DeleteOperation> = {
  write(operation: DeleteOperation, requests: RequestBuffer): void {
    const { request } = operation
    const out = requests.buffer
    let at = writeCommandAndKey(out, requests.at, LETTER.d, request.wireKey)
    at = writeKeyFlag(out, at, request.wireKey)
    if (request.compareCas !== undefined) at = writeUint64Flag(out, at, LETTER.C, request.compareCas)
    if (request.newCas !== undefined) at = writeUint64Flag(out, at, LETTER.E, request.newCas)
    if (request.invalidate === true) at = writeFlag(out, at, LETTER.I)
    if (request.removeValue === true) at = writeFlag(out, at, LETTER.x)
    if (request.exptime !== undefined) at = writeIntFlag(out, at, LETTER.T, request.exptime)
    requests.at = writeLineEnd(out, writeOpaque(out, at, operation))
  },

  readLine(operation: DeleteOperation, responses: LineResponses, buffer: Buffer, start: number, end: number): number {
    const status = readMetaResponse(operation, responses.meta, buffer, start, end)
      ? STATUS[responses.meta.code]
      : undefined
    if (status === undefined) return responses.unexpected(operation, buffer, start, end)
    operation.finish(status)
    return DONE
  },
}
