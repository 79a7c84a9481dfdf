/** The pause before the first poll for another process's value, in milliseconds. */
export const FIRST_POLL_MS = 2
const GROWTH = 1.6
const MAX_POLL_MS = 12

/** Returns the next pause, in milliseconds. */
export function nextPollMs(pauseMs: number): number {
  return Math.min(MAX_POLL_MS, pauseMs * GROWTH)
}

/**
 * Returns the delay of a pause: at random between half and one and a half times as long, so that waiting processes do
 * not poll in step.
 */
export function pollDelayMs(pauseMs: number): number {
  return pauseMs * (0.5 + Math.random())
}
