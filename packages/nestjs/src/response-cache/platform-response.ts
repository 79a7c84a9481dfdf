import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HttpServer } from '@nestjs/common'
import { trustsExpressProxy, trustsFastifyProxy } from 'memcache-ts/http'
import type { HttpExchange } from 'memcache-ts/http'
import { Observable } from 'rxjs'
import type { Subscriber } from 'rxjs'
import type { CacheableRequest } from './cache-response-options.ts'

/** Express's request, which is Node's, or Fastify's, which contains it. */
type AnyRequest = CacheableRequest & {
  readonly raw?: IncomingMessage
  readonly originalUrl?: string
  readonly url: string
  readonly protocol: string
  readonly ips?: readonly string[] | undefined
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
      const trustsProxy = trustsExpressProxy(adapter.getInstance(), raw.socket.remoteAddress)
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
      const dispatch: HttpExchange['dispatch'] = (copy, target) => app.routing(copy, target)
      const trustsProxy = trustsFastifyProxy(request as AnyRequest & { raw: IncomingMessage })
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
 * Returns a function that returns whether Fastify's hooks are processing a reply: after the handler has sent it, until
 * its head is written. A session plugin then reads the session of each request, which does not mean that the handler
 * uses it. While a stream is written, the handler runs again.
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

/** The parts of RxJS's subscribers that are used here. */
interface LinkedSubscriber {
  next(value: undefined): void
  readonly destination?: LinkedSubscriber
  /** Subscribers of operators have this property; the consumer of the values does not. */
  readonly isStopped?: boolean
}

/**
 * Returns the observable of a request whose response was already sent. It completes without a value, so that
 * `finalize`, `timeout` and `tap({ complete })` of outer interceptors work. Only the consumer behind all operators gets
 * `undefined`, since Nest's `lastValueFrom` treats an empty observable as an error.
 */
export function alreadySent(): Observable<undefined> {
  return new Observable<undefined>((subscriber) => {
    consumerOf(subscriber).next(undefined)
    subscriber.complete()
  })
}

/** Returns the last subscriber of a chain. */
function consumerOf(subscriber: Subscriber<undefined>): LinkedSubscriber {
  let at = subscriber as unknown as LinkedSubscriber
  while (typeof at.destination?.isStopped === 'boolean') at = at.destination
  return at
}

type Method = (this: object, ...args: unknown[]) => unknown

const nothing: Method = function () {
  return this
}

/** The methods by which Nest's adapters and exception filters send a response, in Express and in Fastify. */
const SENDING = ['status', 'code', 'send', 'json', 'redirect', 'render', 'view'] as const

/** The methods that interceptors may call when their observables end. */
const DESCRIBING = ['setHeader', 'appendHeader', 'removeHeader'] as const

/** Returns the method that replaces another one on a response that was sent. */
function silenced(name: string, original: Method): Method {
  if ((SENDING as readonly string[]).includes(name)) return nothing
  // Node's own method throws after the head was sent.
  return function (...args) {
    return (this as ServerResponse).headersSent ? this : original.apply(this, args)
  }
}

/**
 * Makes a response that was already sent ignore further attempts to send it, even if its head is not on the wire yet.
 * Fields that are set too late are dropped, since code around the cache does not know that the response was sent.
 *
 * @param response the platform's; on Express it is Node's.
 */
function silence(response: object, raw: ServerResponse): void {
  if (response === raw) return replaceAll(response)
  replaceSending(response)
  replaceDescribing(raw)
}

const replaceAll = replacing([...SENDING, ...DESCRIBING])
const replaceSending = replacing(SENDING)
const replaceDescribing = replacing(DESCRIBING)

/**
 * Returns a function that replaces methods of an object. The methods of its prototype are replaced by a prototype
 * between them, one for all objects of that prototype, since ten own functions on each response cost a sixth of a hit.
 * Methods that middleware has put on the response itself are replaced there.
 */
function replacing(names: readonly string[]): (object: object) => void {
  const prototypes = new WeakMap<object, object>()
  return (object) => {
    const methods = object as Record<string, Method>
    for (const name of names) if (Object.hasOwn(object, name)) methods[name] = silenced(name, methods[name]!)
    const prototype = Object.getPrototypeOf(object) as Record<string, Method>
    let between = prototypes.get(prototype)
    if (between === undefined) {
      between = Object.create(prototype) as object
      for (const name of names) {
        Object.defineProperty(between, name, {
          value: silenced(name, prototype[name]!),
          writable: true,
          configurable: true,
        })
      }
      prototypes.set(prototype, between)
    }
    Object.setPrototypeOf(object, between)
  }
}
