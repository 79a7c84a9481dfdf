import type { NextFunction, Request, RequestHandler, Response } from 'express'
import {
  checkOptions,
  MemcacheOptionError,
  PROBLEM_JSON,
  quotaProblem,
  rateLimiter,
  rateLimitHeaders,
  retryAfterSeconds,
} from 'memcache-ts'
import type { RateLimiter, RateLimitResult } from 'memcache-ts'
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
  /** To `reset` a client after a login, for instance, or to `block` one. */
  readonly limiter: RateLimiter
}

/**
 * Limits how often a client may call. Counters lie in memcached, so that the processes of a fleet count together;
 * responses carry `RateLimit-Policy` and `RateLimit`.
 * @throws MemcacheOptionError for an option that there is not, or a limit that cannot be.
 */
export function rateLimit(options: RateLimitOptions): RateLimitHandler {
  checkOptions('rateLimit', options, KNOWN, HINTS)
  const {
    key = ipKey,
    cost = 1,
    skip,
    skipSuccessfulRequests = false,
    skipFailedRequests = false,
    headers = 'draft-10',
    handler = deny,
    ...limits
  } = options
  if (typeof cost !== 'function' && !(Number.isSafeInteger(cost) && cost >= 1)) {
    throw new MemcacheOptionError(`cost must be a whole number over 0, or a function of the request, got ${cost}`)
  }
  for (const [name, given] of Object.entries({ key, skip, handler })) {
    if (given !== undefined && typeof given !== 'function') {
      throw new MemcacheOptionError(`${name} must be a function of the request, got ${typeof given}`)
    }
  }
  const limiter = rateLimiter(limits)
  const writeHeaders = rateLimitHeaders(headers, limiter)
  const fixedCost = typeof cost === 'number' ? { cost } : undefined
  const givesBack = skipSuccessfulRequests || skipFailedRequests

  async function limit(request: Request, response: Response, next: NextFunction): Promise<unknown> {
    if (skip !== undefined && (await skip(request))) return next()
    const given: unknown = key(request)
    const id = typeof given === 'string' ? given : await given
    if (typeof id !== 'string') throw new MemcacheOptionError(noString(limiter.name, id))
    const consumed = fixedCost ?? { cost: await (cost as Exclude<typeof cost, number>)(request) }
    const atMs = givesBack ? limiter.nowMs() : 0
    const result = await limiter.consume(id, consumed)
    request.rateLimit = result
    writeHeaders(response, result)
    if (result.allowed) {
      if (givesBack) giveBackLater(response, id, consumed.cost, atMs)
      return next()
    }
    response.setHeader('Retry-After', String(retryAfterSeconds(result)))
    return handler(request, response, next)
  }

  function giveBackLater(response: Response, id: string, amount: number, atMs: number): void {
    response.once('close', () => {
      const succeeded = response.writableFinished && response.statusCode < 400
      if (succeeded ? skipSuccessfulRequests : skipFailedRequests) void limiter.reward(id, amount, atMs)
    })
  }

  function deny(request: Request, response: Response): void {
    response
      .status(429)
      .type(PROBLEM_JSON)
      .send(JSON.stringify(quotaProblem(limiter, request.rateLimit!)))
  }

  // Express 4 does not look at a promise that middleware returns.
  const middleware: RequestHandler = (request, response, next) => {
    limit(request, response, next).catch(next)
  }
  return Object.assign(middleware, { limiter })
}

function noString(name: string, id: unknown): string {
  return `the key of the rate limit '${name}' must be a string, got ${id === null ? 'null' : typeof id}: say whom a request without one counts for, key: (request) => request.user?.id ?? 'nobody'`
}
