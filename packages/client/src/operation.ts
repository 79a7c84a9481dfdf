import {
  isEnd,
  MetaCode,
  parseErrorLine,
  parseMetaReply,
  parseValueLine,
  MetaReply,
  ValueLine,
  MemcacheDecodeError,
  MemcacheProtocolError,
  MemcacheServerError,
  MemcacheTooLargeError,
  MemcacheUnsupportedError,
} from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import type { ValueReader } from './values/value-codec.ts'

/** What an operation says of a line that was handed to it: its answer is complete. */
export const DONE = -1
/** More lines belong to it. */
const MORE = -2
/** The line is no answer to it: the stream can no longer be trusted. */
export const DESYNC = -3

/** Records that are refilled by each answer: the client reads one answer at a time. */
const metaReply = new MetaReply()
const valueLine = new ValueLine()

/** What an operation knows of itself for its errors. */
export interface OperationDetails {
  /** The key, as the caller gave it. */
  readonly key?: string | undefined
  /** Whether it may change what is stored, so that a lost answer leaves doubt. */
  readonly writes: boolean
  /** Whether a data block went with it. */
  readonly sendsValue?: boolean
}

/** A request that was sent, waiting for its answer. It settles once; an answer that comes later is read and forgotten. */
export abstract class Operation {
  readonly key: string | undefined
  readonly writes: boolean
  /** When it is given up, in the milliseconds of `performance.now()`. */
  deadline = 0
  timeoutMs = 0
  /** When it was handed to the connection, by the same clock. */
  sentAt = 0
  /** Whether it was given up and its answer is still out. */
  isOverdue = false
  settled = false
  /** Takes the listener off the caller's signal. */
  release: (() => void) | undefined
  readonly #sendsValue: boolean
  readonly #reject: (error: unknown) => void

  constructor(details: OperationDetails, reject: (error: unknown) => void) {
    this.key = details.key
    this.writes = details.writes
    this.#sendsValue = details.sendsValue ?? false
    this.#reject = reject
  }

  /** A line of the answer: `DONE`, `MORE`, `DESYNC`, or the length of the data block behind it. */
  abstract line(buffer: Buffer, start: number, end: number, server: string): number
  /** A piece of the data block. */
  abstract data(buffer: Buffer, start: number, end: number, offset: number): void
  /** The data block is complete: `DONE` or `MORE`. */
  abstract dataEnd(): number

  fail(error: unknown): void {
    if (this.settled) return
    this.settled = true
    this.release?.()
    this.#reject(error)
  }

  /** To be called before resolving; returns whether it still may. */
  protected settle(): boolean {
    if (this.settled) return false
    this.settled = true
    this.release?.()
    return true
  }

  /** Fails by an error line; anything else is no answer at all. */
  protected unexpected(buffer: Buffer, start: number, end: number, server: string): number {
    const error = parseErrorLine(buffer, start, end)
    if (error === undefined) {
      const line = buffer.toString('latin1', start, Math.min(end, start + 80))
      this.fail(
        new MemcacheProtocolError(
          `${server} answered what nobody asked: ${JSON.stringify(line)}`,
          this.#details(server),
        ),
      )
      return DESYNC
    }
    this.fail(serverError(error.kind, error.message, server, this.#details(server)))
    // After a refused line nobody knows whether its data block was read as commands.
    return error.kind === 'SERVER_ERROR' || !this.#sendsValue ? DONE : DESYNC
  }

  #details(server: string) {
    return { server, key: this.key }
  }
}

function serverError(
  kind: string,
  message: string,
  server: string,
  details: { server: string; key: string | undefined },
): MemcacheError {
  if (message.startsWith('object too large')) {
    return new MemcacheTooLargeError(
      `${server} refused a value over its item limit: raise it with -I, or store less under one key`,
      details,
    )
  }
  if (kind === 'ERROR' && message === '') {
    return new MemcacheUnsupportedError(
      `${server} does not know the command: it is older than memcached 1.6, or a proxy without meta commands`,
      details,
    )
  }
  return new MemcacheServerError(`${server} answered ${kind} ${message}`.trimEnd(), details)
}

function decodeError(error: unknown, key: string | undefined): MemcacheDecodeError {
  const reason = error instanceof Error ? error.message : String(error)
  return new MemcacheDecodeError(key === undefined ? reason : `${key}: ${reason}`, { key, cause: error })
}

/** A meta command: one line, for a hit with a value a data block behind it. */
export class MetaOperation<Result> extends Operation {
  readonly #build: (reply: MetaReply, value: unknown) => Result
  readonly #resolve: (result: Result) => void
  readonly #values: ValueReader | undefined
  #bytes: Buffer | undefined
  #value: unknown

  /** @param build makes the result of the answer; what it throws fails the operation. */
  constructor(
    details: OperationDetails,
    values: ValueReader | undefined,
    build: (reply: MetaReply, value: unknown) => Result,
    resolve: (result: Result) => void,
    reject: (error: unknown) => void,
  ) {
    super(details, reject)
    this.#values = values
    this.#build = build
    this.#resolve = resolve
  }

