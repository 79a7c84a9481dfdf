import type { ExecutionContext } from '@nestjs/common'
import { checkOptions, MemcacheOptionError, RATE_LIMITER_HINTS, RATE_LIMITER_OPTIONS } from 'memcache-ts'
import type { RateLimiterOptions, RateLimitHeaderFormat } from 'memcache-ts'
import type { CacheChoice } from '../injection/injected-source.ts'
import type { Requester } from './requester.ts'

/** Options of `@RateLimit` and of `MemcacheModule.forRoot({ rateLimit })`. */
export interface RateLimitOptions extends Omit<RateLimiterOptions, 'cache'> {
  /**
   * Whom a request counts for: its address (`'ip'`), IPv6 by its /56; whom a guard before this one has put into
   * `request.user` (`'user'`), by `id`, `sub` or `userId`, and its address when there is none; or what this says, its
   * address when that is `undefined`. Default `'ip'`.
   */
  key?: 'ip' | 'user' | KeyOfRequest | undefined
  /** How much a request counts. Default 1. */
  cost?: number | CostOfRequest | undefined
  /** Requests that do not count. */
  skip?: SkipsRequest | undefined
  /**
   * Gives a route's request back once it has been answered with a status below 400, so that failures alone count.
   * Default false.
   */
  skipSuccessfulRequests?: boolean | undefined
  /**
   * Gives a route's request back once it has been answered with a status from 400 on, or not to the end. Default false.
   */
  skipFailedRequests?: boolean | undefined
  /** How responses tell of the limit; `false` for not at all. Default `draft-10`. */
  headers?: RateLimitHeaderFormat | false | undefined
  /** The cache that counts, or its name in `MemcacheModule.forRoot({ name })`. Default: the application's. */
  cache?: CacheChoice | undefined
}

// As methods, so that a function may say which framework's request it takes.
type KeyOfRequest = { of(request: Requester, context: ExecutionContext): Promised<string | undefined> }['of']
type CostOfRequest = { of(request: Requester, context: ExecutionContext): Promised<number> }['of']
type SkipsRequest = { of(request: Requester, context: ExecutionContext): Promised<boolean> }['of']
type Promised<Value> = Value | Promise<Value>

const KNOWN = [
  ...RATE_LIMITER_OPTIONS,
  'key',
  'cost',
  'skip',
  'skipSuccessfulRequests',
  'skipFailedRequests',
  'headers',
] as const satisfies readonly (keyof RateLimitOptions)[]

const HINTS = {
  ...RATE_LIMITER_HINTS,
  ttl: 'windowMs',
  blockDuration: 'blockMs',
  getTracker: 'key',
  generateKey: 'key',
  keyGenerator: 'key',
  skipIf: 'skip',
  setHeaders: 'headers',
  storage: 'cache',
  store: 'cache',
}

/** @throws MemcacheOptionError for an option that there is not, or a key or cost that cannot be. */
export function checkRateLimitOptions(owner: string, options: RateLimitOptions): void {
  checkOptions(owner, options, KNOWN, HINTS)
  const { key = 'ip', cost = 1 } = options
  if (typeof key !== 'function' && key !== 'ip' && key !== 'user') {
    throw new MemcacheOptionError(`${owner}: key must be 'ip', 'user' or a function, got '${String(key)}'`)
  }
  if (typeof cost === 'number' && !(Number.isSafeInteger(cost) && cost >= 1)) {
    throw new MemcacheOptionError(`${owner}: cost must be a whole number over 0, got ${cost}`)
  }
}
