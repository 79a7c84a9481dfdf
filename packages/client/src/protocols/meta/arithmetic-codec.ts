import { MetaCode, writeFlag, writeIntFlag, writeLineEnd, writeUint64Flag } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import { NO_COUNTER } from '../../operations/arithmetic-operation.ts'
import type { ArithmeticOperation } from '../../operations/arithmetic-operation.ts'
import { DONE } from '../line/line-codec.ts'
import type { LineCodec, LineResponses } from '../line/line-codec.ts'
import { readMetaResponse, writeCommandAndKey, writeKeyFlag, writeOpaque } from './meta-response.ts'

const LETTER = { a: 97, c: 99, t: 116, v: 118, C: 67, D: 68, E: 69, J: 74, M: 77, N: 78, T: 84 } as const

/** ma (protocol.txt, "Meta Arithmetic"). */
export const metaArithmetic: LineCodec<ArithmeticOperation> = {
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

  readLine(
    operation: ArithmeticOperation,
    responses: LineResponses,
    buffer: Buffer,
    start: number,
    end: number,
  ): number {
    if (!readMetaResponse(operation, responses.meta, buffer, start, end))
      return responses.unexpected(operation, buffer, start, end)
    const { code, valueLength } = responses.meta
    if (code === MetaCode.VA) return valueLength
    operation.finish(NO_COUNTER)
    return DONE
  },

  readValue(
    operation: ArithmeticOperation,
    _responses: LineResponses,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    operation.digits = buffer.toString('latin1', start, end)
  },

  endValue(operation: ArithmeticOperation, { meta }: LineResponses): number {
    const ttlSeconds = meta.ttlSeconds === -1 ? Infinity : meta.ttlSeconds
    operation.finish({ digits: operation.digits, casUnique: meta.casUnique.toBigInt(), ttlSeconds })
    return DONE
  },
}
