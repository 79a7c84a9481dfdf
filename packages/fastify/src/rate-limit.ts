import type { FastifyReply, FastifyRequest } from 'fastify'
import {
  checkRequestRateLimit,
  ipKey as keyOfAddress,
  PROBLEM_JSON,
  quotaProblem,
  RequestRateLimit,
} from 'memcache-ts/rate-limit'
import type { RateLimitFramework, RequestRateLimitOptions } from 'memcache-ts/rate-limit'
import type { RateLimiter, RateLimitResult } from 'memcache-ts'
import { MemcacheOptionError } from 'memcache-ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The result of the last `rateLimit` for this request. */
    rateLimit?: RateLimitResult
  }
}

/** Options of `rateLimit`; its limits and times may be functions of the request. */
export interface RateLimitOptions extends RequestRateLimitOptions<FastifyRequest, FastifyReply> {
  /**
   * Sends the reply to a denied request, or returns its payload (with status 429), or throws. Default: 429 with
   * `application/problem+json`.
   */
  handler?: ((request: FastifyRequest, reply: FastifyReply) => unknown) | undefined
}

/** The hook that `rateLimit` returns, for `onRequest`, `preValidation` or `preHandler`, with its limiter. */
export interface RateLimitHook {
  (request: FastifyRequest, reply: FastifyReply): Promise<unknown>
  /**
   * The limiter, for example to `reset` a client after a login, or to `block` a client.
   *
   * @throws MemcacheOptionError if the limits depend on the request: use `limiterFor`.
   */
  readonly limiter: RateLimiter
  /** Returns the limiter of a request; `undefined` if nothing limits it. */
  limiterFor(request: FastifyRequest, reply: FastifyReply): Promise<RateLimiter | undefined>
}

const FASTIFY: RateLimitFramework<FastifyRequest, FastifyReply> = {
  addressKey: ipKey,
  headersOf: (reply) =>
    reply.sent
      ? undefined
      : {
          getHeader: (name) => reply.getHeader(name),
          setHeader: (name, value) => reply.header(name, value),
        },
  nodeResponseOf: (reply) => reply.raw,
}

/**
 * Returns a hook that limits how often a client may call: `app.addHook('onRequest', rateLimit({ perMinute: 100 }))`, or
 * the `onRequest` or `preHandler` of a route. All processes share the counters in memcached. Replies have the fields
 * `RateLimit-Policy` and `RateLimit`. Requests that a response cache makes in the background are not counted.
 *
 * @example
 *   app.addHook('onRequest', rateLimit({ perMinute: 100 }))
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function rateLimit(options: RateLimitOptions): RateLimitHook {
  checkRequestRateLimit(options)
  const limit = new RequestRateLimit(options, FASTIFY)
  const { handler } = options

  const hook = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    const denied = await limit.admit(request, reply)
    if (denied === undefined) return undefined
    reply.code(429)
    const payload = await handler?.(request, reply)
    if (reply.sent || payload === reply) return reply
    // A handler that returns nothing has sent no reply.
    if (payload !== undefined) return reply.send(payload)
    return reply.type(PROBLEM_JSON).send(JSON.stringify(quotaProblem(denied.limiter, denied.result)))
  }
  return Object.defineProperties(hook, {
    limiter: { enumerable: true, get: () => limit.limiter },
    limiterFor: { enumerable: true, value: limit.limiterFor.bind(limit) },
  }) as RateLimitHook
}

let hasWarned = false

/**
 * Returns the key of a client by the address of its request, or by an address: an IPv4 address unchanged, an IPv6
 * address as its subnet. IPv6 addresses that contain an IPv4 address (mapped, NAT64, 6to4, Teredo) count as the IPv4
 * address.
 *
 * @example
 *   rateLimit({ perMinute: 100, key: (request) => request.user?.id ?? ipKey(request) })
 *
 * @param ipv6Subnet how many bits of an IPv6 address identify a client. Default 56.
 * @throws MemcacheOptionError if a request has no address, or the subnet is invalid.
 */
export function ipKey(from: FastifyRequest | string, ipv6Subnet?: number): string {
  if (typeof from === 'string') return keyOfAddress(from, ipv6Subnet)
  if (!hasWarned && from.headers['x-forwarded-for'] !== undefined) checkProxy(from)
  const ip: string | undefined = from.ip
  if (ip === undefined || ip === '') {
    throw new MemcacheOptionError('a request has no address to count it by: write rateLimit({ key: (request) => … })')
  }
  return keyOfAddress(ip, ipv6Subnet)
}

/** Warns once about a proxy that is not trusted: all clients behind it have its address. */
function checkProxy(request: FastifyRequest): void {
  // With `trustProxy`, Fastify knows the addresses of the proxies.
  if (request.ips !== undefined) return
  hasWarned = true
  process.emitWarning(
    "a request came through a proxy, but Fastify does not trust it: all clients count as one. Write Fastify({ trustProxy: '10.0.0.1' }), with the address of the proxy",
    { code: 'MEMCACHE_TRUST_PROXY' },
  )
}
