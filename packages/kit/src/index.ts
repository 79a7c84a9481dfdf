export { memcache, Memcache } from './memcache.ts'
export type { InvalidateOptions } from './memcache.ts'
export type { CacheMethods, CacheNamespace } from './namespace.ts'
export type { GetOrSetManyOptions, LockOptions, SetOptions } from './call-options.ts'
export type { MemcacheOptions } from './memcache-options.ts'
export { getDefaultMemcache, setDefaultMemcache } from './default-memcache.ts'
export type { Servers } from './choose-servers.ts'
export type { Logger } from './logger.ts'
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
export type { AnyClass, Revive, RevivingOptions } from './engine/values/reviver.ts'

export { defineCache } from './declare/define-cache.ts'
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
export type { NamespaceDeclaration } from './declare/declared-namespace.ts'
export type { TagsOf } from './declare/late-facts.ts'
export { CacheConfig } from './declare/decorators/cache-config.ts'
export type { CacheConfigOptions, ClassDecoratorOf } from './declare/decorators/cache-config.ts'
export type { AsyncMethod, MethodDecoratorOf } from './declare/decorators/method-decorator.ts'
export { Cached, cacheOf } from './declare/decorators/cached.ts'
export type { CachedMethodOptions } from './declare/decorators/cached.ts'
export { CacheEvict } from './declare/decorators/cache-evict.ts'
export type { CacheEvictOptions } from './declare/decorators/cache-evict.ts'
export { CachePut } from './declare/decorators/cache-put.ts'
export type { CachePutOptions } from './declare/decorators/cache-put.ts'
export type { WarmOptions, WarmReport } from './declare/warm/warm.ts'

export { rateLimiter } from './rate-limit/rate-limiter.ts'
export type { RateLimiter } from './rate-limit/rate-limiter.ts'
export type { RateLimiterOptions } from './rate-limit/rate-limiter-options.ts'
export type { RateLimitResult } from './rate-limit/rate-limit-result.ts'

export {
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
} from 'memcache-ts-protocol'
export type { Clock, Key, KeyPart, MemcacheErrorCode, Ttl } from 'memcache-ts-protocol'
export type { MemcachedClient, MemcachedClientOptions, MetaItem, ServerStream } from 'memcache-ts-client'

// Names that have moved to their own entries; they keep working here in this version.
export {
  /** @deprecated Import it from `memcache-ts/http`. */
  cacheHandler,
} from './http/cache-handler.ts'
export {
  /** @deprecated Import it from `memcache-ts/rate-limit`. */
  concurrency,
} from './rate-limit/concurrency.ts'
export {
  /** @deprecated Import it from `memcache-ts/rate-limit`. */
  limited,
} from './rate-limit/limited.ts'
export {
  /** @deprecated Import it from `memcache-ts/session`. */
  SessionRepository,
} from './session/session-repository.ts'
