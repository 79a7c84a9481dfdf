import { BoundedMap } from '../bounded-map.ts'
import { WindowResult } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import type { RateLimitWindow } from './rate-limit-window.ts'
import { BELIEVED_MS, isYoung } from './standing.ts'

interface Denial {
  readonly window: RateLimitWindow
  readonly remaining: number
  readonly resetAtMs: number
  readonly retryAtMs: number
  readonly nextAtMs: number
  /** What was denied: a call that costs less may be allowed, and one that costs more must wait for longer. */
  readonly cost: number
  readonly atMs: number
  /** For how long it need not be asked for again. */
  readonly believedMs: number
}

/** Who is denied until when, so that a flood costs no round trips. Asked for again every second: it may have been reset. */
export class Denials {
  readonly #windows: readonly RateLimitWindow[]
  readonly #denials: BoundedMap<Denial>

  /** @param maxIds how many ids are remembered; of a flood of more, some ask memcached. */
  constructor(windows: readonly RateLimitWindow[], maxIds: number) {
    this.#windows = windows
    this.#denials = new BoundedMap(maxIds)
  }

  /** The denial of a call, where it is known that it would be denied. */
  find(id: string, cost: number, nowMs: number): RateLimitResult | undefined {
    if (this.#denials.size === 0) return undefined
    const denial = this.#denials.get(id)
    if (denial === undefined || cost !== denial.cost || !isYoung(nowMs - denial.atMs, denial.believedMs))
      return undefined
    const { window, remaining, resetAtMs, retryAtMs, nextAtMs } = denial
    return new WindowResult(window, remaining, resetAtMs - nowMs, retryAtMs - nowMs, nextAtMs - nowMs)
  }

  remember(id: string, cost: number, result: RateLimitResult, nowMs: number): void {
    const { remaining, resetMs, retryAfterMs } = result
    this.#denials.set(id, {
      window: WindowResult.windowOf(result, this.#windows),
      remaining,
      resetAtMs: nowMs + resetMs,
      retryAtMs: nowMs + retryAfterMs,
      nextAtMs: nowMs + WindowResult.nextMsOf(result),
      cost,
      atMs: nowMs,
      believedMs: Math.min(retryAfterMs, resetMs, WindowResult.nextMsOf(result), BELIEVED_MS),
    })
  }

  forget(id: string): void {
    this.#denials.delete(id)
  }
}
