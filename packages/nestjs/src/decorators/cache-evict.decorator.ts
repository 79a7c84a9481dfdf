import { cacheEvictMethod } from 'memcache-ts/adapter'
import type { CacheEvictOptions as KitOptions, MethodDecoratorOf } from 'memcache-ts'
import { INJECTED_CACHE } from '../injection/injected-source.ts'
import type { CacheChoice } from '../injection/injected-source.ts'

/** The kit's, but `cache` may be the name of `MemcacheModule.forRoot({ name })`, and is by default the application's. */
export type CacheEvictOptions<Args extends readonly unknown[]> = KitOptions<Args, CacheChoice>

/**
 * Makes cached results invalid when an async method of a provider is called: one key, all of some tags, or all of the
 * class.
 * @throws MemcacheOptionError for an option that there is not, or when there is nothing to evict.
 */
export function CacheEvict<Args extends readonly unknown[] = []>(
  options: CacheEvictOptions<Args>,
): MethodDecoratorOf<Args, unknown> {
  return cacheEvictMethod(INJECTED_CACHE, options)
}
