import { connect, Socket } from 'node:net'
import type { NetConnectOpts } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  formatVersion,
  FrameReader,
  MemcacheClosedError,
  MemcacheConnectionError,
  MemcacheProtocolError,
  MemcacheQueueError,
  MemcacheTimeoutError,
  NONE,
  STOP,
} from 'memcache-ts-protocol'
import type { FrameHandler, MemcacheError } from 'memcache-ts-protocol'
import { DESYNC, DONE, LinesOperation } from './operation.ts'
import type { Operation } from './operation.ts'
import { OperationQueue } from './operation-queue.ts'
import { RequestBuffer } from './request-buffer.ts'
import type { ServerAddress } from './server-address.ts'

/** A reply's line is at most a key, its flags and an error text; longer is no memcached. */
const MAX_REPLY_LINE_BYTES = 8192
const RECEIVE_BUFFER_BYTES = 64 * 1024
const FIRST_RETRY_MS = 50
const LONGEST_RETRY_MS = 1000

/**
 * All connections read into this one buffer: what is read is handled before anything else is, and what is kept is
 * copied.
 */
const receiveBuffer = Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES)

/** Options of a `Connection`. */
export interface ConnectionOptions {
  readonly timeoutMs: number
  readonly connectTimeoutMs: number
  readonly maxQueue: number
}

/** What a connection tells its owner. */
export interface ConnectionObserver {
  connected(): void
  /** It is gone; `error` says why, unless the server closed it while nothing was asked. */
  disconnected(error: MemcacheError | undefined): void
  /** It will be tried again after this long. */
  retrying(delayMs: number): void
}

/**
 * The life of a connection:
 *
 *   idle → connecting → ready       by the first operation; operations wait meanwhile
 *   ready → idle                    closed by the server, or its answers are in doubt; the next operation connects again
 *   connecting, ready → down        refused, timed out or talking nonsense: operations fail at once, and in the
 *                                   background one attempt at a time is made until a server answers `version`
 *   down → ready                    it does
 *   any → closed                    by `close`
 */
type State = 'idle' | 'connecting' | 'ready' | 'down' | 'closed'

/**
 * One pipelined connection to one server. Requests of a tick leave in one write, and answers belong to the requests in
 * their order: a caller that gave up leaves its place in the queue, so that a late answer is never another's. When the
 * order is in doubt the connection is dropped.
 */
export class Connection implements FrameHandler {
  /** Where requests are written; `send` follows. */
  readonly requests = new RequestBuffer()
  readonly #address: ServerAddress
  readonly #options: ConnectionOptions
  readonly #observer: ConnectionObserver
  readonly #queue = new OperationQueue()
  #state: State = 'idle'
  #stream: Duplex | undefined
  #copiesOnWrite = false
  #reader = new FrameReader(this, MAX_REPLY_LINE_BYTES)
  #flushScheduled = false
  #timer: NodeJS.Timeout | undefined
  #timerDeadline = Infinity
  #lastReceived = 0
  #connectTimer: NodeJS.Timeout | undefined
  #retryTimer: NodeJS.Timeout | undefined
  #retries = 0
  #lastError: MemcacheError | undefined
  #closing = false
  #drained: (() => void) | undefined

  constructor(address: ServerAddress, options: ConnectionOptions, observer: ConnectionObserver) {
    this.#address = address
    this.#options = options
    this.#observer = observer
  }

  /** Whether operations fail at once. */
  get isDown(): boolean {
    return this.#state === 'down'
  }

  /** Operations that wait for their answers. */
  get pending(): number {
    return this.#queue.length
  }

