import { configureClass, requireCacheChoice } from 'memcache-ts/adapter'
import type { CacheConfigOptions as KitOptions, ClassDecoratorOf } from 'memcache-ts'
import { INJECTED_CACHE, injectConfigured } from '../injection/injected-source.ts'
import type { CacheChoice } from '../injection/injected-source.ts'

/** The kit's, but `cache` may be the name of `MemcacheModule.forRoot({ name })`, and is by default the application's. */
export type CacheConfigOptions = KitOptions<CacheChoice>

/**
 * Says where the cached results of a class's methods lie: a name in place of the class's own, a version, a cache.
 * Subclasses have it too, unless they have their own.
 * @throws MemcacheOptionError for an option that there is not.
 */
export function CacheConfig(config: CacheConfigOptions): ClassDecoratorOf {
  const configure = configureClass(config)
  requireCacheChoice('@CacheConfig', INJECTED_CACHE, config.cache)
  return (target) => {
    configure(target)
    injectConfigured(target.prototype as object, config.cache)
  }
}
