import { requireCacheChoice } from 'memcache-ts/adapter'
import { toHandlerOptions } from 'memcache-ts/http'
import type { Ttl } from 'memcache-ts'
import type { ResponseCacheOptions } from 'memcache-ts/http'
import { INJECTED_CACHE } from '../injection/injected-source.ts'
import type { CacheChoice } from '../injection/injected-source.ts'
import type { LimitedRequest } from '../rate-limit/limited-call.ts'

/** The common part of requests of Express and Fastify. */
export interface CacheableRequest extends LimitedRequest {
  readonly method: string
  readonly params: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, unknown>>
}

/** Options of `@CacheResponse`. */
export interface CacheResponseOptions extends Omit<ResponseCacheOptions, 'cache'> {
  /** The tags of a response, for `cache.invalidateTags` and `@CacheEvict`. Each response also has the tag `url:<path>`. */
  tags?: readonly string[] | TagsOfRequest | undefined
  /** Returns the text that replaces path and query in the key. Everything that the response depends on must be in it. */
  key?: KeyOfRequest | undefined
  /** Selects the requests that are served from the cache, among those that can be. Default: all. */
  condition?: ConditionOfRequest | undefined
  /** The cache that stores the responses, or its name in `MemcacheModule.forRoot({ name })`. Default: the application's. */
  cache?: CacheChoice | undefined
}

// Declared as methods, so that a function may narrow the type of its request.
type TagsOfRequest = { of(request: CacheableRequest): readonly string[] }['of']
type KeyOfRequest = { of(request: CacheableRequest): string }['of']
type ConditionOfRequest = { of(request: CacheableRequest): boolean }['of']

/**
 * Returns a lifetime or options as options.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function toCacheResponseOptions(given: Ttl | CacheResponseOptions): CacheResponseOptions {
  const options = toHandlerOptions<CacheResponseOptions>('@CacheResponse', given)
  requireCacheChoice('@CacheResponse', INJECTED_CACHE, options.cache)
  return options
}
