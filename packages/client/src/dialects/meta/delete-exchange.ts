import { MetaCode, writeFlag, writeIntFlag, writeLineEnd, writeUint64Flag } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/request-buffer.ts'
import type { DeleteOperation, DeleteStatus } from '../../operations/delete-operation.ts'
import type { LineAnswers } from '../line-answers.ts'
import { DONE } from '../line-exchange.ts'
import type { LineExchange } from '../line-exchange.ts'
import { readReply, writeOpaque } from './opaque.ts'
import { writeCommandAndKey, writeKeyFlag } from './write-key.ts'

const LETTER = { d: 100, x: 120, C: 67, E: 69, I: 73, T: 84 } as const

const STATUS: Readonly<Record<number, DeleteStatus>> = {
  [MetaCode.HD]: 'deleted',
  [MetaCode.EX]: 'exists',
  [MetaCode.NF]: 'notFound',
}

/** md (protocol.txt, "Meta Delete"). */
export const metaDelete: LineExchange<DeleteOperation> = {
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

  line(operation: DeleteOperation, answers: LineAnswers, buffer: Buffer, start: number, end: number): number {
    const status = readReply(operation, answers, buffer, start, end) ? STATUS[answers.reply.code] : undefined
    if (status === undefined) return answers.unexpected(operation, buffer, start, end)
    operation.finish(status)
    return DONE
  },
}
