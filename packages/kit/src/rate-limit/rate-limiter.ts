import { MemcacheOptionError } from 'memcache-ts-protocol'
import { isCallersMistake } from '../cache/attempt.ts'
import { getDefaultMemcache } from '../default-memcache.ts'
import type { Memcache } from '../memcache.ts'
import { ownKey } from '../own-key.ts'
import { Denials } from './denials.ts'
import { GcraLimits } from './gcra-limits.ts'
import type { Limits } from './limits.ts'
import { LocalCounters } from './local-counters.ts'
import { OutageLog } from './outage-log.ts'
import { WindowResult } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import { MemcachedCounters } from './rate-limit-store.ts'
import type { RateLimitStore } from './rate-limit-store.ts'
import { countable, resolveRateLimiterOptions, wholeNumber } from './rate-limiter-options.ts'
import type { RateLimiterOptions, ResolvedRateLimiterOptions } from './rate-limiter-options.ts'
import type { RateLimitWindow } from './rate-limit-window.ts'
import { fixedWindow, slidingWindow } from './window-algorithms.ts'
import { WindowLimits } from './window-limits.ts'

/** How soon to try again, where everything is denied because memcached is away. */
const CLOSED_RETRY_MS = 1000

const INSTEAD = {
  local: 'counted in this process',
  open: 'letting everything pass',
  closed: 'denying everything',
} as const

/** Options of `consume`. */
export interface ConsumeOptions {
  /** How much the call counts. Default 1. */
  cost?: number | undefined
}

/**
 * Counts calls by an id and says when it is too many, exactly over all processes that share a memcached. When memcached is
 * away, calls are judged as `onCacheDown` says; nothing here rejects for its faults.
 */
export class RateLimiter {
  readonly name: string
  /** The windows, the shortest first. */
  readonly windows: readonly RateLimitWindow[]
  readonly #options: ResolvedRateLimiterOptions
  readonly #denials: Denials
  readonly #leastLimit: number
  #cache: Memcache | undefined
  #limits: Limits | undefined
  #insurance: Limits | undefined

  /** Use `rateLimiter()`. */
  constructor(options: RateLimiterOptions) {
    this.#options = resolveRateLimiterOptions(options)
    this.name = this.#options.name
    this.windows = this.#options.windows
    this.#denials = new Denials(this.windows)
    this.#leastLimit = Math.min(...this.windows.map(({ limit }) => limit))
  }

  /** The time by the cache's clock. */
  nowMs(): number {
    return this.#opened().clock.nowMs()
  }

