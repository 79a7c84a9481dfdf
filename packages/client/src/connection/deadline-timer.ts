/** One timer for all that wait on a connection: it is set for the earliest deadline, not for each. */
export class DeadlineTimer {
  readonly #expire: () => void
  #timer: NodeJS.Timeout | undefined
  #deadline = Infinity

  /** @param expire is called when a deadline may have passed; what still waits is to be handed to `by` again. */
  constructor(expire: () => void) {
    this.#expire = expire
  }

  /** Something is to be looked at by this time, in the milliseconds of `performance.now()`. */
  by(deadline: number): void {
    if (deadline >= this.#deadline) return
    clearTimeout(this.#timer)
    this.#deadline = deadline
    const delayMs = Math.max(1, Math.ceil(deadline - performance.now()))
    // When the loop was blocked, timers run before the answers that have come meanwhile are read: those come first.
    this.#timer = setTimeout(() => setImmediate(() => this.#fire()), delayMs)
    this.#timer.unref()
  }

  /** Nothing waits. */
  clear(): void {
    clearTimeout(this.#timer)
    this.#deadline = Infinity
  }

  #fire(): void {
    this.#deadline = Infinity
    this.#expire()
  }
}
