/** Signals that no caller waits for work any more: an `Abandonment`, or a caller's AbortSignal. */
export interface StopSource {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void
  removeEventListener(type: 'abort', listener: () => void): void
}

/** The reasons of aborted signals that have none: each signal keeps its one. */
const ownReasons = new WeakMap<StopSource, DOMException>()

/**
 * Returns the reason of an aborted signal. A signal without a reason, such as that of jsdom in jest 29, gets Node's
 * `AbortError`.
 */
export function reasonOf(signal: StopSource): unknown {
  if (signal.reason !== undefined) return signal.reason
  let reason = ownReasons.get(signal)
  if (reason === undefined) {
    ownReasons.set(signal, (reason = new DOMException('This operation was aborted', 'AbortError')))
  }
  return reason
}

/** Throws the reason of an aborted signal, as the signal's own method does, which some lack. */
export function throwIfAborted(signal: StopSource | undefined): void {
  if (signal?.aborted === true) throw reasonOf(signal)
}

/**
 * Signals that no caller waits for work any more, like an AbortController. The AbortSignal is created only when the
 * work reads it, since creating one costs more than a lookup.
 */
export class Abandonment implements StopSource {
  aborted = false
  reason: unknown
  #controller: AbortController | undefined
  #listeners: (() => void)[] | undefined

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.aborted) this.#controller.abort(this.reason)
    }
    return this.#controller.signal
  }

  /** Adds a listener, which is called once. */
  addEventListener(_type: 'abort', listener: () => void): void {
    ;(this.#listeners ??= []).push(listener)
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const index = this.#listeners?.indexOf(listener) ?? -1
    if (index !== -1) this.#listeners!.splice(index, 1)
  }

  abort(reason: unknown): void {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason
    const listeners = this.#listeners ?? []
    this.#listeners = undefined
    for (const listener of listeners) listener()
    this.#controller?.abort(reason)
  }
}
