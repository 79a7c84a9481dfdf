import { cachedMethod } from 'memcache-ts/adapter'
import type { CachedMethodOptions as KitOptions, MethodDecoratorOf, Ttl } from 'memcache-ts'
import { INJECTED_CACHE } from '../injection/injected-source.ts'
import type { CacheChoice } from '../injection/injected-source.ts'

/** The kit's, but `cache` may be the name of `MemcacheModule.forRoot({ name })`, and is by default the application's. */
export type CachedMethodOptions<Args extends readonly unknown[], Value> = KitOptions<Args, Value, CacheChoice>

/**
 * Caches the results of an async method of a provider, in any scope: concurrent calls with the same arguments share one
 * run, over all processes. The cache is the application's; on an object that was made by `new` the method is just
 * called.
 * @throws MemcacheOptionError for an option that there is not.
 */
export function Cached<Args extends readonly unknown[] = [], Value = unknown>(
  options: Ttl | CachedMethodOptions<Args, Value> = {},
): MethodDecoratorOf<Args, Value> {
  return cachedMethod(INJECTED_CACHE, options)
}