  /** Why an operation cannot be taken now, or `undefined`; asked before its request is written. */
  refusal(): MemcacheError | undefined {
    const server = this.#address.name
    if (this.#closing) return new MemcacheClosedError('this client was closed', { server })
    if (this.#state === 'down') {
      const reason = this.#lastError?.message ?? 'it does not answer'
      return new MemcacheConnectionError(`${server} is down: ${reason}`, { server, cause: this.#lastError })
    }
    if (this.#queue.length >= this.#options.maxQueue) {
      return new MemcacheQueueError(
        `${this.#queue.length} operations already wait for ${server}: ask for less, or raise maxQueue`,
        { server },
      )
    }
    return undefined
  }

  /** Takes the operation whose request was just written to `requests`. */
  send(operation: Operation, timeoutMs: number): void {
    const now = performance.now()
    operation.sentAt = now
    operation.timeoutMs = timeoutMs
    operation.deadline = now + timeoutMs
    if (this.#queue.length === 0) this.#ref()
    this.#queue.push(operation)
    if (operation.deadline < this.#timerDeadline) this.#armTimer(operation.deadline, now)
    if (this.#state === 'idle') this.#connect()
    else if (this.#state === 'ready') this.#scheduleFlush()
  }

  /** Lets waiting operations finish, then ends. New ones are refused. */
  async close(): Promise<void> {
    this.#closing = true
    if (this.#state === 'ready') this.#flush()
    if (this.#queue.length > 0 && this.#state !== 'down') {
      await new Promise<void>((resolve) => (this.#drained = resolve))
    }
    this.#state = 'closed'
    clearTimeout(this.#retryTimer)
    this.#dropStream()
    this.#failAll(new MemcacheClosedError('this client was closed', { server: this.#address.name }))
  }

  // Connecting

  #connect(): void {
    this.#state = 'connecting'
    this.#open(() => {
      this.#ready()
      this.#scheduleFlush()
    })
  }

  /** Opens a stream; `opened` is called when bytes may be sent. */
  #open(opened: () => void): void {
    const address = this.#address
    this.#reader = new FrameReader(this, MAX_REPLY_LINE_BYTES)
    this.#lastReceived = 0
    if (address.stream !== undefined) {
      try {
        const stream = address.stream.connect()
        this.#adopt(stream, false)
        stream.on('data', (chunk: Buffer) => this.#receive(stream, chunk, chunk.length))
      } catch (cause) {
        this.#fail(
          new MemcacheConnectionError(`${address.name} cannot be reached: ${String(cause)}`, {
            server: address.name,
            cause,
          }),
        )
        return
      }
      opened()
      return
    }
    const onread = {
      buffer: receiveBuffer,
      callback: (length: number) => {
        this.#receive(socket, receiveBuffer, length)
        return true
      },
    }
    const target: NetConnectOpts =
      address.path === undefined
        ? { host: address.host, port: address.port!, noDelay: true, keepAlive: true, onread }
        : { path: address.path, onread }
    const socket: Socket = connect(target)
    this.#adopt(socket, true)
    this.#connectTimer = setTimeout(() => {
      this.#fail(
        new MemcacheTimeoutError(`${address.name} took over ${this.#options.connectTimeoutMs} ms to connect`, {
          server: address.name,
        }),
      )
    }, this.#options.connectTimeoutMs)
    socket.once('connect', () => {
      clearTimeout(this.#connectTimer)
      if (this.#stream === socket) opened()
    })
  }

  #adopt(stream: Duplex, copiesOnWrite: boolean): void {
    this.#stream = stream
    this.#copiesOnWrite = copiesOnWrite
    const gone = (cause?: Error): void => {
      if (this.#stream === stream) this.#lost(cause)
    }
    stream.once('error', gone)
    // A second error of a stream that is already given up must not crash anybody.
    stream.on('error', () => {})
    stream.once('end', () => gone())
    stream.once('close', () => gone())
  }

  #ready(): void {
    this.#state = 'ready'
    this.#retries = 0
    this.#lastError = undefined
    if (this.#queue.length === 0) this.#unref()
    this.#observer.connected()
  }

  /** The stream has ended by itself or with an error. */
  #lost(cause: Error | undefined): void {
    const server = this.#address.name
    // One that never said a word is no better than one that could not be reached.
    const neverSpoke = this.#queue.length > 0 && this.#lastReceived === 0
    const wasConnecting = this.#state === 'connecting' || this.#state === 'down' || neverSpoke
    const reason = cause === undefined ? 'the server closed the connection' : cause.message
    const error = new MemcacheConnectionError(`${server}: ${reason}`, { server, cause })
    if (wasConnecting) {
      this.#fail(error)
      return
    }
    if (this.#queue.length > 0 || cause !== undefined) this.#drop(error)
    else this.#drop(undefined)
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
    const wasDown = this.#state === 'down'
    this.#dropStream()
    this.#lastError = error
    if (this.#state !== 'closed') this.#state = 'down'
    this.#failAll(error)
    if (!wasDown) this.#observer.disconnected(error)
    if (this.#state === 'down') this.#scheduleRetry()
  }

  #scheduleRetry(): void {
    const longest = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#retries)
    // Half of it is chance, so that the processes of a fleet do not all come back at once.
    const delayMs = longest * (0.5 + Math.random() / 2)
    this.#retries++
    this.#observer.retrying(delayMs)
    this.#retryTimer = setTimeout(() => this.#retry(), delayMs)
    this.#retryTimer.unref()
  }

  /** One attempt in the background: the server is back when it has answered. */
  #retry(): void {
    this.#open(() => {
      const back = (): void => {
        clearTimeout(this.#connectTimer)
        if (this.#state !== 'down') return
        this.#ready()
      }
      const probe = new LinesOperation({ writes: false }, false, back, () => {})
      this.#queue.push(probe)
      this.#stream!.write(formatVersion())
      clearTimeout(this.#connectTimer)
      this.#connectTimer = setTimeout(() => {
        const server = this.#address.name
        this.#fail(new MemcacheTimeoutError(`${server} accepts connections but does not answer`, { server }))
      }, this.#options.connectTimeoutMs)
      this.#connectTimer.unref()
    })
    // Nobody waits for it.
    this.#connectTimer?.unref()
    this.#unref()
  }

  #dropStream(): void {
    clearTimeout(this.#connectTimer)
    const stream = this.#stream
    this.#stream = undefined
    this.#reader.stop()
    this.requests.clear()
    if (stream === undefined || stream instanceof Socket) stream?.destroy()
    // A stream in memory tells its other end of an end, but not of being destroyed.
    else stream.end(() => stream.destroy())
  }

  #failAll(error: MemcacheError): void {
    clearTimeout(this.#timer)
    this.#timerDeadline = Infinity
    for (let operation = this.#queue.shift(); operation !== undefined; operation = this.#queue.shift()) {
      operation.fail(errorFor(operation, error))
    }
    this.#drained?.()
  }

  // Sending

  #scheduleFlush(): void {
    if (this.#flushScheduled) return
    this.#flushScheduled = true
    // After all the microtasks of this tick: every call that is made now leaves in one write.
    process.nextTick(() => this.#flush())
  }

  #flush(): void {
    this.#flushScheduled = false
    if (this.#stream === undefined || this.requests.isEmpty || this.#stream.destroyed) return
    this.requests.flush(this.#stream, this.#copiesOnWrite)
  }

  // Receiving

  #receive(stream: Duplex, buffer: Buffer, length: number): void {
    if (stream !== this.#stream) return
    this.#lastReceived = performance.now()
    this.#reader.push(buffer, 0, length)
    if (this.#queue.length === 0) {
      this.#unref()
      this.#drained?.()
    }
  }

  line(buffer: Buffer, start: number, end: number): number {
    const operation = this.#queue.first()
    if (operation === undefined) {
      const text = JSON.stringify(buffer.toString('latin1', start, Math.min(end, start + 80)))
      return this.#desync(`${this.#address.name} sent ${text} although nothing was asked`)
    }
    const next = operation.line(buffer, start, end, this.#address.name)
    if (next >= 0) return next
    if (next === DONE) this.#queue.shift()
    else if (next === DESYNC) return this.#desync(`${this.#address.name} sent an answer that does not fit the question`)
    return NONE
  }

  data(buffer: Buffer, start: number, end: number, offset: number): void {
    this.#queue.first()?.data(buffer, start, end, offset)
  }

  dataEnd(terminated: boolean): number {
    if (!terminated) return this.#desync(`${this.#address.name} sent a value that does not end where it said`)
    if (this.#queue.first()?.dataEnd() === DONE) this.#queue.shift()
    return NONE
  }

  longLine(): boolean {
    this.#desync(`${this.#address.name} sent an endless line: it is no memcached`)
    return false
  }

  #desync(message: string): number {
    const error = new MemcacheProtocolError(message, { server: this.#address.name })
    if (this.#state === 'ready') this.#drop(error)
    else this.#fail(error)
    return STOP
  }

  // Time

  #armTimer(deadline: number, now: number): void {
    clearTimeout(this.#timer)
    this.#timerDeadline = deadline
    const delayMs = Math.max(1, Math.ceil(deadline - now))
    // When the loop was blocked, timers run before the answers that have come meanwhile are read: those come first.
    this.#timer = setTimeout(() => setImmediate(() => this.#expire()), delayMs)
    this.#timer.unref()
  }

  /**
   * Fails what has waited too long. Its place in the queue stays, since the answer may still come and must not be taken
   * for the next one's. When the server has been silent for a whole timeout, or an answer stays out for twice its time,
   * the connection is given up.
   */
  #expire(): void {
    this.#timerDeadline = Infinity
    const now = performance.now()
    const server = this.#address.name
    const { timeoutMs } = this.#options
    let next = Infinity
    for (const operation of this.#queue) {
      if (operation.deadline <= now) {
        const error = new MemcacheTimeoutError(`${server} did not answer in ${operation.timeoutMs} ms`, {
          server,
          key: operation.key,
          ambiguous: operation.writes,
        })
        operation.fail(error)
        const silentMs = now - Math.max(this.#lastReceived, operation.sentAt)
        if (operation.isOverdue || silentMs >= timeoutMs) {
          this.#fail(new MemcacheTimeoutError(error.message, { server }))
          return
        }
        operation.isOverdue = true
        operation.deadline = now + Math.max(timeoutMs, operation.timeoutMs)
      }
      next = Math.min(next, operation.deadline)
    }
    if (next < Infinity) this.#armTimer(next, now)
  }

  #ref(): void {
    if (this.#stream instanceof Socket) this.#stream.ref()
  }

  /** A connection that nobody waits for does not keep the process alive. */
  #unref(): void {
    if (this.#stream instanceof Socket) this.#stream.unref()
  }
}

/** The error of the connection, as the one of an operation that waited on it. */
function errorFor(operation: Operation, error: MemcacheError): MemcacheError {
  const Kind = error.constructor as new (message: string, details: object) => MemcacheError
  return new Kind(error.message, {
    server: error.server,
    key: operation.key,
    retryable: error.retryable,
    ambiguous: operation.writes,
    cause: error.cause ?? error,
  })
}
