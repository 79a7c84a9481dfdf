import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import { getDefaultMemcache } from '../default-memcache.ts'
import { engineOf } from '../engine/engine.ts'
import type { Memcache } from '../memcache.ts'
import { ownKey } from '../engine/engine.ts'
import { blockEndMs } from './blocks.ts'
import { CounterLayout } from './counter-layout.ts'
import { DenialCache } from './denial-cache.ts'
import { FirstHitLimits } from './first-hit-limits.ts'
import { Gcra } from './gcra.ts'
import { GcraLimits } from './gcra-limits.ts'
import { IdList } from './id-list.ts'
import { Insurance } from './insurance.ts'
import type { Limits } from './limits.ts'
import { LocalCounters } from './local-counters.ts'
import { WindowResult } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import { MemcachedCounters } from './rate-limit-store.ts'
import type { RateLimitStore } from './rate-limit-store.ts'
import { countable, resolveRateLimiterOptions, wholeNumber } from './rate-limiter-options.ts'
import type { RateLimitAlgorithm, RateLimiterOptions, ResolvedRateLimiterOptions } from './rate-limiter-options.ts'
import { ReadyQueue } from './ready-queue.ts'
import type { WaitOptions } from './ready-queue.ts'
import type { RateLimitWindow } from './rate-limit-window.ts'
import { SlidingLimits } from './sliding-limits.ts'
import { describeValue } from '../option-types.ts'

/** The `retryAfterMs` of a denial because memcached is away. */
const CLOSED_RETRY_MS = 1000
/** How many ids a limiter remembers between calls. */
const MAX_IDS = 10_000

const INSTEAD = {
  local: 'counted in this process',
  open: 'letting everything pass',
  closed: 'denying everything',
} as const

/** Options of `consume`. */
export interface ConsumeOptions {
  /**
   * How much the call counts. A call with cost 0 counts nothing and returns what is left; it is allowed unless the id
   * is blocked. Default 1.
   */
  cost?: number | undefined
}

/** Settings of adapters that create limiters for requests. */
export interface LimiterSettings {
  /** How many ids a limiter remembers between calls. Default 10,000. */
  maxIds?: number
}

/**
 * Counts calls by id and limits them, exactly across all processes that share a memcached. While memcached is away,
 * `onCacheDown` determines the results; no method rejects because of it.
 */
