import type { NextFunction, Request, RequestHandler, Response } from 'express'
import {
  checkIpv6Subnet,
  checkOptions,
  CountedCall,
  isBackgroundRequest,
  MemcacheOptionError,
  onResponseOver,
  PROBLEM_JSON,
  quotaProblem,
  rateLimitHeaders,
  RequestLimiters,
  retryAfterSeconds,
  WindowResult,
} from 'memcache-ts'
import type { RateLimiter, RateLimitResult, WriteRateLimitHeaders } from 'memcache-ts'
import { HINTS, KNOWN } from './rate-limit-options.ts'
import type { RateLimitOptions } from './rate-limit-options.ts'
import { ipKey } from './request-address.ts'

declare global {
  // oxlint-disable-next-line typescript/no-namespace -- how @types/express is extended
  namespace Express {
    interface Request {
      /** What the last `rateLimit` said of this request. */
      rateLimit?: RateLimitResult
    }
  }
}

/** What `rateLimit` returns: the middleware, with the limiter that it asks. */
export interface RateLimitHandler extends RequestHandler {
  /**
   * To `reset` a client after a login, for instance, or to `block` one.
   * @throws MemcacheOptionError if the limits depend on the request: use `limiterFor`.
   */
  readonly limiter: RateLimiter
  /** The limiter of a request; `undefined` if nothing limits it. */
  limiterFor(request: Request, response: Response): Promise<RateLimiter | undefined>
}

/** A limiter with the writer of its headers. */
interface Limiting {
  readonly limiter: RateLimiter
  readonly writeHeaders: WriteRateLimitHeaders
}

/**
 * Limits how often a client may call. Counters are in memcached, so that the processes of a fleet count together;
 * responses carry `RateLimit-Policy` and `RateLimit`. Requests that a response cache makes in the background do not count.
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function rateLimit(options: RateLimitOptions): RateLimitHandler {
  checkOptions('rateLimit', options, KNOWN, HINTS)
  const {
    ipv6Subnet,
    key = (request: Request) => ipKey(request, ipv6Subnet),
    cost = 1,
    skip,
    skipSuccessfulRequests = false,
    skipFailedRequests = false,
    requestWasSuccessful = hasSuccessfulStatus,
    headers = 'draft-10',
    quotaUnit,
    partitionKey,
    handler,
    ...limits
  } = options
  checkValues(options)
  const limiters = new RequestLimiters<Limiting, [Request, Response]>(limits, (limiter) => ({
    limiter,
    writeHeaders: rateLimitHeaders(headers, limiter, { quotaUnit, partitionKey }),
  }))
  const { only } = limiters
  const fixedCost = typeof cost === 'number' ? cost : undefined
  const givesBack = skipSuccessfulRequests || skipFailedRequests

  async function limit(request: Request, response: Response, next: NextFunction): Promise<unknown> {
    if (isBackgroundRequest(request)) {
      const limiting = only ?? (await limiters.for(request, response))
      if (limiting !== undefined) request.rateLimit = WindowResult.unlimited(limiting.limiter.windows)
      return next()
    }
    if (skip !== undefined && (await skip(request, response))) return next()
    const limiting = only ?? (await limiters.for(request, response))
    if (limiting === undefined) return next()
    const { limiter, writeHeaders } = limiting
    const given: unknown = key(request)
    const id = typeof given === 'string' ? given : await given
    if (typeof id !== 'string') throw new MemcacheOptionError(noString(limiter.name, id))
    const amount = fixedCost ?? (await (cost as Exclude<typeof cost, number>)(request, response))
    const call = await CountedCall.consume(request, limiter, id, amount)
    const { result } = call
    request.rateLimit = result
    if (!response.headersSent) writeHeaders(response, result, id)
    if (result.allowed) {
      if (givesBack) giveBackLater(request, response, call)
      return next()
    }
    const seconds = retryAfterSeconds(result)
    if (seconds < Infinity && !response.headersSent) response.setHeader('Retry-After', String(seconds))
    return handler === undefined ? deny(response, limiter, result) : handler(request, response, next)
  }

  function giveBackLater(request: Request, response: Response, call: CountedCall): void {
    onResponseOver(response, (isWhole) => {
      void (async () => {
        const isSuccess = isWhole && (await requestWasSuccessful(request, response))
        if (isSuccess ? skipSuccessfulRequests : skipFailedRequests) call.giveBack()
      })().catch((error: unknown) =>
        process.emitWarning(`requestWasSuccessful of a rate limit threw: ${String(error)}`),
      )
    })
  }

  // Express 4 does not look at a promise that middleware returns.
  const middleware: RequestHandler = (request, response, next) => {
    limit(request, response, next).catch(next)
  }
  const limiterFor = async (request: Request, response: Response): Promise<RateLimiter | undefined> =>
    (await limiters.for(request, response))?.limiter
  return Object.defineProperties(Object.assign(middleware, { limiterFor }), {
    limiter: {
      enumerable: true,
      get: () => {
        if (only !== undefined) return only.limiter
        throw new MemcacheOptionError(
          `the limits of rateLimit '${options.name ?? 'default'}' depend on the request: use limiterFor(request, response)`,
        )
      },
    },
  }) as RateLimitHandler
}

function deny(response: Response, limiter: RateLimiter, result: RateLimitResult): void {
  response
    .status(429)
    .type(PROBLEM_JSON)
    .send(JSON.stringify(quotaProblem(limiter, result)))
}

function hasSuccessfulStatus(_request: Request, response: Response): boolean {
  return response.statusCode < 400
}

/** @throws MemcacheOptionError if a value of an option of this middleware is invalid. */
function checkValues(options: RateLimitOptions): void {
  const { cost, ipv6Subnet } = options
  if (cost !== undefined && typeof cost !== 'function' && !(Number.isSafeInteger(cost) && cost >= 0)) {
    throw new MemcacheOptionError(`cost must be a whole number from 0 on, or a function of the request, got ${cost}`)
  }
  for (const name of ['key', 'skip', 'handler', 'requestWasSuccessful'] as const) {
    const given: unknown = options[name]
    if (given !== undefined && typeof given !== 'function') {
      throw new MemcacheOptionError(`${name} must be a function of the request, got ${typeof given}`)
    }
  }
  for (const name of ['skipSuccessfulRequests', 'skipFailedRequests'] as const) {
    const given: unknown = options[name]
    if (given !== undefined && typeof given !== 'boolean') {
      throw new MemcacheOptionError(`${name} must be true or false, got ${typeof given}`)
    }
  }
  if (ipv6Subnet === undefined) return
  checkIpv6Subnet(ipv6Subnet)
  if (options.key !== undefined) {
    throw new MemcacheOptionError(
      'ipv6Subnet goes with the default key: give it to ipKey(request, 64) in a key of your own',
    )
  }
}

function noString(name: string, id: unknown): string {
  return `the key of the rate limit '${name}' must be a string, got ${id === null ? 'null' : typeof id}: say whom a request without one counts for, key: (request) => request.user?.id ?? 'nobody'`
}
