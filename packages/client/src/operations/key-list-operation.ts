import { joinKey, MemcacheDecodeError, MemcacheError } from 'memcache-ts-protocol'
import type { Key } from 'memcache-ts-protocol'
import { CallDeadline } from '../call-deadline.ts'
import type { CallOptions } from '../call-options.ts'
import { decodeError, errorForKey } from '../errors.ts'
import { ValueInChunks } from '../values/chunked-values.ts'
import type { ValueReader } from '../values/value-codec.ts'
import { Operation, readValue } from './operation.ts'
import { unwatch } from './waiter.ts'
import type { Waiter } from './waiter.ts'

/** The most keys of one request; longer lists take several. */
export const KEYS_PER_REQUEST = 200

/** Many keys in one request: the hits come with their keys, and then the end. */
export abstract class KeyListOperation extends Operation {
  readonly kind = 'keyList'
  /** What goes over the wire, in this order. */
  readonly wireKeys: string[] = []
  /** Whether the cas uniques are wanted. */
  withCas = false
  /** That of the hit which is handed on, where it is wanted. */
  casUnique = 0n
  /** How many ends of the response are still to come: long lists take several lines. */
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

  /** The value may be an unfilled lease, which only a meta command tells from an empty value. */
  takeEmpty(): void {
    this.askAgain(this.#found)
  }

  /**
   * The value may be an unfilled lease, and the protocol does not tell. It is a miss, which is always a valid result of
   * a cache, unless the codec stores values so.
   */
  takeUncertain(buffer: Buffer, at: number): void {
    if (this.reader.takesEmptyForLease === true) this.miss(this.#found)
    else this.hit(this.#found, buffer, at, at, 0, false)
  }

  /** Whether none of the bytes of a value with these client flags is kept. */
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
  protected abstract askAgain(index: number): void
  /** All hits have come. */
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
 * Keys of one line at most. In one long line the server would be done with the last key before the client has the first
 * answer, and the two would work in turns (docs/decisions/0006).
 */
const KEYS_PER_BATCH = 16

/** A power of two. */
const SLOTS = 256

/** Where callers of the same key look for each other: the last caller at each hash, until its batch has ended. */
const recent: (GetCall | undefined)[] = Array.from({ length: SLOTS })

/**
 * The plain `get`s of one turn of the loop on one connection, in one line. That costs a server less than single gets,
 * every value comes with its key, and the request never takes the right to recache a stale item.
 */
export class GetBatch extends KeyListOperation {
  /** When it was begun, in the milliseconds of `performance.now()`; later where it left later. */
  askedAt: number
  readonly #calls: GetCall[] = []
  protected readonly reader: ValueReader
  readonly #again: (call: GetCall) => void
  #size = 0
  /** How many keys have a response. */
  #answered = 0
  /** How many of its callers have settled; they count themselves. */
  settledCalls = 0

  /** @param again reads one key by a meta command. */
  constructor(askedAt: number, reader: ValueReader, again: (call: GetCall) => void) {
    super(undefined, false, () => {})
    this.askedAt = askedAt
    this.sentAt = askedAt
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

  /** A caller gave up: when none is left that waits, nobody awaits the batch. */
  left(): void {
    if (this.settledCalls === this.#size) this.settle()
  }

  get isFull(): boolean {
    return this.#calls.length >= KEYS_PER_BATCH
  }

  add(call: GetCall, now: number): void {
    this.#size++
    call.batch = this
    if (now > this.askedAt) call.lateMs = Math.ceil(now - this.askedAt)
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
    this.askedAt += byMs
    const deadlines = new Set(Array.from(all(this.#calls), (call) => call.call))
    for (const deadline of deadlines) if (deadline !== undefined) deadline.at += byMs
  }

  /** Nothing of a batch is held once it has ended. */
  protected override settle(): boolean {
    if (!super.settle()) return false
    for (const call of this.#calls) {
      const slot = slotOf(call.wireKey)
      if (recent[slot] === call) recent[slot] = undefined
    }
    return true
  }

  /** The end of the batch resolves it. */
  protected miss(): void {}

  protected hit(index: number, buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): void {
    const first = this.#calls[index]!
    // A proxy may say the same twice.
    if (!first.isAnswered) this.#answered++
    // Bytes that two callers get must not be the same memory.
    const alone = owned && first.twin === undefined
    for (let call: GetCall | undefined = first; call !== undefined; call = call.twin) {
      call.isAnswered = true
      call.take(this.reader, buffer, start, end, clientFlags, alone)
    }
  }

  protected askAgain(index: number): void {
    for (let call: GetCall | undefined = this.#calls[index]; call !== undefined; call = call.twin) {
      call.isAnswered = true
      if (!call.settled) this.#again(call)
    }
  }

  finish(): void {
    // Mostly all were hits, and none is left.
    if (this.#answered < this.#calls.length) {
      for (const call of all(this.#calls)) if (!call.isAnswered) call.resolve(undefined)
    }
    this.settle()
  }
}

/** The callers of a batch, those of the same key too. */
function* all(calls: readonly GetCall[]): Iterable<GetCall> {
  for (const first of calls) {
    for (let call: GetCall | undefined = first; call !== undefined; call = call.twin) yield call
  }
}

/** Where callers of a key look for each other in `recent`. */
function slotOf(key: string): number {
  const { length } = key
  return (length + key.charCodeAt(length - 1) * 31 + key.charCodeAt(length >> 1)) & (SLOTS - 1)
}

/**
 * One caller of `get`, in a batch with the others of its turn of the loop. Hundreds may wait at a time, so that it is
 * kept small: its time is its batch's, and private methods, for which each instance is marked, are functions.
 */
export class GetCall implements Waiter {
  readonly key: Key
  readonly wireKey: string
  readonly timeoutMs: number
  readonly options: CallOptions | undefined
  settled = false
  signal: AbortSignal | undefined
  call: CallDeadline | undefined
  /** The batch that it is in, and when that was begun. */
  batch: GetBatch | undefined
  /** How much later than its batch it was begun, in whole milliseconds. */
  lateMs = 0
  /** Another caller of the same key in the same turn: the key is requested once, and its value decoded for each. */
  twin: GetCall | undefined
  /** Whether a response, or a further step, has decided or will decide it: the end of the batch does not make it a miss. */
  isAnswered = false
  #resolve: (value: unknown) => void
  #reject: (error: unknown) => void

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
    return this.call?.at ?? this.batch!.askedAt + this.lateMs + this.timeoutMs
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
    // A settled call may be held for a while: its promise, and so its value, is not.
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

/** The stored value cannot be decoded. */
function unreadable(call: GetCall, reader: ValueReader, error: unknown): void {
  if ((call.options?.unreadable ?? reader.unreadable) === 'miss') call.resolve(undefined)
  else call.fail(decodeError(error, call.name))
}

function nothing(): void {}
