// Not the global one, which fake timers replace.
import { setImmediate } from 'node:timers'
import {
  MemcacheClosedError,
  MemcacheConnectionError,
  MemcacheProtocolError,
  MemcacheTimeoutError,
} from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import { asError, messageOf, requestError } from '../errors.ts'
import { GetBatch } from '../operations/key-list-operation.ts'
import type { GetCall, GetReading } from '../operations/key-list-operation.ts'
import type { Protocol, ResponseReader, ResponseSink } from '../protocols/protocol.ts'
import { LinesOperation } from '../operations/lines-operation.ts'
import type { LinesRequest } from '../operations/lines-operation.ts'
import { PendingOperations } from '../operations/operation.ts'
import type { Operation } from '../operations/operation.ts'
import type { ServerAddress } from '../server-address.ts'
import type {
  ConnectionObserver,
  ConnectionOptions,
  ConnectionReport,
  ConnectionState,
  Retirement,
} from './connection-contract.ts'
import { redactorOf } from './credentials.ts'
import { ConnectAttempt, Retries } from './connect-attempt.ts'
import type { AttemptHost, FailedAttempt } from './connect-attempt.ts'
import { DeadlineTimer, Drain, IdleTimer } from './timers.ts'
import { isFull, VERSION_REQUEST } from './handshake.ts'
import { HandshakePlan } from './handshake-plan.ts'
import { isReactionToResponse, isHangUp, Link, responseComes, streamError } from './link.ts'

/**
 * One pipelined connection to one server; `ConnectionState` draws its life. The requests of one turn of the event loop
 * are sent in one write, and responses belong to requests in their order: a caller that gave up keeps its place in the
 * queue, so that a late response is never given to another caller. If the order is lost, the connection is closed.
 */
export class Connection implements ResponseSink {
  readonly #address: ServerAddress
  readonly #options: ConnectionOptions
  readonly #observer: ConnectionObserver
  readonly #pending: PendingOperations
  #openBatch: GetBatch | undefined
  #state: ConnectionState = 'idle'
  #link: Link | undefined
  #protocol: Protocol
  #reader: ResponseReader | undefined
  #flushScheduled = false
  readonly #flushNow = (): void => this.#flush()
  #lastReceived = 0
  readonly #deadlines = new DeadlineTimer(() => this.#expire())
  readonly #idleTimer: IdleTimer
  readonly #retries = new Retries(() => this.#open())
  #attempt: ConnectAttempt | undefined
  readonly #plan: HandshakePlan
  readonly redact: (text: string) => string
  #isRefused = false
  #closing = false
  readonly #drain = new Drain()

  constructor(address: ServerAddress, options: ConnectionOptions, observer: ConnectionObserver) {
    this.#address = address
    this.#options = options
    this.#observer = observer
    this.#plan = new HandshakePlan(options.credentials, options.protocol)
    this.redact = redactorOf(options.credentials)
    this.#protocol = this.#plan.start()
    this.#pending = new PendingOperations(address.name, options.timeoutMs)
    this.#idleTimer = new IdleTimer(
      options.idleTimeoutMs,
      () => (this.#pending.callers > 0 ? 0 : performance.now() - this.#lastReceived),
      () => this.#drop(undefined),
    )
  }

  /** Begins a new connection with attempts in the background: its server is known to be away. */
  beginDown(reason: MemcacheError): void {
    this.#state = 'down'
    this.#retries.reason = reason
    this.#scheduleRetry()
  }

  get server(): string {
    return this.#address.name
  }

