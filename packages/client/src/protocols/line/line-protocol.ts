import {
  blockMemory,
  FrameReader,
  isEnd,
  MAX_VALUE_BYTES,
  MemcacheProtocolError,
  NONE,
  parseErrorLine,
  parseValueLine,
  STOP,
  ValueLine,
  writeLineEnd,
  writeRequestKey,
  writeWord,
} from 'memcache-ts-protocol'
import type { FrameHandler, MemcacheError } from 'memcache-ts-protocol'
import { ClassicItemResponse } from '../../operations/item-response.ts'
import { MetaResponse } from '../meta/meta-response.ts'
import type { Protocol, ProtocolName, ResponseReader, ResponseSink } from '../protocol.ts'
import { DESYNC, DONE, MORE } from './line-codec.ts'
import type { FailingOperation, LineCodec, LineResponses } from './line-codec.ts'
import { serverError } from '../refusals.ts'
import type { RequestBuffer } from '../../connection/link.ts'
import type { KeyListOperation } from '../../operations/key-list-operation.ts'
import type { OperationOf } from '../../operations/operation-kinds.ts'
import type { Operation, OperationKind } from '../../operations/operation.ts'

/** A codec for each kind of operation. */
export type LineCodecs = { readonly [Kind in OperationKind]: LineCodec<OperationOf[Kind]> }

/** A protocol of lines: classic text or meta. */
export class LineProtocol implements Protocol {
  readonly name: ProtocolName
  readonly #codecs: LineCodecs

  constructor(name: ProtocolName, codecs: LineCodecs) {
    this.name = name
    this.#codecs = codecs
  }

  readerFor(sink: ResponseSink): ResponseReader {
    return new LineReader(sink)
  }

  write(operation: Operation, requests: RequestBuffer): void {
    const codec: LineCodec<Operation> = this.#codecs[operation.kind]
    requests.room()
    codec.write(operation, requests)
    operation.codec = codec
  }
}

/** The longest lines are those of a large cluster's configuration; longer is no memcached. */
const MAX_REPLY_LINE_BYTES = 64 * 1024
/** How much of a response that makes no sense an error shows. */
const EXCERPT_LENGTH = 80
const EMPTY = Buffer.alloc(0)
/** Values up to this size may be gathered in the lent memory. */
const LENT_BYTES = 256 * 1024

/**
 * Memory of the process for one value that comes in pieces and is copied when it is read, such as text. A connection
 * that begins such a value while another has the memory allocates its own.
 */
class LentMemory {
  #memory: Buffer | undefined
  #isTaken = false

  take(): Buffer | undefined {
    if (this.#isTaken) return undefined
    this.#isTaken = true
    this.#memory ??= Buffer.allocUnsafeSlow(LENT_BYTES)
    return this.#memory
  }

  giveBack(): void {
    this.#isTaken = false
  }
}

const lentMemory = new LentMemory()

/** Reads the responses of one connection in a protocol of lines, text or meta. */
class LineReader implements ResponseReader, LineResponses, FrameHandler {
  // The response that is being read: one a connection, since another's may come between its line and its value.
  readonly meta = new MetaResponse()
  readonly classic = new ClassicItemResponse()
  readonly valueLine = new ValueLine()
  readonly #sink: ResponseSink
  readonly #frames = new FrameReader(this, MAX_REPLY_LINE_BYTES)
  /**
   * A value that comes in pieces: in memory of its own, or in the lent memory if its bytes are copied when they are
   * read.
   */
  #gathered: Buffer | undefined
  #isLent = false
  /** A whole value in the received memory. */
  #direct: Buffer | undefined
  #directStart = 0
  #valueLength = 0
  /** Whether the first operation has had a line of its response. */
  #begun = false

  constructor(sink: ResponseSink) {
    this.#sink = sink
  }

