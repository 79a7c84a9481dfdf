import { MemcacheClosedError, MemcacheTimeoutError } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import type { CallDeadline } from './call-deadline.ts'
import { DeadlineTimer } from './connection/timers.ts'
import { unwatch, watch } from './operations/waiter.ts'
import type { Waiter } from './operations/waiter.ts'

/** Calls that wait for one event, each with its own time limit. */
export class WaitingCalls {
  readonly #waiters = new Set<WaitingCall>()
  readonly #timer = new DeadlineTimer(() => this.#expire())
  readonly #timeoutMessage: (timeoutMs: number) => string

  /** @param timeoutMessage makes the error message of a call that has timed out. */
  constructor(timeoutMessage: (timeoutMs: number) => string) {
    this.#timeoutMessage = timeoutMessage
  }

  /** Resolves when the event happens; rejects if the call times out or its signal is aborted. */
  wait(call: CallDeadline): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter = new WaitingCall({ call, resolve, reject }, this.#waiters)
      this.#waiters.add(waiter)
      if (call.signal !== undefined) watch(call.signal, waiter)
      this.#timer.by(waiter.deadline)
    })
  }

  /** Resolves the waiting calls: the event has happened. */
  pass(): void {
    for (const waiter of this.#waiters) waiter.pass()
    this.#timer.clear()
  }

  /** Rejects the waiting calls: the event will not happen. */
  fail(error: unknown): void {
    for (const waiter of this.#waiters) waiter.fail(error)
    this.#timer.clear()
  }

  #expire(): void {
    const now = performance.now()
    let next = Infinity
    for (const waiter of this.#waiters) {
      const { deadline, timeoutMs } = waiter
      if (deadline <= now) waiter.fail(new MemcacheTimeoutError(this.#timeoutMessage(timeoutMs)))
      else next = Math.min(next, deadline)
    }
    this.#timer.by(next)
  }
}

/** A call, and the functions of its promise. */
interface Waiting {
  readonly call: CallDeadline
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

class WaitingCall implements Waiter {
  signal: AbortSignal | undefined
  settled = false
  readonly call: CallDeadline
  readonly #resolve: () => void
  readonly #reject: (error: unknown) => void
  readonly #waiters: Set<WaitingCall>

  constructor({ call, resolve, reject }: Waiting, waiters: Set<WaitingCall>) {
    this.call = call
    this.#resolve = resolve
    this.#reject = reject
    this.#waiters = waiters
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

  #settle(): boolean {
    if (this.settled) return false
    this.settled = true
    this.#waiters.delete(this)
    unwatch(this)
    return true
  }
}

/**
 * Decides whether calls may begin. With a fixed list of servers they may begin immediately. With discovery, calls wait
 * for its first response, each with its own time limit, and are rejected with its error while it fails. After `close`,
 * every call is rejected.
 */
export class Opening {
  /** Whether calls may begin. */
  isOpen = false
  /** The error with which calls are rejected immediately; `undefined` while they may wait. */
  #refusal: MemcacheError | undefined
  readonly #waiting = new WaitingCalls((timeoutMs) => `no servers are known after ${timeoutMs} ms: discovery continues`)

  /** Makes calls wait for the response of discovery. */
  wait(): void {
    if (!(this.#refusal instanceof MemcacheClosedError)) this.#refusal = undefined
  }

  /** Lets calls begin: the servers are known. */
  open(): void {
    if (this.#refusal instanceof MemcacheClosedError) return
    this.#refusal = undefined
    this.isOpen = true
    this.#waiting.pass()
  }

  /** Rejects waiting calls, and later calls until the next request of discovery: discovery has failed. */
  fail(error: MemcacheError): void {
    if (this.isOpen || this.#refusal instanceof MemcacheClosedError) return
    this.#refusal = error
    this.#waiting.fail(error)
  }

  /** Rejects waiting calls and all later calls: the client was closed. */
  close(): void {
    this.isOpen = false
    this.fail(new MemcacheClosedError('this client was closed'))
  }

  /** Resolves when the call may begin; rejects if it times out, its signal is aborted, or discovery fails. */
  pass(call: CallDeadline): Promise<void> {
    return this.#refusal === undefined ? this.#waiting.wait(call) : Promise.reject(this.#refusal)
  }
}
