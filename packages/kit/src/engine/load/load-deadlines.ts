/** A load that may take so long. */
export interface TimeLimited {
  /** When it ends, by `performance.now()`; `Infinity` is never. */
  readonly deadlineMs: number
  /** It took too long. */
  expire(): void
}

/** Node's timers hold no longer delay. */
const MAX_TIMER_MS = 0x7fff_ffff

/**
 * The time limits of the loads that are under way, by one timer for all: most loads end long before it, so that it fires rarely. It keeps the
 * process alive while loads are under way, and not longer.
 */
export class LoadDeadlines {
  readonly #loads = new Set<TimeLimited>()
  #timer: NodeJS.Timeout | undefined
  /** What the timer is for; `Infinity` without one. */
  #atMs = Infinity
  /** Whether the timer fires before that, since no timer can wait for so long. */
  #isPartial = false

  add(load: TimeLimited): void {
    if (load.deadlineMs === Infinity) return
    this.#loads.add(load)
    if (load.deadlineMs < this.#atMs) this.#wait(load.deadlineMs)
    else if (this.#loads.size === 1) this.#timer?.ref()
  }

  delete(load: TimeLimited): void {
    if (this.#loads.delete(load) && this.#loads.size === 0) this.#timer?.unref()
  }

  #wait(untilMs: number): void {
    clearTimeout(this.#timer)
    this.#atMs = untilMs
    const delayMs = Math.max(0, untilMs - performance.now())
    this.#isPartial = delayMs > MAX_TIMER_MS
    this.#timer = setTimeout(() => this.#fire(), Math.min(delayMs, MAX_TIMER_MS))
  }

  #fire(): void {
    // What the timer was for is due whatever the clock says: timers may fire a little early.
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
    // A load that was added by one that expired has its timer already.
    if (nextMs < this.#atMs) this.#wait(nextMs)
  }
}
