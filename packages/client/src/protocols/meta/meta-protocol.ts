import { MetaCode, writeFlag, writeIntFlag, writeLineEnd, writeUint, writeUint64Flag } from 'memcache-ts-protocol'
import type { Uint64 } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import type { RetrievalOperation, RetrievalRequest } from '../../operations/retrieval-operation.ts'
import { DESYNC, DONE } from '../line/line-codec.ts'
import { LinesCodec, writeStore } from '../line/shared-codecs.ts'
import type { LineCodec, LineResponses } from '../line/line-codec.ts'
import { readMetaResponse, writeCommand, writeCommandAndKey, writeKeyFlag, writeOpaque } from './meta-response.ts'
import type {
  ArithmeticOperation,
  DeleteOperation,
  DeleteStatus,
  StoreOperation,
  StoreStatus,
} from '../../operations/write-operations.ts'
import { counterDigits, MAX_COUNTER_BYTES, NO_COUNTER } from '../../operations/write-operations.ts'
import { KeyListCodec, LineProtocol } from '../line/line-protocol.ts'

const SPACE = 32
/** The commands and flags, as bytes. */
const LETTER = {
  a: 97,
  c: 99,
  d: 100,
  f: 102,
  g: 103,
  h: 104,
  l: 108,
  s: 115,
  t: 116,
  u: 117,
  v: 118,
  x: 120,
  C: 67,
  D: 68,
  E: 69,
  F: 70,
  I: 73,
  J: 74,
  M: 77,
  N: 78,
  R: 82,
  T: 84,
} as const

/** The cas uniques of a request. */
interface CasFlags {
  readonly compareCas?: Uint64 | undefined
  readonly newCas?: Uint64 | undefined
}

function writeCasFlags(out: Buffer, start: number, { compareCas, newCas }: CasFlags): number {
  const at = compareCas === undefined ? start : writeUint64Flag(out, start, LETTER.C, compareCas)
  return newCas === undefined ? at : writeUint64Flag(out, at, LETTER.E, newCas)
}

