import { MetaCode, writeFlag, writeIntFlag, writeLineEnd, writeUint64Flag } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import type { RetrievalOperation } from '../../operations/retrieval-operation.ts'
import { DONE } from '../line/line-codec.ts'
import type { LineCodec, LineResponses } from '../line/line-codec.ts'
import { readMetaResponse, writeCommandAndKey, writeKeyFlag, writeOpaque } from './meta-response.ts'

const LETTER = {
  c: 99,
  f: 102,
  g: 103,
  h: 104,
  l: 108,
  s: 115,
  t: 116,
  u: 117,
  v: 118,
  C: 67,
  E: 69,
  N: 78,
  R: 82,
  T: 84,
} as const

/** mg (protocol.txt, "Meta Get"). */
export const metaRetrieval: LineCodec<RetrievalOperation> = {
  write(operation: RetrievalOperation, requests: RequestBuffer): void {
    const { request, wireKey } = operation
    const out = requests.buffer
    let at = writeCommandAndKey(out, requests.at, LETTER.g, wireKey)
    at = writeKeyFlag(out, at, wireKey)
    if (request.touchExptime !== undefined) at = writeIntFlag(out, at, LETTER.T, request.touchExptime)
    if (request.vivifySeconds !== undefined) at = writeIntFlag(out, at, LETTER.N, request.vivifySeconds)
    if (request.recacheSeconds !== undefined) at = writeIntFlag(out, at, LETTER.R, request.recacheSeconds)
    if (request.newCas !== undefined) at = writeUint64Flag(out, at, LETTER.E, request.newCas)
    if (request.compareCas !== undefined) at = writeUint64Flag(out, at, LETTER.C, request.compareCas)
    if (request.casUnique === true) at = writeFlag(out, at, LETTER.c)
    if (request.details === true) at = writeFlag(out, writeFlag(out, at, LETTER.s), LETTER.t)
    if (request.access === true) at = writeFlag(out, writeFlag(out, at, LETTER.h), LETTER.l)
    if (request.noBump === true) at = writeFlag(out, at, LETTER.u)
    at = writeFlag(out, at, LETTER.f)
    if (request.value) at = writeFlag(out, at, LETTER.v)
    requests.at = writeLineEnd(out, writeOpaque(out, at, operation))
  },

  readLine(
    operation: RetrievalOperation,
    responses: LineResponses,
    buffer: Buffer,
    start: number,
    end: number,
  ): number {
    if (!readMetaResponse(operation, responses.meta, buffer, start, end))
      return responses.unexpected(operation, buffer, start, end)
    const { meta } = responses
    if (meta.code === MetaCode.VA) return meta.valueLength
    operation.finish(meta)
    return DONE
  },

  copiesValue: (operation: RetrievalOperation, { meta }: LineResponses) => operation.copiesValue(meta.clientFlags),

  readValue(
    operation: RetrievalOperation,
    responses: LineResponses,
    buffer: Buffer,
    start: number,
    end: number,
    owned: boolean,
  ): void {
    operation.take(responses.meta, buffer, start, end, owned)
  },

  endValue(operation: RetrievalOperation, responses: LineResponses): number {
    operation.finish(responses.meta)
    return DONE
  },
}
