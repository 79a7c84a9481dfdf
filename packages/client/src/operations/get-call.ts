import { joinKey, MemcacheDecodeError } from 'memcache-ts-protocol'
import type { Key } from 'memcache-ts-protocol'
import type { ValueReader } from '../values/value-codec.ts'
import { CallDeadline } from '../call-deadline.ts'
import type { CallOptions } from '../call-options.ts'
import { ValueInChunks } from '../values/chunked-values.ts'
import { decodeError } from './decode-error.ts'
import { unwatch } from './waiter.ts'
import type { Waiter } from './waiter.ts'

/**
 * One caller of `get`, in a batch with the others of its turn of the loop. Hundreds may wait at a time, so that it is kept small:
 * its time is its batch's, and private methods, for which each instance is marked, are functions.
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
  batch: { readonly askedAt: number } | undefined
  /** How much later than its batch it was begun, in whole milliseconds. */
  lateMs = 0
  /** Another caller that asked for the same key in the same turn: it is asked for once, and decoded for each. */
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
      value = reader.read(buffer, start, end, clientFlags, owned)
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
