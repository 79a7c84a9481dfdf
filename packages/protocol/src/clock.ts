/** A source of time; tests use their own. */
export interface Clock {
  /** Returns milliseconds since 1970. */
  nowMs(): number
}

/** The time of the machine. */
export const systemClock: Clock = { nowMs: () => Date.now() }
