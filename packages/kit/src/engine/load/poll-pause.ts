export const FIRST_POLL_MS = 2
const GROWTH = 1.6
const MAX_POLL_MS = 12

/** The pause after this one, in milliseconds. */
export function nextPollMs(pauseMs: number): number {
  return Math.min(MAX_POLL_MS, pauseMs * GROWTH)
}

/** A pause as it is made: half of it is chance, so that the processes that wait do not ask in step. */
export function pollDelayMs(pauseMs: number): number {
  return pauseMs * (0.5 + Math.random())
}