  push(buffer: Buffer, start: number, end: number): void {
    this.#frames.push(buffer, start, end)
    // Its end has not come yet, and the memory is lent for this call alone.
    if (this.#direct !== undefined) this.#gatherDirect()
  }

  stop(): void {
    this.#frames.stop()
    this.#forget()
    this.#direct = undefined
  }

  get isMidResponse(): boolean {
    return this.#begun || !this.#frames.atBoundary
  }

  line(buffer: Buffer, start: number, end: number): number {
    const operation = this.#sink.first()
    if (operation === undefined) return this.#unasked(buffer, start, end)
    const next = operation.codec!.readLine(operation, this, buffer, start, end)
    if (next >= 0) {
      if (next > MAX_VALUE_BYTES)
        return this.#desync(`announced a value of ${next} bytes, over memcached's limit of 1 GiB`)
      this.#begun = true
      this.#valueLength = next
      return next
    }
    if (next === DONE) this.#finished()
    else if (next === DESYNC) return this.#desync('sent a response that does not match the request')
    else this.#begun = true
    return NONE
  }

  #finished(): void {
    this.#begun = false
    this.#sink.finished()
  }

  /** A server without free connections says so before any request, and hangs up. */
  #unasked(buffer: Buffer, start: number, end: number): number {
    const { server } = this.#sink
    const said = this.#excerpt(buffer, start, end)
    const error = parseErrorLine(buffer, start, end)
    const refusal =
      error && serverError(error.kind, this.#sink.redact(error.message), server, { server, retryable: true })
    return this.#desync(`sent ${said} although nothing was requested`, refusal)
  }

