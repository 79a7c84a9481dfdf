import type { Application, Request, RequestHandler } from 'express'
import type { Ttl } from 'memcache-ts'
import { RequestFunctions, ResponseCache, toHandlerOptions, trustsExpressProxy } from 'memcache-ts/http'
import type { HandlerOptions, Purge } from 'memcache-ts/http'
import { shareShapes } from './shared-shape.ts'

/** Options of `cacheResponse`. */
export type CacheResponseOptions = HandlerOptions<Request>

/** The middleware that `cacheResponse` returns. */
export interface CacheResponseHandler extends RequestHandler {
  /**
   * Invalidates the stored responses of a path, or of a pattern such as `/cities/*` with the option `wildcards`;
   * resolves to whether memcached has confirmed it.
   */
  readonly purge: Purge
}

/**
 * Serves GET, HEAD and QUERY from a shared cache (RFC 9111) in front of the handlers that are mounted after it. A copy
 * of each response is stored while it is sent.
 *
 * @example
 *   app.get('/news', cacheResponse({ ttlSeconds: 60, tags: ['news'] }), news)
 *
 * @param options or just the lifetime of responses that do not state their own.
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function cacheResponse(options: Ttl | CacheResponseOptions = {}): CacheResponseHandler {
  const { tags, key, condition, ...shared } = toHandlerOptions<CacheResponseOptions>('cacheResponse', options)
  const responses = new ResponseCache(shared)
  const functions = new RequestFunctions({ tags, key, condition, storePost: shared.storePost })
  const handler: RequestHandler = (request, response, next) => {
    shareShapes(request, response)
    const facts = functions.factsOf(request, request.method, { isBackground: responses.isBackground(request) })
    if (facts === undefined) return next()
    responses.answerThen(
      {
        request,
        response,
        url: request.originalUrl,
        scheme: request.protocol,
        trustsProxy: trustsExpressProxy(request.app, request.socket.remoteAddress),
        key: facts.key,
        tags: facts.tags,
        fault: facts.fault,
        dispatch: rootOf(request.app),
      },
      next,
      next,
    )
  }
  return Object.assign(handler, { purge: responses.purge })
}

/** Returns the outermost application of a request; a mounted application does not know the whole path. */
function rootOf(app: Application): Application {
  const { parent } = app as { parent?: Application }
  return parent === undefined ? app : rootOf(parent)
}
