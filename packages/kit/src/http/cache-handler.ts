import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { checkOptions, MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import { ResponseCache } from './response-cache.ts'
import { RESPONSE_CACHE_HINTS, RESPONSE_CACHE_OPTIONS } from './response-cache-options.ts'
import type { ResponseCacheOptions } from './response-cache-options.ts'

/** A request of `node:http`, or of the compatibility API of `node:http2`. */
type AnyRequest = IncomingMessage | Http2ServerRequest
/** A response of `node:http`, or of the compatibility API of `node:http2`. */
type AnyResponse = ServerResponse | Http2ServerResponse

/** Options of `cacheHandler`. */
export interface CacheHandlerOptions<Request extends AnyRequest = IncomingMessage> extends ResponseCacheOptions {
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
] as const satisfies readonly (keyof CacheHandlerOptions)[]

/**
 * Puts a shared HTTP cache (RFC 9111) in front of a request handler of `node:http` or `node:http2`: returns a handler for `createServer`, `createSecureServer`
 * and the like. GET and HEAD are answered from the cache; a request that changes something invalidates what is stored of its URL.
 * @param handler what it throws arrives as without the cache.
 * @param options or just the lifetime of responses that do not state their own.
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function cacheHandler<
  Request extends AnyRequest = IncomingMessage,
  Response extends AnyResponse = ServerResponse,
>(
  handler: (request: Request, response: Response) => unknown,
  options: Ttl | CacheHandlerOptions<Request> = {},
): (request: Request, response: Response) => void {
  const { tags, key, condition, ...shared } = toOptions(options)
  const responses = new ResponseCache(shared)
  const cached = (request: Request, response: Response): void => {
    // The compatibility API of node:http2 has what is used of these.
    const raw = request as unknown as IncomingMessage
    const isRead = raw.method === 'GET' || raw.method === 'HEAD'
    if (isRead && condition !== undefined && !responses.isBackground(raw) && !condition(request)) {
      handler(request, response)
      return
    }
    responses
      .answer({
        request: raw,
        response: response as unknown as ServerResponse,
        url: raw.url!,
        scheme: (raw.socket as Partial<TLSSocket>).encrypted === true ? 'https' : 'http',
        key: key?.(request),
        tags: typeof tags === 'function' ? tags(request) : tags,
        dispatch: cached as unknown as (request: IncomingMessage, response: ServerResponse) => void,
      })
      .then((isAnswered) => {
        // Outside of the promise: an error of the handler is not the cache's.
        if (!isAnswered) process.nextTick(() => void handler(request, response))
      })
      .catch((error: unknown) => {
        // As an error in the handler would, it reaches the process; the client does not wait for ever.
        ;(response as unknown as ServerResponse).destroy()
        process.nextTick(() => {
          throw error
        })
      })
  }
  return cached
}

function toOptions<Request extends AnyRequest>(
  options: Ttl | CacheHandlerOptions<Request>,
): CacheHandlerOptions<Request> {
  if (typeof options !== 'object') {
    ttlToSeconds(options)
    return { ttlSeconds: options }
  }
  checkOptions('cacheHandler', options, OPTION_NAMES, RESPONSE_CACHE_HINTS)
  if (typeof options.tags === 'string')
    throw new MemcacheOptionError('tags must be a list, or a function that returns a list')
  return options
}
