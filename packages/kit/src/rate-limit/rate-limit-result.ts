import type { RateLimitWindow } from './rate-limit-window.ts'

/** What a limiter says of one call. */
export interface RateLimitResult {
  readonly allowed: boolean
  /** How much is allowed in the window. */
  readonly limit: number
  /** How much is left of it. */
  readonly remaining: number
  /** Milliseconds until the window ends; with `gcra`, until all of it is there again. */
  readonly resetMs: number
  /** Milliseconds until it is worth trying again; 0 when allowed. */
  readonly retryAfterMs: number
}

/** A result that knows of which window it speaks: of several, the tightest. Who has it from JSON sees the result alone. */
export class WindowResult implements RateLimitResult {
  readonly allowed: boolean
  readonly limit: number
  readonly remaining: number
  readonly resetMs: number
  readonly retryAfterMs: number
  readonly #window: RateLimitWindow

  /** @param retryAfterMs 0 allows. */
  constructor(window: RateLimitWindow, remaining: number, resetMs: number, retryAfterMs: number) {
    this.allowed = retryAfterMs === 0
    this.limit = window.limit
    this.remaining = remaining
    this.resetMs = resetMs
    this.retryAfterMs = retryAfterMs
    this.#window = window
  }

  /** The window of a result, among those of its limiter. */
  static windowOf(result: RateLimitResult, windows: readonly RateLimitWindow[]): RateLimitWindow {
    if (#window in result) return result.#window
    return windows.find((window) => window.limit === result.limit) ?? windows[0]!
  }
}

/** Of two results the one that denies longer, else the one that leaves less. */
export function tighter(a: RateLimitResult, b: RateLimitResult): RateLimitResult {
  if (a.allowed !== b.allowed) return a.allowed ? b : a
  if (!a.allowed) return a.retryAfterMs >= b.retryAfterMs ? a : b
  return a.remaining <= b.remaining ? a : b
}
