import type { NextFunction, Request, Response } from 'express'
import { RATE_LIMITER_HINTS, RATE_LIMITER_OPTIONS } from 'memcache-ts'
import type { QuotaUnit, RateLimitHeaderFormat, RequestLimiterOptions } from 'memcache-ts'

/** Options of `rateLimit`; its limits and times may be functions of the request. */
export interface RateLimitOptions extends RequestLimiterOptions<[Request, Response]> {
  /** Whom a request counts for. Default: its address, IPv6 by its /56. */
  key?: ((request: Request) => string | Promise<string>) | undefined
  /** How many bits of an IPv6 address are one client, with the default `key`. Default 56. */
  ipv6Subnet?: number | undefined
  /** How much a request counts; 0 is not counted, and told what is left. Default 1. */
  cost?: number | ((request: Request, response: Response) => number | Promise<number>) | undefined
  /** Requests that do not count. */
  skip?: ((request: Request, response: Response) => boolean | Promise<boolean>) | undefined
  /** Gives a request back once it was successful, so that failures alone count. Default false. */
  skipSuccessfulRequests?: boolean | undefined
  /** Gives a request back once it has failed. Default false. */
  skipFailedRequests?: boolean | undefined
  /** Whether a request that was answered was successful; one whose client left early never is. Default: a status below 400. */
  requestWasSuccessful?: ((request: Request, response: Response) => boolean | Promise<boolean>) | undefined
  /** How responses tell of the limit; `false` for not at all. Default `draft-10`. */
  headers?: RateLimitHeaderFormat | false | undefined
  /** With `draft-10`: what is counted. Default `requests`. */
  quotaUnit?: QuotaUnit | undefined
  /** With `draft-10`: tell clients by a hash of the key which of them are counted together. Default false. */
  partitionKey?: boolean | undefined
  /** Answers a request that is denied. Default: 429 with `application/problem+json`. */
  handler?: ((request: Request, response: Response, next: NextFunction) => unknown) | undefined
}

export const KNOWN = [
  ...RATE_LIMITER_OPTIONS,
  'key',
  'ipv6Subnet',
  'cost',
  'skip',
  'skipSuccessfulRequests',
  'skipFailedRequests',
  'requestWasSuccessful',
  'headers',
  'quotaUnit',
  'partitionKey',
  'handler',
] as const satisfies readonly (keyof RateLimitOptions)[]

/** What express-rate-limit calls its options, and we call ours. */
export const HINTS = {
  ...RATE_LIMITER_HINTS,
  keyGenerator: 'key',
  identifier: 'name',
  store: 'cache',
  message: 'handler',
  statusCode: 'handler',
  onLimitReached: 'handler',
  standardHeaders: 'headers',
  legacyHeaders: "headers: 'legacy'",
  draft_polli_ratelimit_headers: 'headers',
  requestPropertyName: 'request.rateLimit',
  passOnStoreError: "onCacheDown: 'open'",
  validate: 'always on',
}
