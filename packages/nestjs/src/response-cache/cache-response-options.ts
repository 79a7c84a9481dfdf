import {
  checkOptions,
  requireCacheChoice,
  requireOptions,
  requireTags,
  requireType,
  ttlToSeconds,
} from 'memcache-ts/adapter'
import { RESPONSE_CACHE_HINTS, RESPONSE_CACHE_OPTIONS } from 'memcache-ts/http'
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

const OPTION_NAMES = [
  ...RESPONSE_CACHE_OPTIONS,
  'tags',
  'key',
  'condition',
] as const satisfies readonly (keyof CacheResponseOptions)[]

/**
 * A lifetime or options, as options.
 * @throws MemcacheOptionError for an option that there is not, or a value that cannot be.
 */
export function toCacheResponseOptions(options: Ttl | CacheResponseOptions): CacheResponseOptions {
  if (typeof options === 'number' || typeof options === 'string') {
    ttlToSeconds(options)
    return { ttlSeconds: options }
  }
  requireOptions('@CacheResponse', options)
  checkOptions('@CacheResponse', options, OPTION_NAMES, RESPONSE_CACHE_HINTS)
  const { key, condition, tags, cache } = options
  requireType('@CacheResponse', 'function', { key, condition })
  requireTags('@CacheResponse', tags)
  requireCacheChoice('@CacheResponse', INJECTED_CACHE, cache)
  return options
}
