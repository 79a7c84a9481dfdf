export { ConcurrencyLimiter, concurrency } from './concurrency.ts'
export type { Slot } from './concurrency.ts'
export { CONCURRENCY_OPTIONS } from './concurrency-options.ts'
export type { AcquireOptions, ConcurrencyOptions } from './concurrency-options.ts'
export { limited, LIMITED_OPTIONS } from './limited.ts'
export type { LimitedFunction, LimitedOptions } from './limited.ts'
export { RateLimiter, rateLimiter } from './rate-limiter.ts'
export type { ConsumeOptions } from './rate-limiter.ts'
export { RATE_LIMITER_HINTS, RATE_LIMITER_OPTIONS } from './rate-limiter-options.ts'
export type { RateLimitAlgorithm, RateLimiterOptions } from './rate-limiter-options.ts'
export { WindowResult } from './rate-limit-result.ts'
export type { RateLimitResult } from './rate-limit-result.ts'
export type { RateLimitWindow, RateLimitWindowOptions } from './rate-limit-window.ts'
export { BlockingHitCounter } from './blocking-hit-counter.ts'
export type { BlockableHits, HitLimit } from './blocking-hit-counter.ts'
export { HitCounter } from './hit-counter.ts'
export type { Hits } from './hit-counter.ts'
export { checkIpv6Subnet, ipKey } from './ip-key.ts'
export { RequestRateLimit } from './request-rate-limit.ts'
export type { DeniedRequest, RateLimitFramework } from './request-rate-limit.ts'
export { checkRequestRateLimit, checkRequestValues, REQUEST_RATE_LIMIT_OPTIONS } from './request-rate-limit-options.ts'
export type { RequestRateLimitOptions } from './request-rate-limit-options.ts'
export type { PerRequest, RequestLimiterOptions } from './request-limiters.ts'
export type { IdListOption } from './id-list.ts'
export type { WaitOptions } from './ready-queue.ts'
export { PROBLEM_JSON, quotaProblem } from './rate-limit-headers.ts'
export type { QuotaProblem } from './rate-limit-headers.ts'
export type {
  DescribedLimiter,
  HeaderTarget,
  QuotaUnit,
  RateLimitHeaderFormat,
  RateLimitHeaderOptions,
  WriteRateLimitHeaders,
} from './rate-limit-headers.ts'
export { isBackgroundRequest, markBackgroundRequest } from '../background-request.ts'
