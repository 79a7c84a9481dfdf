import {
  FrameReader,
  MemcacheProtocolError,
  MetaReply,
  NONE,
  parseErrorLine,
  STOP,
  ValueLine,
} from 'memcache-ts-protocol'
import type { FrameHandler } from 'memcache-ts-protocol'
import type { Operation } from '../operations/operation.ts'
import type { AnswerReader, AnswerSink } from './dialect.ts'
import { DESYNC, DONE } from './line-exchange.ts'
import type { LineExchange } from './line-exchange.ts'
import { serverError } from './server-error.ts'

/** The longest lines are those of a large cluster's configuration; longer is no memcached. */
const MAX_REPLY_LINE_BYTES = 64 * 1024
const EMPTY = Buffer.alloc(0)

/** Reads the answers of one connection in a dialect of lines, text or meta. */
export class LineAnswers implements AnswerReader, FrameHandler {
  /** The answer that is being read: one a connection, since another's may come between its line and its value. */
  readonly reply = new MetaReply()
  readonly valueLine = new ValueLine()
  readonly #sink: AnswerSink
  readonly #frames = new FrameReader(this, MAX_REPLY_LINE_BYTES)
  /** A value that came in pieces; its memory is allocated once. */
  #gathered: Buffer | undefined
  /** A value that lies in the memory that is being read, whole. */
  #direct: Buffer | undefined
  #directStart = 0
  #valueLength = 0

  constructor(sink: AnswerSink) {
    this.#sink = sink
  }

  push(buffer: Buffer, start: number, end: number): void {
    this.#frames.push(buffer, start, end)
    // Its end has not come yet, and the memory is lent for this call alone.
    if (this.#direct !== undefined) this.#gatherDirect()
  }

  stop(): void {
    this.#frames.stop()
  }

  line(buffer: Buffer, start: number, end: number): number {
    const operation = this.#sink.first()
    if (operation === undefined) {
      return this.#doubt(`sent ${excerpt(buffer, start, end)} although nothing was asked`)
    }
    const next = this.#exchange(operation).line(operation as never, this, buffer, start, end)
    if (next >= 0) {
      this.#valueLength = next
      return next
    }
    if (next === DONE) this.#sink.finished()
    else if (next === DESYNC) return this.#doubt('sent an answer that does not fit the question')
    return NONE
  }

  data(buffer: Buffer, start: number, end: number, offset: number): void {
    if (offset === 0 && end - start === this.#valueLength) {
      this.#direct = buffer
      this.#directStart = start
      return
    }
    // Who gave up wants no memory for it.
    if (this.#gathered === undefined && this.#sink.first()!.settled) return
    this.#gathered ??= Buffer.allocUnsafeSlow(this.#valueLength)
    buffer.copy(this.#gathered, offset, start, end)
  }

  /** Only a value that ends where it said is handed on: what was put into it or left out shows here. */
  dataEnd(terminated: boolean): number {
    if (!terminated) return this.#doubt('sent a value that does not end where it said')
    const operation = this.#sink.first()!
    const exchange = this.#exchange(operation)
    const length = this.#valueLength
    const direct = this.#direct
    const gathered = this.#gathered
    this.#direct = undefined
    this.#gathered = undefined
    if (direct !== undefined) {
      exchange.value!(operation as never, this, direct, this.#directStart, this.#directStart + length, false)
    } else if (gathered !== undefined) {
      exchange.value!(operation as never, this, gathered, 0, length, true)
    } else if (length === 0) {
      exchange.value!(operation as never, this, EMPTY, 0, 0, false)
    }
    if (exchange.valueEnd!(operation as never, this) === DONE) this.#sink.finished()
    return NONE
  }

  longLine(): boolean {
    this.#doubt('sent an endless line: it is no memcached')
    return false
  }

  /** Fails an operation by an error line; anything else is no answer at all. */
  unexpected(operation: Operation, buffer: Buffer, start: number, end: number): number {
    const { server } = this.#sink
    const details = { server, key: operation.key }
    const error = parseErrorLine(buffer, start, end)
    if (error === undefined) {
      const said = excerpt(buffer, start, end)
      operation.fail(new MemcacheProtocolError(`${server} answered what nobody asked: ${said}`, details))
      return DESYNC
    }
    operation.fail(serverError(error.kind, error.message, server, details))
    // After a refused line nobody knows whether its data block was read as commands.
    return error.kind === 'SERVER_ERROR' || !operation.sendsValue ? DONE : DESYNC
  }

  #gatherDirect(): void {
    const { length } = (this.#gathered = Buffer.allocUnsafeSlow(this.#valueLength))
    this.#direct!.copy(this.#gathered, 0, this.#directStart, this.#directStart + length)
    this.#direct = undefined
  }

  #exchange(operation: Operation): LineExchange {
    return operation.exchange!
  }

  #doubt(what: string): number {
    this.#sink.doubt(`${this.#sink.server} ${what}`)
    return STOP
  }
}

function excerpt(buffer: Buffer, start: number, end: number): string {
  return JSON.stringify(buffer.toString('latin1', start, Math.min(end, start + 80)))
}
