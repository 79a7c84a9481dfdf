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

/** Where callers of the same key look for each other: the last caller at each hash, until its batch has ended. */
const recent: (GetCall | undefined)[] = Array.from({ length: 256 })

/**
 * The plain `get`s of one turn of the loop to one connection, asked in one line: a server answers that for less than single gets cost it, every value comes with its key, and the right to recache a stale item is left to those who ask for it.
 */
export class GetBatch extends KeyListOperation {
  readonly #calls: GetCall[] = []
  readonly #reader: ValueReader
  readonly #again: (call: GetCall) => void
  #size = 0
  /** Keys that were hits. */
  #answered = 0

  /** @param again asks for one key by a meta command. */
  constructor(reader: ValueReader, again: (call: GetCall) => void) {
    super(undefined, false, () => {})
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
    call.deadline = call.call === undefined ? now + call.timeoutMs : call.call.at
    if (call.deadline < this.deadline) {
      this.deadline = call.deadline
      this.timeoutMs = call.timeoutMs
    }
    const { wireKey } = call
    const slot =
      (wireKey.length + wireKey.charCodeAt(wireKey.length - 1) * 31 + wireKey.charCodeAt(wireKey.length >> 1)) & 255
    const earlier = recent[slot]
    if (earlier !== undefined && earlier.wireKey === wireKey && this.#holds(earlier)) {
      call.twin = earlier.twin
      earlier.twin = call
      return
    }
    recent[slot] = call
    call.slot = slot
    call.place = this.#calls.length
    this.#calls.push(call)
    this.wireKeys.push(wireKey)
  }

  override fail(error: unknown): void {
    if (!this.settle()) return
    for (const call of this.#all()) {
      if (!call.settled) call.fail(error instanceof MemcacheError ? errorForKey(error, call.name, false) : error)
    }
  }

  override expire(now: number, timeout: (key: string | undefined, timeoutMs: number) => Error): void {
    let next = Infinity
    for (const call of this.#all()) {
      if (call.settled) continue
      if (call.deadline <= now) call.fail(timeout(call.name, call.timeoutMs))
      else next = Math.min(next, call.deadline)
    }
    if (next === Infinity) this.settle()
    else this.deadline = next
  }

  override postpone(byMs: number): void {
    super.postpone(byMs)
    for (const call of this.#all()) {
      call.deadline += byMs
      if (call.call !== undefined) call.call.at = Math.max(call.call.at, call.deadline)
    }
  }

  /** Nothing of a batch is held once it has ended. */
  protected override settle(): boolean {
    if (!super.settle()) return false
    for (const call of this.#calls) if (recent[call.slot] === call) recent[call.slot] = undefined
    return true
  }

  protected hit(index: number, buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): void {
    const first = this.#calls[index]!
    // A proxy may say the same twice.
    if (!first.isHit) this.#answered++
    first.isHit = true
    // Bytes that two callers get must not be the same memory.
    const alone = owned && first.twin === undefined
    for (let call: GetCall | undefined = first; call !== undefined; call = call.twin) {
      call.take(this.#reader, buffer, start, end, clientFlags, alone)
    }
  }

  protected askAgain(index: number): void {
    for (let call: GetCall | undefined = this.#calls[index]; call !== undefined; call = call.twin) {
      if (!call.settled) {
        call.hasNextStep = true
        this.#again(call)
      }
    }
  }

  finish(): void {
    // Mostly all were hits, and none is left.
    if (this.#answered < this.#calls.length) this.#missRest()
    this.settle()
  }

  #missRest(): void {
    for (const call of this.#all()) if (!call.hasNextStep) call.resolve(undefined)
  }

  #holds(call: GetCall): boolean {
    return this.#calls[call.place] === call
  }

  *#all(): Iterable<GetCall> {
    for (const first of this.#calls) {
      for (let call: GetCall | undefined = first; call !== undefined; call = call.twin) yield call
    }
  }
}
