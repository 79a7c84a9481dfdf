import type { ServerResponse } from 'node:http'
import type { ExecutionContext } from '@nestjs/common'
import { MemcacheOptionError } from 'memcache-ts'
import { checkOptions, kindOf, requireCacheChoice, requireOptions } from 'memcache-ts/adapter'
import { checkRequestValues, RATE_LIMITER_HINTS, REQUEST_RATE_LIMIT_OPTIONS } from 'memcache-ts/rate-limit'
import type { QuotaUnit, RateLimitHeaderFormat, RequestLimiterOptions } from 'memcache-ts/rate-limit'
import { INJECTED_CACHE } from '../injection/injected-source.ts'
import type { CacheChoice } from '../injection/injected-source.ts'
import type { LimitedRequest } from './limited-call.ts'

/**
 * Options of `@RateLimit` and of `MemcacheModule.forRoot({ rateLimit })`; limits and times may be functions of the
 * request.
 */
export interface RateLimitOptions extends Omit<RequestLimiterOptions<[LimitedRequest, ExecutionContext]>, 'cache'> {
  /**
   * The key that a request counts for. `'ip'`: its address, for IPv6 the /56 network. `'user'`: the `id`, `sub` or
   * `userId` of `request.user`, which an earlier guard has set, or else the address. A function: its result, or the
   * address if that is `undefined`. Default `'ip'`.
   */
  key?: 'ip' | 'user' | KeyOfRequest | undefined
  /** How many bits of an IPv6 address identify a client. Default 56. */
  ipv6Subnet?: number | undefined
  /** How much a request counts. With 0 it is not counted, and its response shows what is left. Default 1. */
  cost?: number | CostOfRequest | undefined
  /** Selects requests that are not counted. */
  skip?: SkipsRequest | undefined
  /**
   * Whether successful requests of routes are given back when their response ends, so that only failures count. Default
   * false.
   */
  skipSuccessfulRequests?: boolean | undefined
  /** Whether failed requests of routes are given back when their response ends. Default false. */
  skipFailedRequests?: boolean | undefined
  /**
   * Whether a completed request of a route was successful, by Node's response. A request whose client disconnected
   * early never is. Default: a status below 400.
   */
  requestWasSuccessful?: WasSuccessful | undefined
  /** The format of the rate limit fields in responses; `false` for none. Default `draft-10`. */
  headers?: RateLimitHeaderFormat | false | undefined
  /** With `draft-10`: what is counted. Default `requests`. */
  quotaUnit?: QuotaUnit | undefined
  /** With `draft-10`: send a hash of the key, which shows which clients are counted together. Default false. */
  partitionKey?: boolean | undefined
  /** The cache that counts, or its name in `MemcacheModule.forRoot({ name })`. Default: the application's. */
  cache?: CacheChoice | undefined
}

// Declared as methods, so that a function may narrow the type of its request.
type KeyOfRequest = { of(request: LimitedRequest, context: ExecutionContext): Promised<string | undefined> }['of']
type CostOfRequest = { of(request: LimitedRequest, context: ExecutionContext): Promised<number> }['of']
type SkipsRequest = { of(request: LimitedRequest, context: ExecutionContext): Promised<boolean> }['of']
type WasSuccessful = { of(request: LimitedRequest, response: ServerResponse): Promised<boolean> }['of']
type Promised<Value> = Value | Promise<Value>

const RATE_LIMIT_OPTIONS = REQUEST_RATE_LIMIT_OPTIONS satisfies readonly (keyof RateLimitOptions)[]

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

/** @throws MemcacheOptionError if an option is unknown, or invalid by itself. */
export function checkRateLimitOptions(owner: string, options: RateLimitOptions): void {
  requireOptions(owner, options)
  checkOptions(owner, options, { names: RATE_LIMIT_OPTIONS, hints: HINTS })
  checkRequestValues(options, owner)
  requireCacheChoice(owner, INJECTED_CACHE, options.cache)
  const { key = 'ip' } = options
  if (typeof key !== 'function' && key !== 'ip' && key !== 'user') {
    throw new MemcacheOptionError(
      `${owner}: key must be 'ip', 'user' or a function, got ${typeof key === 'string' ? `'${key as string}'` : kindOf(key)}`,
    )
  }
}
