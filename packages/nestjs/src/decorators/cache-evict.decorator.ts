import { cacheEvictMethod } from 'memcache-ts/adapter'
import type { CacheEvictOptions as KitOptions, MethodDecoratorOf } from 'memcache-ts'
import { INJECTED_CACHE } from '../injection/injected-source.ts'
import type { CacheChoice } from '../injection/injected-source.ts'

/**
 * The kit's options, but `cache` may also be the name of `MemcacheModule.forRoot({ name })`. Default: the application's
 * cache.
 */
export type CacheEvictOptions<Args extends readonly unknown[]> = KitOptions<Args, CacheChoice>

/**
 * Invalidates cached results when an async method of a provider is called: one key, all values with some tags, or all
 * of the class.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid, or there is nothing to evict.
 */
export function CacheEvict<Args extends readonly unknown[] = []>(
  options: CacheEvictOptions<Args>,
): MethodDecoratorOf<Args, unknown> {
  return cacheEvictMethod(INJECTED_CACHE, options)
}
