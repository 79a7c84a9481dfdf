import { WindowResult } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import type { RateLimitStore } from './rate-limit-store.ts'
import type { RateLimitWindow } from './rate-limit-window.ts'

/** Options of `Limits`. */
export interface LimitsOptions {
  readonly name: string
  /** The windows, the shortest first. */
  readonly windows: readonly RateLimitWindow[]
  /** How long an id that exceeded a limit is denied everything; `undefined` if it is not blocked. */
  readonly blockMs: number | undefined
  readonly store: RateLimitStore
  /** Returns the stored key of key parts. */
  readonly key: (parts: readonly (string | number)[]) => string
}

/** An amount that was consumed before. */
export interface ConsumedAmount {
  readonly amount: number
  /** The time when it was consumed. */
  readonly atMs: number
}

/**
 * The limits of one limiter over one store; all windows apply, and a denied call leaves no trace in any of them. If the
 * store fails, methods reject.
 */
export interface Limits {
  /**
   * Counts a call, unless it is denied.
   *
   * @param cost greater than 0.
   */
  consume(id: string, cost: number, nowMs: number): Promise<RateLimitResult>
  /** Returns the result that a call of this cost, which may be 0, would get, without counting it. */
  peek(id: string, cost: number, nowMs: number): Promise<RateLimitResult>
  /** Uses an amount, even if the limit does not allow it. */
  penalty(id: string, amount: number, nowMs: number): Promise<void>
  /** Gives an amount back. */
  reward(id: string, consumed: ConsumedAmount, nowMs: number): Promise<void>
  /** Denies everything until a time. */
  block(id: string, untilMs: number, nowMs: number): Promise<void>
  reset(id: string, nowMs: number): Promise<void>
}

/**
 * Returns the result for a blocked id: its `retryAfterMs` is the time until the block has ended and there is room.
 *
 * @param blockedMs milliseconds until the block ends.
 * @param otherwise the result that the id would get if it were not blocked.
 */
export function blockedResult(
  windows: readonly RateLimitWindow[],
  blockedMs: number,
  otherwise: RateLimitResult,
): RateLimitResult {
  if (otherwise.retryAfterMs > blockedMs) {
    const window = WindowResult.windowOf(otherwise, windows)
    // A cheaper call may have room when the block ends.
    const { retryAfterMs } = otherwise
    const resetMs = Math.max(otherwise.resetMs, blockedMs)
    return new WindowResult(window, { remaining: 0, resetMs, retryAfterMs, nextMs: blockedMs })
  }
  return new WindowResult(windows[0]!, { remaining: 0, resetMs: blockedMs, retryAfterMs: blockedMs })
}
