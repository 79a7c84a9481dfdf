import { ClientFlags, MemcacheDecodeError, MemcacheQueueError, MemcacheTimeoutError } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import type { CallDeadline } from '../call-deadline.ts'
import { errorForKey } from '../errors.ts'
import type { LineCodec } from '../protocols/line/line-codec.ts'
import type { ValueReader } from '../values/value-codec.ts'
import { afterAbort, unwatch } from './waiter.ts'
import type { Waiter } from './waiter.ts'

/** memcached's client flags have 32 bits, unless it was built for 64. */
const MAX_CLIENT_FLAGS = 2 ** 32 - 1

/** The kinds of operations (`OperationOf`): each protocol has a codec for each. */
export type OperationKind = 'keyList' | 'retrieval' | 'store' | 'delete' | 'arithmetic' | 'lines'

/**
 * A request of any protocol: it waits for its response, and settles once. A response that arrives after the operation
 * was given up is read and dropped.
 */
export abstract class Operation implements Waiter {
  abstract readonly kind: OperationKind
  /** The key, as the caller gave it, for errors. */
  readonly key: string | undefined
  /** Whether the operation may change stored items, so that its effect is unknown without a response. */
  readonly writes: boolean
  /** The time when the operation is given up, in milliseconds of `performance.now()`. */
  deadline = 0
  timeoutMs = 0
  /** The time when it was handed to the connection, by the same clock. */
  sentAt = 0
  /**
   * Whether the operation may be repeated once if the connection was closed before the response began: true for reads
   * that change nothing.
   */
  mayRepeat: boolean
  /** Whether the operation was given up before its response arrived. */
  isOverdue = false
  settled = false
  signal: AbortSignal | undefined
  call: CallDeadline | undefined
  /** The codec that wrote the request, in the text and meta protocols; it reads the response too. */
  codec: LineCodec<Operation> | undefined
  /** The opaque that a meta or binary response must echo. */
  opaque = 0
  readonly #reject: (error: unknown) => void

  constructor(key: string | undefined, effect: 'reads' | 'writes', reject: (error: unknown) => void) {
    this.key = key
    this.writes = effect === 'writes'
    this.mayRepeat = effect === 'reads'
    this.#reject = reject
  }

  /** Whether the request has a data block. */
  get sendsValue(): boolean {
    return false
  }

  fail(error: unknown): void {
    if (!this.settle()) return
    this.#reject(error)
  }

  /**
   * Fails the callers whose deadline has passed. If callers share the operation, it gets the next deadline of the
   * others.
   *
   * @param timeout makes the error for a caller's key and time limit.
   */
  expire(_now: number, timeout: (key: string | undefined, timeoutMs: number) => Error): void {
    this.fail(timeout(this.key, this.timeoutMs))
  }

  /** Moves the deadline so many milliseconds later. */
  postpone(byMs: number): void {
    this.sentAt += byMs
    this.deadline += byMs
    if (this.call !== undefined) this.call.at = Math.max(this.call.at, this.deadline)
  }

  /** The number of callers that wait for it, including callers that gave up. */
  get size(): number {
    return 1
  }

  /** The signals that its callers passed. */
  get signals(): readonly AbortSignal[] {
    return this.signal === undefined ? [] : [this.signal]
  }

  /** Marks the operation as settled, before it is resolved; returns false if it has settled already. */
  protected settle(): boolean {
    if (this.settled) return false
    this.settled = true
    if (this.signal !== undefined) unwatch(this)
    return true
  }
}

/**
 * Reads a value from the received memory; a value in chunks is returned as a `ValueInChunks`. The parameters are those
 * of `ValueReader.read`.
 *
 * @throws MemcacheDecodeError if the client flags have more than 32 bits, and any error of the reader.
 */
export function readValue(
  reader: ValueReader,
  buffer: Buffer,
  start: number,
  end: number,
  clientFlags: number,
  owned: boolean,
): unknown {
  if (clientFlags === ClientFlags.chunks && reader.readChunks !== undefined)
    return reader.readChunks(buffer, start, end)
  if (clientFlags > MAX_CLIENT_FLAGS)
    throw new MemcacheDecodeError(`a value has client flags ${clientFlags}, which have over 32 bits`)
  return reader.read(buffer, start, end, clientFlags, owned)
}

/** A turn of the event loop that took longer than this does not count as an operation's time. */
const LONG_TURN_MS = 5

/** The result of checking the deadlines. */
export interface Expiry {
  /** The next deadline; `Infinity` if no operation waits. */
  readonly next: number
  /** The reason to give the connection up; `undefined` if there is none. */
  readonly reason: MemcacheTimeoutError | undefined
  /** Whether no byte at all was received during a whole timeout. */
  readonly isSilent: boolean
}

