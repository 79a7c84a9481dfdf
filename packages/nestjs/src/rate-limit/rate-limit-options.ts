import type { ServerResponse } from 'node:http'
import type { ExecutionContext } from '@nestjs/common'
import { MemcacheOptionError } from 'memcache-ts'
import { checkOptions, requireCacheChoice, requireOptions } from 'memcache-ts/adapter'
import { checkRequestValues, RATE_LIMITER_HINTS, REQUEST_RATE_LIMIT_OPTIONS } from 'memcache-ts/rate-limit'
import type { QuotaUnit, RateLimitHeaderFormat, RequestLimiterOptions } from 'memcache-ts/rate-limit'
import { INJECTED_CACHE } from '../injection/injected-source.ts'
import type { CacheChoice } from '../injection/injected-source.ts'
import type { Requester } from './requester.ts'

/**
 * Options of `@RateLimit` and of `MemcacheModule.forRoot({ rateLimit })`; limits and times may be functions of the
 * request.
 */
export interface RateLimitOptions extends Omit<RequestLimiterOptions<[Requester, ExecutionContext]>, 'cache'> {
  /**
   * Whom a request counts for: its address (`'ip'`), IPv6 by its /56; whom a guard before this one has put into
   * `request.user` (`'user'`), by `id`, `sub` or `userId`, and its address when there is none; or what this says, its
   * address when that is `undefined`. Default `'ip'`.
   */
  key?: 'ip' | 'user' | KeyOfRequest | undefined
  /** How many bits of an IPv6 address are one client. Default 56. */
  ipv6Subnet?: number | undefined
  /** How much a request counts; 0 is not counted, and told what is left. Default 1. */
  cost?: number | CostOfRequest | undefined
  /** Requests that do not count. */
  skip?: SkipsRequest | undefined
  /** Gives a route's request back once it was successful, so that failures alone count. Default false. */
  skipSuccessfulRequests?: boolean | undefined
  /** Gives a route's request back once it has failed. Default false. */
  skipFailedRequests?: boolean | undefined
  /**
   * Whether a route's request that was answered was successful, by Node's response; one whose client left early never
   * is. Default: a status below 400.
   */
  requestWasSuccessful?: WasSuccessful | undefined
  /** How responses tell of the limit; `false` for not at all. Default `draft-10`. */
  headers?: RateLimitHeaderFormat | false | undefined
  /** With `draft-10`: what is counted. Default `requests`. */
  quotaUnit?: QuotaUnit | undefined
  /** With `draft-10`: tell clients by a hash of the key which of them are counted together. Default false. */
  partitionKey?: boolean | undefined
  /** The cache that counts, or its name in `MemcacheModule.forRoot({ name })`. Default: the application's. */
  cache?: CacheChoice | undefined
}

// As methods, so that a function may say which framework's request it takes.
type KeyOfRequest = { of(request: Requester, context: ExecutionContext): Promised<string | undefined> }['of']
type CostOfRequest = { of(request: Requester, context: ExecutionContext): Promised<number> }['of']
type SkipsRequest = { of(request: Requester, context: ExecutionContext): Promised<boolean> }['of']
type WasSuccessful = { of(request: Requester, response: ServerResponse): Promised<boolean> }['of']
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
  checkOptions(owner, options, RATE_LIMIT_OPTIONS, HINTS)
  checkRequestValues(options, owner)
  requireCacheChoice(owner, INJECTED_CACHE, options.cache)
  const { key = 'ip' } = options
  if (typeof key !== 'function' && key !== 'ip' && key !== 'user') {
    throw new MemcacheOptionError(`${owner}: key must be 'ip', 'user' or a function, got '${String(key)}'`)
  }
}
