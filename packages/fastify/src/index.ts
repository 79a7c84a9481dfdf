export { rateLimit } from './rate-limit.ts'
export type { RateLimitHook, RateLimitOptions } from './rate-limit.ts'
export { ipKey } from './request-address.ts'
