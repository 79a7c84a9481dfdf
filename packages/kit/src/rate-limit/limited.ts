import { checkOptions, MemcacheLimitError, MemcacheOptionError } from 'memcache-ts-protocol'
import { requireType } from '../option-types.ts'
import { ConcurrencyLimiter } from './concurrency.ts'
import { checkWaitMs } from './concurrency-options.ts'
import { checkCost, RATE_LIMITER_HINTS, RATE_LIMITER_OPTIONS, wholeNumber } from './rate-limiter-options.ts'
import type { RateLimiterOptions } from './rate-limiter-options.ts'
import { RateLimiter } from './rate-limiter.ts'

/** Options of `limited`: those of `rateLimiter`, with `gcra` as the default `algorithm`. */
export interface LimitedOptions<Args extends readonly unknown[]> extends RateLimiterOptions {
  /** Returns the key that a call counts for. Default: all calls count together. */
  key?: ((...args: Args) => string) | undefined
  /** How much a call counts. Default 1. */
  cost?: number | ((...args: Args) => number) | undefined
  /** How long a call may wait, in milliseconds. Default: no limit. */
  waitMs?: number | undefined
  /** How many calls may run at the same time, in all processes. Default: no limit. */
  maxConcurrent?: number | undefined
  /** With `maxConcurrent`: how long the slot of a killed process stays taken, in milliseconds. Default 10,000. */
  leaseMs?: number | undefined
}

export const LIMITED_OPTIONS = [
  ...RATE_LIMITER_OPTIONS,
  'key',
  'cost',
  'waitMs',
  'maxConcurrent',
  'leaseMs',
] as const satisfies readonly (keyof LimitedOptions<[]>)[]

const HINTS = { ...RATE_LIMITER_HINTS, max: 'maxConcurrent', timeout: 'waitMs', timeoutMs: 'waitMs', queue: 'waitMs' }

/** A function whose calls wait until they are allowed. */
export type LimitedFunction<Args extends readonly unknown[], Result> = ((...args: Args) => Promise<Result>) & {
  readonly limiter: RateLimiter
}

/**
 * Returns a function whose calls are limited, in all processes together: calls over the limit wait until they are
 * allowed. For calls to an external API.
 *
 * @example
 *   const search = limited(callSearchApi, { name: 'search-api', perSecond: 10, maxConcurrent: 4, waitMs: 30_000 })
 *
 * @throws MemcacheOptionError if an option is unknown or invalid. If a call would wait longer than `waitMs`, the
 *   returned function rejects with a `MemcacheLimitError`, whose `retryAfterMs` is the time until it could run.
 */
export function limited<Args extends readonly unknown[], Result>(
  run: (...args: Args) => Result | Promise<Result>,
  options: LimitedOptions<Args>,
): LimitedFunction<Args, Result> {
  if (typeof run !== 'function')
    throw new MemcacheOptionError(`the first argument of limited must be a function, got ${typeof run}`)
  checkOptions('limited', options, { names: LIMITED_OPTIONS, hints: HINTS })
  const { key, cost = 1, waitMs = Infinity, maxConcurrent, leaseMs, ...limits } = options
  requireType('limited', 'function', { key })
  if (typeof cost !== 'function') checkCost(cost)
  if (maxConcurrent !== undefined) wholeNumber('maxConcurrent', maxConcurrent)
  else if (leaseMs !== undefined) {
    throw new MemcacheOptionError('limited: leaseMs works only with maxConcurrent, whose slots it is for')
  }
  checkWaitMs(waitMs)
  const limiter = new RateLimiter({ algorithm: 'gcra', ...limits })
  const { cache, onCacheDown } = limits
  const { name } = limiter
  const slots =
    maxConcurrent === undefined
      ? undefined
      : new ConcurrencyLimiter({ max: maxConcurrent, name, waitMs, leaseMs, cache, onCacheDown })

  async function call(...args: Args): Promise<Result> {
    const id = key === undefined ? 'all' : key(...args)
    if (slots === undefined) return inTurn(id, args, waitMs)
    const { cache: counting } = limiter
    const startedMs = counting.clock.nowMs()
    return slots.run(id, () => inTurn(id, args, waitMs - (counting.clock.nowMs() - startedMs)))
  }

  async function inTurn(id: string, args: Args, leftMs: number): Promise<Result> {
    const amount = typeof cost === 'function' ? cost(...args) : cost
    const { allowed, retryAfterMs } = await limiter.blockUntilReady(id, { cost: amount, waitMs: Math.max(0, leftMs) })
    if (allowed) return run(...args)
    throw new MemcacheLimitError(
      retryAfterMs === Infinity
        ? `the limit '${name}' never allows a call that costs ${amount}: lower the cost, or raise the limit`
        : `the limit '${name}' has no room for another ${retryAfterMs} ms, but a call may wait only ${waitMs} ms: raise waitMs, or try again later`,
      { retryable: retryAfterMs !== Infinity, retryAfterMs },
    )
  }

  return Object.assign(call, { limiter })
}
