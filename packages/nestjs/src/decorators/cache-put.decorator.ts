import { cachePutMethod } from 'memcache-ts/adapter'
import type { CachePutOptions as KitOptions, MethodDecoratorOf } from 'memcache-ts'
import { INJECTED_CACHE } from '../injection/injected-source.ts'
import type { CacheChoice } from '../injection/injected-source.ts'

/** The kit's, but `cache` may be the name of `MemcacheModule.forRoot({ name })`, and is by default the application's. */
export type CachePutOptions<Args extends readonly unknown[], Value> = KitOptions<Args, Value, CacheChoice>

/**
 * Stores what an async method of a provider returns, each time that it is called, so that a `@Cached` method finds it.
 * @throws MemcacheOptionError for an option that there is not, or without a key.
 */
export function CachePut<Args extends readonly unknown[] = [], Value = unknown>(
  options: CachePutOptions<Args, Value>,
): MethodDecoratorOf<Args, Value> {
  return cachePutMethod(INJECTED_CACHE, options)
}
