import { BoundedMap } from './bounded-map.ts'
import { WindowResult } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import type { RateLimitWindow } from './rate-limit-window.ts'
import { BELIEVED_MS, isYoung } from './standing.ts'

/** Ids that are remembered; of a flood of more, some ask memcached. */
const MOST_DENIALS = 10_000

interface Denial {
  readonly window: RateLimitWindow
  readonly remaining: number
  readonly resetAtMs: number
  readonly retryAtMs: number
  /** What was denied: a call that costs less may be allowed. */
  readonly cost: number
  readonly atMs: number
  /** For how long it need not be asked for again. */
  readonly believedMs: number
}

/** Who is denied until when, so that a flood costs no round trips. Asked for again every second: it may have been reset. */
export class Denials {
  readonly #windows: readonly RateLimitWindow[]
  readonly #denials = new BoundedMap<Denial>(MOST_DENIALS)

  constructor(windows: readonly RateLimitWindow[]) {
    this.#windows = windows
  }

  /** The denial of a call, where it is known that it would be denied. */
  find(id: string, cost: number, nowMs: number): RateLimitResult | undefined {
    if (this.#denials.size === 0) return undefined
    const denial = this.#denials.get(id)
    if (denial === undefined || cost < denial.cost || !isYoung(nowMs - denial.atMs, denial.believedMs)) return undefined
    const { window, remaining, resetAtMs, retryAtMs } = denial
    return new WindowResult(window, remaining, resetAtMs - nowMs, retryAtMs - nowMs)
  }

  remember(id: string, cost: number, result: RateLimitResult, nowMs: number): void {
    const { remaining, resetMs, retryAfterMs } = result
    this.#denials.set(id, {
      window: WindowResult.windowOf(result, this.#windows),
      remaining,
      resetAtMs: nowMs + resetMs,
      retryAtMs: nowMs + retryAfterMs,
      cost,
      atMs: nowMs,
      believedMs: Math.min(retryAfterMs, resetMs, BELIEVED_MS),
    })
  }

  forget(id: string): void {
    this.#denials.delete(id)
  }
}
