import { joinKey, MemcacheDecodeError, MemcacheError } from 'memcache-ts-protocol'
import type { Key } from 'memcache-ts-protocol'
import { CallDeadline } from '../call-deadline.ts'
import type { CallOptions } from '../call-options.ts'
import { decodeError, errorForKey } from '../errors.ts'
import { ValueInChunks } from '../values/chunked-values.ts'
import { LENT } from '../values/value-codec.ts'
import type { ValueReader } from '../values/value-codec.ts'
import { Operation, readValue } from './operation.ts'
import { unwatch } from './waiter.ts'
import type { Waiter } from './waiter.ts'

/** The maximum number of keys in one request; longer lists are split. */
export const KEYS_PER_REQUEST = 200

/** A request for many keys: the response has the hits with their keys, and then an end. */
export abstract class KeyListOperation extends Operation {
  readonly kind = 'keyList'
  /** The keys as they are sent, in this order. */
  readonly wireKeys: string[] = []
  /** Whether the response has the cas uniques. */
  withCas = false
  /** The cas unique of the current hit, if `withCas` is true. */
  casUnique = 0n
  /** The number of response ends that have not been received yet: each line of a long list has its own end. */
  ends = 0
  /** Servers respond in the order of the request, so the search for the next hit begins here. */
  #next = 0
  #found = 0
  #hits = 0