export class RateLimiter {
  readonly name: string
  /** The windows, the shortest first. */
  readonly windows: readonly RateLimitWindow[]
  readonly algorithm: RateLimitAlgorithm
  /** Equal for limiters that share all their counters if they have the same name. */
  readonly signature: string
  readonly #options: ResolvedRateLimiterOptions
  readonly #maxIds: number
  readonly #denials: DenialCache
  /** A call that costs more is never allowed. */
  readonly #maxCost: number
  readonly #insurance: Insurance
  readonly #allow: IdList | undefined
  readonly #deny: IdList | undefined
  readonly #ready = new ReadyQueue(
    (id, cost) => this.#consume(id, cost),
    (id, cost) => this.peek(id, { cost }),
  )
  #cache: Memcache | undefined
  #limits: Limits | undefined
  #localLimits: Limits | undefined

  /** Use `rateLimiter()`. */
  constructor(options: RateLimiterOptions, { maxIds = MAX_IDS }: LimiterSettings = {}) {
    this.#options = resolveRateLimiterOptions(options)
    const { name, windows, algorithm, burst, onCacheDown, allow, deny } = this.#options
    this.name = name
    this.windows = windows
    this.algorithm = algorithm
    this.signature = `${algorithm} ${windows.map(({ limit, windowMs }) => `${limit}/${windowMs}`).join()}`
    this.#maxIds = maxIds
    this.#denials = new DenialCache(windows, maxIds)
    this.#maxCost = burst ?? Math.min(...windows.map(({ limit }) => limit))
    this.#insurance = new Insurance(name, INSTEAD[onCacheDown])
    this.#allow = allow === undefined ? undefined : new IdList('allow', allow)
    this.#deny = deny === undefined ? undefined : new IdList('deny', deny)
    // Reports limits that cannot be counted now.
    for (const window of windows) {
      if (algorithm === 'fixed') CounterLayout.check(window.windowMs, window.limit)
      if (algorithm === 'gcra') Gcra.check(window, burst ?? window.limit)
    }
  }

  /** The cache that counts. */
  get cache(): Memcache {
    return this.#opened()
  }

  /** Returns the time by the cache's clock. */
  nowMs(): number {
    return this.#opened().clock.nowMs()
  }

  /**
   * Counts a call of `id` at its cost, and returns whether all windows allow it; the result describes the tightest
   * window. A denied call is not counted.
   *
   * @throws MemcacheOptionError if the id is not a string, the cost is not a whole number of at least 0, or an option
   *   is unknown.
   */
  async consume(id: string, options?: ConsumeOptions): Promise<RateLimitResult> {
    return this.#counted(await this.#consume(id, options === undefined ? 1 : costOf('consume', options)))
  }

  /**
   * Returns the result that a call of `id` would get now, without counting it.
   *
   * @throws MemcacheOptionError as `consume`.
   */
  async peek(id: string, options?: ConsumeOptions): Promise<RateLimitResult> {
    const cost = options === undefined ? 1 : costOf('peek', options)
    const ofId = this.#idOf(id)
    const nowMs = this.nowMs()
    return this.#listed(ofId) ?? this.#withLimits(ofId, nowMs, (limits) => limits.peek(ofId, cost, nowMs))
  }

  /**
   * Waits until a call of `id` is allowed, and counts it. The callers of this process are served in their order. If the
   * call must wait longer than `waitMs`, or can never be allowed, it resolves to a denial immediately.
   *
   * @throws MemcacheOptionError as `consume`.
   * @throws the signal's reason if it aborts.
   */
  async blockUntilReady(id: string, options: WaitOptions = {}): Promise<RateLimitResult> {
    return this.#counted(await this.#ready.wait(this.#opened().clock, this.#idOf(id), options))
  }

  /**
   * Counts an amount, even if the limit does not allow it; resolves to the result of `peek` afterwards.
   *
   * @param amount a number, or an object as for `consume`: `{ cost: 3 }`.
   * @throws MemcacheOptionError if the amount is not a whole number from 1 to 1,000,000,000.
   */
  async penalty(id: string, amount: number | ConsumeOptions = 1): Promise<RateLimitResult> {
    const counted = amountOf('penalty', amount)
    return this.#change(id, (limits, ofId, nowMs) => limits.penalty(ofId, counted, nowMs))
  }

  /**
   * Gives an amount back, down to a count of 0; resolves to the result of `peek` afterwards.
   *
   * @param amount a number, or an object as for `consume`: `{ cost: 3 }`.
   * @param atMs the time when the amount was consumed, by `nowMs()`: it is given back to the windows of that time.
   *   Default: now.
   * @throws MemcacheOptionError if the amount is not a whole number from 1 to 1,000,000,000, or the time is not a
   *   number.
   */
  async reward(id: string, amount: number | ConsumeOptions = 1, atMs?: number): Promise<RateLimitResult> {
    const counted = amountOf('reward', amount)
    if (atMs !== undefined && !Number.isFinite(atMs)) {
      throw new MemcacheOptionError(`atMs must be milliseconds since 1970, got ${describeValue(atMs)}`)
    }
    return this.#change(id, (limits, ofId, nowMs) =>
      limits.reward(ofId, { amount: counted, atMs: atMs ?? nowMs }, nowMs),
    )
  }

  /**
   * Gives back what a call has consumed, where it was counted: in memcached, or in this process if memcached was away
   * then. Never rejects: if memcached is away now, the call stays counted.
   *
   * @param result the result of the call.
   */
  async giveBack(id: string, cost: number, result: RateLimitResult): Promise<void> {
    const limits = WindowResult.limitsOf(result)
    if (limits === undefined || cost === 0) return
    const ofId = this.#idOf(id)
    const nowMs = this.nowMs()
    try {
      await limits.reward(ofId, { amount: cost, atMs: WindowResult.atMsOf(result)! }, nowMs)
      this.#denials.forget(ofId)
    } catch (error) {
      this.#insurance.noteAll(this.#cache!, error)
    }
  }

  /**
   * Denies `id` everything for `blockMs`, in all processes; resolves to the result of `peek` afterwards.
   *
   * @param blockMs how long the id is blocked, in milliseconds. Default: the limiter's `blockMs`.
   * @throws MemcacheOptionError if the time is not a whole number greater than 0.
   */
  async block(id: string, blockMs: number | undefined = this.#options.blockMs): Promise<RateLimitResult> {
    if (blockMs === undefined)
      throw new MemcacheOptionError(
        `block needs a time in milliseconds: call block(id, 600_000), or set the option blockMs`,
      )
    wholeNumber('blockMs', blockMs)
    return this.#change(id, (limits, ofId, nowMs) => limits.block(ofId, blockEndMs(nowMs, blockMs), nowMs))
  }

  /**
   * Resets the counters of `id` and lifts its block. A process that has just denied the id may notice it up to a second
   * later.
   */
  async reset(id: string): Promise<void> {
    await this.#change(id, (limits, ofId, nowMs) => limits.reset(ofId, nowMs))
  }

  /** Counts denials in the cache's `stats()`. */
  #counted(result: RateLimitResult): RateLimitResult {
    if (!result.allowed) engineOf(this.#opened()).host.report.limited()
    return result
  }

  async #consume(given: string, givenCost: number): Promise<RateLimitResult> {
    const id = this.#idOf(given)
    const listed = this.#listed(id)
    if (listed !== undefined) return listed
    const nowMs = this.nowMs()
    if (givenCost === 0) return this.#withLimits(id, nowMs, (limits, ofId) => limits.peek(ofId, 0, nowMs))
    // A cost over the limit is never allowed, so its excess does not matter.
    const isNever = givenCost > this.#maxCost
    if (isNever && this.#options.blockMs === undefined) {
      // The cost is not added and taken back, since parallel calls might be denied because of it.
      const result = await this.#withLimits(id, nowMs, (limits, ofId) => limits.peek(ofId, this.#maxCost + 1, nowMs))
      return WindowResult.at(result.allowed ? result : WindowResult.never(result, this.windows), nowMs)
    }
    const cost = isNever ? this.#maxCost + 1 : givenCost
    const known = this.#denials.find(id, cost, nowMs)
    if (known !== undefined) return WindowResult.at(known, nowMs)
    const cache = this.#cache!
    if (!this.#insurance.isNeeded(cache)) {
      try {
        const limits = this.#limits!
        let result = await limits.consume(id, cost, nowMs)
        if (isNever && !result.allowed) result = WindowResult.never(result, this.windows)
        if (!result.allowed) this.#denials.remember(id, { cost, result }, nowMs)
        return WindowResult.at(result, nowMs, limits)
      } catch (error) {
        this.#insurance.note(cache, error)
      }
    }
    if (this.#options.onCacheDown === 'local') {
      const denied = this.#denials.findWhileAway(id, cost, nowMs)
      if (denied !== undefined) return WindowResult.at(denied, nowMs)
    }
    const result = await this.#withoutMemcached(nowMs, (limits) => limits.consume(id, cost, nowMs))
    if (isNever && !result.allowed) return WindowResult.never(result, this.windows)
    return WindowResult.at(result, nowMs, this.#localLimits)
  }

  async #change(
    given: string,
    change: (limits: Limits, id: string, nowMs: number) => Promise<void>,
  ): Promise<RateLimitResult> {
    const nowMs = this.nowMs()
    return this.#withLimits(this.#idOf(given), nowMs, async (limits, id) => {
      await change(limits, id, nowMs)
      this.#denials.forget(id)
      return limits.peek(id, 1, nowMs)
    })
  }

  async #withLimits(
    id: string,
    nowMs: number,
    decide: (limits: Limits, id: string) => Promise<RateLimitResult>,
  ): Promise<RateLimitResult> {
    const cache = this.#cache!
    if (!this.#insurance.isNeeded(cache)) {
      try {
        return await decide(this.#limits!, id)
      } catch (error) {
        this.#insurance.note(cache, error)
      }
    }
    return this.#withoutMemcached(nowMs, (limits) => decide(limits, id))
  }

  /** Returns the result for an id that `allow` or `deny` contains. */
  #listed(id: string): RateLimitResult | undefined {
    if (this.#deny?.has(id) === true) return WindowResult.never(WindowResult.unlimited(this.windows), this.windows)
    return this.#allow?.has(id) === true ? WindowResult.unlimited(this.windows) : undefined
  }

  /**
   * Returns an id as it is counted.
   *
   * @throws MemcacheOptionError if the id is not a string: all clients without an id would count as one.
   */
  #idOf(id: unknown): string {
    if (typeof id !== 'string') {
      throw new MemcacheOptionError(`the id must be a string, got ${id === null ? 'null' : typeof id}`)
    }
    return this.#options.normalize ? id.normalize('NFKC').toLowerCase() : id
  }

  /** Returns the result while memcached is away. */
  async #withoutMemcached(
    nowMs: number,
    decide: (limits: Limits) => Promise<RateLimitResult>,
  ): Promise<RateLimitResult> {
    const { onCacheDown } = this.#options
    if (onCacheDown === 'local') {
      const cache = this.#opened()
      this.#localLimits ??= this.#limitsIn(LocalCounters.of(cache), cache)
      return decide(this.#localLimits)
    }
    const window = this.windows[0]!
    const resetMs = window.windowMs - (nowMs % window.windowMs)
    return onCacheDown === 'open'
      ? new WindowResult(window, { remaining: window.limit, resetMs, retryAfterMs: 0 })
      : new WindowResult(window, { remaining: 0, resetMs: CLOSED_RETRY_MS, retryAfterMs: CLOSED_RETRY_MS })
  }

  /** Returns the cache with its limits; in tests, the default cache may have been replaced. */
  #opened(): Memcache {
    const cache = this.#options.cache ?? getDefaultMemcache()
    if (cache !== this.#cache) {
      this.#cache = cache
      this.#limits = this.#limitsIn(new MemcachedCounters(cache.client), cache)
      this.#localLimits = undefined
    }
    return cache
  }

  #limitsIn(store: RateLimitStore, cache: Memcache): Limits {
    const { name, windows, algorithm, burst, blockMs } = this.#options
    // Ids may come from clients: half of a surrogate pair is replaced, since a key cannot contain it.
    const key = (parts: readonly (string | number)[]): string =>
      ownKey(
        cache,
        'rate',
        parts.map((part) => (typeof part === 'string' ? part.toWellFormed() : part)),
      )
    const options = { name, windows, blockMs, store, key }
    if (algorithm === 'gcra') return new GcraLimits(options, burst)
    return algorithm === 'fixed' ? new FirstHitLimits(options, this.#maxIds) : new SlidingLimits(options, this.#maxIds)
  }
}

