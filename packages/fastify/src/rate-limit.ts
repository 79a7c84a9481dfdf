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
    /** What the last `rateLimit` said of this request. */
    rateLimit?: RateLimitResult
  }
}

/** Options of `rateLimit`; its limits and times may be functions of the request. */
export interface RateLimitOptions extends RequestRateLimitOptions<FastifyRequest, FastifyReply> {
  /**
   * Answers a request that is denied, by what it sends, returns (with status 429) or throws. Default: 429 with
   * `application/problem+json`.
   */
  handler?: ((request: FastifyRequest, reply: FastifyReply) => unknown) | undefined
}

/** What `rateLimit` returns: a hook for `onRequest`, `preValidation` or `preHandler`, with the limiter that it asks. */
export interface RateLimitHook {
  (request: FastifyRequest, reply: FastifyReply): Promise<unknown>
  /**
   * To `reset` a client after a login, for instance, or to `block` one.
   *
   * @throws MemcacheOptionError if the limits depend on the request: use `limiterFor`.
   */
  readonly limiter: RateLimiter
  /** The limiter of a request; `undefined` if nothing limits it. */
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
 * A hook that limits how often a client may call: `app.addHook('onRequest', rateLimit({ perMinute: 100 }))`, or the
 * `onRequest` or `preHandler` of a route. Counters are in memcached, so that the processes of a fleet count together;
 * replies carry `RateLimit-Policy` and `RateLimit`. Requests that a response cache makes in the background do not
 * count.
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
    // A handler that returns nothing has not answered.
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
 * One client's name by the address of its request, or by an address: IPv4 as it is, IPv6 by its subnet. IPv6 addresses
 * that hold an IPv4 address (mapped, NAT64, 6to4, Teredo) count as that.
 *
 * @param ipv6Subnet how many bits of an IPv6 address are one client. Default 56.
 * @throws MemcacheOptionError if a request has no address, or the subnet is invalid.
 */
export function ipKey(from: FastifyRequest | string, ipv6Subnet?: number): string {
  if (typeof from === 'string') return keyOfAddress(from, ipv6Subnet)
  if (!hasWarned && from.headers['x-forwarded-for'] !== undefined) checkProxy(from)
  const ip: string | undefined = from.ip
  if (ip === undefined || ip === '') {
    throw new MemcacheOptionError('a request has no address to count it by: give rateLimit({ key: (request) => … })')
  }
  return keyOfAddress(ip, ipv6Subnet)
}

/** Warns once of a proxy that is not trusted: all clients behind it have its address. */
function checkProxy(request: FastifyRequest): void {
  // With `trustProxy` Fastify tells all addresses on the way.
  if (request.ips !== undefined) return
  hasWarned = true
  process.emitWarning(
    'a request came through a proxy, but Fastify does not trust it: all clients count as one. Say Fastify({ trustProxy: 1 })',
    { code: 'MEMCACHE_TRUST_PROXY' },
  )
}
