import { WindowResult } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import type { RateLimitWindow } from './rate-limit-window.ts'

/** What is counted of an id in one window. */
interface WindowCounts {
  /** What was admitted in this window. */
  readonly current: number
  /** What was admitted in the one before. */
  readonly previous: number
  /** How much of this window is over. */
  readonly elapsedMs: number
}

/** How calls are judged by what is counted in windows. */
export interface WindowAlgorithm {
  /**
   * The judgement of a call that is not yet among the counts.
   *
   * @param cost 0 is always allowed.
   * @param consumed whether the call has used its cost if it is allowed; a `peek` has not.
   */
  judge(window: RateLimitWindow, counts: WindowCounts, cost: number, consumed: boolean): RateLimitResult
}

/** All of the limit in each window: at the end of one and the start of the next, twice as much may come at once. */
export const fixedWindow: WindowAlgorithm = {
  judge(window, { current, elapsedMs }, cost, consumed) {
    const left = Math.max(0, window.limit - current)
    const resetMs = window.windowMs - elapsedMs
    if (cost <= left) return new WindowResult(window, consumed ? left - cost : left, resetMs, 0)
    return new WindowResult(window, left, resetMs, resetMs)
  },
}

/**
 * The sliding-window counter: the window before counts by the part of it that lies less than a window back, as if its
 * calls had come evenly. All in whole numbers of call-milliseconds, so that `retryAfterMs` is exact.
 */
export const slidingWindow: WindowAlgorithm = {
  judge(window, { current, previous, elapsedMs }, cost, consumed) {
    const { limit, windowMs } = window
    const leftMs = windowMs - elapsedMs
    const room = (limit - current) * windowMs - previous * leftMs
    const left = Math.max(0, Math.floor(room / windowMs))
    if (cost <= left) return new WindowResult(window, consumed ? left - cost : left, leftMs, 0)
    return new WindowResult(window, left, leftMs, untilRoom(window, current, previous, elapsedMs, cost))
  },
}

/** Milliseconds until a call that is denied now has room, if no other takes it. */
function untilRoom(
  { limit, windowMs }: RateLimitWindow,
  current: number,
  previous: number,
  elapsedMs: number,
  cost: number,
): number {
  const leftMs = windowMs - elapsedMs
  const room = limit - current - cost
  // Within this window, as the one before recedes: previous × what is left of this one must fit in the room.
  if (room >= 0) return Math.max(1, leftMs - Math.floor((room * windowMs) / previous))
  // As the window before, this one will count as its limit at most.
  const before = Math.min(current, limit)
  const roomThen = Math.max(0, limit - cost)
  return leftMs + (before <= roomThen ? 0 : windowMs - Math.floor((roomThen * windowMs) / before))
}
