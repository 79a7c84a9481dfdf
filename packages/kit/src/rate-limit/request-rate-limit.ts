import type { ServerResponse } from 'node:http'
import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import { isBackgroundRequest } from '../background-request.ts'
import { CountedCall } from './counted-call.ts'
import { checkIpv6Subnet } from './ip-key.ts'
import { rateLimitHeaders, retryAfterSeconds } from './rate-limit-headers.ts'
import type { HeaderTarget, QuotaUnit, RateLimitHeaderFormat, WriteRateLimitHeaders } from './rate-limit-headers.ts'
import { WindowResult } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import type { RateLimiter } from './rate-limiter.ts'
import { RATE_LIMITER_HINTS, RATE_LIMITER_OPTIONS } from './rate-limiter-options.ts'
import { RequestLimiters } from './request-limiters.ts'
import type { RequestLimiterOptions } from './request-limiters.ts'
import { onResponseOver } from './response-outcome.ts'

/** Options of a `rateLimit` that web frameworks share; its limits and times may be functions of the request. */
export interface RequestRateLimitOptions<Request, Response> extends RequestLimiterOptions<[Request, Response]> {
  /** Whom a request counts for. Default: its address, IPv6 by its /56. */
  key?: ((request: Request) => string | Promise<string>) | undefined
  /** How many bits of an IPv6 address are one client, with the default `key`. Default 56. */
  ipv6Subnet?: number | undefined
  /** How much a request counts; 0 is not counted, and told what is left. Default 1. */
  cost?: number | ((request: Request, response: Response) => number | Promise<number>) | undefined
  /** Requests that do not count. */
  skip?: ((request: Request, response: Response) => boolean | Promise<boolean>) | undefined
  /** Gives a request back once it was successful, so that failures alone count. Default false. */
  skipSuccessfulRequests?: boolean | undefined
  /** Gives a request back once it has failed. Default false. */
  skipFailedRequests?: boolean | undefined
  /** Whether a request that was answered was successful; one whose client left early never is. Default: a status below 400. */
  requestWasSuccessful?: ((request: Request, response: Response) => boolean | Promise<boolean>) | undefined
  /** How responses tell of the limit; `false` for not at all. Default `draft-10`. */
  headers?: RateLimitHeaderFormat | false | undefined
  /** With `draft-10`: what is counted. Default `requests`. */
  quotaUnit?: QuotaUnit | undefined
  /** With `draft-10`: tell clients by a hash of the key which of them are counted together. Default false. */
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

/** What other libraries call these options. */
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

/** An answer to denied requests, which frameworks have in forms of their own. */
const HANDLER = 'handler'

/** What a web framework's requests and responses are to a rate limit. */
export interface RateLimitFramework<Request, Response> {
  /** The key of a request by its address. @throws MemcacheOptionError if it has none. */
  addressKey(request: Request, ipv6Subnet: number | undefined): string
  /** Where headers can be written; `undefined` once the head has been sent. */
  headersOf(response: Response): HeaderTarget | undefined
  /** The response of `node:http` or `node:http2` under the framework's. */
  nodeResponseOf(response: Response): ServerResponse
}

/** A request that is over its limit. Its headers are written; the framework answers it. */
export interface DeniedRequest {
  readonly limiter: RateLimiter
  readonly result: RateLimitResult
}

/** A limiter with the writer of its headers. */
interface Limiting {
  readonly limiter: RateLimiter
  readonly writeHeaders: WriteRateLimitHeaders
}

/** One `rateLimit` of a web framework: counts requests, writes the headers of their responses, gives requests back. */
export class RequestRateLimit<Request extends object, Response extends object> {
  readonly #framework: RateLimitFramework<Request, Response>
  readonly #options: RequestRateLimitOptions<Request, Response>
  readonly #limiters: RequestLimiters<Limiting, [Request, Response]>
  readonly #fixedCost: number | undefined
  readonly #givesBack: boolean

