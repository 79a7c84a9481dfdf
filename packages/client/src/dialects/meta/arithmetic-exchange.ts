import { MetaCode, writeFlag, writeIntFlag, writeLineEnd, writeUint64Flag } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/request-buffer.ts'
import { NO_COUNTER } from '../../operations/arithmetic-operation.ts'
import type { ArithmeticOperation } from '../../operations/arithmetic-operation.ts'
import type { LineAnswers } from '../line-answers.ts'
import { DONE } from '../line-exchange.ts'
import type { LineExchange } from '../line-exchange.ts'
import { readReply, writeOpaque } from './opaque.ts'
import { writeCommandAndKey, writeKeyFlag } from './write-key.ts'

const LETTER = { a: 97, c: 99, t: 116, v: 118, C: 67, D: 68, E: 69, J: 74, M: 77, N: 78, T: 84 } as const

/** ma (protocol.txt, "Meta Arithmetic"). */
export const metaArithmetic: LineExchange<ArithmeticOperation> = {
  write(operation: ArithmeticOperation, requests: RequestBuffer): void {
    const { request } = operation
    const out = requests.buffer
    let at = writeCommandAndKey(out, requests.at, LETTER.a, request.wireKey)
    at = writeKeyFlag(out, at, request.wireKey)
    if (request.vivifyExptime !== undefined) at = writeIntFlag(out, at, LETTER.N, request.vivifyExptime)
    if (request.initial !== undefined) at = writeUint64Flag(out, at, LETTER.J, request.initial)
    at = writeUint64Flag(out, at, LETTER.D, request.delta)
    if (request.mode === 'decr') {
      at = writeFlag(out, at, LETTER.M)
      out[at++] = LETTER.D
    }
    if (request.compareCas !== undefined) at = writeUint64Flag(out, at, LETTER.C, request.compareCas)
    if (request.newCas !== undefined) at = writeUint64Flag(out, at, LETTER.E, request.newCas)
    if (request.exptime !== undefined) at = writeIntFlag(out, at, LETTER.T, request.exptime)
    if (request.details) at = writeFlag(out, writeFlag(out, at, LETTER.c), LETTER.t)
    at = writeFlag(out, at, LETTER.v)
    requests.at = writeLineEnd(out, writeOpaque(out, at, operation))
  },

  line(operation: ArithmeticOperation, answers: LineAnswers, buffer: Buffer, start: number, end: number): number {
    if (!readReply(operation, answers, buffer, start, end)) return answers.unexpected(operation, buffer, start, end)
    const { code, valueLength } = answers.reply
    if (code === MetaCode.VA) return valueLength
    operation.finish(NO_COUNTER)
    return DONE
  },

  value(operation: ArithmeticOperation, _answers: LineAnswers, buffer: Buffer, start: number, end: number): void {
    operation.digits = buffer.toString('latin1', start, end)
  },

  valueEnd(operation: ArithmeticOperation, { reply }: LineAnswers): number {
    const ttlSeconds = reply.ttlSeconds === -1 ? Infinity : reply.ttlSeconds
    operation.finish({ digits: operation.digits, casUnique: reply.casUnique.toBigInt(), ttlSeconds })
    return DONE
  },
}
