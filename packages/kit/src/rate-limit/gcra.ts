import { MemcacheOptionError } from 'memcache-ts-protocol'
import { WindowResult } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import type { RateLimitWindow } from './rate-limit-window.ts'
import type { LimitedCall } from './window-algorithms.ts'

/** The maximum of arrival times ahead of now, which no limit reaches. */
const MAX_AHEAD_US = 100 * 365.25 * 86_400 * 1e6

/**
 * The generic cell rate algorithm (ITU-T I.371, annex A) of one window: each unit of cost moves the theoretical arrival
 * time ahead by `intervalUs`, and a call is allowed if it comes at most a burst before that time. The state is one
 * number, the theoretical arrival time in microseconds since 1970.
 */
export class Gcra {
  readonly window: RateLimitWindow
  readonly #intervalUs: number
  readonly #toleranceUs: number

  /** @throws MemcacheOptionError if the burst takes too long to be counted. */
  constructor(window: RateLimitWindow, burst: number) {
    this.window = window
    // Rounded up, so that no more than the limit is ever allowed.
    this.#intervalUs = Math.ceil((window.windowMs * 1000) / window.limit)
    this.#toleranceUs = this.#intervalUs * burst
    if (this.#toleranceUs > MAX_AHEAD_US) {
      throw new MemcacheOptionError(`a burst of ${burst} takes more than 100 years to refill: make it smaller`)
    }
  }

  /**
   * Checks a burst.
   *
   * @throws MemcacheOptionError if it takes too long to be counted.
   */
  static check(window: RateLimitWindow, burst: number): Gcra {
    return new Gcra(window, burst)
  }

  /** Returns the arrival time after a call of this cost. An arrival time in the past counts as now. */
  after(arrivalUs: number, nowMs: number, cost: number): number {
    const nowUs = nowMs * 1000
    // A larger number could not be stored exactly.
    return Math.min(Math.max(arrivalUs, nowUs) + cost * this.#intervalUs, nowUs + this.#toleranceUs + MAX_AHEAD_US)
  }

  /** Returns the arrival time after a whole burst. */
  full(nowMs: number): number {
    return nowMs * 1000 + this.#toleranceUs
  }

  /** Returns the arrival time with a cost given back. */
  before(arrivalUs: number, cost: number): number {
    return Math.max(0, arrivalUs - cost * this.#intervalUs)
  }

  /** Returns the result of a call. */
  evaluate(arrivalUs: number, nowMs: number, { cost, isConsumed }: LimitedCall): RateLimitResult {
    const nowUs = nowMs * 1000
    const after = this.after(arrivalUs, nowMs, cost)
    const earlyUs = after - nowUs - this.#toleranceUs
    const owedUs = (earlyUs <= 0 && isConsumed ? after : Math.max(arrivalUs, nowUs)) - nowUs
    const remaining = Math.max(0, Math.floor((this.#toleranceUs - owedUs) / this.#intervalUs))
    const nextUs = owedUs + (remaining + 1) * this.#intervalUs - this.#toleranceUs
    const resetMs = Math.ceil(owedUs / 1000)
    const retryAfterMs = cost === 0 ? 0 : Math.max(0, Math.ceil(earlyUs / 1000))
    // If the whole burst is available, there is no next unit.
    const nextMs = Math.min(resetMs, Math.max(0, Math.ceil(nextUs / 1000)))
    return new WindowResult(this.window, { remaining, resetMs, retryAfterMs, nextMs })
  }
}
