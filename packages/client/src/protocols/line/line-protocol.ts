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
import type { OperationOf, Protocol, ProtocolName, ResponseReader, ResponseSink } from '../protocol.ts'
import { DESYNC, DONE, MORE } from './line-codec.ts'
import type { FailingOperation, LineCodec, LineResponses } from './line-codec.ts'
import { serverError } from '../refusals.ts'
import type { RequestBuffer } from '../../connection/link.ts'
import type { KeyListOperation } from '../../operations/key-list-operation.ts'
import type { Operation, OperationKind } from '../../operations/operation.ts'
import { LENT } from '../../values/value-codec.ts'

/** A codec for each kind of operation. */
export type LineCodecs = { readonly [Kind in OperationKind]: LineCodec<OperationOf[Kind]> }

/** The classic text protocol or the meta protocol. */
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

/** The maximum length of a response line: the longest valid lines are the configurations of large clusters. */
const MAX_RESPONSE_LINE_BYTES = 64 * 1024
/** The length of the excerpt of an invalid response in an error. */
const EXCERPT_LENGTH = 80
const EMPTY = Buffer.alloc(0)
/** The maximum size of values that are gathered in the shared memory. */
const LENT_BYTES = 256 * 1024

/**
 * Memory that all connections share, for one value that is received in pieces and copied when it is read, such as text.
 * If another connection uses the memory, a connection allocates its own.
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

/** Reads the responses of one connection in the text or meta protocol. */
class LineReader implements ResponseReader, LineResponses, FrameHandler {
  // The current response: one per connection, since those of others may arrive between its line and its value.
  readonly meta = new MetaResponse()
  readonly classic = new ClassicItemResponse()
  readonly valueLine = new ValueLine()
  readonly #sink: ResponseSink
  readonly #frames = new FrameReader(this, MAX_RESPONSE_LINE_BYTES)
  /**
   * A value that is received in pieces: in its own memory, or in the shared memory if its bytes are copied when they
   * are read.
   */
  #gathered: Buffer | undefined
  #isLent = false
  /** A whole value in the received memory. */
  #direct: Buffer | undefined
  #directStart = 0
  #valueLength = 0
  /** Whether a line of the first operation's response was received. */
  #begun = false

  constructor(sink: ResponseSink) {
    this.#sink = sink
  }

  push(buffer: Buffer, start: number, end: number): void {
    this.#frames.push(buffer, start, end)
    // The value's end was not received yet, and the memory is valid only during this call.
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
    if (operation === undefined) return this.#unrequested(buffer, start, end)
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

  /** Handles a line without a request: a server without free connections sends one, and hangs up. */
  #unrequested(buffer: Buffer, start: number, end: number): number {
    const { server } = this.#sink
    const sent = this.#excerpt(buffer, start, end)
    const error = parseErrorLine(buffer, start, end)
    const refusal = error && serverError(error.kind, this.#sink.redact(error.message), { server, retryable: true })
    return this.#desync(`sent ${sent} although nothing was requested`, refusal)
  }

  data(buffer: Buffer, start: number, end: number, offset: number): void {
    if (offset === 0 && end - start === this.#valueLength) {
      this.#direct = buffer
      this.#directStart = start
      return
    }
    // Nothing is allocated or kept for an abandoned request.
    if (this.#sink.first()!.settled) {
      this.#forget()
      return
    }
    if (offset === 0) this.#beginGathering()
    else if (this.#gathered === undefined) return
    if (!this.#isLent) this.#gathered = blockMemory(this.#gathered, offset + end - start, this.#valueLength)
    buffer.copy(this.#gathered!, offset, start, end)
  }

  /** Begins a value that is received in pieces. If its bytes are copied when they are read, no memory is allocated. */
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

  /** Reads the value if it ends at its stated length; otherwise bytes were inserted or lost. */
  dataEnd(terminated: boolean): number {
    if (!terminated) return this.#desync('sent a value that does not end at its stated length')
    const operation = this.#sink.first()!
    const codec = operation.codec!
    const length = this.#valueLength
    const direct = this.#direct
    const gathered = this.#gathered
    this.#direct = undefined
    if (direct !== undefined) {
      codec.readValue!(operation, this, direct, this.#directStart, this.#directStart + length, LENT)
    } else if (gathered !== undefined) {
      codec.readValue!(operation, this, gathered, 0, length, !this.#isLent)
      this.#forget()
    } else if (length === 0) {
      codec.readValue!(operation, this, EMPTY, 0, 0, LENT)
    }
    if (codec.endValue!(operation, this) === DONE) this.#finished()
    return NONE
  }

  longLine(): boolean {
    this.#desync('sent a line that does not end: it is not memcached')
    return false
  }

  /** Fails an operation by an error line; any other line is not a response. */
  unexpected(operation: FailingOperation, buffer: Buffer, start: number, end: number): number {
    const { server } = this.#sink
    const details = { server, key: operation.key }
    const error = parseErrorLine(buffer, start, end)
    if (error === undefined) {
      const sent = this.#excerpt(buffer, start, end)
      operation.fail(new MemcacheProtocolError(`${server} sent an invalid response: ${sent}`, details))
      return DESYNC
    }
    operation.fail(serverError(error.kind, this.#sink.redact(error.message), details))
    // After a refused line it is unknown whether its data block was read as commands.
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
/** The maximum length of a request line: hosted servers and proxies refuse longer lines (nutcracker's mbuf is 16 KiB). */
const MAX_LINE_BYTES = 16_000
/** The length of the command and the line end. */
const LINE_BYTES = 6

/**
 * Whether an empty value with client flags 0 may be an unfilled lease: `none` if the server has no leases; otherwise
 * meta commands distinguish a lease from a value, and classic commands do not.
 */
export type Leases = 'distinguished' | 'undistinguished' | 'none'

/** Classic `get` and `gets` of many keys: VALUE lines with their blocks, then END (protocol.txt, "Retrieval command"). */
export class KeyListCodec implements LineCodec<KeyListOperation> {
  readonly #leases: Leases
  /** The length from which a line gets no further key. */
  readonly #fullBytes: number

  /** @param oneKeyALine true for servers that lose hits of a line with several keys. */
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

  /** Counts the end of one line's response. */
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
    if (mayBeLease && this.#leases === 'distinguished') operation.takeEmpty()
    else if (mayBeLease) operation.takeUncertain(buffer, start)
    else operation.take(buffer, start, end, clientFlags, owned)
  }

  endValue(): number {
    return MORE
  }
}
