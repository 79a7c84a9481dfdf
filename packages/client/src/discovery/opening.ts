import { MemcacheClosedError, MemcacheTimeoutError } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import type { CallDeadline } from '../call-deadline.ts'
import { DeadlineTimer } from '../connection/deadline-timer.ts'
import { unwatch, watch } from '../operations/waiter.ts'
import type { Waiter } from '../operations/waiter.ts'

/**
 * Whether calls may begin. With a fixed list of servers it is open from the start; with discovery, calls wait for its
 * first response, each for its own time, and are rejected with its error while it fails. Once closed, it rejects every
 * call.
 */
export class Opening {
  /** Whether calls may begin. */
  isOpen = false
  /** Why calls are rejected at once; `undefined` while they may wait. */
  #refusal: MemcacheError | undefined
  readonly #waiters = new Set<OpeningWaiter>()
  readonly #timer = new DeadlineTimer(() => this.#expire())

  /** Discovery has sent a request: calls wait for its response. */
  wait(): void {
    if (!(this.#refusal instanceof MemcacheClosedError)) this.#refusal = undefined
  }

  /** The servers are known. */
  open(): void {
    if (this.#refusal instanceof MemcacheClosedError) return
    this.#refusal = undefined
    this.isOpen = true
    for (const waiter of this.#waiters) waiter.pass()
    this.#clear()
  }

  /** Discovery has failed: waiting calls are rejected, and so are later calls until its next request. */
  fail(error: MemcacheError): void {
    if (this.isOpen || this.#refusal instanceof MemcacheClosedError) return
    this.#refusal = error
    for (const waiter of this.#waiters) waiter.fail(error)
    this.#clear()
  }

  /** The client was closed: calls that wait are rejected, and so are all later ones. */
  close(): void {
    this.isOpen = false
    this.fail(new MemcacheClosedError('this client was closed'))
  }

  /** Resolves when the call may begin; rejects when its time is over, its signal is aborted, or discovery has failed. */
  pass(call: CallDeadline): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#refusal !== undefined) throw this.#refusal
      const waiter = new OpeningWaiter(call, resolve, reject, this.#waiters)
      this.#waiters.add(waiter)
      if (call.signal !== undefined) watch(call.signal, waiter)
      this.#timer.by(waiter.deadline)
    })
  }

  #expire(): void {
    const now = performance.now()
    let next = Infinity
    for (const waiter of this.#waiters) {
      if (waiter.deadline <= now) waiter.expire()
      else next = Math.min(next, waiter.deadline)
    }
    this.#timer.by(next)
  }

  #clear(): void {
    this.#waiters.clear()
    this.#timer.clear()
  }
}

/** A call that waits for the servers. */
class OpeningWaiter implements Waiter {
  signal: AbortSignal | undefined
  settled = false
  readonly call: CallDeadline
  readonly #resolve: () => void
  readonly #reject: (error: unknown) => void
  readonly #waiting: Set<OpeningWaiter>

  constructor(call: CallDeadline, resolve: () => void, reject: (error: unknown) => void, waiting: Set<OpeningWaiter>) {
    this.call = call
    this.#resolve = resolve
    this.#reject = reject
    this.#waiting = waiting
  }

  get deadline(): number {
    return this.call.at
  }

  get timeoutMs(): number {
    return this.call.timeoutMs
  }

  pass(): void {
    if (this.#settle()) this.#resolve()
  }

  fail(error: unknown): void {
    if (this.#settle()) this.#reject(error)
  }

  expire(): void {
    this.fail(new MemcacheTimeoutError(`no servers are known after ${this.timeoutMs} ms: discovery goes on`))
  }

  #settle(): boolean {
    if (this.settled) return false
    this.settled = true
    this.#waiting.delete(this)
    unwatch(this)
    return true
  }
}
