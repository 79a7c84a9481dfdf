import { ClientFlags, MemcacheDecodeError, MemcacheTimeoutError } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import type { CallDeadline } from '../call-deadline.ts'
import { errorForKey } from '../errors.ts'
import type { LineCodec } from '../protocols/line/line-codec.ts'
import type { ValueReader } from '../values/value-codec.ts'
import { unwatch } from './waiter.ts'
import type { Waiter } from './waiter.ts'

/** memcached's client flags have 32 bits; it can be built for more. */
const MAX_CLIENT_FLAGS = 2 ** 32 - 1

/** The kinds of operations (`OperationOf`): each protocol has a codec for each. */
export type OperationKind = 'keyList' | 'retrieval' | 'store' | 'delete' | 'arithmetic' | 'lines'

/**
 * A request of any protocol: it waits for its response, and settles once. A response that comes after it was given up
 * is read and forgotten.
 */
export abstract class Operation implements Waiter {
  abstract readonly kind: OperationKind
  /** The key, as the caller gave it, for errors. */
  readonly key: string | undefined
  /** Whether it may change what is stored, so that without a response its effect is unknown. */
  readonly writes: boolean
  /** When it is given up, in the milliseconds of `performance.now()`. */
  deadline = 0
  timeoutMs = 0
  /** When it was handed to the connection, by the same clock. */
  sentAt = 0
  /**
   * Whether it may be repeated once if the connection was closed before any of its response came: a read that changes
   * nothing.
   */
  mayRepeat: boolean
  /** Whether it was given up and its response is still to come. */
  isOverdue = false
  settled = false
  signal: AbortSignal | undefined
  call: CallDeadline | undefined
  /** The codec that has written it, in a protocol of lines: it reads the response. */
  codec: LineCodec<Operation> | undefined
  /** What a meta or binary response must echo. */
  opaque = 0
  readonly #reject: (error: unknown) => void

  constructor(key: string | undefined, writes: boolean, reject: (error: unknown) => void) {
    this.key = key
    this.writes = writes
    this.mayRepeat = !writes
    this.#reject = reject
  }

  /** Whether a data block goes with it. */
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

  /** Moves it so much later. */
  postpone(byMs: number): void {
    this.sentAt += byMs
    this.deadline += byMs
    if (this.call !== undefined) this.call.at = Math.max(this.call.at, this.deadline)
  }

  /** How many callers wait for it, those that gave up included. */
  get size(): number {
    return 1
  }

  /** The signals by which its callers may give up. */
  get signals(): readonly AbortSignal[] {
    return this.signal === undefined ? [] : [this.signal]
  }

  /** To be called before resolving; returns whether it still may. */
  protected settle(): boolean {
    if (this.settled) return false
    this.settled = true
    if (this.signal !== undefined) unwatch(this)
    return true
  }
}

/**
 * Reads a value where it was received; one that lies in chunks is a `ValueInChunks`. Parameters as those of
 * `ValueReader.read`.
 *
 * @throws MemcacheDecodeError for client flags that no codec can tell apart, and what the reader throws.
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

/** A turn of the loop that took longer than this is no part of an operation's time. */
const LONG_TURN_MS = 5

/** The result of a look at the deadlines. */
export interface Expiry {
  /** The next deadline; `Infinity` when nothing waits. */
  readonly next: number
  /** Why the connection is to be given up, if it is. */
  readonly reason: MemcacheTimeoutError | undefined
  /** Whether no byte at all has come in a whole timeout. */
  readonly isSilent: boolean
}

interface TimeoutOf {
  readonly key?: string | undefined
  readonly timeoutMs: number
  readonly ambiguous?: boolean
}

