import type { NextFunction, Request, RequestHandler, Response } from 'express'
import { checkOptions, MemcacheOptionError, RATE_LIMITER_HINTS, RATE_LIMITER_OPTIONS, rateLimiter } from 'memcache-ts'
import type { RateLimiter, RateLimiterOptions, RateLimitResult } from 'memcache-ts'
import { ipKey } from './ip-key.ts'
import { limitHeader, policyHeader, policyName, tightest } from './rate-limit-headers.ts'

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
  /** Answers a request that is denied. Default: 429 with `application/problem+json`. */
  handler?: ((request: Request, response: Response, next: NextFunction) => unknown) | undefined
}

const KNOWN = [
  ...RATE_LIMITER_OPTIONS,
  'key',
  'cost',
  'skip',
  'handler',
] as const satisfies readonly (keyof RateLimitOptions)[]

const HINTS = {
  ...RATE_LIMITER_HINTS,
  keyGenerator: 'key',
  store: 'cache',
  message: 'handler',
  standardHeaders: 'always on: draft 10',
}

/** RFC 9457; the type is registered for exactly this. */
const QUOTA_EXCEEDED = 'https://iana.org/assignments/http-problem-types#quota-exceeded'

/**
 * Limits how often a client may call. Counters lie in memcached, so that the processes of a fleet count together;
 * responses carry `RateLimit-Policy` and `RateLimit`.
 * @throws MemcacheOptionError for an option that there is not, or a limit that cannot be.
 */
export function rateLimit(options: RateLimitOptions): RequestHandler {
  checkOptions('rateLimit', options, KNOWN, HINTS)
  const { key = addressOf, cost = 1, skip, handler, ...limits } = options
  if (typeof cost === 'number' && !(Number.isSafeInteger(cost) && cost >= 1)) {
    throw new MemcacheOptionError(`cost must be a whole number over 0, got ${cost}`)
  }
  const limiter = rateLimiter(limits)
  const policy = policyHeader(limiter.name, limiter.windows)
  const limit = async (request: Request, response: Response, next: NextFunction): Promise<void> => {
    if (skip !== undefined && (await skip(request))) return next()
    const id: unknown = await key(request)
    if (typeof id !== 'string') throw new MemcacheOptionError(noString(limiter.name, id))
    const result = await limiter.consume(id, {
      cost: typeof cost === 'function' ? await cost(request) : cost,
    })
    request.rateLimit = result
    response.append('RateLimit-Policy', policy)
    response.append('RateLimit', limitHeader(limiter.name, limiter.windows, result))
    if (result.allowed) return next()
    response.set('Retry-After', String(Math.max(1, Math.ceil(result.retryAfterMs / 1000))))
    if (handler === undefined) deny(response, limiter, result)
    else await handler(request, response, next)
  }
  // Express 4 does not look at a promise that middleware returns.
  return (request, response, next) => {
    limit(request, response, next).catch(next)
  }
}

function deny(response: Response, limiter: RateLimiter, result: RateLimitResult): void {
  const { name, windows } = limiter
  const seconds = Math.max(1, Math.ceil(result.retryAfterMs / 1000))
  response
    .status(429)
    .type('application/problem+json')
    .send(
      JSON.stringify({
        type: QUOTA_EXCEEDED,
        title: 'Too Many Requests',
        status: 429,
        detail: `The limit of ${result.limit} is used up. Try again in ${seconds} seconds.`,
        'violated-policies': [policyName(name, tightest(windows, result), windows)],
      }),
    )
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
