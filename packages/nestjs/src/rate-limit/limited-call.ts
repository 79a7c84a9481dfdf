import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { Logger } from '@nestjs/common'
import type { ExecutionContext } from '@nestjs/common'
import type { HeaderTarget } from 'memcache-ts/rate-limit'

/** A request as rate limits see it: that of Express or Fastify, the client of a WebSocket, or a message. */
export interface LimitedRequest {
  readonly ip?: string | undefined
  readonly headers?: IncomingHttpHeaders
  readonly socket?: { readonly remoteAddress?: string | undefined }
  readonly user?: unknown
  /** Express's application. */
  readonly app?: { get?(setting: string): unknown }
}

/** @deprecated The former name of `LimitedRequest`. */
export type Requester = LimitedRequest

/** A call as a rate limit sees it. */
export interface Call {
  readonly request: LimitedRequest
  /** Nest's context of the call, for functions in the options. */
  readonly context: ExecutionContext
  /** The target of headers; `undefined` if the call has none. */
  readonly headers: HeaderTarget | undefined
  /** The address of the client; `undefined` if it is not known. */
  readonly address: string | undefined
  /** The user that a guard has set; never a claim of a message. */
  readonly user: unknown
  /** Node's response of a route; `undefined` for other calls, where the status does not describe one call. */
  readonly response: ServerResponse | undefined
}

/** The parts of Express's response and Fastify's reply that are used here. */
interface AnyResponse {
  getHeader?(name: string): unknown
  setHeader?(name: string, value: string): unknown
  header?(name: string, value: string): unknown
  readonly headersSent?: boolean
  /** Only in Fastify's reply. */
  readonly sent?: boolean
  readonly raw?: ServerResponse
}

/** The context of the GraphQL drivers and their integrations. */
interface GraphqlContext {
  readonly req?: LimitedRequest & { readonly res?: AnyResponse }
  readonly request?: LimitedRequest
  readonly res?: AnyResponse
  readonly reply?: AnyResponse & { readonly request?: LimitedRequest }
}

/** A client of socket.io or of ws. */
interface SocketClient extends LimitedRequest {
  readonly handshake?: { readonly address?: string; readonly headers?: IncomingHttpHeaders }
  readonly _socket?: { readonly remoteAddress?: string }
}

/** Returns the call of a context; `undefined` if it has no source that could be counted. */
export function callOf(context: ExecutionContext): Call | undefined {
  switch (context.getType<'http' | 'ws' | 'rpc' | 'graphql'>()) {
    case 'http': {
      const response = context.switchToHttp().getResponse<AnyResponse>()
      const raw = response.raw ?? (response as ServerResponse)
      return { ...httpCall(context, context.switchToHttp().getRequest(), response), response: raw }
    }
    case 'graphql': {
      const graphql = context.getArgByIndex<GraphqlContext | undefined>(2)
      const request = graphql?.req ?? graphql?.request ?? graphql?.reply?.request
      if (request === undefined) return undefined
      return httpCall(context, request, graphql?.res ?? graphql?.reply ?? graphql?.req?.res)
    }
    case 'ws': {
      const client = context.switchToWs().getClient<SocketClient>()
      const address = client.handshake?.address ?? client._socket?.remoteAddress
      return { request: client, context, headers: undefined, address, user: client.user, response: undefined }
    }
    case 'rpc': {
      const request = context.switchToRpc().getData<LimitedRequest>()
      return { request, context, headers: undefined, address: undefined, user: undefined, response: undefined }
    }
    default:
      return undefined
  }
}

function httpCall(context: ExecutionContext, request: LimitedRequest, response: AnyResponse | undefined): Call {
  const address = request.ip ?? request.socket?.remoteAddress
  if (!warnedOfProxy && request.headers?.['x-forwarded-for'] !== undefined) checkProxy(request, address)
  const { user } = request
  return {
    request,
    context,
    headers: headersOf(response),
    address: address === '' ? undefined : address,
    user,
    response: undefined,
  }
}

/** Uses the method `header` of Fastify's replies, or Node's `setHeader`. */
function headersOf(response: AnyResponse | undefined): HeaderTarget | undefined {
  if (typeof response?.getHeader !== 'function' || response.headersSent === true || response.sent === true)
    return undefined
  return {
    getHeader: (name) => response.getHeader!(name),
    setHeader: (name, value) =>
      typeof response.setHeader === 'function' ? response.setHeader(name, value) : response.header?.(name, value),
  }
}

let warnedOfProxy = false

/** Warns once about a proxy that is not trusted, or if every client can pretend to be a proxy. */
function checkProxy(request: LimitedRequest, address: string | undefined): void {
  const trustsAll = request.app?.get?.('trust proxy') === true
  if (!trustsAll && address !== request.socket?.remoteAddress) return
  warnedOfProxy = true
  new Logger('RateLimit').warn(
    trustsAll
      ? "every proxy is trusted, so a client can send any address in X-Forwarded-For and evade its limits: set the number of your proxies, app.set('trust proxy', 1)"
      : "a request came through a proxy that is not trusted: all clients count as one. Write app.set('trust proxy', 1), or new FastifyAdapter({ trustProxy: '10.0.0.1' }) with the address of the proxy",
  )
}
