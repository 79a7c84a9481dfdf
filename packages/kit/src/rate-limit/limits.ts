import { WindowResult } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import type { RateLimitStore } from './rate-limit-store.ts'
import type { RateLimitWindow } from './rate-limit-window.ts'

/** What limits are made of. */
export interface LimitsOptions {
  readonly name: string
  /** The windows, the shortest first. */
  readonly windows: readonly RateLimitWindow[]
  /** How long an id is denied after it wanted more than it may; `undefined` for no longer than it has to be. */
  readonly blockMs: number | undefined
  readonly store: RateLimitStore
  /** A key as it can be stored, of its parts. */
  readonly key: (parts: readonly (string | number)[]) => string
}

/**
 * The limits of one limiter over one store; all windows have to allow, and a call that is denied leaves no trace in
 * any. Faults of the store reject.
 */
export interface Limits {
  /** @param cost over 0. */
  consume(id: string, cost: number, nowMs: number): Promise<RateLimitResult>
  /** What a call at a cost, which may be 0, would be told; it uses nothing. */
  peek(id: string, cost: number, nowMs: number): Promise<RateLimitResult>
  /** Uses up so much more, allowed or not. */
  penalty(id: string, amount: number, nowMs: number): Promise<void>
  /** Gives so much back. @param atMs when it was consumed. */
  reward(id: string, amount: number, atMs: number, nowMs: number): Promise<void>
  /** Denies everything until a time. */
  block(id: string, untilMs: number, nowMs: number): Promise<void>
  reset(id: string, nowMs: number): Promise<void>
}

/**
 * What an id that is blocked is told: to come back when the block has ended and there is room.
 *
 * @param otherwise what it would be told if it were not blocked.
 */
export function blockedResult(
  windows: readonly RateLimitWindow[],
  untilMs: number,
  nowMs: number,
  otherwise: RateLimitResult,
): RateLimitResult {
  const blockedMs = untilMs - nowMs
  if (otherwise.retryAfterMs > blockedMs) {
    const window = WindowResult.windowOf(otherwise, windows)
    // A call that costs less may have room when the block ends.
    return new WindowResult(window, 0, Math.max(otherwise.resetMs, blockedMs), otherwise.retryAfterMs, blockedMs)
  }
  return new WindowResult(windows[0]!, 0, blockedMs, blockedMs)
}
