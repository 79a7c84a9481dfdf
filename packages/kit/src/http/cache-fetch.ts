import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Ttl } from 'memcache-ts-protocol'
import { onAbort, reasonOf, throwIfAborted } from '../engine/engine.ts'
import { FetchContent } from './content/fetch-content.ts'
import { requireHandler, toHandlerOptions } from './handler-options.ts'
import type { HandlerOptions } from './handler-options.ts'
import type { Purge } from './purge.ts'
import { isReadMethod } from './policy/request-key.ts'
import { RequestFunctions } from './request-functions.ts'
import { ResponseCache } from './response-cache.ts'
import { handlerContexts, plainArguments } from './virtual/handler-contexts.ts'
import { originOf, VirtualRequest } from './virtual/virtual-request.ts'
import { VirtualResponse } from './virtual/virtual-response.ts'
import { openWebStream, toWebResponse } from './virtual/body-streams.ts'
import { writeBody } from './virtual/write-body.ts'

/** Options of `cacheFetch`. */
export type CacheFetchOptions = HandlerOptions<Request>

/** A handler of the Fetch standard; its further arguments depend on the framework. */
export type FetchHandler<Rest extends readonly unknown[]> = (
  request: Request,
  ...rest: Rest
) => Response | Promise<Response>

/** The handler that `cacheFetch` returns. */
export interface CachedFetch<Rest extends readonly unknown[]> {
  (request: Request, ...rest: Rest): Promise<Response>
  /**
   * Invalidates the stored responses of a path, or of a pattern such as `/cities/*` with the option `wildcards`;
   * resolves to whether memcached has confirmed this.
   */
  readonly purge: Purge
}

/**
 * Puts a shared HTTP cache (RFC 9111) in front of a handler that takes a `Request` and returns a `Response`:
 * `app.fetch` of Hono, handlers of tRPC, Yoga, React Router and others. GET, HEAD and QUERY are served from the cache;
 * an unsafe request invalidates the stored responses of its URL. Responses are stored like those of `cacheHandler` and
 * `cacheResponse`, so all of them can share a cache.
 *
 * @example
 *   export default { fetch: cacheFetch(app.fetch, { ttlSeconds: 60 }) }
 *
 * @param handler the handler. If its further arguments are plain values, they are part of the key; if an object in them
 *   identifies the user (`context.user`, `env.incoming` with a client certificate …), the response is not shared. Put
 *   what else the response depends on into `key`. If its response may be stored, it receives a separate request:
 *   without the client's conditions, and with a signal that is not aborted while other clients wait for the response.
 *   Its errors are passed on unchanged.
 * @param options the options, or only the lifetime of responses that do not state their own.
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function cacheFetch<Rest extends readonly unknown[]>(
  handler: FetchHandler<Rest>,
  options: Ttl | CacheFetchOptions = {},
): CachedFetch<Rest> {
  const { tags, key, condition, ...shared } = toHandlerOptions<CacheFetchOptions>('cacheFetch', options)
  requireHandler('cacheFetch', handler)
  const responses = new ResponseCache(shared)
  const functions = new RequestFunctions({ tags, key, condition, storePost: shared.storePost })

  const cached = async (request: Request, ...rest: Rest): Promise<Response> => {
    const isRead = isReadMethod(request.method)
    const facts = functions.factsOf(request, request.method)
    if (facts === undefined) return handler(request, ...rest)
    const virtual = new VirtualRequest(request)
    const content = new FetchContent(request)
    const contexts = handlerContexts(request, rest)
    const scope = [hostScope(virtual), plainArguments(rest)].filter((part) => part !== undefined).join(' ') || undefined
    const response = new VirtualResponse(virtual.asIncomingMessage, openWebStream)
    const { signal } = request
    throwIfAborted(signal)
    const leave = (): void => response.leave()
    response.once('close', onAbort(signal, leave))
    try {
      const unshown = await serve(virtual.asIncomingMessage, response.asServerResponse)
      return unshown ?? toWebResponse(await response.result)
    } catch (error) {
      throw signal.aborted ? reasonOf(signal) : error
    }

    /** Handles a request, this one or a background revalidation, on a response. */
    async function serve(message: IncomingMessage, out: ServerResponse): Promise<Response | undefined> {
      const isOwn = message === virtual.asIncomingMessage
      const isAnswered = await responses.answer({
        request: message,
        response: out,
        url: virtual.url,
        scheme: virtual.scheme,
        scope,
        contexts,
        ...facts,
        readContent: content.read,
        defer: (work) => response.waitFor(work),
        dispatch: (copy, target) => {
          serve(copy, target).catch(() => target.destroy())
        },
      })
      if (isAnswered) return undefined
      const shown = isOwn && !isRead ? request : shownRequest(request, message, { out, content })
      let handled: Response
      try {
        handled = await handler(shown, ...rest)
        if (!(handled instanceof Response) && typeof (handled as Response | undefined)?.status !== 'number')
          throw new TypeError(`the handler of cacheFetch must return a Response, got ${typeof handled}`)
      } catch (error) {
        out.destroy(error as Error)
        throw error
      }
      if (handled.status < 200) {
        // `Response.error()` and a switch to another protocol cannot be written.
        out.destroy()
        return handled
      }
      send(handled, out)
      return undefined
    }
  }
  return Object.assign(cached, { purge: responses.purge })
}

/**
 * Returns a further part of the key if the host of a request's URL differs from its `Host` field, since handlers see
 * both.
 */
function hostScope({ headers, host, scheme }: VirtualRequest): string | undefined {
  return headers.host?.toLowerCase() === host ? undefined : `${scheme}://${host}`
}

/**
 * Returns the request as its handler sees it: without hidden fields and parameters, and with a signal that aborts when
 * its client disconnects.
 */
function shownRequest(
  request: Request,
  { url, rawHeaders, method }: IncomingMessage,
  { out, content }: { out: ServerResponse; content: FetchContent },
): Request {
  const controller = new AbortController()
  out.once('close', () => {
    if (!out.writableEnded) controller.abort()
  })
  const fields: [string, string][] = []
  for (let index = 0; index + 1 < rawHeaders.length; index += 2)
    fields.push([rawHeaders[index]!, rawHeaders[index + 1]!])
  return new Request(originOf(request.url) + url!, {
    method: method!,
    headers: fields,
    signal: controller.signal,
    ...content.init(),
  })
}

/** Writes a handler's response as a handler of `node:http` would. */
function send(handled: Response, out: ServerResponse): void {
  const { status, statusText, headers, body } = handled
  headers.forEach((value, name) => {
    if (name !== 'set-cookie') out.setHeader(name, value)
  })
  const cookies = headers.getSetCookie()
  if (cookies.length > 0) out.setHeader('Set-Cookie', cookies)
  if (statusText !== '') out.statusMessage = statusText
  if (body === null) {
    out.writeHead(status)
    out.end()
    return
  }
  out.statusCode = status
  void writeBody(out, body)
}