  /**
   * Counts a call of `id` at its cost, and says whether it is allowed: by all windows; the result is that of the
   * tightest. A call that is denied counts nowhere.
   * @throws MemcacheOptionError for an id that is no string, or a cost that is no whole number over 0.
   */
  async consume(id: string, options?: ConsumeOptions): Promise<RateLimitResult> {
    let cost = options?.cost ?? 1
    if (cost !== 1) {
      wholeNumber('cost', cost)
      // What is over a limit is never allowed, however far it is over it.
      cost = Math.min(cost, this.#leastLimit + 1)
    }
    checkId(id)
    const nowMs = this.nowMs()
    const known = this.#denials.find(id, cost, nowMs)
    if (known !== undefined) return known
    if (!this.#isWithout()) {
      try {
        const result = await this.#limits!.consume(id, cost, nowMs)
        if (!result.allowed) this.#denials.remember(id, cost, result, nowMs)
        return result
      } catch (error) {
        this.#note(error)
      }
    }
    return this.#instead(nowMs, (insurance) => insurance.consume(id, cost, nowMs))
  }

  /** What a call of `id` at cost 1 would be told now; it counts nothing. */
  async peek(id: string): Promise<RateLimitResult> {
    const nowMs = this.nowMs()
    return this.#ask(id, nowMs, (limits) => limits.peek(id, nowMs))
  }

  /**
   * Counts so much more, whether that is allowed or not; resolves to what `peek` then says.
   * @param amount a number, or as `consume` has it: `{ cost: 3 }`.
   * @throws MemcacheOptionError for an amount that is no whole number over 0, or over a milliard.
   */
  async penalty(id: string, amount: number | ConsumeOptions = 1): Promise<RateLimitResult> {
    const counted = amountOf(amount)
    return this.#change(id, (limits, nowMs) => limits.penalty(id, counted, nowMs))
  }

  /**
   * Gives so much back, down to nothing counted; resolves to what `peek` then says.
   * @param amount a number, or as `consume` has it: `{ cost: 3 }`.
   * @param atMs when it was consumed, by `nowMs()`: it is given back to the windows of that time. Default now.
   * @throws MemcacheOptionError for an amount that is no whole number over 0, or over a milliard.
   */
  async reward(id: string, amount: number | ConsumeOptions = 1, atMs?: number): Promise<RateLimitResult> {
    const counted = amountOf(amount)
    return this.#change(id, (limits, nowMs) => limits.reward(id, counted, atMs ?? nowMs, nowMs))
  }

  /**
   * Denies `id` everything for so many milliseconds, in all processes; resolves to what `peek` then says.
   * @param blockMs default: the limiter's `blockMs`.
   * @throws MemcacheOptionError for what is no whole number over 0.
   */
  async block(id: string, blockMs: number | undefined = this.#options.blockMs): Promise<RateLimitResult> {
    if (blockMs === undefined) throw new MemcacheOptionError(`for how long? block(id, 600_000), or give blockMs`)
    wholeNumber('blockMs', blockMs)
    return this.#change(id, (limits, nowMs) => limits.block(id, nowMs + blockMs, nowMs))
  }

  /** Forgets what `id` has used, and lifts its block; another process that has just denied it sees that a second later. */
  async reset(id: string): Promise<void> {
    await this.#change(id, (limits, nowMs) => limits.reset(id, nowMs))
  }

  async #change(id: string, change: (limits: Limits, nowMs: number) => Promise<void>): Promise<RateLimitResult> {
    const nowMs = this.nowMs()
    return this.#ask(id, nowMs, async (limits) => {
      await change(limits, nowMs)
      this.#denials.forget(id)
      return limits.peek(id, nowMs)
    })
  }

  async #ask(id: string, nowMs: number, ask: (limits: Limits) => Promise<RateLimitResult>): Promise<RateLimitResult> {
    checkId(id)
    if (!this.#isWithout()) {
      try {
        return await ask(this.#limits!)
      } catch (error) {
        this.#note(error)
      }
    }
    return this.#instead(nowMs, ask)
  }

  /** Whether memcached need not be asked: it is known to be away, and that was said. */
  #isWithout(): boolean {
    const cache = this.#opened()
    return cache.isAway && OutageLog.of(cache).has(this.name)
  }

  /** @throws what is the caller's mistake. */
  #note(error: unknown): void {
    if (isCallersMistake(error)) throw error
    OutageLog.of(this.#opened()).failed(this.name, INSTEAD[this.#options.onCacheDown], error)
  }

  /** What is said when memcached is away. */
  async #instead(nowMs: number, ask: (insurance: Limits) => Promise<RateLimitResult>): Promise<RateLimitResult> {
    const { onCacheDown } = this.#options
    if (onCacheDown === 'local') {
      const cache = this.#opened()
      this.#insurance ??= this.#limitsIn(LocalCounters.of(cache), cache)
      return ask(this.#insurance)
    }
    const window = this.windows[0]!
    const resetMs = window.windowMs - (nowMs % window.windowMs)
    return onCacheDown === 'open'
      ? new WindowResult(window, window.limit, resetMs, 0)
      : new WindowResult(window, 0, CLOSED_RETRY_MS, CLOSED_RETRY_MS)
  }

  /** The cache, with the limits that it keeps: in a test, this process's may be another one than before. */
  #opened(): Memcache {
    const cache = this.#options.cache ?? getDefaultMemcache()
    if (cache !== this.#cache) {
      this.#cache = cache
      this.#limits = this.#limitsIn(new MemcachedCounters(cache.client), cache)
      this.#insurance = undefined
    }
    return cache
  }

  #limitsIn(store: RateLimitStore, cache: Memcache): Limits {
    const { name, windows, algorithm, burst, blockMs } = this.#options
    const key = (parts: readonly (string | number)[]): string => ownKey(cache, 'rate', parts)
    const options = { name, windows, blockMs, store, key }
    if (algorithm === 'gcra') return new GcraLimits(options, burst)
    return new WindowLimits(options, algorithm === 'fixed' ? fixedWindow : slidingWindow)
  }
}

/** @throws MemcacheOptionError for what cannot be counted. */
function amountOf(given: number | ConsumeOptions): number {
  if (typeof given === 'number') {
    countable('amount', given)
    return given
  }
  const { cost = 1 } = given
  countable('cost', cost)
  return cost
}

/** @throws MemcacheOptionError for what is no string: all who have none would count as one. */
function checkId(id: unknown): void {
  if (typeof id !== 'string')
    throw new MemcacheOptionError(`an id must be a string, got ${id === null ? 'null' : typeof id}`)
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
