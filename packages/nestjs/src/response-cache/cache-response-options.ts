import { requireCacheChoice } from 'memcache-ts/adapter'
import { toHandlerOptions } from 'memcache-ts/http'
import type { Ttl } from 'memcache-ts'
import type { ResponseCacheOptions } from 'memcache-ts/http'
import { INJECTED_CACHE } from '../injection/injected-source.ts'
import type { CacheChoice } from '../injection/injected-source.ts'
import type { Requester } from '../rate-limit/requester.ts'

/** A request as Express and Fastify both have it. */
export interface CacheableRequest extends Requester {
  readonly method: string
  readonly params: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, unknown>>
}

/** Options of `@CacheResponse`. */
export interface CacheResponseOptions extends Omit<ResponseCacheOptions, 'cache'> {
  /** What a response belongs to, for `cache.invalidateTags` and `@CacheEvict`; besides `url:<path>`. */
  tags?: readonly string[] | TagsOfRequest | undefined
  /** What stands in the key in place of path and query. Whatever of a request the response depends on has to be in it. */
  key?: KeyOfRequest | undefined
  /** Which requests are answered from the cache, of those that can be. Default: all. */
  condition?: ConditionOfRequest | undefined
  /** The cache that they lie in, or its name in `MemcacheModule.forRoot({ name })`. Default: the application's. */
  cache?: CacheChoice | undefined
}

// As methods, so that a function may say which framework's request it takes.
type TagsOfRequest = { of(request: CacheableRequest): readonly string[] }['of']
type KeyOfRequest = { of(request: CacheableRequest): string }['of']
type ConditionOfRequest = { of(request: CacheableRequest): boolean }['of']

/**
 * A lifetime or options, as options.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function toCacheResponseOptions(given: Ttl | CacheResponseOptions): CacheResponseOptions {
  const options = toHandlerOptions<CacheResponseOptions>('@CacheResponse', given)
  requireCacheChoice('@CacheResponse', INJECTED_CACHE, options.cache)
  return options
}
