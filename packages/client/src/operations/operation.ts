import type { CallDeadline } from '../call-deadline.ts'
import type { LineCodec } from '../protocols/line/line-codec.ts'
import { unwatch } from './waiter.ts'
import type { Waiter } from './waiter.ts'

/** The kinds of operations (`OperationOf`): each protocol has a codec for each. */
export type OperationKind = 'keyList' | 'retrieval' | 'store' | 'delete' | 'arithmetic' | 'lines'

/**
 * A request of any protocol: it waits for its response, and settles once. A response that comes after it was given up is read and
 * forgotten.
 */
export abstract class Operation implements Waiter {
  abstract readonly kind: OperationKind
  /** The key, as the caller gave it, for errors. */
  readonly key: string | undefined
  /** Whether it may change what is stored, so that a lost answer leaves doubt. */
  readonly writes: boolean
  /** When it is given up, in the milliseconds of `performance.now()`. */
  deadline = 0
  timeoutMs = 0
  /** When it was handed to the connection, by the same clock. */
  sentAt = 0
  /** Whether it may be asked again, once, where the connection was closed before any of its answer came: a read that changes nothing. */
  mayRepeat: boolean
  /** Whether it was given up and its answer is still out. */
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
   * Fails who has waited until now; where callers share the operation, the others' deadline becomes its own.
   * @param timeout makes the error for a caller's key and patience.
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

  /** How many callers wait for it. */
  get size(): number {
    return 1
  }

  /** To be called before resolving; returns whether it still may. */
  protected settle(): boolean {
    if (this.settled) return false
    this.settled = true
    if (this.signal !== undefined) unwatch(this)
    return true
  }
}
