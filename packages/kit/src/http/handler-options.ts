import { checkOptions, kindOf, MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import { functionOf, requireOptions, requireSync, requireTags } from '../option-types.ts'
import { RESPONSE_CACHE_HINTS, RESPONSE_CACHE_OPTIONS } from './response-cache-options.ts'
import type { ResponseCacheOptions } from './response-cache-options.ts'

/** Options of a response cache that depend on the requests of its framework. */
export interface HandlerOptions<Request> extends ResponseCacheOptions {
  /** The tags of a response, for `cache.invalidateTags`, besides `url:<path>`. */
  tags?: readonly string[] | ((request: Request) => readonly string[]) | undefined
  /** Replaces path and query in the key. The key must contain everything in the request that the response depends on. */
  key?: ((request: Request) => string) | undefined
  /** Returns whether a request may be served from the cache. Default: every request that can be. */
  condition?: ((request: Request) => boolean) | undefined
}

const OPTION_NAMES = [
  ...RESPONSE_CACHE_OPTIONS,
  'tags',
  'key',
  'condition',
] as const satisfies readonly (keyof HandlerOptions<never>)[]

/**
 * Returns options, given options or only a lifetime.
 *
 * @param owner the name of the function that takes the options, for error messages.
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function toHandlerOptions<Options extends object>(owner: string, options: Ttl | Options): Options {
  if (typeof options === 'number' || typeof options === 'string') {
    ttlToSeconds(options)
    return { ttlSeconds: options } as unknown as Options
  }
  requireOptions(owner, options)
  checkOptions(owner, options, { names: OPTION_NAMES, hints: RESPONSE_CACHE_HINTS })
  const { tags, key, condition } = options as Partial<HandlerOptions<never>>
  requireSync(owner, { key, condition, tags: functionOf(tags) }, '(request) => …')
  requireTags(owner, tags)
  return options
}

/**
 * Checks a handler.
 *
 * @throws MemcacheOptionError if it is not a function; if an application was passed, the message names `app.fetch`.
 */
export function requireHandler(owner: string, handler: unknown): void {
  if (typeof handler === 'function') return
  const { fetch } = Object(handler) as { fetch?: unknown }
  const advice = typeof fetch === 'function' ? `: write ${owner}(app.fetch, …)` : ''
  throw new MemcacheOptionError(
    `the first argument of ${owner} must be a handler function, got ${kindOf(handler)}${advice}`,
  )
}
