import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HttpServer } from '@nestjs/common'
import type { HttpExchange } from 'memcache-ts/http'
import { silence } from './answered-response.ts'
import type { CacheableRequest } from './cache-response-options.ts'

/** Express's request, which is Node's, or Fastify's, which contains it. */
type AnyRequest = CacheableRequest & {
  readonly raw?: IncomingMessage
  readonly originalUrl?: string
  readonly url: string
  readonly protocol: string
  readonly ips?: readonly string[] | undefined
}

/** The parts of Express's settings that are used here. */
interface Settings {
  get(name: string): unknown
}

/** The parts of Fastify's reply that are used here. */
interface Reply {
  readonly raw: ServerResponse
  getHeaders(): Record<string, string | number | string[] | undefined>
  send(payload?: unknown): unknown
  hijack(): void
}

/** An exchange of a platform on `node:http`. */
export type PlatformExchange = Pick<
  HttpExchange,
  'request' | 'response' | 'url' | 'scheme' | 'dispatch' | 'application' | 'trustsProxy' | 'isOutside'
> & {
  /** Called when the response was sent, so that the platform sends nothing. */
  readonly sent: () => void
}

/** Returns the exchange of Nest's platform on `node:http`; `undefined` if the platform has no HTTP server. */
export function platformExchange(
  adapter: HttpServer | undefined,
  request: AnyRequest,
  response: ServerResponse | Reply,
): PlatformExchange | undefined {
  const { originalUrl: url = request.url, protocol: scheme } = request
  switch (adapter?.getType()) {
    case 'express': {
      const app = adapter.getInstance() as HttpExchange['dispatch']
      const raw = request as unknown as IncomingMessage
      const trustsProxy = expressTrusts(adapter.getInstance(), raw.socket.remoteAddress)
      const sent = (): void => silence(response, response as ServerResponse)
      return { request: raw, response: response as ServerResponse, url, scheme, dispatch: app, trustsProxy, sent }
    }
    case 'fastify': {
      const reply = response as Reply
      const app = adapter.getInstance() as { routing: HttpExchange['dispatch'] }
      // Fields that guards and hooks have set are in the reply until it is sent, and must be sent with a stored
      // response too.
      for (const [name, value] of Object.entries(reply.getHeaders())) {
        if (value !== undefined) reply.raw.setHeader(name, value)
      }
      const dispatch: HttpExchange['dispatch'] = (made, answer) => app.routing(made, answer)
      // Fastify knows the addresses of the proxies if it trusts them.
      const trustsProxy = request.ips !== undefined
      const sent = (): void => {
        reply.hijack()
        silence(reply, reply.raw)
      }
      const [raw, application] = [request.raw!, request]
      const isOutside = hooksOf(reply)
      return { request: raw, response: reply.raw, url, scheme, dispatch, application, trustsProxy, isOutside, sent }
    }
    default:
      return undefined
  }
}

/**
 * Tells whether Fastify's hooks are at work on a reply: from when the handler has sent it until its head is written. A
 * session plugin then looks at the session of each request, which says nothing about the handler. What writes a stream
 * is the handler's again.
 */
function hooksOf(reply: Reply): () => boolean {
  let isSent = false
  const send: Reply['send'] = Reflect.get(reply, 'send')
  reply.send = (...args) => {
    isSent = true
    return send.apply(reply, args)
  }
  return () => isSent && !reply.raw.headersSent
}

/**
 * Returns whether Express trusts the other end of a connection as a proxy. The setting `true` trusts every client, so
 * it does not count.
 */
function expressTrusts(app: Settings, address: string | undefined): boolean {
  const trusts = app.get('trust proxy fn') as ((address: string | undefined, hop: number) => boolean) | undefined
  return app.get('trust proxy') !== true && trusts?.(address, 0) === true
}
