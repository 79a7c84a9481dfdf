export { MemcacheModule } from './memcache.module.ts'
export type {
  MemcacheModuleExtras,
  MemcacheModuleOptions,
  MemcacheOptionsFactory,
} from './memcache.module-definition.ts'
export { getCacheToken, getMemcacheToken, InjectCache, InjectMemcache } from './injection-tokens.ts'
export type { CacheOf } from './injection-tokens.ts'
export { CacheConfig, Cached, CacheEvict, CachePut } from './cache.decorators.ts'
export type { CacheConfigOptions, CachedMethodOptions, CacheEvictOptions, CachePutOptions } from './cache.decorators.ts'
export type { CacheChoice } from './injection/injected-source.ts'
export { CacheResponse } from './response-cache/cache-response.decorator.ts'
export type { CacheableRequest, CacheResponseOptions } from './response-cache/cache-response-options.ts'
export { RateLimit, RateLimitGuard, SkipRateLimit } from './rate-limit/rate-limit.guard.ts'
export { RateLimitException } from './rate-limit/rate-limit-policy.ts'
export type { RateLimitOptions } from './rate-limit/rate-limit-options.ts'
export type { LimitedRequest, Requester } from './rate-limit/limited-call.ts'
export { Warm } from './warming/warming.module.ts'
export { MemcacheHealthIndicator } from './health/memcache.health-indicator.ts'
export type { MemcacheHealthOptions, MemcacheHealthResult } from './health/memcache.health-indicator.ts'
export { MemcacheThrottlerStorage } from './throttler/memcache-throttler-storage.ts'
export type { ThrottlerRecord } from './throttler/memcache-throttler-storage.ts'
export { cacheOf, Memcache } from 'memcache-ts'
