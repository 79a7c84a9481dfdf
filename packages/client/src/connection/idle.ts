import { LongTimer } from 'memcache-ts-protocol'

/** Calls back after a time without activity: some networks silently drop idle connections. */
export class IdleTimer {
  readonly #idleMs: number
  readonly #restedMs: () => number
  readonly #idle: () => void
  #timer: LongTimer | undefined

  /**
   * @param idleMs the time in milliseconds; `Infinity` never calls back.
   * @param restedMs returns the time without activity until now; 0 while an operation is under way.
   * @param idle is called when the time has passed.
   */
  constructor(idleMs: number, restedMs: () => number, idle: () => void) {
    this.#idleMs = idleMs
    this.#restedMs = restedMs
    this.#idle = idle
  }

  start(): void {
    this.#wait(this.#idleMs)
  }

  stop(): void {
    this.#timer?.clear()
  }

  #wait(delayMs: number): void {
    this.#timer = new LongTimer(() => {
      const restedMs = this.#restedMs()
      if (restedMs >= this.#idleMs) this.#idle()
      else this.#wait(Math.max(1, this.#idleMs - restedMs))
    }, delayMs).unref()
  }
}

/** Callers that wait until no operation is under way on a connection. */
export class Drain {
  readonly #waiting: (() => void)[] = []
  /** Whether a caller waits. */
  isAwaited = false

  /**
   * Resolves at the next `end`, or after a limit.
   *
   * @param mayEnd whether the limit ends the wait.
   */
  async wait(limitMs: number, mayEnd: () => boolean): Promise<void> {
    const limit = new LongTimer(() => {
      if (mayEnd()) this.end()
    }, limitMs)
    this.isAwaited = true
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
    limit.clear()
  }

  /** Resolves the waiting callers: no operation is under way. */
  end(): void {
    this.isAwaited = false
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
