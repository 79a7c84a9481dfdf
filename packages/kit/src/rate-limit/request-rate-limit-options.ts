import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import { describeValue, requireOptions } from '../option-types.ts'
import { checkIpv6Subnet } from './ip-key.ts'
import type { QuotaUnit, RateLimitHeaderFormat } from './rate-limit-headers.ts'
import { RATE_LIMITER_HINTS, RATE_LIMITER_OPTIONS } from './rate-limiter-options.ts'
import type { RequestLimiterOptions } from './request-limiters.ts'

/** Options of a `rateLimit` that web frameworks share; its limits and times may be functions of the request. */
export interface RequestRateLimitOptions<Request, Response> extends RequestLimiterOptions<[Request, Response]> {
  /** Returns the key that a request counts for. Default: its address, for IPv6 the /56 network. */
  key?: ((request: Request) => string | Promise<string>) | undefined
  /** How many bits of an IPv6 address identify a client, with the default `key`. Default 56. */
  ipv6Subnet?: number | undefined
  /** How many units a request counts. With 0 it is not counted, and its response shows what is left. Default 1. */
  cost?: number | ((request: Request, response: Response) => number | Promise<number>) | undefined
  /** Returns whether a request is not counted. */
  skip?: ((request: Request, response: Response) => boolean | Promise<boolean>) | undefined
  /** Whether successful requests are given back when their response ends, so that only failures count. Default false. */
  skipSuccessfulRequests?: boolean | undefined
  /** Whether failed requests are given back when their response ends. Default false. */
  skipFailedRequests?: boolean | undefined
  /**
   * Whether a completed request was successful. A request whose client disconnected early never is. Default: a status
   * below 400.
   */
  requestWasSuccessful?: ((request: Request, response: Response) => boolean | Promise<boolean>) | undefined
  /** The format of the rate limit fields in responses; `false` for none. Default `draft-10`. */
  headers?: RateLimitHeaderFormat | false | undefined
  /** With `draft-10`: what is counted. Default `requests`. */
  quotaUnit?: QuotaUnit | undefined
  /** With `draft-10`: send a hash of the key, which shows which clients are counted together. Default false. */
  partitionKey?: boolean | undefined
}

/** The names of `RequestRateLimitOptions`. */
export const REQUEST_RATE_LIMIT_OPTIONS = [
  ...RATE_LIMITER_OPTIONS,
  'key',
  'ipv6Subnet',
  'cost',
  'skip',
  'skipSuccessfulRequests',
  'skipFailedRequests',
  'requestWasSuccessful',
  'headers',
  'quotaUnit',
  'partitionKey',
] as const satisfies readonly (keyof RequestRateLimitOptions<unknown, unknown>)[]

/** The option names of other libraries, with the names in this package. */
const HINTS = {
  ...RATE_LIMITER_HINTS,
  keyGenerator: 'key',
  identifier: 'name',
  store: 'cache',
  message: 'handler',
  statusCode: 'handler',
  onLimitReached: 'handler',
  standardHeaders: 'headers',
  legacyHeaders: "headers: 'legacy'",
  draft_polli_ratelimit_headers: 'headers',
  requestPropertyName: 'request.rateLimit',
  passOnStoreError: "onCacheDown: 'open'",
  validate: 'always on',
}

/** The option for the response to denied requests, whose type depends on the framework. */
const HANDLER = 'handler'

/** The options whose values are checked in the same way for all frameworks. */
interface RequestValues {
  readonly cost?: number | Function | undefined
  readonly skip?: unknown
  readonly requestWasSuccessful?: unknown
  readonly skipSuccessfulRequests?: unknown
  readonly skipFailedRequests?: unknown
  readonly ipv6Subnet?: number | undefined
}

/**
 * Checks the options of an Express or Fastify application. The options of the limiter itself are checked when it is
 * created.
 *
 * @param options may also have a `handler`, which belongs to the framework.
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function checkRequestRateLimit<Request, Response>(options: RequestRateLimitOptions<Request, Response>): void {
  if (typeof options !== 'function') requireOptions('rateLimit', options, 'rateLimit({ perMinute: 100 })')
  checkOptions('rateLimit', options, { names: [...REQUEST_RATE_LIMIT_OPTIONS, HANDLER], hints: HINTS })
  const { key, [HANDLER]: handler } = options as { [HANDLER]?: unknown } & typeof options
  requireFunctions({ key, [HANDLER]: handler }, '')
  checkRequestValues(options)
  if (options.ipv6Subnet !== undefined && key !== undefined) {
    throw new MemcacheOptionError(
      'ipv6Subnet works only with the default key: in your own key, call ipKey(request, 64)',
    )
  }
}

/**
 * Checks the values that all frameworks share.
 *
 * @param owner the owner of the options, for the messages.
 * @throws MemcacheOptionError if a value is invalid.
 */
export function checkRequestValues(options: RequestValues, owner?: string): void {
  const label = owner === undefined ? '' : `${owner}: `
  const { cost, skip, requestWasSuccessful, skipSuccessfulRequests, skipFailedRequests, ipv6Subnet } = options
  if (cost !== undefined && typeof cost !== 'function' && !(Number.isSafeInteger(cost) && cost >= 0)) {
    throw new MemcacheOptionError(
      `${label}cost must be a whole number of at least 0, or a function of the request, got ${describeValue(cost)}`,
    )
  }
  requireFunctions({ skip, requestWasSuccessful }, label)
  for (const [name, given] of Object.entries({ skipSuccessfulRequests, skipFailedRequests })) {
    if (given !== undefined && typeof given !== 'boolean') {
      throw new MemcacheOptionError(`${label}${name} must be a boolean, got ${typeof given}`)
    }
  }
  if (ipv6Subnet !== undefined) checkIpv6Subnet(ipv6Subnet)
}

function requireFunctions(options: Record<string, unknown>, label: string): void {
  for (const [name, given] of Object.entries(options)) {
    if (given !== undefined && typeof given !== 'function') {
      throw new MemcacheOptionError(`${label}${name} must be a function of the request, got ${typeof given}`)
    }
  }
}

/** Returns the options of the limiter itself. */
export function limiterOptionsOf<Request, Response>(
  options: RequestRateLimitOptions<Request, Response>,
): RequestLimiterOptions<[Request, Response]> {
  const limiterOptions: Record<string, unknown> = {}
  for (const name of RATE_LIMITER_OPTIONS) if (Object.hasOwn(options, name)) limiterOptions[name] = options[name]
  return limiterOptions
}
