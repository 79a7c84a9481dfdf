import { joinKey, MemcacheDecodeError } from 'memcache-ts-protocol'
import type { Key } from 'memcache-ts-protocol'
import type { ValueReader } from '../values/value-codec.ts'
import { CallDeadline } from '../call-deadline.ts'
import type { CallOptions } from '../call-options.ts'
import { ValueInChunks } from '../values/chunked-values.ts'
import { decodeError } from './decode-error.ts'
import { unwatch } from './waiter.ts'
import type { Waiter } from './waiter.ts'

/** One caller of `get`, in a batch with the others of its turn of the loop. */
export class GetCall implements Waiter {
  readonly key: Key
  readonly wireKey: string
  readonly timeoutMs: number
  readonly options: CallOptions | undefined
  deadline = 0
  settled = false
  signal: AbortSignal | undefined
  call: CallDeadline | undefined
  /** Another caller that asked for the same key in the same turn: it is asked for once, and decoded for each. */
  twin: GetCall | undefined
  /** Its place in its batch. */
  place = 0
  /** Where later callers of its key find it. */
  slot = 0
  isHit = false
  /** Whether another step is under way: the end of the first request is no answer to it. */
  hasNextStep = false
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

  get name(): string {
    return joinKey(this.key)
  }

  take(reader: ValueReader, buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): void {
    if (this.settled) return
    let value: unknown
    try {
      value = reader.read(buffer, start, end, clientFlags, owned)
    } catch (error) {
      this.#unreadable(reader, error)
      return
    }
    if (value instanceof ValueInChunks) this.#gather(value, reader)
    else this.resolve(value)
  }

  #gather(value: ValueInChunks, reader: ValueReader): void {
    this.hasNextStep = true
    value.gather(CallDeadline.of(this)).then(
      (whole) => this.resolve(whole),
      (error: unknown) => (error instanceof MemcacheDecodeError ? this.#unreadable(reader, error) : this.fail(error)),
    )
  }

  /** The stored value cannot be decoded. */
  #unreadable(reader: ValueReader, error: unknown): void {
    if ((this.options?.unreadable ?? reader.unreadable) === 'miss') this.resolve(undefined)
    else this.fail(decodeError(error, this.name))
  }

  resolve(value: unknown): void {
    if (!this.#settle()) return
    this.#resolve(value)
    this.#release()
  }

  fail(error: unknown): void {
    if (!this.#settle()) return
    this.#reject(error)
    this.#release()
  }

  /** A settled call may be held for a while: its promise, and so its value, is not. */
  #release(): void {
    this.#resolve = nothing
    this.#reject = nothing
  }

  #settle(): boolean {
    if (this.settled) return false
    this.settled = true
    if (this.signal !== undefined) unwatch(this)
    return true
  }
}

function nothing(): void {}
