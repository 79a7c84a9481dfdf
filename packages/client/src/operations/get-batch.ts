import { MemcacheError } from 'memcache-ts-protocol'
import type { ValueReader } from '../values/value-codec.ts'
import { errorForKey } from './error-for-key.ts'
import type { GetCall } from './get-call.ts'
import { KeyListOperation } from './key-list-operation.ts'

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
 * The plain `get`s of one turn of the loop to one connection, asked in one line: a server answers that for less than single gets cost it, every value comes with its key, and the right to recache a stale item is left to those who ask for it.
 */
export class GetBatch extends KeyListOperation {
  /** When it was begun, in the milliseconds of `performance.now()`; later where it left later. */
  askedAt: number
  readonly #calls: GetCall[] = []
  readonly #reader: ValueReader
  readonly #again: (call: GetCall) => void
  #size = 0
  /** Keys that were answered. */
  #answered = 0

  /** @param again asks for one key by a meta command. */
  constructor(askedAt: number, reader: ValueReader, again: (call: GetCall) => void) {
    super(undefined, false, () => {})
    this.askedAt = askedAt
    this.sentAt = askedAt
    this.#reader = reader
    this.#again = again
    this.deadline = Infinity
  }

  override get size(): number {
    return this.#size
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
      if (!call.settled) call.fail(error instanceof MemcacheError ? errorForKey(error, call.name, false) : error)
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

  protected get takesEmptyForLease(): boolean {
    return this.#reader.takesEmptyForLease === true
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
      call.take(this.#reader, buffer, start, end, clientFlags, alone)
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
