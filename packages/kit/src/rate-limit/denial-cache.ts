import { BoundedMap } from '../bounded-map.ts'
import { WindowResult } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import type { RateLimitWindow } from './rate-limit-window.ts'
import { FRESH_MS, isFreshAge } from './client-state.ts'

interface Denial {
  readonly window: RateLimitWindow
  readonly remaining: number
  readonly resetAtMs: number
  readonly retryAtMs: number
  readonly nextAtMs: number
  /** The denied cost: a cheaper call may be allowed, and a more expensive call must wait longer. */
  readonly cost: number
  readonly atMs: number
  /** How long the denial is used without reading memcached again, in milliseconds. */
  readonly freshMs: number
}

/** A call that was denied. */
interface DeniedCall {
  readonly cost: number
  readonly result: RateLimitResult
}

/**
 * Remembers denied ids until the end of their denial, so that a flood costs no round trips. Memcached is read again
 * every second, since an id may have been reset.
 */
export class DenialCache {
  readonly #windows: readonly RateLimitWindow[]
  readonly #denials: BoundedMap<Denial>

  /** @param maxIds how many ids are remembered; if more are denied, some read memcached. */
  constructor(windows: readonly RateLimitWindow[], maxIds: number) {
    this.#windows = windows
    this.#denials = new BoundedMap(maxIds)
  }

  /** Returns the denial of a call if it is known that the call would be denied. */
  find(id: string, cost: number, nowMs: number): RateLimitResult | undefined {
    const denial = this.#of(id, cost)
    return denial !== undefined && isFreshAge(nowMs - denial.atMs, denial.freshMs) ? resultAt(denial, nowMs) : undefined
  }

  /** Like `find`, until the end of the denial, so that an outage of memcached lets no denied or blocked client in. */
  findWhileAway(id: string, cost: number, nowMs: number): RateLimitResult | undefined {
    const denial = this.#of(id, cost)
    const isDenied = denial !== undefined && isFreshAge(nowMs - denial.atMs, denial.retryAtMs - denial.atMs)
    return isDenied ? resultAt(denial, nowMs) : undefined
  }

  #of(id: string, cost: number): Denial | undefined {
    if (this.#denials.size === 0) return undefined
    const denial = this.#denials.get(id)
    return cost === denial?.cost ? denial : undefined
  }

  remember(id: string, { cost, result }: DeniedCall, nowMs: number): void {
    const { remaining, resetMs, retryAfterMs } = result
    this.#denials.set(id, {
      window: WindowResult.windowOf(result, this.#windows),
      remaining,
      resetAtMs: nowMs + resetMs,
      retryAtMs: nowMs + retryAfterMs,
      nextAtMs: nowMs + WindowResult.nextMsOf(result),
      cost,
      atMs: nowMs,
      freshMs: Math.min(retryAfterMs, resetMs, WindowResult.nextMsOf(result), FRESH_MS),
    })
  }

  forget(id: string): void {
    this.#denials.delete(id)
  }
}

function resultAt({ window, remaining, resetAtMs, retryAtMs, nextAtMs }: Denial, nowMs: number): RateLimitResult {
  const times = { resetMs: resetAtMs - nowMs, retryAfterMs: retryAtMs - nowMs, nextMs: nextAtMs - nowMs }
  return new WindowResult(window, { remaining, ...times })
}