interface TimeoutOf {
  readonly key?: string | undefined
  readonly timeoutMs: number
  readonly ambiguous?: boolean
}

/**
 * The operations that wait on a connection: the written ones, in the order of their responses, and the ones that are
 * held back until the handshake is done.
 */
export class PendingOperations {
  readonly #server: string
  readonly #timeoutMs: number
  readonly #written = new OperationQueue()
  readonly #unwritten = new OperationQueue()
  #callers = 0
  #writes = 0
  #turnAt = 0

  /** @param timeoutMs how long a server may be silent while operations wait. */
  constructor(server: string, timeoutMs: number) {
    this.#server = server
    this.#timeoutMs = timeoutMs
  }

  /** The number of callers without a response, including callers that gave up. */
  get callers(): number {
    return this.#callers
  }

  /** Returns the error of one more operation if so many already wait, otherwise `undefined`. */
  overflow(maxQueue: number): MemcacheError | undefined {
    const server = this.#server
    if (this.#callers < maxQueue) return undefined
    return new MemcacheQueueError(
      `${this.#callers} operations already wait for ${server}: send fewer at once, or raise maxQueue`,
      { server },
    )
  }

  /** Whether a write may be under way; a write that was given up may still be carried out. */
  get isWriting(): boolean {
    return this.#writes > 0
  }

  /**
   * Returns whether any caller still waits.
   *
   * @param isConnecting whether the written operations belong to the handshake, for which no caller waits.
   */
  isAwaited(isConnecting: boolean): boolean {
    for (const operation of isConnecting ? this.#unwritten : this.#all()) if (!operation.settled) return true
    return false
  }

  /**
   * Returns whether any caller waits without a time limit.
   *
   * @param isConnecting as for `isAwaited`.
   */
  isAwaitedForEver(isConnecting: boolean): boolean {
    for (const operation of isConnecting ? this.#unwritten : this.#all())
      if (!operation.settled && operation.deadline === Infinity) return true
    return false
  }

  /**
   * Calls back after any of the signals by which callers may give up is aborted.
   *
   * @returns a function that ends this.
   */
  watchSignals(callback: () => void): () => void {
    const signals = new Set<AbortSignal>()
    for (const operation of this.#all()) for (const signal of operation.signals) signals.add(signal)
    const watches = Array.from(signals, (signal) => afterAbort(signal, callback))
    return () => {
      for (const end of watches) end()
    }
  }

  /** Adds callers that wait; an operation may have several. Returns whether they are the first. */
  addCallers(count: number): boolean {
    const before = this.#callers
    this.#callers = before + count
    return before === 0
  }

  addWritten(operation: Operation): void {
    this.#written.push(operation)
    if (operation.writes) this.#writes++
  }

  addUnwritten(operation: Operation): void {
    this.#unwritten.push(operation)
    if (operation.writes) this.#writes++
  }

  /** Returns the operation that the next response belongs to. */
  first(): Operation | undefined {
    return this.#written.first()
  }

  /** Removes the first operation: its response is complete. */
  shift(): void {
    this.#left(this.#written.shift()!)
  }

  /**
   * Writes the operations that were held back, in their order.
   *
   * @param write returns whether the protocol has a command for the operation; otherwise the operation has failed.
   */
  release(write: (operation: Operation) => boolean): void {
    for (let operation = this.#unwritten.shift(); operation !== undefined; operation = this.#unwritten.shift()) {
      if (!operation.settled && write(operation)) this.#written.push(operation)
      else this.#left(operation)
    }
  }

  /** Removes and yields the operations that were held back, in their order, so that another connection can serve them. */
  *takeUnwritten(): Iterable<Operation> {
    for (let operation = this.#unwritten.shift(); operation !== undefined; operation = this.#unwritten.shift()) {
      this.#left(operation)
      if (!operation.settled) yield operation
    }
  }

  /** Fails the operations that were written, since the connection is closed. */
  failWritten(error: MemcacheError): void {
    for (let operation = this.#written.shift(); operation !== undefined; operation = this.#written.shift()) {
      this.#failOne(operation, error)
    }
  }

  /**
   * Settles the operations of a closed connection: reads without a byte of their response wait for the next connection,
   * once; all others fail.
   *
   * @param isMidResponse whether a part of the first response was received.
   */
  repeatReads(error: MemcacheError, { isMidResponse }: { readonly isMidResponse: boolean }): void {
    const { length } = this.#written
    for (let index = 0; index < length; index++) {
      const operation = this.#written.shift()!
      const mayRepeat = operation.mayRepeat && !operation.settled && !(index === 0 && isMidResponse)
      if (mayRepeat) {
        operation.mayRepeat = false
        this.#unwritten.push(operation)
      } else {
        this.#failOne(operation, error)
      }
    }
  }

  failAll(error: MemcacheError): void {
    this.failWritten(error)
    for (let operation = this.#unwritten.shift(); operation !== undefined; operation = this.#unwritten.shift()) {
      this.#left(operation)
      if (!operation.settled) operation.fail(errorForKey(error, { key: operation.key }))
    }
  }

  /** Returns the time of this turn of the event loop, which counts for all calls of the turn. */
  turnTime(hasBegun: boolean): number {
    if (!hasBegun || this.#turnAt === 0) this.#turnAt = performance.now()
    return this.#turnAt
  }

  /** Starts the time of the turn's requests, which are sent now, however long the turn took. */
  endTurn(): void {
    const turnAt = this.#turnAt
    this.#turnAt = 0
    if (turnAt === 0) return
    const lateMs = performance.now() - turnAt
    if (lateMs < LONG_TURN_MS) return
    for (const operation of this.#written) if (operation.sentAt === turnAt) operation.postpone(lateMs)
  }

  /**
   * Fails the callers that have waited too long. An operation that was sent keeps its place in the queue, since its
   * response may still come and must not be taken for the next one's. If the server has been silent for a whole
   * timeout, or a response is missing for twice its time, the result has the reason to close the connection.
   */
  expire(now: number, lastReceived: number): Expiry {
    let next = Infinity
    let reason: MemcacheTimeoutError | undefined
    let isSilent = false
    for (const operation of this.#unwritten) {
      if (operation.settled) continue
      if (operation.deadline <= now) operation.expire(now, (key, timeoutMs) => this.#timeout({ key, timeoutMs }))
      if (!operation.settled) next = Math.min(next, operation.deadline)
    }
    for (const operation of this.#written) {
      if (operation.deadline <= now) {
        operation.expire(now, (key, timeoutMs) => this.#timeout({ key, timeoutMs, ambiguous: operation.writes }))
        const silentMs = now - Math.max(lastReceived, operation.sentAt)
        if (silentMs >= this.#timeoutMs) isSilent = true
        if (isSilent || operation.isOverdue) reason ??= this.#timeout({ timeoutMs: operation.timeoutMs })
        if (operation.settled) {
          operation.isOverdue = true
          operation.deadline = now + Math.max(this.#timeoutMs, operation.timeoutMs)
        }
      }
      next = Math.min(next, operation.deadline)
    }
    return { next, reason, isSilent }
  }

  *#all(): Iterable<Operation> {
    yield* this.#written
    yield* this.#unwritten
  }

  #left(operation: Operation): void {
    this.#callers -= operation.size
    if (operation.writes) this.#writes--
  }

  #failOne(operation: Operation, error: MemcacheError): void {
    this.#left(operation)
    // It is unknown whether a write was carried out.
    if (!operation.settled) operation.fail(errorForKey(error, { key: operation.key, ambiguous: operation.writes }))
  }

  #timeout({ key, timeoutMs, ambiguous = false }: TimeoutOf): MemcacheTimeoutError {
    const server = this.#server
    return new MemcacheTimeoutError(`${server} did not respond in ${timeoutMs} ms`, { server, key, ambiguous })
  }
}

const INITIAL_CAPACITY = 64

/** The operations that wait for a response, in the order of their requests: a ring, so that neither end moves memory. */
class OperationQueue {
  #slots: (Operation | undefined)[] = Array.from({ length: INITIAL_CAPACITY })
  #head = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Returns the operation that the next response belongs to. */
  first(): Operation | undefined {
    return this.#slots[this.#head]
  }

  push(operation: Operation): void {
    if (this.#length === this.#slots.length) this.#grow()
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = operation
    this.#length++
  }

  shift(): Operation | undefined {
    const operation = this.#slots[this.#head]
    if (operation === undefined) return undefined
    this.#slots[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#slots.length - 1)
    this.#length--
    return operation
  }

  *[Symbol.iterator](): IterableIterator<Operation> {
    for (let index = 0; index < this.#length; index++) {
      yield this.#slots[(this.#head + index) & (this.#slots.length - 1)]!
    }
  }

  #grow(): void {
    const slots: (Operation | undefined)[] = [...this]
    slots.length = this.#slots.length * 2
    this.#slots = slots
    this.#head = 0
  }
}
