import { checkOptions, MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import { RESPONSE_CACHE_HINTS, RESPONSE_CACHE_OPTIONS } from './response-cache-options.ts'
import type { ResponseCacheOptions } from './response-cache-options.ts'

/** Options of a response cache that depend on the requests of its framework. */
export interface HandlerOptions<Request> extends ResponseCacheOptions {
  /** The tags of a response, for `cache.invalidateTags`, besides `url:<path>`. */
  tags?: readonly string[] | ((request: Request) => readonly string[]) | undefined
  /** Replaces path and query in the key. The key must contain everything in the request that the response depends on. */
  key?: ((request: Request) => string) | undefined
  /** Selects the requests that are answered from the cache. Default: all that can be. */
  condition?: ((request: Request) => boolean) | undefined
}

const OPTION_NAMES = [
  ...RESPONSE_CACHE_OPTIONS,
  'tags',
  'key',
  'condition',
] as const satisfies readonly (keyof HandlerOptions<never>)[]

/**
 * A lifetime or options, as options.
 * @param owner what the options are given to, for errors.
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function toHandlerOptions<Request>(
  owner: string,
  options: Ttl | HandlerOptions<Request>,
): HandlerOptions<Request> {
  if (typeof options !== 'object') {
    ttlToSeconds(options)
    return { ttlSeconds: options }
  }
  checkOptions(owner, options, OPTION_NAMES, RESPONSE_CACHE_HINTS)
  if (typeof options.tags === 'string')
    throw new MemcacheOptionError('tags must be a list, or a function that returns a list')
  return options
}
