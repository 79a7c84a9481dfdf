import type { Application, Request, RequestHandler } from 'express'
import type { Ttl } from 'memcache-ts'
import { isReadMethod, ResponseCache, toHandlerOptions } from 'memcache-ts/http'
import type { HandlerOptions, Purge } from 'memcache-ts/http'
import { shareShapes } from './shared-shape.ts'

/** Options of `cacheResponse`. */
export type CacheResponseOptions = HandlerOptions<Request>

/** What `cacheResponse` returns. */
export interface CacheResponseHandler extends RequestHandler {
  /**
   * Makes what is stored of a path invalid, or of a pattern as `/cities/*` with the option `wildcards`; resolves to
   * whether that is confirmed.
   */
  readonly purge: Purge
}

/**
 * Answers GET, HEAD and QUERY from the cache: RFC 9111 as a shared cache in front of what is mounted after it.
 * Responses are sent as ever while a copy is taken.
 *
 * @example
 *   app.get('/news', cacheResponse({ ttlSeconds: 60, tags: ['news'] }), news)
 *
 * @param options or just the lifetime of responses that do not state their own.
 * @throws MemcacheOptionError for an option that there is not, or a value that cannot be.
 */
export function cacheResponse(options: Ttl | CacheResponseOptions = {}): CacheResponseHandler {
  const { tags, key, condition, ...shared } = toHandlerOptions<CacheResponseOptions>('cacheResponse', options)
  const responses = new ResponseCache(shared)
  const handler: RequestHandler = (request, response, next) => {
    shareShapes(request, response)
    // What changes something invalidates, whatever is answered from the cache.
    if (
      condition !== undefined &&
      isReadMethod(request.method) &&
      !responses.isBackground(request) &&
      !condition(request)
    )
      return next()
    responses
      .answer({
        request,
        response,
        url: request.originalUrl,
        scheme: request.protocol,
        trustsProxy: trustsProxyOf(request),
        key: key?.(request),
        tags: typeof tags === 'function' ? tags(request) : tags,
        dispatch: rootOf(request.app),
      })
      .then((isAnswered) => {
        // Outside of the promise: what a handler throws is not its business.
        if (!isAnswered) process.nextTick(next)
      })
      .catch(next)
  }
  return Object.assign(handler, { purge: responses.purge })
}

/**
 * Whether the application trusts the other end of a request's connection as a proxy. `true` trusts anybody, and vouches
 * for nothing.
 */
function trustsProxyOf({ app, socket }: Request): boolean {
  const trusts = app.get('trust proxy fn') as ((address: string | undefined, hop: number) => boolean) | undefined
  return app.get('trust proxy') !== true && trusts?.(socket.remoteAddress, 0) === true
}

/** The application that a request came in by: a router or an application in it would not know the whole path. */
function rootOf(app: Application): Application {
  const { parent } = app as { parent?: Application }
  return parent === undefined ? app : rootOf(parent)
}
