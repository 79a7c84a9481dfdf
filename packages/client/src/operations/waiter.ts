import { MemcacheOptionError } from 'memcache-ts-protocol'
import { reasonOf } from '../call-deadline.ts'
import type { CallDeadline } from '../call-deadline.ts'
import { messageOf, reportUncaught } from '../errors.ts'

/** A waiting caller: an operation, one of several callers that share an operation, or a call that waits for discovery. */
export interface Waiter {
  /** The signal that ends the wait early. `watch` sets it; settling calls `unwatch`. */
  signal: AbortSignal | undefined
  /** The time when the wait is given up, in milliseconds of `performance.now()`. */
  readonly deadline: number
  readonly timeoutMs: number
  /** The deadline of the whole call, if this is one of several steps. */
  readonly call: CallDeadline | undefined
  readonly settled: boolean
  /** Rejects the caller, unless it has settled. */
  fail(error: unknown): void
}

/**
 * The callers that wait with a signal, by signal. Each signal has one listener however many callers wait, and none if
 * no caller waits.
 */
const watches = new WeakMap<AbortSignal, SignalWatch>()

class SignalWatch {
  readonly waiters = new Set<Waiter>()
  readonly #signal: AbortSignal
  readonly #abort = (): void => this.#end()

  constructor(signal: AbortSignal) {
    this.#signal = signal
    signal.addEventListener('abort', this.#abort)
  }

  remove(waiter: Waiter): void {
    this.waiters.delete(waiter)
    if (this.waiters.size === 0) this.#stop()
  }

  #stop(): void {
    watches.delete(this.#signal)
    try {
      this.#signal.removeEventListener('abort', this.#abort)
    } catch (error) {
      // A custom signal that throws must not keep its callers waiting.
      reportUncaught(error)
    }
  }

  #end(): void {
    this.#stop()
    for (const waiter of this.waiters) waiter.fail(reasonOf(this.#signal))
  }
}

/** Ends a caller's wait when its signal is aborted; a request that was sent may still be carried out. */
export function watch(signal: AbortSignal, waiter: Waiter): void {
  if (waiter.settled) return
  try {
    watchSignal(signal, waiter)
  } catch (cause) {
    waiter.fail(new MemcacheOptionError(`the signal of a call has failed: ${messageOf(cause)}`, { cause }))
  }
}

function watchSignal(signal: AbortSignal, waiter: Waiter): void {
  if (signal.aborted) {
    waiter.fail(reasonOf(signal))
    return
  }
  let watched = watches.get(signal)
  if (watched === undefined) {
    watched = new SignalWatch(signal)
    watches.set(signal, watched)
  }
  watched.waiters.add(waiter)
  waiter.signal = signal
}

/**
 * Calls back when a signal is aborted, after the callers that wait with it have been rejected. Shares their listener.
 *
 * @returns a function that stops this.
 */
export function afterAbort(signal: AbortSignal, callback: () => void): () => void {
  const waiter: Waiter = {
    signal: undefined,
    deadline: Infinity,
    timeoutMs: Infinity,
    call: undefined,
    settled: false,
    fail: callback,
  }
  watch(signal, waiter)
  return () => unwatch(waiter)
}

/** Removes a waiter from its signal. A waiter with a signal must call this when it has settled. */
export function unwatch(waiter: Waiter): void {
  if (waiter.signal !== undefined) watches.get(waiter.signal)?.remove(waiter)
}
