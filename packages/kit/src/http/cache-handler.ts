import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { Ttl } from 'memcache-ts-protocol'
import { requireHandler, toHandlerOptions } from './handler-options.ts'
import type { HandlerOptions } from './handler-options.ts'
import type { Purge } from './purge.ts'
import { RequestFunctions } from './request-functions.ts'
import { ResponseCache } from './response-cache.ts'

/** A request of `node:http`, or of the compatibility API of `node:http2`. */
type AnyRequest = IncomingMessage | Http2ServerRequest
/** A response of `node:http`, or of the compatibility API of `node:http2`. */
type AnyResponse = ServerResponse | Http2ServerResponse

/** Options of `cacheHandler`. */
export type CacheHandlerOptions<Request extends AnyRequest = IncomingMessage> = HandlerOptions<Request>

/** The handler that `cacheHandler` returns. */
export interface CachedHandler<Request, Response> {
  (request: Request, response: Response): void
  /**
   * Invalidates the stored responses of a path, or of a pattern such as `/cities/*` with the option `wildcards`;
   * resolves to whether memcached has confirmed this.
   */
  readonly purge: Purge
}

/**
 * Puts a shared HTTP cache (RFC 9111) in front of a request handler of `node:http` or `node:http2`: returns a handler
 * for `createServer`, `createSecureServer` and similar functions. GET, HEAD and QUERY are served from the cache; an
 * unsafe request invalidates the stored responses of its URL.
 *
 * @example
 *   createServer(cacheHandler((request, response) => response.end(render(request.url)), { ttlSeconds: 60 }))
 *
 * @param handler the handler; its errors are passed on unchanged.
 * @param options the options, or only the lifetime of responses that do not state their own.
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function cacheHandler<
  Request extends AnyRequest = IncomingMessage,
  Response extends AnyResponse = ServerResponse,
>(
  handler: (request: Request, response: Response) => unknown,
  options: Ttl | CacheHandlerOptions<Request> = {},
): CachedHandler<Request, Response> {
  const { tags, key, condition, ...shared } = toHandlerOptions<CacheHandlerOptions<Request>>('cacheHandler', options)
  requireHandler('cacheHandler', handler)
  const responses = new ResponseCache(shared)
  const functions = new RequestFunctions({ tags, key, condition, storePost: shared.storePost })
  const cached = (request: Request, response: Response): void => {
    // The compatibility API of node:http2 has all properties that are used here.
    const raw = request as unknown as IncomingMessage
    const facts = functions.factsOf(request, raw.method, { isBackground: responses.isBackground(raw) })
    if (facts === undefined) {
      handler(request, response)
      return
    }
    const { key: ownKey, tags: ownTags, fault } = facts
    responses.answerThen(
      {
        request: raw,
        response: response as unknown as ServerResponse,
        url: raw.url!,
        scheme: (raw.socket as Partial<TLSSocket>).encrypted === true ? 'https' : 'http',
        key: ownKey,
        tags: ownTags,
        fault,
        dispatch: cached as unknown as (request: IncomingMessage, response: ServerResponse) => void,
      },
      () => void handler(request, response),
      (error) => {
        // The error reaches the process, like an error in the handler, and the client does not wait forever.
        ;(response as unknown as ServerResponse).destroy()
        process.nextTick(() => {
          throw error
        })
      },
    )
  }
  return Object.assign(cached, { purge: responses.purge })
}
