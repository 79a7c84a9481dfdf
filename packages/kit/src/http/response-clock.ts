/** A difference that comes from rounding and delays, and not from another clock. */
const MAX_ROUNDING_MS = 2000
/** A time further ahead is invalid, and no clock's. */
const MAX_AHEAD_MS = 86_400_000

/**
 * The clock by which stored responses age. Processes store times by their own clocks, which may be apart. A process
 * whose clock is behind would serve a response as fresh for longer than its lifetime, by that difference. Therefore the
 * later clock counts: from the first stored time that is ahead, the difference is added to the clock of this process.
 */
export class ResponseClock {
  /** The time by this process's clock, in milliseconds since 1970: for HTTP dates, which come from other clocks. */
  readonly ownMs: () => number
  #aheadMs = 0

  constructor(ownMs: () => number) {
    this.ownMs = ownMs
  }

  /** The time by the latest known clock, in milliseconds since 1970. */
  // A property, so that it can be handed on by itself.
  readonly nowMs = (): number => this.ownMs() + this.#aheadMs

  /** Adjusts to a time that has certainly come; returns false if it is too far ahead to be a time of any clock. */
  reach(timeMs: number): boolean {
    const ownMs = this.ownMs()
    const aheadMs = timeMs - ownMs
    if (aheadMs - this.#aheadMs <= MAX_ROUNDING_MS) return true
    if (aheadMs > MAX_AHEAD_MS) return false
    this.#aheadMs = aheadMs
    return true
  }
}
