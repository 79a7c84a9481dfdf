export { memcache, Memcache } from './memcache.ts'
export type { InvalidateOptions } from './memcache.ts'
export type { CacheMethods, CacheNamespace, GetOrSetManyOptions, LockOptions, SetOptions } from './namespace.ts'
export { MEMCACHE_OPTIONS } from './memcache-options.ts'
export type { MemcacheOptions } from './memcache-options.ts'
export { getDefaultMemcache, peekDefaultMemcache, setDefaultMemcache } from './default-memcache.ts'
export type { Servers } from './servers/choose-servers.ts'
export type { Logger } from './logger.ts'
export { KeyPrefix } from './engine/cache-key.ts'
export type { MemcacheLock } from './engine/store/lock.ts'
export type { MemcacheEvents } from './engine/observe/cache-report.ts'
export type { CacheStats } from './engine/observe/cache-stats.ts'
export type { MemcacheHealth } from './engine/observe/server-health.ts'
export type {
  EarlyRefreshOptions,
  GetOrSetOptions,
  LoadContext,
  Loader,
  LoadingOptions,
  TtlOf,
} from './engine/load/get-or-set-options.ts'
export type { MemoryOptions } from './engine/memory/memory-tier.ts'
export type { BatchLoader, LoadedMany } from './engine/load/read-through-many.ts'
export type { NamespaceDeclaration } from './declare/declared-namespace.ts'
export { requireCacheChoice } from './declare/decorators/cache-config.ts'
export { requireOptions, requireTags, requireType } from './option-types.ts'
export type { TagsOf } from './declare/tags-of.ts'
export type { AnyClass, Revive, RevivingOptions } from './engine/values/reviver.ts'
export { bindCache, defineCache } from './declare/define-cache.ts'
export type {
  CacheDefinition,
  CacheOf,
  CallOptions,
  DeclaredCacheMethods,
  LoadingCacheDefinition,
  LoadingCacheOf,
} from './declare/define-cache.ts'
export { cached } from './declare/cached-function.ts'
export type { ArgumentCache } from './declare/argument-cache.ts'
export type { CachedFunction, CachedOptions, FunctionCache } from './declare/cached-function.ts'
export { CacheConfig, claimClass, configOf, configureClass } from './declare/decorators/cache-config.ts'
export type { CacheConfigOptions, ClassDecoratorOf } from './declare/decorators/cache-config.ts'
export { processMethodsOf } from './declare/decorators/class-owner.ts'
export type { CacheSource, DecoratorKind } from './declare/decorators/cache-source.ts'
export type { AsyncMethod, MethodDecoratorOf } from './declare/decorators/method-decorator.ts'
export { Cached, cachedMethod, cacheOf } from './declare/decorators/cached.ts'
export type { CachedMethodOptions } from './declare/decorators/cached.ts'
export { CacheEvict, cacheEvictMethod } from './declare/decorators/cache-evict.ts'
export type { CacheEvictOptions } from './declare/decorators/cache-evict.ts'
export { CachePut, cachePutMethod } from './declare/decorators/cache-put.ts'
export type { CachePutOptions } from './declare/decorators/cache-put.ts'
export type { WarmOptions, WarmReport } from './declare/warm/warm.ts'
export { ConcurrencyLimiter, concurrency } from './rate-limit/concurrency.ts'
export type { Slot } from './rate-limit/concurrency.ts'
export { CONCURRENCY_OPTIONS } from './rate-limit/concurrency-options.ts'
export type { AcquireOptions, ConcurrencyOptions } from './rate-limit/concurrency-options.ts'
export { limited, LIMITED_OPTIONS } from './rate-limit/limited.ts'
export type { LimitedFunction, LimitedOptions } from './rate-limit/limited.ts'
export { RateLimiter, rateLimiter } from './rate-limit/rate-limiter.ts'
export type { ConsumeOptions } from './rate-limit/rate-limiter.ts'
export { RATE_LIMITER_HINTS, RATE_LIMITER_OPTIONS } from './rate-limit/rate-limiter-options.ts'
export type { RateLimitAlgorithm, RateLimiterOptions } from './rate-limit/rate-limiter-options.ts'
export type { RateLimitResult } from './rate-limit/rate-limit-result.ts'
export { BlockingHitCounter } from './rate-limit/blocking-hit-counter.ts'
export type { BlockableHits, HitLimit } from './rate-limit/blocking-hit-counter.ts'
export { HitCounter } from './rate-limit/hit-counter.ts'
export type { Hits } from './rate-limit/hit-counter.ts'
export { checkIpv6Subnet, ipKey } from './rate-limit/ip-key.ts'
export { REQUEST_RATE_LIMIT_OPTIONS, RequestRateLimit } from './rate-limit/request-rate-limit.ts'
export type { DeniedRequest, RateLimitFramework, RequestRateLimitOptions } from './rate-limit/request-rate-limit.ts'
export { CountedCall } from './rate-limit/counted-call.ts'
export { RequestLimiters } from './rate-limit/request-limiters.ts'
export type { PerRequest, RequestLimiterOptions } from './rate-limit/request-limiters.ts'
export { onResponseOver } from './rate-limit/response-outcome.ts'
export { isBackgroundRequest, markBackgroundRequest } from './rate-limit/background-request.ts'
export { WindowResult } from './rate-limit/rate-limit-result.ts'
export type { IdListOption } from './rate-limit/id-list.ts'
export type { WaitOptions } from './rate-limit/ready-queue.ts'
export { PROBLEM_JSON, quotaProblem } from './rate-limit/quota-problem.ts'
export type { QuotaProblem } from './rate-limit/quota-problem.ts'
export { rateLimitHeaders, retryAfterSeconds } from './rate-limit/rate-limit-headers.ts'
export type {
  DescribedLimiter,
  HeaderTarget,
  QuotaUnit,
  RateLimitHeaderFormat,
  RateLimitHeaderOptions,
  WriteRateLimitHeaders,
} from './rate-limit/rate-limit-headers.ts'
export type { RateLimitWindow, RateLimitWindowOptions } from './rate-limit/rate-limit-window.ts'
export { SessionRepository } from './session/session-repository.ts'
export type {
  FoundSession,
  LifetimeOf,
  SessionRepositoryOptions,
  SessionSnapshot,
} from './session/session-repository.ts'
export type { EncryptionKey } from './session/session-encryption.ts'
export { differsAsJson } from './session/session-merge.ts'
export type { HasChanged, SessionData } from './session/session-merge.ts'
export { cacheHandler } from './http/cache-handler.ts'
export type { CacheHandlerOptions } from './http/cache-handler.ts'
export { ResponseCache } from './http/response-cache.ts'
export type { HttpExchange } from './http/response-lookup.ts'
export { RESPONSE_CACHE_HINTS, RESPONSE_CACHE_OPTIONS } from './http/response-cache-options.ts'
export type { ResponseCacheOptions } from './http/response-cache-options.ts'
export {
  checkOptions,
  exptimeOf,
  joinKey,
  MemcacheClosedError,
  MemcacheConnectionError,
  MemcacheDecodeError,
  MemcacheError,
  MemcacheKeyError,
  MemcacheLimitError,
  MemcacheLoaderTimeoutError,
  MemcacheOptionError,
  MemcacheProtocolError,
  MemcacheQueueError,
  MemcacheServerError,
  MemcacheTimeoutError,
  MemcacheTooLargeError,
  MemcacheUnsupportedError,
  systemClock,
  ttlToSeconds,
} from 'memcache-ts-protocol'
export type { Clock, Key, KeyPart, MemcacheErrorCode, Ttl } from 'memcache-ts-protocol'
export { MemcachedClient } from 'memcache-ts-client'
export type { MemcachedClientOptions, MetaItem, ServerStream } from 'memcache-ts-client'
export { deferResponse, isDiscarded, withdrawField } from './deferred/deferred-response.ts'
export type { AnyResponse, DeferredFailure } from './deferred/deferred-response.ts'