  /**
   * @param options may have a `handler` besides, which is the framework's.
   * @throws MemcacheOptionError if an option is unknown or invalid.
   */
  constructor(options: RequestRateLimitOptions<Request, Response>, framework: RateLimitFramework<Request, Response>) {
    checkOptions('rateLimit', options, [...REQUEST_RATE_LIMIT_OPTIONS, HANDLER], HINTS)
    checkValues(options)
    const {
      headers = 'draft-10',
      quotaUnit,
      partitionKey,
      cost = 1,
      skipSuccessfulRequests,
      skipFailedRequests,
    } = options
    this.#framework = framework
    this.#options = options
    this.#limiters = new RequestLimiters(limiterOptionsOf(options), (limiter) => ({
      limiter,
      writeHeaders: rateLimitHeaders(headers, limiter, { quotaUnit, partitionKey }),
    }))
    this.#fixedCost = typeof cost === 'number' ? cost : undefined
    this.#givesBack = skipSuccessfulRequests === true || skipFailedRequests === true
  }

  /**
   * The limiter of all requests.
   * @throws MemcacheOptionError if the limits depend on the request.
   */
  get limiter(): RateLimiter {
    if (this.#limiters.only !== undefined) return this.#limiters.only.limiter
    throw new MemcacheOptionError(
      `the limits of rateLimit '${this.#options.name ?? 'default'}' depend on the request: use limiterFor(request, response)`,
    )
  }

  /** The limiter of a request; `undefined` if nothing limits it. */
  async limiterFor(request: Request, response: Response): Promise<RateLimiter | undefined> {
    return (await this.#limiters.for(request, response))?.limiter
  }

  /**
   * Counts a request and writes the headers of its response; `undefined` if it may pass.
   * @throws MemcacheOptionError if a function of the options returns an invalid value.
   */
  async admit(
    request: Request & { rateLimit?: RateLimitResult },
    response: Response,
  ): Promise<DeniedRequest | undefined> {
    const { skip, key } = this.#options
    const { only } = this.#limiters
    if (isBackgroundRequest(request)) {
      const limiting = only ?? (await this.#limiters.for(request, response))
      if (limiting !== undefined) request.rateLimit = WindowResult.unlimited(limiting.limiter.windows)
      return undefined
    }
    if (skip !== undefined && (await skip(request, response))) return undefined
    const limiting = only ?? (await this.#limiters.for(request, response))
    if (limiting === undefined) return undefined
    const { limiter, writeHeaders } = limiting
    const given: unknown =
      key === undefined ? this.#framework.addressKey(request, this.#options.ipv6Subnet) : key(request)
    const id = typeof given === 'string' ? given : await given
    if (typeof id !== 'string') throw new MemcacheOptionError(noString(limiter.name, id))
    const cost = this.#fixedCost ?? (await this.#costOf(request, response))
    const call = await CountedCall.consume(request, limiter, id, cost)
    const { result } = call
    request.rateLimit = result
    const headers = this.#framework.headersOf(response)
    if (headers !== undefined) writeHeaders(headers, result, id)
    if (result.allowed) {
      if (this.#givesBack) this.#giveBackLater(request, response, call)
      return undefined
    }
    const seconds = retryAfterSeconds(result)
    if (seconds < Infinity) headers?.setHeader('Retry-After', String(seconds))
    return { limiter, result }
  }

  async #costOf(request: Request, response: Response): Promise<number> {
    return (this.#options.cost as (request: Request, response: Response) => number | Promise<number>)(request, response)
  }

  #giveBackLater(request: Request, response: Response, call: CountedCall): void {
    const nodeResponse = this.#framework.nodeResponseOf(response)
    const { skipSuccessfulRequests, skipFailedRequests, requestWasSuccessful } = this.#options
    onResponseOver(nodeResponse, (isWhole) => {
      void (async () => {
        const isSuccess =
          isWhole && ((await requestWasSuccessful?.(request, response)) ?? nodeResponse.statusCode < 400)
        if (isSuccess ? skipSuccessfulRequests : skipFailedRequests) call.giveBack()
      })().catch((error: unknown) =>
        process.emitWarning(`requestWasSuccessful of a rate limit threw: ${String(error)}`),
      )
    })
  }
}

/** What is left for the limiter itself. */
function limiterOptionsOf<Request, Response>(
  options: RequestRateLimitOptions<Request, Response>,
): RequestLimiterOptions<[Request, Response]> {
  const limiterOptions: Record<string, unknown> = {}
  for (const name of RATE_LIMITER_OPTIONS) if (Object.hasOwn(options, name)) limiterOptions[name] = options[name]
  return limiterOptions
}

/** @throws MemcacheOptionError if the value of an option is invalid. */
function checkValues(options: RequestRateLimitOptions<never, never>): void {
  const { cost, ipv6Subnet } = options
  if (cost !== undefined && typeof cost !== 'function' && !(Number.isSafeInteger(cost) && cost >= 0)) {
    throw new MemcacheOptionError(`cost must be a whole number from 0 on, or a function of the request, got ${cost}`)
  }
  for (const name of ['key', 'skip', HANDLER, 'requestWasSuccessful'] as const) {
    const given: unknown = (options as { [HANDLER]?: unknown } & typeof options)[name]
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
