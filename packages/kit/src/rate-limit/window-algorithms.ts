import { WindowResult } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import type { RateLimitWindow } from './rate-limit-window.ts'

/** The counts of an id in one window. */
interface WindowCounts {
  /** The count of this window. */
  readonly current: number
  /** The count of the previous window. */
  readonly previous: number
  /** The part of this window that has passed, in milliseconds. */
  readonly elapsedMs: number
}

/** A call whose result is decided. */
export interface LimitedCall {
  /** The cost of the call; 0 is always allowed. */
  readonly cost: number
  /** Whether the call has used its cost if it is allowed; a `peek` has not. */
  readonly isConsumed: boolean
}

/** A call, and its time. */
export interface TimedCall extends LimitedCall {
  readonly nowMs: number
}

/** Decides about calls by the counts of a window. */
export interface WindowAlgorithm {
  /** Returns the result of a call that is not counted yet. */
  evaluate(window: RateLimitWindow, counts: WindowCounts, call: LimitedCall): RateLimitResult
}

/** Allows the limit in each window. Around the end of a window, up to twice the limit may be allowed at once. */
export const fixedWindow: WindowAlgorithm = {
  evaluate(window, { current, elapsedMs }, { cost, isConsumed }) {
    const left = Math.max(0, window.limit - current)
    const resetMs = window.windowMs - elapsedMs
    const isAllowed = cost <= left
    const remaining = isAllowed && isConsumed ? left - cost : left
    return new WindowResult(window, { remaining, resetMs, retryAfterMs: isAllowed ? 0 : resetMs })
  },
}

/**
 * The sliding-window counter: the previous window counts by the share of it that is less than a window ago, as if its
 * calls had come evenly. All numbers are whole call-milliseconds, so that `retryAfterMs` is exact.
 */
export const slidingWindow: WindowAlgorithm = {
  evaluate(window, counts, { cost, isConsumed }) {
    const { current, previous, elapsedMs } = counts
    const { limit, windowMs } = window
    const leftMs = windowMs - elapsedMs
    const room = (limit - current) * windowMs - previous * leftMs
    const left = Math.max(0, Math.floor(room / windowMs))
    const isAllowed = cost <= left
    const remaining = isAllowed && isConsumed ? left - cost : left
    const retryAfterMs = isAllowed ? 0 : untilRoom(window, counts, cost)
    return new WindowResult(window, { remaining, resetMs: leftMs, retryAfterMs })
  },
}

/** Returns milliseconds until a denied call has room, if no other call takes it. */
function untilRoom(
  { limit, windowMs }: RateLimitWindow,
  { current, previous, elapsedMs }: WindowCounts,
  cost: number,
): number {
  const leftMs = windowMs - elapsedMs
  const room = limit - current - cost
  // Within this window, while the share of the previous window shrinks: previous × the rest of this window must fit in
  // the room.
  if (room >= 0) return Math.max(1, leftMs - Math.floor((room * windowMs) / previous))
  // As a previous window, this window will count at most its limit.
  const before = Math.min(current, limit)
  const roomThen = Math.max(0, limit - cost)
  return leftMs + (before <= roomThen ? 0 : windowMs - Math.floor((roomThen * windowMs) / before))
}
