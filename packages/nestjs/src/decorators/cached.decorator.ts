import { cachedMethod } from 'memcache-ts/adapter'
import type { CachedMethodOptions as KitOptions, MethodDecoratorOf, Ttl } from 'memcache-ts'
import { INJECTED_CACHE } from '../injection/injected-source.ts'
import type { CacheChoice } from '../injection/injected-source.ts'

/**
 * The kit's options, but `cache` may also be the name of `MemcacheModule.forRoot({ name })`. Default: the application's
 * cache.
 */
export type CachedMethodOptions<Args extends readonly unknown[], Value> = KitOptions<Args, Value, CacheChoice>

/**
 * Caches the results of an async method of a provider in any scope: concurrent calls with the same arguments in all
 * processes share one run. On an object that was created with `new`, the method is called without a cache.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function Cached<Args extends readonly unknown[] = [], Value = unknown>(
  options: Ttl | CachedMethodOptions<Args, Value> = {},
): MethodDecoratorOf<Args, Value> {
  return cachedMethod(INJECTED_CACHE, options)
}
