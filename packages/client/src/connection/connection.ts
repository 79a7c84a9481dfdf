import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
// Not the global one, which fake timers replace.
import { setImmediate } from 'node:timers'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import {
  LongTimer,
  MemcacheAuthError,
  MemcacheClosedError,
  MemcacheConnectionError,
  MemcacheError,
  MemcacheProtocolError,
  MemcacheQueueError,
  MemcacheTimeoutError,
} from 'memcache-ts-protocol'
import type { AnswerReader, AnswerSink, Dialect, DialectName } from '../dialects/dialect.ts'
import { errorForKey } from '../operations/error-for-key.ts'
import { GetBatch } from '../operations/get-batch.ts'
import type { GetCall } from '../operations/get-call.ts'
import { LinesOperation } from '../operations/lines-operation.ts'
import type { LinesRequest } from '../operations/lines-operation.ts'
import type { Operation } from '../operations/operation.ts'
import type { ServerAddress } from '../server-address.ts'
import type { ValueReader } from '../values/value-codec.ts'
import { answerComes, isAnswerBeingTaken } from './answer-turn.ts'
import { Backoff } from './backoff.ts'
import { DeadlineTimer } from './deadline-timer.ts'
import { firstDialect, greet } from './greet.ts'
import type { Credentials } from './greet.ts'
import { IdleTimer } from './idle-timer.ts'
import { openStream } from './open-stream.ts'
import { PendingOperations } from './pending-operations.ts'
import { RequestBuffer } from './request-buffer.ts'

/** Credentials that were refused once will be again: not so often that the account is locked. */
const AUTH_RETRY_MS = 10_000

/** A turn of the loop that took longer than this is no part of an operation's time. */
const LONG_TURN_MS = 5

/** Options of a `Connection`. */
export interface ConnectionOptions {
  readonly timeoutMs: number
  readonly connectTimeoutMs: number
  /** A connection on which nothing was asked for this long is closed; `Infinity` is never. */
  readonly idleTimeoutMs: number
  readonly maxQueue: number
  readonly tls: TlsOptions | undefined
  readonly credentials: Credentials | undefined
  readonly protocol: DialectName | 'auto'
}

/** What a connection tells its owner. */
export interface ConnectionObserver {
  connected(): void
  /** It is gone; `error` says why, unless it was closed while nothing was asked. */
  disconnected(error: MemcacheError | undefined): void
  /** It will be tried again after this long. */
  retrying(delayMs: number): void
}

/**
 * The life of a connection:
 *
 *   idle → connecting → ready       by the first operation; operations wait until the server has been greeted
 *   ready → idle                    closed by the server, or its answers are in doubt; the next operation connects again
 *   connecting, ready → down        refused, timed out or talking nonsense: operations fail at once, and in the
 *                                   background one attempt at a time is made until a server answers the greeting
 *   down → ready                    it does
 *   any → closed                    by `close`
 */
type State = 'idle' | 'connecting' | 'ready' | 'down' | 'closed'

/**
 * One pipelined connection to one server. Requests of a turn of the loop leave in one write, and answers belong to the requests in
 * their order: a caller that gave up leaves its place in the queue, so that a late answer is never another's. When the
 * order is in doubt the connection is dropped. Over 400 lines: the states and what leads from one to the next stay in one place.
 */
export class Connection implements AnswerSink {
  readonly #address: ServerAddress
  readonly #options: ConnectionOptions
  readonly #observer: ConnectionObserver
  readonly #requests = new RequestBuffer()
  readonly #pending: PendingOperations
  #openBatch: GetBatch | undefined
  #state: State = 'idle'
  #stream: Duplex | undefined
  #copiesOnWrite = false
  #dialect: Dialect
  #reader: AnswerReader | undefined
  #flushScheduled = false
  #now = 0
  #lastReceived = 0
  readonly #deadlines = new DeadlineTimer(() => this.#expire())
  readonly #idleTimer: IdleTimer
  readonly #backoff = new Backoff()
  #connectTimer: LongTimer | undefined
  #retryTimer: LongTimer | undefined
  /** Whether credentials go by SASL; where nobody said so, the other way is tried when one is met by silence. */
  #sasl: boolean
  #greeting = false
  #triedOtherAuth = false
  #lastError: MemcacheError | undefined
  #closing = false
  readonly #drained: (() => void)[] = []

