import { cachePutMethod } from 'memcache-ts/adapter'
import type { CachePutOptions as KitOptions, MethodDecoratorOf } from 'memcache-ts'
import { INJECTED_CACHE } from '../injection/injected-source.ts'
import type { CacheChoice } from '../injection/injected-source.ts'

/**
 * The kit's options, but `cache` may also be the name of `MemcacheModule.forRoot({ name })`. Default: the application's
 * cache.
 */
export type CachePutOptions<Args extends readonly unknown[], Value> = KitOptions<Args, Value, CacheChoice>

/**
 * Stores the result of an async method of a provider on each call, so that a `@Cached` method finds it.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid, or there is no key.
 */
export function CachePut<Args extends readonly unknown[] = [], Value = unknown>(
  options: CachePutOptions<Args, Value>,
): MethodDecoratorOf<Args, Value> {
  return cachePutMethod(INJECTED_CACHE, options)
}
