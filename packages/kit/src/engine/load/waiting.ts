import { setTimeout as delay } from 'node:timers/promises'
import { Abandonment, throwIfAborted } from './abandonment.ts'
import type { StopSource } from './abandonment.ts'

/** The watches of signals that have callbacks. */
const watches = new WeakMap<StopSource, SignalWatch>()

/** The one listener on a signal, and the callbacks of all calls that wait with that signal. */
class SignalWatch {
  readonly #signal: StopSource
  readonly #callbacks = new Set<() => void>()

  constructor(signal: StopSource) {
    this.#signal = signal
    watches.set(signal, this)
    signal.addEventListener('abort', this.#abort)
  }

  add(callback: () => void): void {
    this.#callbacks.add(callback)
  }

  delete(callback: () => void): void {
    if (this.#callbacks.delete(callback) && this.#callbacks.size === 0) this.#stop()
  }

  readonly #abort = (): void => {
    this.#stop()
    for (const callback of this.#callbacks) callback()
  }

  #stop(): void {
    if (watches.get(this.#signal) === this) watches.delete(this.#signal)
    this.#signal.removeEventListener('abort', this.#abort)
  }
}

/**
 * Calls back once when a signal is aborted. However many calls wait with one signal, such as that of an HTTP request,
 * the signal has one listener, and only while there are any: Node takes more than ten listeners for a memory leak and
 * prints a warning.
 *
 * @param signal a signal that is not aborted yet; an aborted one never calls back.
 * @param callback must not throw, and must not be in use for the same signal already.
 * @returns a function that ends this.
 */
export function onAbort(signal: StopSource, callback: () => void): () => void {
  // The kit's own signals never warn.
  if (signal instanceof Abandonment) {
    signal.addEventListener('abort', callback)
    return () => signal.removeEventListener('abort', callback)
  }
  const watch = watches.get(signal) ?? new SignalWatch(signal)
  watch.add(callback)
  return () => watch.delete(callback)
}

/**
 * Waits for some milliseconds.
 *
 * @throws the signal's reason if the signal is aborted before the end.
 */
export async function pause(milliseconds: number, signal: StopSource | undefined): Promise<void> {
  throwIfAborted(signal)
  if (signal === undefined) return delay(milliseconds)
  const stop = new AbortController()
  const forget = onAbort(signal, () => stop.abort())
  try {
    await delay(milliseconds, undefined, { signal: stop.signal })
  } catch {
    throwIfAborted(signal)
  } finally {
    forget()
  }
}

/** The pause before the first poll for another process's value, in milliseconds. */
export const FIRST_POLL_MS = 2
const GROWTH = 1.6
const MAX_POLL_MS = 12

/** Returns the next pause, in milliseconds. */
export function nextPollMs(pauseMs: number): number {
  return Math.min(MAX_POLL_MS, pauseMs * GROWTH)
}

/**
 * Returns the delay of a pause: at random between half and one and a half times as long, so that waiting processes do
 * not poll in step.
 */
export function pollDelayMs(pauseMs: number): number {
  return pauseMs * (0.5 + Math.random())
}
