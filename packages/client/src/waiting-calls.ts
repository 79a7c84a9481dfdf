import { MemcacheTimeoutError } from 'memcache-ts-protocol'
import type { CallDeadline } from './call-deadline.ts'
import { DeadlineTimer } from './connection/deadline-timer.ts'
import { unwatch, watch } from './operations/waiter.ts'
import type { Waiter } from './operations/waiter.ts'

/** Calls that wait for one event, each for its own time. */
export class WaitingCalls {
  readonly #waiters = new Set<WaitingCall>()
  readonly #timer = new DeadlineTimer(() => this.#expire())
  readonly #timeoutMessage: (timeoutMs: number) => string

  /** @param timeoutMessage what a call is told whose time is over. */
  constructor(timeoutMessage: (timeoutMs: number) => string) {
    this.#timeoutMessage = timeoutMessage
  }

  /** Resolves when the event happens; rejects when the call's time is over, or its signal is aborted. */
  wait(call: CallDeadline): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter = new WaitingCall(call, resolve, reject, this.#waiters)
      this.#waiters.add(waiter)
      if (call.signal !== undefined) watch(call.signal, waiter)
      this.#timer.by(waiter.deadline)
    })
  }

  /** The event has happened: the calls go on. */
  pass(): void {
    for (const waiter of this.#waiters) waiter.pass()
    this.#timer.clear()
  }

  /** The event will not happen: the calls are rejected. */
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

class WaitingCall implements Waiter {
  signal: AbortSignal | undefined
  settled = false
  readonly call: CallDeadline
  readonly #resolve: () => void
  readonly #reject: (error: unknown) => void
  readonly #waiters: Set<WaitingCall>

  constructor(call: CallDeadline, resolve: () => void, reject: (error: unknown) => void, waiters: Set<WaitingCall>) {
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
