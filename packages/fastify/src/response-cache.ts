import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Ttl } from 'memcache-ts'
import {
  openNodeStream,
  RequestFunctions,
  ResponseCache,
  toHandlerOptions,
  trustsFastifyProxy,
  VirtualResponse,
  writeBody,
} from 'memcache-ts/http'
import type { BodySource, HandlerOptions, Purge } from 'memcache-ts/http'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Invalidates the stored responses of a path, or of a pattern such as `/cities/*` with the option `wildcards`;
     * resolves to whether memcached has confirmed it.
     */
    purgeResponses: Purge
  }
  interface FastifyContextConfig {
    /**
     * How `cacheResponses` caches the responses of this route: options that override the plugin's, a lifetime, or
     * `false` for no caching.
     */
    cacheResponse?: Ttl | CacheResponsesOptions | false | undefined
  }
}

/** Options of `cacheResponses`, and of a route's `config.cacheResponse`. */
export type CacheResponsesOptions = HandlerOptions<FastifyRequest>

/** The cache of a route, with the options that depend on its requests. */
interface RouteCache {
  readonly responses: ResponseCache
  readonly functions: RequestFunctions<FastifyRequest>
}

/** A running handler whose reply the cache stores. */
interface Running {
  readonly response: VirtualResponse<Readable>
  /** The trailers that hooks before the cache have added, which they add for each client. */
  readonly trailersBefore: number
  /** Whether hooks of other plugins are processing the reply, and not the handler. */
  isInHooks: boolean
}

const RUNNING: unique symbol = Symbol('memcache-ts.response-cache')
/** The constraints of a route, as text in its `config`. */
const CONSTRAINTS: unique symbol = Symbol('memcache-ts.constraints')
type CachedRequest = FastifyRequest & { [RUNNING]?: Running | null }

async function openCache(app: FastifyInstance, options: CacheResponsesOptions): Promise<void> {
  const ofAll = routeCache('cacheResponses', options)
  const ofRoutes = new Map<object, RouteCache | false>()
  app.decorateRequest(RUNNING, null)
  app.decorate('purgeResponses', ofAll.responses.purge)

  // Invalid options are reported when the route is added.
  app.addHook('onRoute', (route) => {
    // A request does not tell the constraints of its route.
    const constraints = Object.entries(route.constraints ?? {}).map(([name, value]) => [name, String(value)])
    if (constraints.length > 0) Object.assign((route.config ??= {}), { [CONSTRAINTS]: JSON.stringify(constraints) })
    const { url, config } = route
    if (config?.cacheResponse === undefined || ofRoutes.has(config)) return
    const { cacheResponse } = config
    ofRoutes.set(config, cacheResponse === false ? false : ofRoute(url, cacheResponse))
  })

  app.addHook('preHandler', async (request, reply) => {
    const { config } = request.routeOptions
    const option = config.cacheResponse
    const cache = option === undefined ? ofAll : findCache(request, option)
    if (cache === false) return undefined
    const { responses, functions } = cache
    const facts = functions.factsOf(request, request.method, { isBackground: responses.isBackground(request.raw) })
    if (facts === undefined) return undefined
    const response = new VirtualResponse(request.raw, openNodeStream)
    const leave = (): void => response.leave()
    reply.raw.once('close', leave)
    response.once('close', () => reply.raw.off('close', leave))
    for (const [name, value] of Object.entries(reply.getHeaders()))
      if (value !== undefined) response.setHeader(name, value)
    const running: Running = { response, trailersBefore: trailersOf(reply).length, isInHooks: false }
    const isAnswered = await responses.answer({
      request: request.raw,
      response: response.asServerResponse,
      url: request.originalUrl,
      scheme: request.protocol,
      application: request,
      trustsProxy: trustsFastifyProxy(request),
      scope: routeScope(request),
      ...facts,
      isOutside: () => running.isInHooks,
      defer: (work) => response.waitFor(work),
      dispatch: (request, response) => app.routing(request, response),
    })
    if (isAnswered) return sendResult(reply, response)
    ;(request as CachedRequest)[RUNNING] = running
    // Replies that a handler sends without Fastify do not pass here.
    const hijack: FastifyReply['hijack'] = Reflect.get(reply, 'hijack')
    reply.hijack = () => {
      ;(request as CachedRequest)[RUNNING] = null
      response.destroy()
      return hijack.call(reply)
    }
    return undefined
  })

  app.addHook('onSend', async (request, reply, payload) => {
    const running = (request as CachedRequest)[RUNNING]
    if (running === null || running === undefined) return payload
    ;(request as CachedRequest)[RUNNING] = null
    const sent = payload as SentPayload
    write(running, reply, sent)
    const { status, body } = await takeResult(reply, running.response)
    if (request.method !== 'HEAD') return body
    // The HEAD handlers that Fastify adds take the length from the payload.
    return status === 304 ? emptyStream() : payload
  })

  /** Returns the cache of a route, whose options have those of the plugin as defaults. */
  function ofRoute(url: string | undefined, own: Ttl | CacheResponsesOptions): RouteCache {
    return routeCache('cacheResponses', {
      ...options,
      ...toHandlerOptions<CacheResponsesOptions>(`config.cacheResponse of ${url}`, own),
    })
  }

  /** Returns the cache of a route that was added before the plugin; `false` if it has none. */
  function findCache(request: FastifyRequest, option: Ttl | CacheResponsesOptions | false): RouteCache | false {
    const { config, url } = request.routeOptions
    let cache = ofRoutes.get(config)
    if (cache === undefined) {
      cache = option === false ? false : ofRoute(url, option)
      ofRoutes.set(config, cache)
    }
    return cache
  }
}

