/** The longest delay that Node's timers can hold; they take a longer one for a millisecond. */
const MAX_TIMER_MS = 0x7fff_ffff

/**
 * A timer for delays of any length: Node's own become 1 ms above 2^31 - 1 ms (24.8 days). `Infinity` never fires. A delay that is
 * no number counts as 0.
 */
export class LongTimer {
  readonly #callback: () => void
  #timer: ReturnType<typeof setTimeout> | undefined
  #keepsAlive = true

  constructor(callback: () => void, delayMs: number) {
    this.#callback = callback
    if (delayMs !== Infinity) this.#wait(delayMs)
  }

  /** Does not keep the process alive. */
  unref(): this {
    this.#keepsAlive = false
    this.#timer?.unref()
    return this
  }

  /** Never fires; has no effect on a timer that has fired. */
  clear(): void {
    clearTimeout(this.#timer)
  }

  #wait(delayMs: number): void {
    const restMs = delayMs - MAX_TIMER_MS
    this.#timer = restMs > 0 ? setTimeout(() => this.#wait(restMs), MAX_TIMER_MS) : setTimeout(this.#callback, delayMs)
    if (!this.#keepsAlive) this.#timer.unref()
  }
}