/**
 * What waits on a connection: the operations that were written, in the order of their responses, and those that the
 * handshake holds back.
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

  /** How many callers have no response yet, those that gave up included. */
  get callers(): number {
    return this.#callers
  }

  /** Whether a write is under way, or may be: one that was given up may still be carried out. */
  get isWriting(): boolean {
    return this.#writes > 0
  }

  /**
   * Whether any caller still waits.
   *
   * @param isConnecting whether what was written belongs to the handshake, which no caller waits for by itself.
   */
  isAwaited(isConnecting: boolean): boolean {
    for (const operation of isConnecting ? this.#unwritten : this.#all()) if (!operation.settled) return true
    return false
  }

  /** Whether any caller waits without a time limit. @param isConnecting as for `isAwaited`. */
  isAwaitedForEver(isConnecting: boolean): boolean {
    for (const operation of isConnecting ? this.#unwritten : this.#all())
      if (!operation.settled && operation.deadline === Infinity) return true
    return false
  }

  /** The signals by which callers may give up. */
  signals(): Set<AbortSignal> {
    const signals = new Set<AbortSignal>()
    for (const operation of this.#all()) for (const signal of operation.signals) signals.add(signal)
    return signals
  }

  /** More callers wait; an operation may have several. Returns whether they are the first. */
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

  /** The operation that the next response belongs to. */
  first(): Operation | undefined {
    return this.#written.first()
  }

  /** The first operation has its response. */
  shift(): void {
    this.#left(this.#written.shift()!)
  }

  /**
   * Writes what was held back, in its order.
   *
   * @param write returns whether there were words for it; it has failed otherwise.
   */
  release(write: (operation: Operation) => boolean): void {
    for (let operation = this.#unwritten.shift(); operation !== undefined; operation = this.#unwritten.shift()) {
      if (!operation.settled && write(operation)) this.#written.push(operation)
      else this.#left(operation)
    }
  }

  /** Takes away what was held back, in its order, so that another connection can serve it. */
  *takeUnwritten(): Iterable<Operation> {
    for (let operation = this.#unwritten.shift(); operation !== undefined; operation = this.#unwritten.shift()) {
      this.#left(operation)
      if (!operation.settled) yield operation
    }
  }

  /** Fails what was written: the connection is gone. */
  failWritten(error: MemcacheError): void {
    for (let operation = this.#written.shift(); operation !== undefined; operation = this.#written.shift()) {
      this.#failOne(operation, error)
    }
  }

  /**
   * The connection is gone: reads without a byte of their response wait for the next connection, once; all others fail.
   *
   * @param isMidResponse whether some of the first response has come.
   */
  repeatReads(error: MemcacheError, isMidResponse: boolean): void {
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

  /** The time of this turn of the loop, which counts for all of its calls. */
  turnTime(hasBegun: boolean): number {
    if (!hasBegun || this.#turnAt === 0) this.#turnAt = performance.now()
    return this.#turnAt
  }

  /** The requests of the turn leave: their time begins now, however long callers went on in that turn. */
  endTurn(): void {
    const askedAt = this.#turnAt
    this.#turnAt = 0
    if (askedAt === 0) return
    const lateMs = performance.now() - askedAt
    if (lateMs < LONG_TURN_MS) return
    for (const operation of this.#written) if (operation.sentAt === askedAt) operation.postpone(lateMs)
  }

  /**
   * Fails the callers that have waited too long. An operation that was sent keeps its place in the queue, since its
   * response may still come and must not be taken for the next one's. When the server has been silent for a whole
   * timeout, or a response stays out for twice its time, the connection is to be given up.
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
    // Whether a write was carried out is unknown.
    if (!operation.settled) operation.fail(errorForKey(error, { key: operation.key, ambiguous: operation.writes }))
  }

  #timeout({ key, timeoutMs, ambiguous = false }: TimeoutOf): MemcacheTimeoutError {
    const server = this.#server
    return new MemcacheTimeoutError(`${server} did not answer in ${timeoutMs} ms`, { server, key, ambiguous })
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

  /** The operation that the next response belongs to. */
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
