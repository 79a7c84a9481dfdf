import { joinKey } from 'memcache-ts-protocol'
import type { Key } from 'memcache-ts-protocol'
import type { ValueReader } from '../values/value-codec.ts'
import type { CallDeadline } from '../call-deadline.ts'
import { decodeError } from './decode-error.ts'
import { unwatch } from './waiter.ts'
import type { Waiter } from './waiter.ts'

/** One caller of `get`, in a batch with the others of its turn of the loop. */
export class GetCall implements Waiter {
  readonly key: Key
  readonly wireKey: string
  readonly timeoutMs: number
  deadline = 0
  settled = false
  signal: AbortSignal | undefined
  call: CallDeadline | undefined
  /** Another caller that asked for the same key in the same turn: it is asked for once, and decoded for each. */
  twin: GetCall | undefined
  /** Its place in its batch. */
  place = 0
  /** Its place in the table of recent calls. */
  slot = 0
  isHit = false
  /** Whether a second question is out: the end of the first is no answer to it. */
  asksAgain = false
  readonly #resolve: (value: unknown) => void
  readonly #reject: (error: unknown) => void

  constructor(
    key: Key,
    wireKey: string,
    timeoutMs: number,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    this.key = key
    this.wireKey = wireKey
    this.timeoutMs = timeoutMs
    this.#resolve = resolve
    this.#reject = reject
  }

  get name(): string {
    return joinKey(this.key)
  }

  take(reader: ValueReader, buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): void {
    if (this.settled) return
    try {
      this.resolve(reader.read(buffer, start, end, clientFlags, owned))
    } catch (error) {
      this.fail(decodeError(error, this.name))
    }
  }

  resolve(value: unknown): void {
    if (this.#settle()) this.#resolve(value)
  }

  fail(error: unknown): void {
    if (this.#settle()) this.#reject(error)
  }

  #settle(): boolean {
    if (this.settled) return false
    this.settled = true
    if (this.signal !== undefined) unwatch(this)
    return true
  }
}
