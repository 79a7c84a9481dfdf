import { cachedMethod, cacheEvictMethod, cachePutMethod, configureClass, requireCacheChoice } from 'memcache-ts/adapter'
import type {
  CacheConfigOptions as KitConfigOptions,
  CachedMethodOptions as KitMethodOptions,
  CacheEvictOptions as KitEvictOptions,
  CachePutOptions as KitPutOptions,
  ClassDecoratorOf,
  MethodDecoratorOf,
  Ttl,
} from 'memcache-ts'
import { INJECTED_CACHE, injectConfigured } from './injection/injected-source.ts'
import type { CacheChoice } from './injection/injected-source.ts'

// The kit's decorators, with the caches that Nest has injected: `cache` may also be the name of
// `MemcacheModule.forRoot({ name })`. Default: the application's cache.

/** The kit's options of `@Cached`; `cache` may also be the name of `MemcacheModule.forRoot({ name })`. */
export type CachedMethodOptions<Args extends readonly unknown[], Value> = KitMethodOptions<Args, Value, CacheChoice>

/** The kit's options of `@CachePut`; `cache` may also be the name of `MemcacheModule.forRoot({ name })`. */
export type CachePutOptions<Args extends readonly unknown[], Value> = KitPutOptions<Args, Value, CacheChoice>

/** The kit's options of `@CacheEvict`; `cache` may also be the name of `MemcacheModule.forRoot({ name })`. */
export type CacheEvictOptions<Args extends readonly unknown[]> = KitEvictOptions<Args, CacheChoice>

/** The kit's options of `@CacheConfig`; `cache` may also be the name of `MemcacheModule.forRoot({ name })`. */
export type CacheConfigOptions = KitConfigOptions<CacheChoice>

/**
 * Caches the results of an async method of a provider in any scope: concurrent calls with the same arguments in all
 * processes share one run. On an object that was created with `new`, the method is called without a cache.
 *
 * @example
 *   class Cities { @Cached('5m') async find(id: number): Promise<City> { … } }
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function Cached<Args extends readonly unknown[] = [], Value = unknown>(
  options: Ttl | CachedMethodOptions<Args, Value> = {},
): MethodDecoratorOf<Args, Value> {
  return cachedMethod(INJECTED_CACHE, options)
}

/**
 * Stores the result of an async method of a provider on each call, so that a `@Cached` method finds it.
 *
 * @example
 *   class Cities { @CachePut({ key: (city: City) => ['find', city.id] }) async save(city: City) { return city } }
 *
 * @throws MemcacheOptionError if an option is unknown or invalid, or there is no key.
 */
export function CachePut<Args extends readonly unknown[] = [], Value = unknown>(
  options: CachePutOptions<Args, Value>,
): MethodDecoratorOf<Args, Value> {
  return cachePutMethod(INJECTED_CACHE, options)
}

/**
 * Invalidates cached results when an async method of a provider is called: one key, all values with some tags, or all
 * of the class.
 *
 * @example
 *   class Cities { @CacheEvict({ key: (city: City) => ['find', city.id] }) async save(city: City) { … } }
 *
 * @throws MemcacheOptionError if an option is unknown or invalid, or there is nothing to evict.
 */
export function CacheEvict<Args extends readonly unknown[] = []>(
  options: CacheEvictOptions<Args>,
): MethodDecoratorOf<Args, unknown> {
  return cacheEvictMethod(INJECTED_CACHE, options)
}

/**
 * Sets where the cached results of a class's methods are stored: a name in place of the class's, a version, a cache.
 * Subclasses without their own `@CacheConfig` inherit it.
 *
 * @example
 *   export @CacheConfig({ name: 'cities', cache: 'reports' }) class Cities { … }
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function CacheConfig(config: CacheConfigOptions): ClassDecoratorOf {
  const configure = configureClass(config)
  requireCacheChoice('@CacheConfig', INJECTED_CACHE, config.cache)
  return (target) => {
    configure(target)
    injectConfigured(target.prototype as object, config.cache)
  }
}