/** mg (protocol.txt, "Meta Get"). */
const metaRetrieval: LineCodec<RetrievalOperation> = {
  write(operation: RetrievalOperation, requests: RequestBuffer): void {
    const { request, wireKey } = operation
    const out = requests.buffer
    let at = writeCommand(out, requests.at, LETTER.g, wireKey)
    if (request.touchExptime !== undefined) at = writeIntFlag(out, at, LETTER.T, request.touchExptime)
    if (request.vivifySeconds !== undefined) at = writeIntFlag(out, at, LETTER.N, request.vivifySeconds)
    if (request.recacheSeconds !== undefined) at = writeIntFlag(out, at, LETTER.R, request.recacheSeconds)
    at = writeCasFlags(out, at, request)
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
    if (!isOutcomeOf(operation.request, meta.code)) return responses.unexpected(operation, buffer, start, end)
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

/** Returns whether a response without a value may belong to a request: an item that has one is sent with it. */
function isOutcomeOf({ value, compareCas }: RetrievalRequest, code: number): boolean {
  return code === MetaCode.EN || (code === MetaCode.HD && (!value || compareCas !== undefined))
}

const MODES = { set: 83, add: 69, replace: 82, append: 65, prepend: 80 } as const

const STORE_STATUS: Readonly<Record<number, StoreStatus>> = {
  [MetaCode.HD]: 'stored',
  [MetaCode.NS]: 'notStored',
  [MetaCode.EX]: 'exists',
  [MetaCode.NF]: 'notFound',
}

/** ms (protocol.txt, "Meta Set"). */
const metaStore: LineCodec<StoreOperation> = {
  write(operation: StoreOperation, requests: RequestBuffer): void {
    writeStore(operation, requests, writeLine)
  },
  readLine(operation: StoreOperation, responses: LineResponses, buffer: Buffer, start: number, end: number): number {
    const status = readMetaResponse(operation, responses.meta, buffer, start, end)
      ? STORE_STATUS[responses.meta.code]
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
  at = writeCasFlags(out, at, conditions)
  if (conditions.vivifyExptime !== undefined) at = writeIntFlag(out, at, LETTER.N, conditions.vivifyExptime)
  if (conditions.invalidate === true) at = writeFlag(out, at, LETTER.I)
  requests.at = writeLineEnd(out, writeOpaque(out, at, operation))
}

const DELETE_STATUS: Readonly<Record<number, DeleteStatus>> = {
  [MetaCode.HD]: 'deleted',
  [MetaCode.EX]: 'exists',
  [MetaCode.NF]: 'notFound',
}

/** md (protocol.txt, "Meta Delete"). */
const metaDelete: LineCodec<DeleteOperation> = {
  write(operation: DeleteOperation, requests: RequestBuffer): void {
    const { request } = operation
    const out = requests.buffer
    let at = writeCommand(out, requests.at, LETTER.d, operation.wireKey)
    at = writeCasFlags(out, at, request)
    if (request.invalidate === true) at = writeFlag(out, at, LETTER.I)
    if (request.removeValue === true) at = writeFlag(out, at, LETTER.x)
    if (request.exptime !== undefined) at = writeIntFlag(out, at, LETTER.T, request.exptime)
    requests.at = writeLineEnd(out, writeOpaque(out, at, operation))
  },

  readLine(operation: DeleteOperation, responses: LineResponses, buffer: Buffer, start: number, end: number): number {
    const status = readMetaResponse(operation, responses.meta, buffer, start, end)
      ? DELETE_STATUS[responses.meta.code]
      : undefined
    if (status === undefined) return responses.unexpected(operation, buffer, start, end)
    operation.finish(status)
    return DONE
  },
}

const NO_COUNTER_CODES: ReadonlySet<number> = new Set([MetaCode.NF, MetaCode.NS, MetaCode.EX, MetaCode.EN])

/** ma (protocol.txt, "Meta Arithmetic"). */
const metaArithmetic: LineCodec<ArithmeticOperation> = {
  write(operation: ArithmeticOperation, requests: RequestBuffer): void {
    const { request } = operation
    const out = requests.buffer
    let at = writeCommand(out, requests.at, LETTER.a, operation.wireKey)
    if (request.vivifyExptime !== undefined) at = writeIntFlag(out, at, LETTER.N, request.vivifyExptime)
    if (request.initial !== undefined) at = writeUint64Flag(out, at, LETTER.J, request.initial)
    at = writeUint64Flag(out, at, LETTER.D, request.delta)
    if (request.mode === 'decr') {
      at = writeFlag(out, at, LETTER.M)
      out[at++] = LETTER.D
    }
    at = writeCasFlags(out, at, request)
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
    if (code === MetaCode.VA) return valueLength > MAX_COUNTER_BYTES ? DESYNC : valueLength
    // The value was requested, so that HD is no response either.
    if (!NO_COUNTER_CODES.has(code)) return responses.unexpected(operation, buffer, start, end)
    operation.finish(NO_COUNTER)
    return DONE
  },

  readValue(
    operation: ArithmeticOperation,
    responses: LineResponses,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    operation.digits = counterDigits(buffer.toString('latin1', start, end))
    if (operation.digits === undefined) responses.unexpected(operation, buffer, start, end)
  },

  endValue(operation: ArithmeticOperation, { meta }: LineResponses): number {
    const ttlSeconds = meta.ttlSeconds === -1 ? Infinity : meta.ttlSeconds
    operation.finish({ digits: operation.digits, casUnique: meta.casUnique.toBigInt(), ttlSeconds })
    return DONE
  },
}

function metaWith(keyList: KeyListCodec): LineProtocol {
  return new LineProtocol('meta', {
    keyList,
    retrieval: metaRetrieval,
    store: metaStore,
    delete: metaDelete,
    arithmetic: metaArithmetic,
    lines: new LinesCodec({ hasMeta: true }),
  })
}

/** The meta commands, and classic `get` for many keys, which is faster (protocol.txt, "Meta Commands"). */
export const metaProtocol = metaWith(new KeyListCodec('distinguished'))

/** For memcached's own proxy as of 1.6.18, which fails on `mn` and loses hits of a `get` of several keys. */
export const metaProxyProtocol = metaWith(new KeyListCodec('distinguished', { oneKeyALine: true }))
