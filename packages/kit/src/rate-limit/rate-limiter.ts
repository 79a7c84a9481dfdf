import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import { KeyPrefix } from '../cache-key.ts'
import { getDefaultMemcache } from '../default-memcache.ts'
import type { Memcache } from '../memcache.ts'
import { counterKey, fixedWindowResult, windowPosition } from './fixed-window.ts'
import { LocalCounters } from './local-counters.ts'
import { tighter } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import { rateLimitWindows, WINDOW_OPTIONS } from './rate-limit-window.ts'
import type { RateLimitWindow, RateLimitWindowOptions } from './rate-limit-window.ts'

/** Options of `rateLimiter`. */
export interface RateLimiterOptions extends RateLimitWindowOptions {
  /** Limits with the same name share their counters. Default `default`. */
  name?: string | undefined
  /** What counts when memcached is away: a limiter in this process (`local`), nothing (`open`), or everything is denied (`closed`). Default `local`. */
  onCacheDown?: 'local' | 'open' | 'closed' | undefined
  /** The cache that counts. Default: this process's. */
  cache?: Memcache | undefined
}

export const RATE_LIMITER_OPTIONS = [
  ...WINDOW_OPTIONS,
  'name',
  'onCacheDown',
  'cache',
] as const satisfies readonly (keyof RateLimiterOptions)[]

export const RATE_LIMITER_HINTS = {
  max: 'limit',
  points: 'limit',
  duration: 'windowMs',
  window: 'windowMs',
  keyPrefix: 'name',
}

/**
 * Counts calls by an id and says when it is too many: fixed windows, counted by memcached in one round trip, so that
 * parallel calls cannot pass unseen.
 */
export class RateLimiter {
  readonly name: string
  /** The windows, the shortest first. */
  readonly windows: readonly RateLimitWindow[]
  readonly #onCacheDown: 'local' | 'open' | 'closed'
  readonly #cache: Memcache | undefined
  readonly #local = new LocalCounters()
  #warned = false

  /** Use `rateLimiter()`. */
  constructor(options: RateLimiterOptions) {
    checkOptions('rateLimiter', options, RATE_LIMITER_OPTIONS, RATE_LIMITER_HINTS)
    const { name = 'default', onCacheDown = 'local' } = options
    if (!['local', 'open', 'closed'].includes(onCacheDown)) {
      throw new MemcacheOptionError(`onCacheDown must be 'local', 'open' or 'closed', got '${onCacheDown}'`)
    }
    this.name = name
    this.windows = rateLimitWindows(options)
    this.#onCacheDown = onCacheDown
    this.#cache = options.cache
  }

  /**
   * Counts a call of `id` at its cost, and says whether it is allowed: by all windows; the result is that of the
   * tightest.
   * @throws MemcacheOptionError for a cost that is no whole number over 0.
   */
  async consume(id: string, options: { cost?: number | undefined } = {}): Promise<RateLimitResult> {
    const { cost = 1 } = options
    if (!Number.isSafeInteger(cost) || cost < 1) {
      throw new MemcacheOptionError(`cost must be a whole number over 0, got ${cost}`)
    }
    const results = await Promise.all(this.windows.map((window) => this.#consumeWindow(window, id, cost)))
    return results.reduce(tighter)
  }

  /** The time by the cache's clock. */
  nowMs(): number {
    return (this.#cache ?? getDefaultMemcache()).clock.nowMs()
  }

  async #consumeWindow(window: RateLimitWindow, id: string, cost: number): Promise<RateLimitResult> {
    const cache = this.#cache ?? getDefaultMemcache()
    const { index, resetMs, ttl } = windowPosition(window, cache.clock.nowMs())
    const key = cache.key([KeyPrefix.rate, ...counterKey(this.name, window, index, id)])
    try {
      const count = await cache.client.incr(key, cost, { initial: cost, ttl })
      return fixedWindowResult(window, count!, resetMs)
    } catch (error) {
      this.#warnOnce(cache, error)
      if (this.#onCacheDown === 'open') return fixedWindowResult(window, 0, resetMs)
      if (this.#onCacheDown === 'closed') return fixedWindowResult(window, window.limit + 1, resetMs)
      return fixedWindowResult(window, this.#local.add(key, cost), resetMs)
    }
  }

  #warnOnce(cache: Memcache, error: unknown): void {
    cache.emit('cacheError', error)
    if (this.#warned) return
    this.#warned = true
    const what = { local: 'counting in this process', open: 'letting everything pass', closed: 'denying everything' }
    cache.warn(
      `memcache-ts: the rate limit '${this.name}' is ${what[this.#onCacheDown]} while memcached is away: ${(error as Error).message}`,
    )
  }
}

/**
 * A rate limiter.
 * @throws MemcacheOptionError for options that cannot be.
 * @example
 * const login = rateLimiter({ name: 'login', perMinute: 5 })
 * const { allowed, retryAfterMs } = await login.consume(email)
 */
export function rateLimiter(options: RateLimiterOptions): RateLimiter {
  return new RateLimiter(options)
}
