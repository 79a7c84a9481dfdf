import type { NextFunction, Request, Response } from 'express'
import { RATE_LIMITER_HINTS, RATE_LIMITER_OPTIONS } from 'memcache-ts'
import type { RateLimiterOptions, RateLimitHeaderFormat } from 'memcache-ts'

/** Options of `rateLimit`. */
export interface RateLimitOptions extends RateLimiterOptions {
  /** Whom a request counts for. Default: its address, IPv6 by its /56. */
  key?: ((request: Request) => string | Promise<string>) | undefined
  /** How much a request counts. Default 1. */
  cost?: number | ((request: Request) => number | Promise<number>) | undefined
  /** Requests that do not count. */
  skip?: ((request: Request) => boolean | Promise<boolean>) | undefined
  /** Gives a request back once it has been answered with a status below 400, so that failures alone count. Default false. */
  skipSuccessfulRequests?: boolean | undefined
  /** Gives a request back once it has been answered with a status from 400 on, or not to the end. Default false. */
  skipFailedRequests?: boolean | undefined
  /** How responses tell of the limit; `false` for not at all. Default `draft-10`. */
  headers?: RateLimitHeaderFormat | false | undefined
  /** Answers a request that is denied. Default: 429 with `application/problem+json`. */
  handler?: ((request: Request, response: Response, next: NextFunction) => unknown) | undefined
}

export const KNOWN = [
  ...RATE_LIMITER_OPTIONS,
  'key',
  'cost',
  'skip',
  'skipSuccessfulRequests',
  'skipFailedRequests',
  'headers',
  'handler',
] as const satisfies readonly (keyof RateLimitOptions)[]

/** What express-rate-limit calls its options, and we call ours. */
export const HINTS = {
  ...RATE_LIMITER_HINTS,
  keyGenerator: 'key',
  ipv6Subnet: 'key',
  identifier: 'name',
  store: 'cache',
  message: 'handler',
  statusCode: 'handler',
  onLimitReached: 'handler',
  standardHeaders: 'headers',
  legacyHeaders: "headers: 'legacy'",
  draft_polli_ratelimit_headers: 'headers',
  requestWasSuccessful: 'skipSuccessfulRequests',
  requestPropertyName: 'request.rateLimit',
  passOnStoreError: "onCacheDown: 'open'",
  validate: 'always on',
}
