/** The longest delay of Node's timers; a longer one would fire after 1 ms. */
export const MAX_TIMER_MS = 0x7fff_ffff

/**
 * A timer for delays of any length: Node's own fire after 1 ms if the delay exceeds 2^31 - 1 ms (24.8 days). `Infinity`
 * never fires. A delay that is not a number counts as 0.
 */
export class LongTimer {
  readonly #callback: () => void
  #timer: ReturnType<typeof setTimeout> | undefined
  #keepsAlive = true

  constructor(callback: () => void, delayMs: number) {
    this.#callback = callback
    if (delayMs !== Infinity) this.#wait(delayMs)
  }

  /** Lets the process end while the timer is running. */
  unref(): this {
    this.#keepsAlive = false
    this.#timer?.unref()
    return this
  }

  /** Cancels the timer; it has no effect after the timer has fired. */
  clear(): void {
    clearTimeout(this.#timer)
  }

  #wait(delayMs: number): void {
    const restMs = delayMs - MAX_TIMER_MS
    this.#timer = restMs > 0 ? setTimeout(() => this.#wait(restMs), MAX_TIMER_MS) : setTimeout(this.#callback, delayMs)
    if (!this.#keepsAlive) this.#timer.unref()
  }
}
