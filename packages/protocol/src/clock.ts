/** A source of time; tests use their own. */
export interface Clock {
  /** Returns milliseconds since 1970. */
  nowMs(): number
}

/** The time of the machine. */
export const systemClock: Clock = { nowMs: () => Date.now() }

/** A clock that stands still until it is advanced. */
export class FakeClock implements Clock {
  #nowMs: number

  /** @param startMs milliseconds since 1970. Default: the middle of a second, which reveals rounding errors. */
  constructor(startMs = 1_800_000_000_500) {
    this.#nowMs = startMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  advanceMs(milliseconds: number): void {
    this.#nowMs += milliseconds
  }

  advanceSeconds(seconds: number): void {
    this.advanceMs(seconds * 1000)
  }
}

/** A timer of Node. Test environments with the timers of browsers, such as jsdom in jest, have numbers instead. */
type AnyTimer = ReturnType<typeof setTimeout> | number

/** Lets the process end while a timer is running. A timer that is a number does so already. */
export function unrefTimer<Timer extends AnyTimer | undefined>(timer: Timer): Timer {
  if (typeof timer === 'object') timer.unref()
  return timer
}

/** Lets the process wait for a timer again. */
export function refTimer(timer: AnyTimer | undefined): void {
  if (typeof timer === 'object') timer.ref()
}

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
    unrefTimer(this.#timer)
    return this
  }

  /** Cancels the timer; it has no effect after the timer has fired. */
  clear(): void {
    clearTimeout(this.#timer)
  }

  #wait(delayMs: number): void {
    const restMs = delayMs - MAX_TIMER_MS
    this.#timer = restMs > 0 ? setTimeout(() => this.#wait(restMs), MAX_TIMER_MS) : setTimeout(this.#callback, delayMs)
    if (!this.#keepsAlive) unrefTimer(this.#timer)
  }
}
