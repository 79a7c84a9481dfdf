import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { Memcache } from '../memcache.ts'
import { describeValue, requireCache, requireOptions } from '../option-types.ts'
import type { IdListOption } from './id-list.ts'
import { MAX_COUNT, rateLimitWindows, WINDOW_OPTIONS } from './rate-limit-window.ts'
import type { RateLimitWindow, RateLimitWindowOptions } from './rate-limit-window.ts'

/** The algorithm that counts calls. */
export type RateLimitAlgorithm = 'sliding' | 'fixed' | 'gcra'

/** Options of `rateLimiter`. */
export interface RateLimiterOptions extends RateLimitWindowOptions {
  /** Limits with the same name share their counters. Default `default`. */
  name?: string | undefined
  /**
   * `sliding` also counts the previous window, weighted by the share of it that is less than a window ago. `fixed`
   * allows the limit in each window, which starts at an id's first call. `gcra` allows calls at even intervals, with a
   * burst. Default `sliding`.
   */
  algorithm?: RateLimitAlgorithm | undefined
  /** With `gcra` and one window: how much is allowed at once. Default: the limit. */
  burst?: number | undefined
  /** How long an id that exceeded a limit is denied everything, in milliseconds. Default: it is not blocked. */
  blockMs?: number | undefined
  /**
   * Ids that are always allowed, and not counted: a list of ids and of address ranges (`10.0.0.0/8`), or a function of
   * an id.
   */
  allow?: IdListOption | undefined
  /** Ids that are always denied, in the forms of `allow`; checked before `allow`. */
  deny?: IdListOption | undefined
  /**
   * Whether ids that differ only in case or Unicode form are one id (NFKC, lower case), as for e-mail addresses and
   * names. Default false.
   */
  normalize?: boolean | undefined
  /**
   * The behaviour while memcached is away: this process counts its own calls (`local`), all calls are allowed (`open`),
   * or all are denied (`closed`). Default `local`.
   */
  onCacheDown?: 'local' | 'open' | 'closed' | undefined
  /** The cache that counts. Default: the default cache of this process. */
  cache?: Memcache | undefined
}

export const RATE_LIMITER_OPTIONS = [
  ...WINDOW_OPTIONS,
  'name',
  'algorithm',
  'burst',
  'blockMs',
  'allow',
  'deny',
  'normalize',
  'onCacheDown',
  'cache',
] as const satisfies readonly (keyof RateLimiterOptions)[]

/** The option names of other limiters, with the names in this package. */
export const RATE_LIMITER_HINTS = {
  max: 'limit',
  points: 'limit',
  duration: 'windowMs',
  window: 'windowMs',
  keyPrefix: 'name',
  blockDuration: 'blockMs',
  insuranceLimiter: "onCacheDown: 'local'",
  inMemoryBlockOnConsumed: 'always on',
  whitelist: 'allow',
  allowList: 'allow',
  blacklist: 'deny',
  denyList: 'deny',
  prefix: 'name',
  limiter: 'algorithm',
}

/** The options with their defaults. */
export interface ResolvedRateLimiterOptions {
  readonly name: string
  readonly windows: readonly RateLimitWindow[]
  readonly algorithm: RateLimitAlgorithm
  readonly burst: number | undefined
  readonly blockMs: number | undefined
  readonly allow: IdListOption | undefined
  readonly deny: IdListOption | undefined
  readonly normalize: boolean
  readonly onCacheDown: 'local' | 'open' | 'closed'
  readonly cache: Memcache | undefined
}

/**
 * Returns the options with their defaults.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function resolveRateLimiterOptions(options: RateLimiterOptions): ResolvedRateLimiterOptions {
  requireOptions('rateLimiter', options, 'rateLimiter({ perMinute: 100 })')
  checkOptions('rateLimiter', options, { names: RATE_LIMITER_OPTIONS, hints: RATE_LIMITER_HINTS })
  const { name = 'default', algorithm = 'sliding', burst, blockMs, onCacheDown = 'local', cache } = options
  const { allow, deny, normalize = false } = options
  if (typeof name !== 'string' || name === '') {
    throw new MemcacheOptionError(`name must be a string that is not empty, got ${describeValue(name)}`)
  }
  if (typeof normalize !== 'boolean') {
    throw new MemcacheOptionError(`normalize must be true or false, got ${describeValue(normalize)}`)
  }
  requireCache('a rate limit', cache)
  oneOf('algorithm', algorithm, ['sliding', 'fixed', 'gcra'])
  oneOf('onCacheDown', onCacheDown, ['local', 'open', 'closed'])
  const windows = rateLimitWindows(options)
  if (burst !== undefined) {
    wholeNumber('burst', burst)
    if (algorithm !== 'gcra') throw new MemcacheOptionError("burst works only with algorithm: 'gcra'")
    if (windows.length > 1)
      throw new MemcacheOptionError(
        'burst works only with one window: of several windows, each allows its limit at once',
      )
  }
  if (blockMs !== undefined) wholeNumber('blockMs', blockMs)
  return { name, windows, algorithm, burst, blockMs, allow, deny, normalize, onCacheDown, cache }
}

/**
 * Checks an option.
 *
 * @throws MemcacheOptionError if a value is not a whole number greater than 0.
 */
export function wholeNumber(name: string, value: unknown): void {
  if (!Number.isSafeInteger(value) || (value as number) < 1) {
    throw new MemcacheOptionError(
      `${name} must be a whole number greater than 0, got ${typeof value === 'string' ? `the string '${value}'` : describeValue(value)}`,
    )
  }
}

/**
 * Checks what a call costs.
 *
 * @throws MemcacheOptionError if it cannot be counted.
 */
export function checkCost(cost: unknown): void {
  if (Number.isSafeInteger(cost) && (cost as number) >= 0) return
  throw new MemcacheOptionError(`cost must be a whole number of at least 0, got ${describeValue(cost)}`)
}

/**
 * Checks an amount.
 *
 * @throws MemcacheOptionError if it cannot be counted.
 */
export function countable(name: string, value: unknown): void {
  wholeNumber(name, value)
  if ((value as number) > MAX_COUNT)
    throw new MemcacheOptionError(`${name} must be at most ${MAX_COUNT}, got ${String(value)}`)
}

function oneOf(name: string, value: string, known: readonly string[]): void {
  if (known.includes(value)) return
  const names = known.map((one) => `'${one}'`)
  throw new MemcacheOptionError(
    `${name} must be ${names.slice(0, -1).join(', ')} or ${names.at(-1)}, got ${describeValue(value)}`,
  )
}
