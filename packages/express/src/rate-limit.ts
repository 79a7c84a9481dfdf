import type { NextFunction, Request, RequestHandler, Response } from 'express'
import {
  checkRequestRateLimit,
  ipKey as keyOfAddress,
  PROBLEM_JSON,
  quotaProblem,
  RequestRateLimit,
} from 'memcache-ts/rate-limit'
import type { DeniedRequest, RateLimitFramework, RequestRateLimitOptions } from 'memcache-ts/rate-limit'
import type { RateLimiter, RateLimitResult } from 'memcache-ts'
import { MemcacheOptionError } from 'memcache-ts'
import { shareShapes } from './shared-shape.ts'

declare global {
  // oxlint-disable-next-line typescript/no-namespace -- how @types/express is extended
  namespace Express {
    interface Request {
      /** The result of the last `rateLimit` for this request. */
      rateLimit?: RateLimitResult
    }
  }
}

/** Options of `rateLimit`; its limits and times may be functions of the request. */
export interface RateLimitOptions extends RequestRateLimitOptions<Request, Response> {
  /** Sends the response to a denied request. Default: 429 with `application/problem+json`. */
  handler?: ((request: Request, response: Response, next: NextFunction) => unknown) | undefined
}

/** The middleware that `rateLimit` returns, with its limiter. */
export interface RateLimitHandler extends RequestHandler {
  /**
   * The limiter, for example to `reset` a client after a login, or to `block` a client.
   *
   * @throws MemcacheOptionError if the limits depend on the request: use `limiterFor`.
   */
  readonly limiter: RateLimiter
  /** Returns the limiter of a request; `undefined` if nothing limits it. */
  limiterFor(request: Request, response: Response): Promise<RateLimiter | undefined>
}

const EXPRESS: RateLimitFramework<Request, Response> = {
  addressKey: ipKey,
  headersOf: (response) => (response.headersSent ? undefined : response),
  nodeResponseOf: (response) => response,
}

/**
 * Limits how often a client may call. All processes share the counters in memcached. Responses have the fields
 * `RateLimit-Policy` and `RateLimit`. Requests that a response cache makes in the background are not counted.
 *
 * @example
 *   app.use(rateLimit({ perMinute: 100 }))
 *   app.post('/login', rateLimit({ name: 'login', perMinute: 5 }), login)
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function rateLimit(options: RateLimitOptions): RateLimitHandler {
  checkRequestRateLimit(options)
  const limit = new RequestRateLimit(options, EXPRESS)
  const { handler } = options

  async function admit(request: Request, response: Response, next: NextFunction): Promise<void> {
    try {
      const denied = await limit.admit(request, response)
      if (denied === undefined) next()
      else if (handler === undefined) deny(response, denied)
      else await handler(request, response, next)
    } catch (reason) {
      next(asError(reason))
    }
  }
  const middleware: RequestHandler = (request, response, next) => {
    shareShapes(request, response)
    // Express 4 ignores a promise that middleware returns.
    void admit(request, response, next)
  }
  return Object.defineProperties(middleware, {
    limiter: { enumerable: true, get: () => limit.limiter },
    limiterFor: { enumerable: true, value: limit.limiterFor.bind(limit) },
  }) as RateLimitHandler
}

/**
 * Express would let a request pass for `undefined`, `null` and the string 'route', if a function of the options throws
 * them.
 */
function asError(reason: unknown): unknown {
  if (typeof reason === 'object' && reason !== null) return reason
  return new Error(
    `a function in the options of rateLimit threw a value that is not an Error, ${String(reason)}: throw an Error`,
    { cause: reason },
  )
}

function deny(response: Response, { limiter, result }: DeniedRequest): void {
  response
    .status(429)
    .type(PROBLEM_JSON)
    .send(JSON.stringify(quotaProblem(limiter, result)))
}

let warnedOfProxy = false

/**
 * Returns the key of a client by the address of its request, or by an address: an IPv4 address unchanged, an IPv6
 * address as its subnet. IPv6 addresses that contain an IPv4 address (mapped, NAT64, 6to4, Teredo) count as the IPv4
 * address.
 *
 * @example
 *   rateLimit({ perMinute: 100, key: (req) => req.user?.id ?? ipKey(req) })
 *
 * @param ipv6Subnet how many bits of an IPv6 address identify a client. Default 56.
 * @throws MemcacheOptionError if a request has no address, or the subnet is invalid.
 */
export function ipKey(from: Request | string, ipv6Subnet?: number): string {
  if (typeof from === 'string') return keyOfAddress(from, ipv6Subnet)
  if (!warnedOfProxy && from.headers['x-forwarded-for'] !== undefined) checkProxy(from)
  const { ip } = from
  if (ip === undefined || ip === '') {
    throw new MemcacheOptionError('a request has no address to count it by: write rateLimit({ key: (request) => … })')
  }
  return keyOfAddress(ip, ipv6Subnet)
}

/** Warns once about a proxy that is not trusted, or if every client can pretend to be a proxy. */
function checkProxy(request: Request): void {
  const trusted: unknown = request.app.get('trust proxy')
  if (trusted !== false && trusted !== true) return
  warnedOfProxy = true
  process.emitWarning(
    trusted
      ? "Express trusts every proxy, so a client can send any address in X-Forwarded-For and evade its limits. Set the number of your proxies: app.set('trust proxy', 1)"
      : "a request came through a proxy, but Express does not trust it: all clients count as one. Write app.set('trust proxy', 1)",
    { code: 'MEMCACHE_TRUST_PROXY' },
  )
}
