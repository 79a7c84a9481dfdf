/** Signals that no caller waits for work any more: an `Abandonment`, or a caller's AbortSignal. */
export interface StopSource {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void
  removeEventListener(type: 'abort', listener: () => void): void
  throwIfAborted(): void
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

  throwIfAborted(): void {
    if (this.aborted) throw this.reason
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
