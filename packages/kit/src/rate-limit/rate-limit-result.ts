import type { Limits } from './limits.ts'
import type { RateLimitWindow } from './rate-limit-window.ts'

/** The result of one call. */
export interface RateLimitResult {
  readonly allowed: boolean
  /** How much is allowed in the window. */
  readonly limit: number
  /** How much is left of the limit. */
  readonly remaining: number
  /** Milliseconds until the window ends; with `gcra`, until the whole limit is available again. */
  readonly resetMs: number
  /**
   * Milliseconds until the same call is allowed, if no other call takes its place; 0 if it is allowed, `Infinity` if it
   * costs more than is ever allowed.
   */
  readonly retryAfterMs: number
}

/** The state of an id in a window, after a call. */
interface WindowState {
  readonly remaining: number
  readonly resetMs: number
  /** 0 if the call is allowed. */
  readonly retryAfterMs: number
  /** Milliseconds until more is left. Default: `resetMs`. */
  readonly nextMs?: number
}

/** A result with its window, the tightest of several. Its JSON has only the public properties. */
export class WindowResult implements RateLimitResult {
  readonly allowed: boolean
  readonly limit: number
  readonly remaining: number
  readonly resetMs: number
  readonly retryAfterMs: number
  readonly #window: RateLimitWindow
  readonly #nextMs: number
  #atMs: number | undefined
  #limits: Limits | undefined

  constructor(window: RateLimitWindow, { remaining, resetMs, retryAfterMs, nextMs = resetMs }: WindowState) {
    this.allowed = retryAfterMs === 0
    this.limit = window.limit
    this.remaining = remaining
    this.resetMs = resetMs
    this.retryAfterMs = retryAfterMs
    this.#window = window
    this.#nextMs = nextMs
  }

  /** Returns the window of a result, among those of its limiter. */
  static windowOf(result: RateLimitResult, windows: readonly RateLimitWindow[]): RateLimitWindow {
    if (#window in result) return result.#window
    return windows.find((window) => window.limit === result.limit) ?? windows[0]!
  }

  /** Returns milliseconds until more is left than now: the end of a window, or, with `gcra`, the next unit. */
  static nextMsOf(result: RateLimitResult): number {
    return #window in result ? result.#nextMs : result.resetMs
  }

  /** Records the time when a result was consumed, and the limits that have counted it. */
  static at(result: RateLimitResult, nowMs: number, limits?: Limits): RateLimitResult {
    if (#window in result) {
      result.#atMs = nowMs
      result.#limits = limits
    }
    return result
  }

  /** Returns the time when a result was consumed, in milliseconds since 1970; `undefined` if it was not recorded. */
  static atMsOf(result: RateLimitResult): number | undefined {
    return #window in result ? result.#atMs : undefined
  }

  /** Returns the limits that have counted an allowed call; `undefined` if it was counted nowhere. */
  static limitsOf(result: RateLimitResult): Limits | undefined {
    return #window in result && result.allowed ? result.#limits : undefined
  }

  /** Returns the denial of a call that costs more than is ever allowed. */
  static never(result: RateLimitResult, windows: readonly RateLimitWindow[]): WindowResult {
    const { remaining, resetMs } = result
    return new WindowResult(WindowResult.windowOf(result, windows), { remaining, resetMs, retryAfterMs: Infinity })
  }

  /** Returns the result for an id that is not counted: the whole limit is left. */
  static unlimited(windows: readonly RateLimitWindow[]): WindowResult {
    const window = windows[0]!
    return new WindowResult(window, { remaining: window.limit, resetMs: window.windowMs, retryAfterMs: 0 })
  }
}

/** Returns the result that denies longer, or else the result that leaves less. */
export function tighter(a: RateLimitResult, b: RateLimitResult): RateLimitResult {
  if (a.allowed !== b.allowed) return a.allowed ? b : a
  if (!a.allowed) return a.retryAfterMs >= b.retryAfterMs ? a : b
  return a.remaining <= b.remaining ? a : b
}
