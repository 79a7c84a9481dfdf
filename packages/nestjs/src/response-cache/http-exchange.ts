import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HttpServer } from '@nestjs/common'
import type { HttpExchange } from 'memcache-ts/http'
import { silence } from './answered-response.ts'
import type { CacheableRequest } from './cache-response-options.ts'

/** Express's request, which is Node's, and Fastify's, which has it. */
type AnyRequest = CacheableRequest & {
  readonly raw?: IncomingMessage
  readonly originalUrl?: string
  readonly url: string
  readonly protocol: string
  readonly ips?: readonly string[] | undefined
}

/** Express's settings, as far as they are needed. */
interface Settings {
  get(name: string): unknown
}

/** Fastify's reply, as far as it is needed. */
interface Reply {
  readonly raw: ServerResponse
  getHeaders(): Record<string, string | number | string[] | undefined>
  send(payload?: unknown): unknown
  hijack(): void
}

/** An exchange of a platform, below which there is Node's. */
export type PlatformExchange = Pick<
  HttpExchange,
  'request' | 'response' | 'url' | 'scheme' | 'dispatch' | 'application' | 'trustsProxy' | 'isOutside'
> & {
  /** Told when the response was sent: the platform has nothing to send any more. */
  readonly sent: () => void
}

/** What Nest's platform has of a request, as `node:http` sees it; `undefined` where there is no HTTP server below. */
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
      // What guards and hooks have set lies in the reply until it is sent, and is to be sent with what is stored, too.
      for (const [name, value] of Object.entries(reply.getHeaders())) {
        if (value !== undefined) reply.raw.setHeader(name, value)
      }
      const dispatch: HttpExchange['dispatch'] = (made, answer) => app.routing(made, answer)
      // Fastify knows the addresses on the way where it trusts its proxy.
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
  const send = Reflect.get(reply, 'send') as Reply['send']
  reply.send = (...args) => {
    isSent = true
    return send.apply(reply, args)
  }
  return () => isSent && !reply.raw.headersSent
}

/** Whether Express trusts the other end of a connection as a proxy; `true` trusts anybody, and vouches for nothing. */
function expressTrusts(app: Settings, address: string | undefined): boolean {
  const trusts = app.get('trust proxy fn') as ((address: string | undefined, hop: number) => boolean) | undefined
  return app.get('trust proxy') !== true && trusts?.(address, 0) === true
}