  /**
   * Finds the key of the hit that begins, by its bytes. Returns false for a key that was not requested, and for more
   * hits than keys.
   */
  match(buffer: Buffer, start: number, end: number): boolean {
    const { length } = this.wireKeys
    if (this.#hits++ >= length) return false
    for (let step = 0; step < length; step++) {
      const index = (this.#next + step) % length
      if (isKey(this.wireKeys[index]!, buffer, start, end)) {
        this.#found = index
        this.#next = index + 1
        return true
      }
    }
    return false
  }

  /** Takes the bytes of the value whose key was matched last. */
  take(buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): void {
    this.hit(this.#found, buffer, start, end, clientFlags, owned)
  }

  /** Reads the key again: an empty value may be an unfilled lease, and only a meta command distinguishes the two. */
  takeEmpty(): void {
    this.readAgain(this.#found)
  }

  /**
   * Takes an empty value that may be an unfilled lease, in a protocol that does not distinguish the two. It is a miss,
   * which is always a valid result of a cache, unless the codec stores empty values.
   */
  takeUncertain(buffer: Buffer, at: number): void {
    if (this.reader.takesEmptyForLease === true) this.miss(this.#found)
    else this.hit(this.#found, buffer, at, at, 0, LENT)
  }

  /** Returns whether reading a value with these client flags copies its bytes. */
  copiesValue(clientFlags: number): boolean {
    return this.reader.copies?.(clientFlags) === true
  }

  protected abstract readonly reader: ValueReader
  protected abstract miss(index: number): void
  protected abstract hit(
    index: number,
    buffer: Buffer,
    start: number,
    end: number,
    clientFlags: number,
    owned: boolean,
  ): void
  protected abstract readAgain(index: number): void
  /** Completes the operation: all hits have been received. */
  abstract finish(): void
}

function isKey(key: string, buffer: Buffer, start: number, end: number): boolean {
  const { length } = key
  if (end - start !== length) return end - start > length && buffer.toString('utf8', start, end) === key
  for (let index = 0; index < length; index++) {
    const code = key.charCodeAt(index)
    if (code !== buffer[start + index]) return code > 127 && buffer.toString('utf8', start, end) === key
  }
  return true
}

/**
 * The maximum number of keys in one line. With one long line the server would finish the last key before the client
 * received the first hit, so that the two would work in turns (docs/decisions/0006).
 */
const KEYS_PER_BATCH = 16

/** A power of two. */
const SLOTS = 256

/** How the values of `get`s are read: the same for all of a client. */
export interface GetReading {
  readonly reader: ValueReader
  /** Reads one key by a meta command. */
  readonly again: (call: GetCall) => void
}

/** The last caller at each hash until its batch has ended, so that callers of the same key find each other. */
const recent: (GetCall | undefined)[] = Array.from({ length: SLOTS })

/**
 * The plain `get`s of one turn of the event loop on one connection, sent as one line. One line costs a server less than
 * single gets, every value comes with its key, and the request never takes the right to recache a stale item.
 */
export class GetBatch extends KeyListOperation {
  /**
   * The time when the batch was begun, in milliseconds of `performance.now()`; if it was sent later, the time of
   * sending.
   */
  begunAt: number
  readonly #calls: GetCall[] = []
  protected readonly reader: ValueReader
  readonly #again: (call: GetCall) => void
  #size = 0
  /** The number of keys that have a response. */
  #keysWithResponse = 0
  /** The number of callers that have settled; each caller counts itself. */
  settledCalls = 0

  constructor(begunAt: number, { reader, again }: GetReading) {
    super(undefined, 'reads', () => {})
    this.begunAt = begunAt
    this.sentAt = begunAt
    this.reader = reader
    this.#again = again
    this.deadline = Infinity
  }

  override get size(): number {
    return this.#size
  }

  override get signals(): readonly AbortSignal[] {
    return Array.from(all(this.#calls), ({ signal }) => signal).filter((signal) => signal !== undefined)
  }

  /** Notes that a caller gave up; if no caller waits any more, the batch is abandoned. */
  left(): void {
    if (this.settledCalls === this.#size) this.settle()
  }

  get isFull(): boolean {
    return this.#calls.length >= KEYS_PER_BATCH
  }

  add(call: GetCall, now: number): void {
    this.#size++
    call.batch = this
    if (now > this.begunAt) call.lateMs = Math.ceil(now - this.begunAt)
    const { deadline } = call
    if (deadline < this.deadline) {
      this.deadline = deadline
      this.timeoutMs = call.timeoutMs
    }
    const { wireKey } = call
    const slot = slotOf(wireKey)
    const earlier = recent[slot]
    if (earlier !== undefined && earlier.wireKey === wireKey && earlier.batch === this) {
      call.twin = earlier.twin
      earlier.twin = call
      return
    }
    recent[slot] = call
    this.#calls.push(call)
    this.wireKeys.push(wireKey)
  }

  override fail(error: unknown): void {
    if (!this.settle()) return
    for (const call of all(this.#calls)) {
      if (!call.settled) call.fail(error instanceof MemcacheError ? errorForKey(error, { key: call.name }) : error)
    }
  }

  override expire(now: number, timeout: (key: string | undefined, timeoutMs: number) => Error): void {
    let next = Infinity
    for (const call of all(this.#calls)) {
      if (call.settled) continue
      const { deadline } = call
      if (deadline <= now) call.fail(timeout(call.name, call.timeoutMs))
      else next = Math.min(next, deadline)
    }
    if (next === Infinity) this.settle()
    else this.deadline = next
  }

  override postpone(byMs: number): void {
    super.postpone(byMs)
    this.begunAt += byMs
    const deadlines = new Set(Array.from(all(this.#calls), (call) => call.call))
    for (const deadline of deadlines) if (deadline !== undefined) deadline.at += byMs
  }

  /** Releases everything that the batch holds when it has ended. */
  protected override settle(): boolean {
    if (!super.settle()) return false
    for (const call of this.#calls) {
      const slot = slotOf(call.wireKey)
      if (recent[slot] === call) recent[slot] = undefined
    }
    return true
  }

  /** Does nothing: the end of the batch resolves a miss. */
  protected miss(): void {}

  protected hit(index: number, buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): void {
    const first = this.#calls[index]!
    // A proxy may send the same hit twice.
    if (!first.hasResponse) this.#keysWithResponse++
    // Two callers must not share the memory of their bytes.
    const alone = owned && first.twin === undefined
    for (let call: GetCall | undefined = first; call !== undefined; call = call.twin) {
      call.hasResponse = true
      call.take(this.reader, buffer, start, end, clientFlags, alone)
    }
  }

  protected readAgain(index: number): void {
    for (let call: GetCall | undefined = this.#calls[index]; call !== undefined; call = call.twin) {
      call.hasResponse = true
      if (!call.settled) this.#again(call)
    }
  }

  finish(): void {
    // Usually all were hits, and no caller is left.
    if (this.#keysWithResponse < this.#calls.length) {
      for (const call of all(this.#calls)) if (!call.hasResponse) call.resolve(undefined)
    }
    this.settle()
  }
}

/** Returns the callers of a batch, including further callers of the same key. */
function* all(calls: readonly GetCall[]): Iterable<GetCall> {
  for (const first of calls) {
    for (let call: GetCall | undefined = first; call !== undefined; call = call.twin) yield call
  }
}

/** Returns the index in `recent` at which callers of a key find each other. */
function slotOf(key: string): number {
  const { length } = key
  return (length + key.charCodeAt(length - 1) * 31 + key.charCodeAt(length >> 1)) & (SLOTS - 1)
}

/**
 * One caller of `get`, in a batch with the other callers of the same turn of the event loop. Hundreds may wait at a
 * time, so instances are small: the deadline is the batch's, and functions replace private methods, which would mark
 * each instance.
 */
export class GetCall implements Waiter {
  readonly key: Key
  readonly wireKey: string
  readonly timeoutMs: number
  readonly options: CallOptions | undefined
  settled = false
  signal: AbortSignal | undefined
  call: CallDeadline | undefined
  /** The batch of this caller. */
  batch: GetBatch | undefined
  /** The time from the begin of the batch to the begin of this call, in whole milliseconds. */
  lateMs = 0
  /** Another caller of the same key in the same turn: the key is requested once, and its value decoded for each. */
  twin: GetCall | undefined
  /** Whether a response, or a further step, has decided or will decide it: the end of the batch does not make it a miss. */
  hasResponse = false
  #resolve: (value: unknown) => void
  #reject: (error: unknown) => void

  // oxlint-disable-next-line max-params -- there is one for each `get`: an object around these would be garbage
  constructor(
    key: Key,
    wireKey: string,
    timeoutMs: number,
    options: CallOptions | undefined,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    this.key = key
    this.wireKey = wireKey
    this.timeoutMs = timeoutMs
    this.options = options
    this.#resolve = resolve
    this.#reject = reject
  }

  get deadline(): number {
    return this.call?.at ?? this.batch!.begunAt + this.lateMs + this.timeoutMs
  }

  get name(): string {
    return joinKey(this.key)
  }

  take(reader: ValueReader, buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): void {
    if (this.settled) return
    let value: unknown
    try {
      value = readValue(reader, buffer, start, end, clientFlags, owned)
    } catch (error) {
      unreadable(this, reader, error)
      return
    }
    if (value instanceof ValueInChunks) gather(this, value, reader)
    else this.resolve(value)
  }

  resolve(value: unknown): void {
    if (this.settled) return
    const resolve = this.#resolve
    this.settled = true
    this.batch!.settledCalls++
    // A settled call may stay referenced for a while, but its promise, and with it the value, must not.
    this.#resolve = nothing
    this.#reject = nothing
    if (this.signal !== undefined) unwatch(this)
    resolve(value)
  }

  fail(error: unknown): void {
    if (this.settled) return
    const reject = this.#reject
    this.settled = true
    this.#resolve = nothing
    this.#reject = nothing
    if (this.signal !== undefined) unwatch(this)
    reject(error)
    if (this.batch === undefined) return
    this.batch.settledCalls++
    this.batch.left()
  }
}

function gather(call: GetCall, value: ValueInChunks, reader: ValueReader): void {
  value.gather(CallDeadline.of(call)).then(
    (whole) => call.resolve(whole),
    (error: unknown) => (error instanceof MemcacheDecodeError ? unreadable(call, reader, error) : call.fail(error)),
  )
}

/** Settles a call whose stored value cannot be decoded. */
function unreadable(call: GetCall, reader: ValueReader, error: unknown): void {
  if ((call.options?.unreadable ?? reader.unreadable) === 'miss') call.resolve(undefined)
  else call.fail(decodeError(error, call.name))
}

function nothing(): void {}
