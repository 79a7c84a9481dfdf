/**
 * For packages that connect the kit to a framework, such as memcache-ts-nestjs: the implementation of the decorators
 * and the option checks. It is not for applications, and may change in any version.
 */
export { peekDefaultMemcache } from '../default-memcache.ts'
export { MEMCACHE_OPTIONS } from '../memcache-options.ts'
export { KeyPrefix } from '../engine/cache-key.ts'
export { requireCache, requireOptions, requireTags, requireType } from '../option-types.ts'
export { bindCache } from '../declare/define-cache.ts'
export { claimClass, configOf, configureClass, requireCacheChoice } from '../declare/decorators/cache-config.ts'
export { classOf, processMethodsOf } from '../declare/decorators/class-owner.ts'
export { cacheEvictMethod } from '../declare/decorators/cache-evict.ts'
export { cachePutMethod } from '../declare/decorators/cache-put.ts'
export { cachedMethod } from '../declare/decorators/cached.ts'
export type { CacheSource, DecoratorKind } from '../declare/decorators/cache-config.ts'
export { deferResponse, isDiscarded, withdrawField } from '../deferred/deferred-response.ts'
export type { AnyResponse, DeferredFailure } from '../deferred/deferred-response.ts'
export { checkOptions, exptimeOf, joinKey, kindOf, systemClock, textOption, ttlToSeconds } from 'memcache-ts-protocol'
