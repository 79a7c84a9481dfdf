import { configureClass, requireCacheChoice } from 'memcache-ts/adapter'
import type { CacheConfigOptions as KitOptions, ClassDecoratorOf } from 'memcache-ts'
import { INJECTED_CACHE, injectConfigured } from '../injection/injected-source.ts'
import type { CacheChoice } from '../injection/injected-source.ts'

/**
 * The kit's options, but `cache` may also be the name of `MemcacheModule.forRoot({ name })`. Default: the application's
 * cache.
 */
export type CacheConfigOptions = KitOptions<CacheChoice>

/**
 * Sets where the cached results of a class's methods are stored: a name in place of the class's, a version, a cache.
 * Subclasses without their own `@CacheConfig` inherit it.
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
