/** Where the time comes from; tests put their own in. */
export interface Clock {
  /** Milliseconds since 1970. */
  nowMs(): number
}

/** The machine's time. */
export const systemClock: Clock = { nowMs: () => Date.now() }