  line(buffer: Buffer, start: number, end: number, server: string): number {
    if (!parseMetaReply(metaReply, buffer, start, end)) return this.unexpected(buffer, start, end, server)
    if (metaReply.code === MetaCode.VA) return metaReply.valueLength
    this.#finish(undefined)
    return DONE
  }

  data(buffer: Buffer, start: number, end: number, offset: number): void {
    if (this.settled) return
    const length = metaReply.valueLength
    if (offset === 0 && end - start === length) {
      this.#decode(buffer, start, end)
      return
    }
    // The value comes in pieces: gathered in memory that is allocated once.
    this.#bytes ??= Buffer.allocUnsafe(length)
    buffer.copy(this.#bytes, offset, start, end)
    if (offset + end - start === length) this.#decode(this.#bytes, 0, length)
  }

  dataEnd(): number {
    if (metaReply.valueLength === 0 && !this.settled && !isStub(metaReply)) this.#decode(EMPTY, 0, 0)
    this.#finish(this.#value)
    return DONE
  }

  #decode(buffer: Buffer, start: number, end: number): void {
    try {
      this.#value = this.#values?.read(buffer, start, end, metaReply.clientFlags)
    } catch (error) {
      this.fail(decodeError(error, this.key))
    }
  }

  #finish(value: unknown): void {
    if (!this.settled) {
      try {
        const result = this.#build(metaReply, value)
        if (this.settle()) this.#resolve(result)
      } catch (error) {
        this.fail(error)
      }
    }
  }
}

const EMPTY = Buffer.alloc(0)

/** An item that a lease made and nobody has filled: empty, without flags, and somebody has the right to fill it. */
export function isStub(reply: MetaReply): boolean {
  return reply.valueLength <= 0 && reply.size === 0 && reply.clientFlags === 0 && (reply.won || reply.lost)
}

/** A classic `get` of several keys: VALUE lines with their blocks, then END. */
export class MultiGetOperation extends Operation {
  readonly #values: ValueReader
  readonly #hit: (key: string, value: unknown) => void
  readonly #resolve: () => void
  #wireKey = ''
  #bytes: Buffer | undefined

  constructor(
    values: ValueReader,
    hit: (wireKey: string, value: unknown) => void,
    resolve: () => void,
    reject: (error: unknown) => void,
  ) {
    super({ writes: false }, reject)
    this.#values = values
    this.#hit = hit
    this.#resolve = resolve
  }

  line(buffer: Buffer, start: number, end: number, server: string): number {
    if (parseValueLine(valueLine, buffer, start, end)) {
      if (!this.settled) this.#wireKey = buffer.toString('utf8', valueLine.keyStart, valueLine.keyEnd)
      return valueLine.valueLength
    }
    if (!isEnd(buffer, start, end)) return this.unexpected(buffer, start, end, server)
    if (this.settle()) this.#resolve()
    return DONE
  }

  data(buffer: Buffer, start: number, end: number, offset: number): void {
    if (this.settled) return
    const length = valueLine.valueLength
    if (offset === 0 && end - start === length) {
      this.#take(buffer, start, end)
      return
    }
    this.#bytes ??= Buffer.allocUnsafe(length)
    buffer.copy(this.#bytes, offset, start, end)
    if (offset + end - start === length) this.#take(this.#bytes, 0, length)
  }

  dataEnd(): number {
    if (valueLine.valueLength === 0 && !this.settled) this.#take(EMPTY, 0, 0)
    this.#bytes = undefined
    return MORE
  }

  #take(buffer: Buffer, start: number, end: number): void {
    try {
      this.#hit(this.#wireKey, this.#values.read(buffer, start, end, valueLine.clientFlags))
    } catch (error) {
      this.fail(decodeError(error, this.#wireKey))
    }
  }
}

/** A command whose answer is lines of text up to `END`, or one line. */
export class LinesOperation extends Operation {
  readonly #lines: string[] = []
  readonly #untilEnd: boolean
  readonly #resolve: (lines: string[]) => void

  constructor(
    details: OperationDetails,
    untilEnd: boolean,
    resolve: (lines: string[]) => void,
    reject: (error: unknown) => void,
  ) {
    super(details, reject)
    this.#untilEnd = untilEnd
    this.#resolve = resolve
  }

  line(buffer: Buffer, start: number, end: number, server: string): number {
    if (this.#untilEnd && isEnd(buffer, start, end)) return this.#finish()
    if (parseErrorLine(buffer, start, end) !== undefined) return this.unexpected(buffer, start, end, server)
    this.#lines.push(buffer.toString('latin1', start, end))
    return this.#untilEnd ? MORE : this.#finish()
  }

  data(): void {}

  dataEnd(): number {
    return MORE
  }

  #finish(): number {
    if (this.settle()) this.#resolve(this.#lines)
    return DONE
  }
}