/**
 * Returns a further part of the key for a request whose route was selected by more than its URL: by constraints, such
 * as `version`, or by none of them.
 */
function routeScope({ is404, routeOptions }: FastifyRequest): string | undefined {
  return is404 ? 'no route' : (routeOptions.config as { [CONSTRAINTS]?: string })[CONSTRAINTS]
}

function routeCache(owner: string, options: Ttl | CacheResponsesOptions): RouteCache {
  const { tags, key, condition, ...shared } = toHandlerOptions<CacheResponsesOptions>(owner, options)
  const functions = new RequestFunctions({ tags, key, condition, storePost: shared.storePost })
  return { responses: new ResponseCache(shared), functions }
}

/** The payloads of `onSend`. */
type SentPayload = string | Buffer | Readable | ReadableStream<Uint8Array> | Response | null | undefined

/** Writes a handler's payload to the cache's response, as a handler of `node:http` would. */
function write(running: Running, reply: FastifyReply, payload: SentPayload): void {
  const { response } = running
  const content = payload instanceof Response ? takeResponse(reply, payload) : payload
  const headers = reply.getHeaders()
  if (trailersOf(reply).length > running.trailersBefore) response.addTrailers()
  for (const name of response.getHeaderNames()) if (headers[name] === undefined) response.removeHeader(name)
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value)
  if (content === null || content === undefined || reply.request.method === 'HEAD') {
    response.writeHead(reply.statusCode)
    response.end()
  } else if (typeof content === 'string' || Buffer.isBuffer(content)) {
    response.statusCode = reply.statusCode
    response.end(content)
  } else {
    response.statusCode = reply.statusCode
    void writeStream(running, content)
  }
}

/**
 * Writes a stream when its reader begins to read, since hooks of other plugins process the reply until then; or
 * immediately if there is no reader because something else is sent.
 */
async function writeStream(running: Running, content: BodySource): Promise<void> {
  const { response } = running
  response.asServerResponse.writeHead(response.statusCode)
  running.isInHooks = true
  await response.begun()
  running.isInHooks = false
  await writeBody(response.asServerResponse, content)
}

/** Returns the names of the trailers that were added to a reply. */
function trailersOf(reply: FastifyReply): string[] {
  const symbol = Object.getOwnPropertySymbols(reply).find(({ description }) => description === 'fastify.reply.trailers')
  const trailers = symbol === undefined ? null : (reply as unknown as Record<symbol, object | null>)[symbol]
  // A trailer that was removed again is `undefined`.
  return Object.entries(trailers ?? {}).flatMap(([name, write]) => (typeof write === 'function' ? [name] : []))
}

/** Copies status and headers of a `Response` to a reply; returns the body. */
function takeResponse(reply: FastifyReply, { status, headers, body }: Response): ReadableStream<Uint8Array> | null {
  reply.code(status)
  headers.forEach((value, name) => {
    if (name !== 'set-cookie') reply.header(name, value)
  })
  const cookies = headers.getSetCookie()
  if (cookies.length > 0) reply.header('set-cookie', cookies)
  return body
}

/** Copies the cache's response to a reply. */
async function takeResult(reply: FastifyReply, response: VirtualResponse<Readable>) {
  const { status, headers, body } = await response.result
  reply.code(status)
  for (const name of Object.keys(reply.getHeaders())) if (headers[name] === undefined) reply.removeHeader(name)
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue
    // Otherwise the value would be appended to an existing header.
    if (name === 'set-cookie') reply.removeHeader(name)
    reply.header(name, value)
  }
  // Fastify sets it, unless trailers follow the body, which hooks may still add.
  if (Buffer.isBuffer(body) && reply.request.method !== 'HEAD') reply.removeHeader('content-length')
  return { status, body }
}

async function sendResult(reply: FastifyReply, response: VirtualResponse<Readable>): Promise<FastifyReply> {
  const { body } = await takeResult(reply, response)
  if (reply.request.method === 'HEAD') return reply.send(emptyStream())
  // Hooks may write to it.
  const own = Buffer.isBuffer(body) ? Buffer.from(body) : body
  // For a Buffer without a type, Fastify sets `application/octet-stream`.
  const isUntyped = Buffer.isBuffer(own) && !reply.hasHeader('content-type')
  if (!isUntyped) return reply.send(own)
  if (trailersOf(reply).length === 0) reply.header('content-length', own.length)
  return reply.send(Readable.from([own], { objectMode: false }))
}

/** Replaces a missing payload: without one, the HEAD handlers that Fastify adds set the length to 0. */
function emptyStream(): Readable {
  return Readable.from([])
}

/**
 * A Fastify plugin that caches responses: `app.register(cacheResponses, { ttlSeconds: 60 })` puts a shared HTTP cache
 * (RFC 9111) in front of the handlers. Each route may have its own options, or `false`, as `config.cacheResponse`.
 * Responses are stored like those of `cacheResponse` in Express; the changes of `onSend` hooks that were registered
 * after the plugin (compression, sessions) are made to each reply again. Hooks of `onRequest`, and hooks of
 * `preHandler` that were registered before the plugin, run before the cache.
 *
 * @example
 *   await app.register(cacheResponses, { ttlSeconds: 60 })
 *   app.get('/now', { config: { cacheResponse: false } }, async () => new Date().toISOString())
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export const cacheResponses: FastifyPluginAsync<CacheResponsesOptions> = Object.assign(openCache, {
  // As fastify-plugin does: the hooks apply to the application that registers the plugin, not to a child context.
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'memcache-ts-fastify',
  [Symbol.for('plugin-meta')]: { name: 'memcache-ts-fastify', fastify: '5.x' },
})