const COST_HINTS = { costs: 'cost', points: 'cost', weight: 'cost', amount: 'cost', tokens: 'cost', hits: 'cost' }

/**
 * Returns the cost of a call.
 *
 * @throws MemcacheOptionError if an option is unknown, or the cost cannot be counted.
 */
function costOf(method: string, options: ConsumeOptions): number {
  if (typeof options !== 'object' || options === null) {
    throw new MemcacheOptionError(
      `${method} takes its cost in an object, such as { cost: 2 }, got ${describeValue(options)}`,
    )
  }
  checkOptions(method, options, { names: ['cost'], hints: COST_HINTS })
  const { cost = 1 } = options
  if (!Number.isSafeInteger(cost) || cost < 0) {
    throw new MemcacheOptionError(`cost must be a whole number of at least 0, got ${shown(cost)}`)
  }
  return cost
}

/**
 * Returns an amount.
 *
 * @throws MemcacheOptionError if it cannot be counted.
 */
function amountOf(method: string, given: number | ConsumeOptions): number {
  if (typeof given !== 'object' || given === null) {
    countable('amount', given)
    return given
  }
  checkOptions(method, given, { names: ['cost'], hints: COST_HINTS })
  const { cost = 1 } = given
  countable('cost', cost)
  return cost
}

function shown(value: unknown): string {
  return typeof value === 'string' ? `the string '${value}'` : describeValue(value)
}

/**
 * Returns a rate limiter.
 *
 * @example
 *   const login = rateLimiter({ name: 'login', perMinute: 5 })
 *   const { allowed, retryAfterMs } = await login.consume(email)
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function rateLimiter(options: RateLimiterOptions): RateLimiter {
  return new RateLimiter(options)
}