  data(buffer: Buffer, start: number, end: number, offset: number): void {
    if (offset === 0 && end - start === this.#valueLength) {
      this.#direct = buffer
      this.#directStart = start
      return
    }
    // Nothing is allocated, or kept, for a request that was given up.
    if (this.#sink.first()!.settled) {
      this.#forget()
      return
    }
    if (offset === 0) this.#beginGathering()
    else if (this.#gathered === undefined) return
    if (!this.#isLent) this.#gathered = blockMemory(this.#gathered, offset + end - start, this.#valueLength)
    buffer.copy(this.#gathered!, offset, start, end)
  }

  /** A value of which a part has come. If its bytes are copied when they are read, no memory is allocated for them. */
  #beginGathering(): void {
    const operation = this.#sink.first()!
    const mayLend = this.#valueLength <= LENT_BYTES && operation.codec!.copiesValue?.(operation, this) === true
    this.#gathered = mayLend ? lentMemory.take() : undefined
    this.#isLent = this.#gathered !== undefined
  }

  #forget(): void {
    if (this.#isLent) lentMemory.giveBack()
    this.#isLent = false
    this.#gathered = undefined
  }

  /** Only a value that ends where it said is handed on: what was put into it or left out shows here. */
  dataEnd(terminated: boolean): number {
    if (!terminated) return this.#desync('sent a value that does not end where it said')
    const operation = this.#sink.first()!
    const codec = operation.codec!
    const length = this.#valueLength
    const direct = this.#direct
    const gathered = this.#gathered
    this.#direct = undefined
    if (direct !== undefined) {
      codec.readValue!(operation, this, direct, this.#directStart, this.#directStart + length, false)
    } else if (gathered !== undefined) {
      codec.readValue!(operation, this, gathered, 0, length, !this.#isLent)
      this.#forget()
    } else if (length === 0) {
      codec.readValue!(operation, this, EMPTY, 0, 0, false)
    }
    if (codec.endValue!(operation, this) === DONE) this.#finished()
    return NONE
  }

  longLine(): boolean {
    this.#desync('sent an endless line: it is no memcached')
    return false
  }

  /** Fails an operation by an error line; anything else is no response at all. */
  unexpected(operation: FailingOperation, buffer: Buffer, start: number, end: number): number {
    const { server } = this.#sink
    const details = { server, key: operation.key }
    const error = parseErrorLine(buffer, start, end)
    if (error === undefined) {
      const said = this.#excerpt(buffer, start, end)
      operation.fail(new MemcacheProtocolError(`${server} sent what is no response: ${said}`, details))
      return DESYNC
    }
    operation.fail(serverError(error.kind, this.#sink.redact(error.message), server, details))
    // After a refused line nobody knows whether its data block was read as commands.
    return error.kind === 'SERVER_ERROR' || !operation.sendsValue ? DONE : DESYNC
  }

  #gatherDirect(): void {
    const length = this.#valueLength
    this.#beginGathering()
    this.#gathered ??= Buffer.allocUnsafeSlow(length)
    this.#direct!.copy(this.#gathered, 0, this.#directStart, this.#directStart + length)
    this.#direct = undefined
  }

  #desync(what: string, refusal?: MemcacheError): number {
    this.#sink.desync(`${this.#sink.server} ${what}`, refusal)
    return STOP
  }

  #excerpt(buffer: Buffer, start: number, end: number): string {
    return JSON.stringify(this.#sink.redact(buffer.toString('latin1', start, end)).slice(0, EXCERPT_LENGTH))
  }
}

const SPACE = 32
/** The longest key, and the space before it. */
const KEY_BYTES = 251
/** Of one line: hosted servers and proxies take no longer ones (nutcracker's mbuf is 16 KiB). */
const MAX_LINE_BYTES = 16_000
/** What a line has besides its keys: the word and the line end. */
const LINE_BYTES = 6

/**
 * What an empty value with client flags 0 may be: an unfilled lease if the server has leases, which meta commands tell
 * from a value (`told`) and classic ones do not (`untold`).
 */
export type Leases = 'told' | 'untold' | 'none'

/** Classic `get` and `gets` of many keys: VALUE lines with their blocks, then END (protocol.txt, "Retrieval command"). */
export class KeyListCodec implements LineCodec<KeyListOperation> {
  readonly #leases: Leases
  /** A line of more bytes gets no further key. */
  readonly #fullBytes: number

  /** @param oneKeyALine for servers that lose hits of a line with several keys. */
  constructor(leases: Leases, { oneKeyALine = false } = {}) {
    this.#leases = leases
    this.#fullBytes = oneKeyALine ? LINE_BYTES - 2 : MAX_LINE_BYTES - KEY_BYTES
  }

  write(operation: KeyListOperation, requests: RequestBuffer): void {
    const { wireKeys } = operation
    const word = operation.withCas ? 'gets' : 'get'
    requests.reserve(wireKeys.length * (KEY_BYTES + LINE_BYTES) + LINE_BYTES)
    const out = requests.buffer
    let lineStart = requests.at
    let at = writeWord(out, lineStart, word)
    const fullBytes = this.#fullBytes
    operation.ends = 1
    for (const key of wireKeys) {
      if (at - lineStart > fullBytes) {
        lineStart = writeLineEnd(out, at)
        at = writeWord(out, lineStart, word)
        operation.ends++
      }
      out[at] = SPACE
      at = writeRequestKey(out, at + 1, key)
    }
    requests.at = writeLineEnd(out, at)
  }

  readLine(operation: KeyListOperation, responses: LineResponses, buffer: Buffer, start: number, end: number): number {
    const { valueLine } = responses
    if (parseValueLine(valueLine, buffer, start, end)) {
      return operation.match(buffer, valueLine.keyStart, valueLine.keyEnd) ? valueLine.valueLength : DESYNC
    }
    if (!isEnd(buffer, start, end)) {
      const next = responses.unexpected(operation, buffer, start, end)
      return next === DONE ? this.#ended(operation) : next
    }
    if (this.#ended(operation) === MORE) return MORE
    operation.finish()
    return DONE
  }

  /** One of its lines has its response. */
  #ended(operation: KeyListOperation): number {
    operation.ends--
    return operation.ends > 0 ? MORE : DONE
  }

  copiesValue(operation: KeyListOperation, { valueLine }: LineResponses): boolean {
    return operation.copiesValue(valueLine.clientFlags)
  }

  readValue(
    operation: KeyListOperation,
    responses: LineResponses,
    buffer: Buffer,
    start: number,
    end: number,
    owned: boolean,
  ): void {
    const { clientFlags, casUnique } = responses.valueLine
    if (operation.withCas) operation.casUnique = casUnique.toBigInt()
    const mayBeLease = start === end && clientFlags === 0 && this.#leases !== 'none'
    if (mayBeLease && this.#leases === 'told') operation.takeEmpty()
    else if (mayBeLease) operation.takeUncertain(buffer, start)
    else operation.take(buffer, start, end, clientFlags, owned)
  }

  endValue(): number {
    return MORE
  }
}
