import type { NextFunction, Request, RequestHandler, Response } from 'express'
import {
  checkOptions,
  ipKey,
  MemcacheOptionError,
  PROBLEM_JSON,
  quotaProblem,
  RATE_LIMITER_HINTS,
  RATE_LIMITER_OPTIONS,
  rateLimiter,
  rateLimitHeaders,
  retryAfterSeconds,
} from 'memcache-ts'
import type { RateLimiterOptions, RateLimitHeaderFormat, RateLimitResult } from 'memcache-ts'

declare global {
  // oxlint-disable-next-line typescript/no-namespace -- how @types/express is extended
  namespace Express {
    interface Request {
      /** What the last `rateLimit` said of this request. */
      rateLimit?: RateLimitResult
    }
  }
}

/** Options of `rateLimit`. */
export interface RateLimitOptions extends RateLimiterOptions {
  /** Whom a request counts for. Default: its address, IPv6 by its /56. */
  key?: ((request: Request) => string | Promise<string>) | undefined
  /** How much a request counts. Default 1. */
  cost?: number | ((request: Request) => number | Promise<number>) | undefined
  /** Requests that do not count. */
  skip?: ((request: Request) => boolean | Promise<boolean>) | undefined
  /** How responses tell of the limit; `false` for not at all. Default `draft-10`. */
  headers?: RateLimitHeaderFormat | false | undefined
  /** Answers a request that is denied. Default: 429 with `application/problem+json`. */
  handler?: ((request: Request, response: Response, next: NextFunction) => unknown) | undefined
}

const KNOWN = [
  ...RATE_LIMITER_OPTIONS,
  'key',
  'cost',
  'skip',
  'headers',
  'handler',
] as const satisfies readonly (keyof RateLimitOptions)[]

const HINTS = {
  ...RATE_LIMITER_HINTS,
  keyGenerator: 'key',
  store: 'cache',
  message: 'handler',
  standardHeaders: 'headers',
  legacyHeaders: "headers: 'legacy'",
}

/**
 * Limits how often a client may call. Counters lie in memcached, so that the processes of a fleet count together;
 * responses carry `RateLimit-Policy` and `RateLimit`.
 * @throws MemcacheOptionError for an option that there is not, or a limit that cannot be.
 */
export function rateLimit(options: RateLimitOptions): RequestHandler {
  checkOptions('rateLimit', options, KNOWN, HINTS)
  const { key = addressOf, cost = 1, skip, headers = 'draft-10', handler, ...limits } = options
  if (typeof cost === 'number' && !(Number.isSafeInteger(cost) && cost >= 1)) {
    throw new MemcacheOptionError(`cost must be a whole number over 0, got ${cost}`)
  }
  const limiter = rateLimiter(limits)
  const writeHeaders = rateLimitHeaders(headers, limiter)
  const limit = async (request: Request, response: Response, next: NextFunction): Promise<void> => {
    if (skip !== undefined && (await skip(request))) return next()
    const id: unknown = await key(request)
    if (typeof id !== 'string') throw new MemcacheOptionError(noString(limiter.name, id))
    const result = await limiter.consume(id, {
      cost: typeof cost === 'function' ? await cost(request) : cost,
    })
    request.rateLimit = result
    writeHeaders(response, result)
    if (result.allowed) return next()
    response.setHeader('Retry-After', String(retryAfterSeconds(result)))
    if (handler === undefined)
      response
        .status(429)
        .type(PROBLEM_JSON)
        .send(JSON.stringify(quotaProblem(limiter, result)))
    else await handler(request, response, next)
  }
  // Express 4 does not look at a promise that middleware returns.
  return (request, response, next) => {
    limit(request, response, next).catch(next)
  }
}

function noString(name: string, id: unknown): string {
  return `the key of the rate limit '${name}' must be a string, got ${id === null ? 'null' : typeof id}: say whom a request without one counts for, key: (request) => request.user?.id ?? 'nobody'`
}

let warnedOfProxy = false

function addressOf(request: Request): string {
  if (request.headers['x-forwarded-for'] !== undefined && request.app.get('trust proxy') === false && !warnedOfProxy) {
    warnedOfProxy = true
    process.emitWarning(
      "a request came through a proxy, but Express does not trust it: all clients count as one. Say app.set('trust proxy', 1)",
      { code: 'MEMCACHE_TRUST_PROXY' },
    )
  }
  if (request.ip === undefined || request.ip === '') {
    throw new MemcacheOptionError('a request has no address to count it by: give rateLimit({ key: (request) => … })')
  }
  return ipKey(request.ip)
}