  report(): ConnectionReport {
    return { server: this.server, state: this.#state, waiting: this.#pending.callers }
  }

  /** Whether operations fail immediately. */
  get isDown(): boolean {
    return this.#state === 'down'
  }

  /** Whether the connection is down because the server refused it alone; others may be open. */
  get isRefused(): boolean {
    return this.#isRefused
  }

  /** Whether the connection is open or being opened, and is not closing. */
  get isUsable(): boolean {
    return (this.#state === 'ready' || this.#state === 'connecting') && !this.#closing
  }

  /** Whether a caller waits for a response. Requests of a handshake have no caller. */
  get #isAwaited(): boolean {
    return this.#pending.isAwaited(this.#state !== 'ready')
  }

  /** Whether so many operations wait that half of the queue is full. */
  get isCrowded(): boolean {
    return this.#pending.callers >= this.#options.maxQueue / 2
  }

  /** Whether a write may be under way on the connection. */
  get isWriting(): boolean {
    return this.#pending.isWriting
  }

  /**
   * Returns why an operation cannot be taken now, or `undefined`.
   *
   * @param batchSize the number of operations beyond `maxQueue` that are taken, since they belong to one batch.
   */
  refusal(batchSize = 0): MemcacheError | undefined {
    const { server } = this
    if (this.#closing) return new MemcacheClosedError('this client was closed', { server })
    if (this.#state === 'down') return this.#retries.errorOf(server)
    return this.#pending.overflow(this.#options.maxQueue + batchSize)
  }

  /** Sends an operation; it fails immediately if the server's protocol has no command for it. */
  send(operation: Operation, timeoutMs: number): void {
    const now = this.#pending.turnTime(this.#flushScheduled)
    operation.sentAt = now
    operation.timeoutMs = timeoutMs
    operation.deadline = operation.call?.at ?? now + timeoutMs
    this.adopt(operation)
  }

  /** Sends an operation that already has a deadline. */
  adopt(operation: Operation): void {
    this.#openBatch = this.#closeBatch()
    if (this.#state !== 'ready') this.#pending.addUnwritten(operation)
    else if (this.#write(operation)) this.#pending.addWritten(operation)
    else return
    this.#took(operation.deadline, operation.size)
  }

  /** Sends a plain `get` together with the other gets of the same turn of the event loop. */
  get(call: GetCall, reading: GetReading): void {
    const now = this.#pending.turnTime(this.#flushScheduled)
    let batch = this.#openBatch
    // A batch that waits for the handshake may have been given up meanwhile.
    if (batch === undefined || batch.isFull || batch.settled) {
      this.#closeBatch()
      batch = new GetBatch(now, reading)
      this.#openBatch = batch
      if (this.#state === 'ready') this.#pending.addWritten(batch)
      else this.#pending.addUnwritten(batch)
    }
    batch.add(call, now)
    this.#took(call.deadline, 1)
  }

  /** Resolves when all operations that were sent until now have succeeded or failed. */
  async whenDone(): Promise<void> {
    if (this.#pending.callers === 0) return
    // Responses arrive in order: this one follows theirs.
    await this.#requestVersion(this.#options.timeoutMs).catch(() => {})
  }

  /** Checks by a request whether the server responds on this connection, and gives the connection up if not. */
  async probe(timeoutMs: number): Promise<void> {
    const reader = this.#reader
    if (this.#state !== 'ready') return
    try {
      await this.#requestVersion(timeoutMs)
    } catch (error) {
      if (error instanceof MemcacheTimeoutError && this.#reader === reader)
        this.#giveUp({ reason: error, isSilent: true })
    }
  }

  /**
   * Lets waiting operations finish, then closes. New operations are refused. The promise of every caller of `close`
   * resolves.
   */
  async close(): Promise<void> {
    this.#closing = true
    if (this.#state === 'ready') this.#flush()
    if (this.#isAwaited && this.#state !== 'down') {
      const unwatch = this.#pending.watchSignals(() => this.#endDrainUnlessAwaited())
      // Operations end by their limits and signals; an operation without a limit must not delay `close` for ever.
      await this.#drain.wait(() => this.#pending.isAwaitedForEver(this.#state !== 'ready'))
      unwatch()
    }
    this.#state = 'closed'
    this.#retries.stop()
    this.#dropLink()
    this.#failAll(new MemcacheClosedError('this client was closed', { server: this.server }))
  }

  // Connecting

  /** Opens a stream and performs the handshake; until it is done, operations wait, or fail if the connection is down. */
  #open(): void {
    const { server } = this
    this.#lastReceived = 0
    this.#protocol = this.#plan.start()
    this.#reader = this.#protocol.readerFor(this)
    const isBackground = this.#state === 'down'
    const host: AttemptHost = {
      server,
      request: (request) => this.#request(request, attempt),
      redact: this.redact,
      succeeded: (protocol) => this.#takePlace(protocol),
      failed: (failed) => this.#connectingFailed(failed),
    }
    const attempt = new ConnectAttempt(this.#plan, host, { timeoutMs: this.#options.connectTimeoutMs, isBackground })
    this.#attempt = attempt
    try {
      this.#link = new Link(this.#address, this.#options.tls, {
        opened: () => void attempt.shakeHands(),
        received: (buffer, length) => this.#receive(buffer, length),
        gone: (cause) => this.#lost(cause),
      })
    } catch (cause) {
      this.#fail(new MemcacheConnectionError(`${server} cannot be reached: ${messageOf(cause)}`, { server, cause }))
      return
    }
    // No caller waits for an attempt in the background.
    if (isBackground) this.#link.unref()
  }

  /**
   * Delays new operations until those that another connection served for this one are done, so that they keep their
   * order.
   */
  async #takePlace(protocol: Protocol): Promise<void> {
    const reader = this.#reader
    if (this.#state === 'down') {
      this.#state = 'connecting'
      await this.#observer.returned()
    }
    if (this.#reader === reader) this.#ready(protocol)
  }

  /** Tries another handshake on a new stream while operations continue to wait, or marks the connection as down. */
  #connectingFailed({ failure, error, isRefused }: FailedAttempt): void {
    if (!this.#plan.mayTryAnother(failure, error)) {
      this.#fail(this.#plan.reason ?? error, { isRefused })
      return
    }
    this.#dropLink()
    this.#pending.failWritten(error)
    this.#open()
  }

  /** Sends a request of the handshake, unless its stream was closed: the next stream has its own handshake. */
  #request(request: LinesRequest, attempt: ConnectAttempt): Promise<string[]> {
    const { server } = this
    return new Promise((resolve, reject) => {
      if (attempt.isOver) throw new MemcacheConnectionError(`${server} closed the connection`, { server })
      const operation = new LinesOperation(request, resolve, reject)
      operation.deadline = Infinity
      this.#protocol.write(operation, this.#link!.requests)
      this.#pending.addWritten(operation)
      this.#pending.addCallers(1)
      this.#flush()
    })
  }

  #requestVersion(timeoutMs: number): Promise<string[]> {
    return new Promise((resolve, reject) => {
      this.send(new LinesOperation(VERSION_REQUEST, resolve, reject), timeoutMs)
    })
  }

  #ready(protocol: Protocol): void {
    this.#protocol = protocol
    this.#attempt = undefined
    this.#state = 'ready'
    this.#isRefused = false
    this.#retries.succeeded()
    this.#openBatch = undefined
    this.#pending.release((operation) => this.#write(operation))
    this.#flush()
    this.#idleTimer.start()
    if (this.#pending.callers === 0) this.#rest()
    this.#observer.connected()
  }

  /** Handles the end of the stream, with or without an error. */
  #lost(cause: Error | undefined): void {
    const isOpening = this.#state !== 'ready'
    const error = streamError(cause, {
      server: this.server,
      isOpeningTls: isOpening && this.#options.tls !== undefined,
    })
    if (isOpening) {
      this.#connectingFailed({ failure: 'hungUp', error, isRefused: isHangUp(cause) })
      return
    }
    const isMidResponse = this.#reader!.isMidResponse
    const wasAwaited = this.#pending.callers > 0
    this.#dropLink()
    this.#state = 'idle'
    if (this.#closing) this.#failAll(error)
    else this.#pending.repeatReads(error, { isMidResponse })
    this.#observer.disconnected(wasAwaited || cause !== undefined ? error : undefined)
    if (this.#state === 'idle' && this.#pending.callers > 0) this.#connect()
  }

  #connect(): void {
    this.#state = 'connecting'
    this.#open()
  }

  /** Closes the stream; the next operation opens another one. */
  #drop(error: MemcacheError | undefined): void {
    this.#dropLink()
    if (this.#state === 'ready') this.#state = 'idle'
    if (error !== undefined) this.#failAll(error)
    this.#observer.disconnected(error)
  }

  /**
   * Marks the connection as down: waiting operations fail unless another connection can serve them, and new operations
   * fail until the server responds again.
   *
   * @param isRefused whether the server refused this connection alone.
   */
  #fail(error: MemcacheError, { isRefused = false } = {}): void {
    if (this.#state === 'closed') return
    const wasDown = this.#state === 'down'
    this.#dropLink()
    this.#retries.reason = error
    this.#isRefused = isRefused
    this.#state = 'down'
    this.#handOver()
    this.#failAll(error)
    if (!wasDown) this.#observer.disconnected(error)
    this.#scheduleRetry()
  }

  /** Hands operations that were never sent to another connection. */
  #handOver(): void {
    const successor = this.#closing ? undefined : this.#observer.successor()
    if (successor === undefined) return
    for (const operation of this.#pending.takeUnwritten()) {
      // The other connection receives the operation only now, so it has not been silent.
      operation.sentAt = performance.now()
      successor.adopt(operation)
    }
  }

  #scheduleRetry(): void {
    if (this.#state !== 'down' || this.#closing) return
    this.#observer.retrying(this.#retries.plan())
  }

  /**
   * Retires the connection after a timeout: operations with longer limits continue to wait on it, and new operations
   * use another one.
   */
  #giveUp(retirement: Retirement): void {
    const { reason, isSilent } = retirement
    if (this.#isAwaited) {
      this.#closing = true
      this.#observer.retired(retirement)
    } else if (isSilent) {
      this.#fail(reason)
      this.#observer.silent()
    } else {
      this.#drop(reason)
    }
  }

  #dropLink(): void {
    this.#attempt?.end()
    this.#attempt = undefined
    this.#idleTimer.stop()
    const link = this.#link
    this.#link = undefined
    this.#reader?.stop()
    this.#reader = undefined
    this.#openBatch = undefined
    link?.end()
  }

  #failAll(error: MemcacheError): void {
    this.#deadlines.clear()
    this.#pending.failAll(error)
    this.#drain.end()
  }

  // Sending

  /** Updates the callers and the deadline after an operation was queued. */
  #took(deadline: number, callers: number): void {
    if (this.#pending.addCallers(callers)) this.#link?.ref()
    if (deadline < this.#deadlines.deadline) this.#deadlines.by(deadline)
    if (this.#state === 'ready') {
      if (!this.#flushScheduled) this.#scheduleFlush()
    } else if (this.#state === 'idle') {
      this.#connect()
    }
  }

  /** Writes an operation's request. If the protocol has no command for it, the operation fails and the result is false. */
  #write(operation: Operation): boolean {
    const { requests } = this.#link!
    requests.begin()
    try {
      this.#protocol.write(operation, requests)
      return true
    } catch (error) {
      requests.rewind()
      operation.fail(requestError(error, operation.key))
      return false
    }
  }

  #closeBatch(): undefined {
    const batch = this.#openBatch
    this.#openBatch = undefined
    // A batch that waits for the handshake is written after it.
    if (batch === undefined || this.#state !== 'ready') return
    if (!this.#write(batch)) this.desync(`the requests to ${this.server} could not be written`)
  }

  /** Schedules the flush: the requests of all calls until then are sent in one write. */
  #scheduleFlush(): void {
    this.#flushScheduled = true
    if (isReactionToResponse()) process.nextTick(this.#flushNow)
    else setImmediate(this.#flushNow)
  }

  #flush(): void {
    this.#flushScheduled = false
    this.#pending.endTurn()
    if (this.#state === 'ready') this.#closeBatch()
    try {
      this.#link?.flush()
    } catch (error) {
      // A custom stream may throw.
      this.#lost(asError(error))
    }
  }

  // Receiving

  #receive(buffer: Buffer, length: number): void {
    this.#lastReceived = performance.now()
    responseComes()
    try {
      this.#reader!.push(buffer, 0, length)
    } catch (error) {
      this.desync(`${this.server} sent an invalid response: ${messageOf(error)}`)
    }
    if (this.#pending.callers === 0) this.#rest()
    else if (this.#drain.isAwaited) this.#endDrainUnlessAwaited()
  }

  first(): Operation | undefined {
    return this.#pending.first()
  }

  finished(): void {
    this.#pending.shift()
  }

  desync(reason: string, refusal?: MemcacheError): void {
    const error = refusal ?? new MemcacheProtocolError(reason, { server: this.server })
    if (this.#state === 'ready') this.#drop(error)
    else this.#connectingFailed({ failure: 'invalid', error, isRefused: isFull(error) })
  }

  /** Lets the process end, since no operation is pending. */
  #rest(): void {
    this.#link?.unref()
    if (this.#drain.isAwaited) this.#drain.end()
  }

  #endDrainUnlessAwaited(): void {
    if (!this.#isAwaited) this.#drain.end()
  }

  // Time

  #expire(): void {
    const { next, reason, isSilent } = this.#pending.expire(performance.now(), this.#lastReceived)
    if (next < Infinity) this.#deadlines.by(next)
    if (this.#closing) this.#endDrainUnlessAwaited()
    else if (reason !== undefined) this.#giveUp({ reason, isSilent })
  }
}
