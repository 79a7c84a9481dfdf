import { MAX_TIMER_MS, refTimer, unrefTimer } from 'memcache-ts-protocol'

/** A load with a deadline. */
export interface TimeLimited {
  /** The deadline, by `performance.now()`; `Infinity` means none. */
  readonly deadlineMs: number
  /** Called when the deadline has passed. */
  expire(): void
}

/**
 * The deadlines of the running loads, by one timer: most loads end long before their deadline, so it fires rarely. The
 * timer keeps the process alive only while loads are running.
 */
export class LoadDeadlines {
  readonly #loads = new Set<TimeLimited>()
  #timer: NodeJS.Timeout | undefined
  /** The deadline that the timer waits for; `Infinity` without a timer. */
  #atMs = Infinity
  /** Whether the timer fires before that deadline, since it is further away than a timer can wait. */
  #isPartial = false

  add(load: TimeLimited): void {
    if (load.deadlineMs === Infinity) return
    this.#loads.add(load)
    if (load.deadlineMs < this.#atMs) this.#wait(load.deadlineMs)
    else if (this.#loads.size === 1) refTimer(this.#timer)
  }

  delete(load: TimeLimited): void {
    if (this.#loads.delete(load) && this.#loads.size === 0) unrefTimer(this.#timer)
  }

  #wait(untilMs: number): void {
    clearTimeout(this.#timer)
    this.#atMs = untilMs
    const delayMs = Math.max(0, untilMs - performance.now())
    this.#isPartial = delayMs > MAX_TIMER_MS
    this.#timer = setTimeout(() => this.#fire(), Math.min(delayMs, MAX_TIMER_MS))
  }

  #fire(): void {
    // The timer's own deadline counts as reached even if the clock says otherwise: timers may fire slightly early.
    const reachedMs = this.#isPartial ? performance.now() : this.#atMs
    this.#timer = undefined
    this.#atMs = Infinity
    let nextMs = Infinity
    for (const load of this.#loads) {
      if (load.deadlineMs > reachedMs) nextMs = Math.min(nextMs, load.deadlineMs)
      else {
        this.#loads.delete(load)
        load.expire()
      }
    }
    // A load that `expire` has added may already have set an earlier timer.
    if (nextMs < this.#atMs) this.#wait(nextMs)
  }
}