  constructor(address: ServerAddress, options: ConnectionOptions, observer: ConnectionObserver) {
    this.#address = address
    this.#options = options
    this.#observer = observer
    this.#sasl = options.protocol === 'binary'
    this.#dialect = firstDialect(this.#sasl)
    this.#pending = new PendingOperations(address.name, options.timeoutMs)
    this.#idleTimer = new IdleTimer(
      options.idleTimeoutMs,
      () => (this.#pending.callers > 0 ? 0 : performance.now() - this.#lastReceived),
      () => this.#drop(undefined),
    )
  }

  get server(): string {
    return this.#address.name
  }

  /** Whether operations fail at once. */
  get isDown(): boolean {
    return this.#state === 'down'
  }

  /** Why an operation cannot be taken now, or `undefined`. */
  refusal(): MemcacheError | undefined {
    const { server } = this
    if (this.#closing) return new MemcacheClosedError('this client was closed', { server })
    if (this.#state === 'down') return this.#downError()
    const { callers } = this.#pending
    if (callers >= this.#options.maxQueue) {
      return new MemcacheQueueError(
        `${callers} operations already wait for ${server}: ask for less, or raise maxQueue`,
        { server },
      )
    }
    return undefined
  }

  /** Takes an operation, which fails at once when the server's dialect has no words for it. */
  send(operation: Operation, timeoutMs: number): void {
    const now = this.#time()
    operation.sentAt = now
    operation.timeoutMs = timeoutMs
    operation.deadline = operation.call?.at ?? now + timeoutMs
    this.#openBatch = this.#closeBatch()
    if (this.#state !== 'ready') this.#pending.addUnwritten(operation)
    else if (this.#write(operation)) this.#pending.addWritten(operation)
    else return
    this.#took(operation.deadline)
  }

  /** Takes a plain `get`, which is asked together with the others of its turn of the loop. */
  get(call: GetCall, reader: ValueReader, again: (call: GetCall) => void): void {
    const now = this.#time()
    let batch = this.#openBatch
    // One that waits for the greeting may have been given up meanwhile.
    if (batch === undefined || batch.isFull || batch.settled) {
      this.#closeBatch()
      batch = new GetBatch(reader, again)
      batch.sentAt = now
      this.#openBatch = batch
      if (this.#state === 'ready') this.#pending.addWritten(batch)
      else this.#pending.addUnwritten(batch)
    }
    batch.add(call, now)
    this.#took(call.deadline)
  }

  /** Lets waiting operations finish, then ends. New ones are refused. */
  async close(): Promise<void> {
    this.#closing = true
    if (this.#state === 'ready') this.#flush()
    if (this.#pending.callers > 0 && this.#state !== 'down') {
      await new Promise<void>((resolve) => this.#drained.push(resolve))
    }
    this.#state = 'closed'
    this.#retryTimer?.clear()
    this.#dropStream()
    this.#failAll(new MemcacheClosedError('this client was closed', { server: this.server }))
  }

  // Connecting

  /** Opens a stream and greets the server; until it has answered, operations wait, or fail where it is down. */
  #open(): void {
    const { server } = this
    this.#lastReceived = 0
    this.#greeting = false
    this.#dialect = firstDialect(this.#sasl)
    const reader = this.#dialect.readerFor(this)
    this.#reader = reader
    // The greeting is part of connecting: a server that accepts and says nothing is not there.
    this.#connectTimer = new LongTimer(() => {
      const message = `${server} took over ${this.#options.connectTimeoutMs} ms to connect`
      this.#fail(new MemcacheTimeoutError(message, { server }))
    }, this.#options.connectTimeoutMs)
    const opened = (): void => {
      if (this.#reader === reader) void this.#greet(reader)
    }
    const received = (buffer: Buffer, length: number): void => {
      if (this.#reader === reader) this.#receive(buffer, length)
    }
    try {
      const { stream, copiesOnWrite } = openStream(this.#address, this.#options.tls, opened, received)
      this.#adopt(stream)
      this.#copiesOnWrite = copiesOnWrite
    } catch (cause) {
      this.#fail(new MemcacheConnectionError(`${server} cannot be reached: ${String(cause)}`, { server, cause }))
      return
    }
    // Where it is tried in the background, nobody waits for it.
    if (this.#state === 'down') {
      this.#connectTimer.unref()
      this.#unref()
    }
  }

  #adopt(stream: Duplex): void {
    this.#stream = stream
    const gone = (cause?: Error): void => {
      if (this.#stream === stream) this.#lost(cause)
    }
    stream.once('error', gone)
    // A second error of a stream that is already given up must not crash anybody.
    stream.on('error', () => {})
    stream.once('end', () => gone())
    stream.once('close', () => gone())
  }

  async #greet(reader: AnswerReader): Promise<void> {
    const { credentials, protocol } = this.#options
    this.#greeting = true
    try {
      const dialect = await greet((request) => this.#ask(request), this.#sasl, credentials, protocol)
      if (this.#reader === reader) this.#ready(dialect)
    } catch (error) {
      if (this.#reader !== reader) return
      const cause = error as MemcacheError
      const Kind = cause instanceof MemcacheAuthError ? MemcacheAuthError : MemcacheConnectionError
      this.#fail(new Kind(cause.message, { server: this.server, cause }))
    }
  }

  /** Asks in the course of the greeting. */
  #ask(request: LinesRequest): Promise<string[]> {
    return new Promise((resolve, reject) => {
      const operation = new LinesOperation(request, undefined, false, resolve, reject)
      operation.deadline = Infinity
      this.#dialect.write(operation, this.#requests)
      this.#pending.addWritten(operation)
      this.#pending.addCaller()
      this.#flush()
    })
  }

  #ready(dialect: Dialect): void {
    this.#connectTimer?.clear()
    this.#triedOtherAuth = false
    this.#dialect = dialect
    this.#state = 'ready'
    this.#backoff.reset()
    this.#lastError = undefined
    this.#openBatch = undefined
    this.#pending.release((operation) => this.#write(operation))
    this.#flush()
    this.#idleTimer.start()
    if (this.#pending.callers === 0) this.#rest()
    this.#observer.connected()
  }

  /** The stream has ended by itself or with an error. */
  #lost(cause: Error | undefined): void {
    const { server } = this
    const reason = cause === undefined ? 'the server closed the connection' : cause.message
    const error = new MemcacheConnectionError(`${server}: ${reason}`, { server, cause })
    if (this.#state !== 'ready') {
      if (this.#mayBeOtherAuth()) this.#openAgain(error)
      else this.#fail(error)
    } else {
      this.#drop(this.#pending.callers > 0 || cause !== undefined ? error : undefined)
    }
  }

  /** A server that speaks SASL alone hangs up on text, and one that speaks text alone on SASL. */
  #mayBeOtherAuth(): boolean {
    const { credentials, protocol } = this.#options
    return credentials !== undefined && protocol === 'auto' && this.#greeting && !this.#triedOtherAuth
  }

  #openAgain(error: MemcacheError): void {
    this.#sasl = !this.#sasl
    this.#dropStream()
    this.#pending.failWritten(error)
    this.#triedOtherAuth = true
    this.#open()
  }

  /** Drops the connection; the next operation makes a new one. */
  #drop(error: MemcacheError | undefined): void {
    this.#dropStream()
    if (this.#state === 'ready') this.#state = 'idle'
    if (error !== undefined) this.#failAll(error)
    this.#observer.disconnected(error)
  }

  /** Gives the server up for now: everything that waits fails, and so does what comes, until it answers again. */
  #fail(error: MemcacheError): void {
    if (this.#state === 'closed') return
    const wasDown = this.#state === 'down'
    this.#dropStream()
    this.#lastError = error
    this.#triedOtherAuth = false
    this.#state = 'down'
    this.#failAll(error)
    if (!wasDown) this.#observer.disconnected(error)
    this.#scheduleRetry()
  }

  #scheduleRetry(): void {
    const delayMs = this.#lastError instanceof MemcacheAuthError ? AUTH_RETRY_MS : this.#backoff.nextMs()
    this.#observer.retrying(delayMs)
    this.#retryTimer = new LongTimer(() => this.#open(), delayMs).unref()
  }

  #dropStream(): void {
    this.#connectTimer?.clear()
    this.#idleTimer.stop()
    const stream = this.#stream
    this.#stream = undefined
    this.#reader?.stop()
    this.#reader = undefined
    this.#requests.clear()
    this.#openBatch = undefined
    if (stream === undefined || stream instanceof Socket) stream?.destroy()
    // A stream in memory tells its other end of an end, but not of being destroyed.
    else stream.end(() => stream.destroy())
  }

  #failAll(error: MemcacheError): void {
    this.#deadlines.clear()
    this.#pending.failAll(error)
    if (this.#drained.length > 0) this.#endDrain()
  }

  #downError(): MemcacheError {
    const { server } = this
    const error = this.#lastError
    const Kind = error instanceof MemcacheAuthError ? MemcacheAuthError : MemcacheConnectionError
    return new Kind(`${server} is down: ${error?.message ?? 'it does not answer'}`, { server, cause: error })
  }

  // Sending

  /** What follows an operation's place in a queue. */
  #took(deadline: number): void {
    if (this.#pending.addCaller()) this.#ref()
    this.#deadlines.by(deadline)
    if (this.#state === 'ready') {
      if (!this.#flushScheduled) this.#scheduleFlush()
    } else if (this.#state === 'idle') {
      this.#state = 'connecting'
      this.#open()
    }
  }

  /** Writes an operation's request; returns false, the operation having failed, where there are no words for it. */
  #write(operation: Operation): boolean {
    try {
      this.#dialect.write(operation, this.#requests)
      return true
    } catch (error) {
      operation.fail(error instanceof MemcacheError ? errorForKey(error, operation.key, false) : error)
      return false
    }
  }

  #closeBatch(): undefined {
    // One that waits for the greeting is written after it.
    if (this.#openBatch !== undefined && this.#state === 'ready') this.#write(this.#openBatch)
    return (this.#openBatch = undefined)
  }

  /** When what is asked now leaves: every call that is made until then leaves in one write. */
  #scheduleFlush(): void {
    this.#flushScheduled = true
    if (isAnswerBeingTaken()) process.nextTick(() => this.#flush())
    else setImmediate(() => this.#flush())
  }

  #flush(): void {
    this.#flushScheduled = false
    this.#postpone()
    if (this.#state === 'ready') this.#closeBatch()
    if (this.#stream === undefined || this.#requests.isEmpty || this.#stream.destroyed) return
    this.#requests.flush(this.#stream, this.#copiesOnWrite)
  }

  // Receiving

  #receive(buffer: Buffer, length: number): void {
    this.#lastReceived = performance.now()
    answerComes()
    this.#reader!.push(buffer, 0, length)
    if (this.#pending.callers === 0) this.#rest()
  }

  first(): Operation | undefined {
    return this.#pending.first()
  }

  finished(): void {
    this.#pending.shift()
  }

  doubt(reason: string): void {
    const error = new MemcacheProtocolError(reason, { server: this.server })
    if (this.#state === 'ready') this.#drop(error)
    else this.#fail(error)
  }

  /** Nobody waits: the connection no longer keeps the process alive. */
  #rest(): void {
    this.#unref()
    if (this.#drained.length > 0) this.#endDrain()
  }

  #endDrain(): void {
    for (const resolve of this.#drained.splice(0)) resolve()
  }

  // Time

  /** The time of this turn: what is asked in it was asked at once. */
  #time(): number {
    if (!this.#flushScheduled || this.#now === 0) this.#now = performance.now()
    return this.#now
  }

  /** An operation's time begins when it leaves, however long callers went on in that turn. */
  #postpone(): void {
    const asked = this.#now
    this.#now = 0
    if (asked === 0) return
    const lateMs = performance.now() - asked
    if (lateMs < LONG_TURN_MS) return
    this.#pending.postpone(asked, lateMs)
  }

  #expire(): void {
    const { next, reason } = this.#pending.expire(performance.now(), this.#lastReceived)
    if (reason !== undefined) this.#fail(reason)
    else if (next < Infinity) this.#deadlines.by(next)
  }

  #ref(): void {
    if (this.#stream instanceof Socket) this.#stream.ref()
  }

  #unref(): void {
    if (this.#stream instanceof Socket) this.#stream.unref()
  }
}
