import type { ServerResponse } from 'node:http'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import { addListener } from '../extra-listener.ts'
import { isBackgroundRequest } from '../background-request.ts'
import { CountedCall } from './counted-call.ts'
import { rateLimitHeaders, retryAfterSeconds } from './rate-limit-headers.ts'
import type { HeaderTarget, WriteRateLimitHeaders } from './rate-limit-headers.ts'
import { WindowResult } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import type { RateLimiter } from './rate-limiter.ts'
import { RequestLimiters } from './request-limiters.ts'
import { limiterOptionsOf } from './request-rate-limit-options.ts'
import type { RequestRateLimitOptions } from './request-rate-limit-options.ts'

/** The requests and responses of a web framework, as a rate limit uses them. */
export interface RateLimitFramework<Request, Response> {
  /**
   * Returns the key of a request by its address; `undefined` if the request has no address and is not counted.
   *
   * @throws MemcacheOptionError if a request needs an address and has none.
   */
  addressKey(request: Request, ipv6Subnet: number | undefined, response: Response): string | undefined
  /** Returns the target of headers; `undefined` once the head has been sent. */
  headersOf(response: Response): HeaderTarget | undefined
  /**
   * Returns the response of `node:http` or `node:http2` under the framework's; `undefined` if its status does not
   * describe one call.
   */
  nodeResponseOf(response: Response): ServerResponse | undefined
  /**
   * Returns the object that several limits of one call share. Default: the request, which then also has the result, as
   * `rateLimit`.
   */
  callOf?(request: Request, response: Response): object
  /** Returns the key of a request in place of the option `key`; `undefined` for its address. */
  keyOf?(request: Request, response: Response): string | undefined | Promise<string | undefined>
}

/** A request over its limit. Its headers are written; the framework sends the response. */
export interface DeniedRequest {
  readonly limiter: RateLimiter
  readonly result: RateLimitResult
}

/** A limiter with the writer of its headers. */
interface Limiting {
  readonly limiter: RateLimiter
  readonly writeHeaders: WriteRateLimitHeaders
}

/** A request, with the result of the last limit that counted it. */
interface LimitedRequest {
  rateLimit?: RateLimitResult
}

/** One `rateLimit` of a web framework: counts requests, writes the headers of their responses, gives requests back. */
export class RequestRateLimit<Request extends object, Response extends object> {
  readonly #framework: RateLimitFramework<Request, Response>
  readonly #options: RequestRateLimitOptions<Request, Response>
  readonly #limiters: RequestLimiters<Limiting, [Request, Response]>
  readonly #fixedCost: number | undefined
  readonly #givesBack: boolean

  /**
   * @param options as checked by `checkRequestRateLimit` or the framework.
   * @throws MemcacheOptionError if a limit is invalid.
   */
  constructor(options: RequestRateLimitOptions<Request, Response>, framework: RateLimitFramework<Request, Response>) {
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
   *
   * @throws MemcacheOptionError if the limits depend on the request.
   */
  get limiter(): RateLimiter {
    if (this.#limiters.only !== undefined) return this.#limiters.only.limiter
    throw new MemcacheOptionError(
      `the limits of rateLimit '${this.#options.name ?? 'default'}' depend on the request: use limiterFor(request, response)`,
    )
  }

  /** Returns the limiter of a request; `undefined` if nothing limits it. */
  async limiterFor(request: Request, response: Response): Promise<RateLimiter | undefined> {
    return (await this.#limiters.for(request, response))?.limiter
  }

  /**
   * Counts a request and writes the headers of its response; `undefined` if it may pass.
   *
   * @throws MemcacheOptionError if a function of the options returns an invalid value.
   */
  async admit(request: Request, response: Response): Promise<DeniedRequest | undefined> {
    const { skip, key } = this.#options
    const { only } = this.#limiters
    if (isBackground(request)) {
      const limiting = only ?? (await this.#limiters.for(request, response))
      if (limiting !== undefined) this.#setResult(request, WindowResult.unlimited(limiting.limiter.windows))
      return undefined
    }
    if (skip !== undefined && (await skip(request, response))) return undefined
    const limiting = only ?? (await this.#limiters.for(request, response))
    if (limiting === undefined) return undefined
    const { limiter, writeHeaders } = limiting
    const given = key === undefined ? this.#framework.keyOf?.(request, response) : key(request)
    let id = typeof given === 'object' ? await given : given
    if (id === undefined && key === undefined) {
      id = this.#framework.addressKey(request, this.#options.ipv6Subnet, response)
      if (id === undefined) return undefined
    }
    if (typeof id !== 'string') throw new MemcacheOptionError(this.#noString(limiter.name, id))
    const cost = this.#fixedCost ?? (await this.#costOf(request, response))
    const call = this.#framework.callOf?.(request, response) ?? request
    const counted = await CountedCall.consume(call, limiter, { id, cost })
    const { result } = counted
    this.#setResult(request, result)
    const headers = this.#framework.headersOf(response)
    if (headers !== undefined) writeHeaders(headers, result, id)
    if (result.allowed) {
      if (this.#givesBack) this.#giveBackLater(request, response, counted)
      return undefined
    }
    const seconds = retryAfterSeconds(result)
    if (seconds < Infinity) headers?.setHeader('Retry-After', String(seconds))
    return { limiter, result }
  }

  #setResult(request: LimitedRequest, result: RateLimitResult): void {
    if (this.#framework.callOf === undefined) request.rateLimit = result
  }

  async #costOf(request: Request, response: Response): Promise<number> {
    return (this.#options.cost as (request: Request, response: Response) => number | Promise<number>)(request, response)
  }

  #giveBackLater(request: Request, response: Response, call: CountedCall): void {
    const nodeResponse = this.#framework.nodeResponseOf(response)
    if (nodeResponse === undefined) return
    const { skipSuccessfulRequests, skipFailedRequests, requestWasSuccessful } = this.#options
    onResponseOver(nodeResponse, (isWhole) => {
      void (async () => {
        const isSuccess =
          isWhole && ((await requestWasSuccessful?.(request, response)) ?? nodeResponse.statusCode < 400)
        if (isSuccess ? skipSuccessfulRequests : skipFailedRequests) call.giveBack()
      })().catch((error: unknown) =>
        process.emitWarning(
          `requestWasSuccessful of a rate limit threw, so its request stays counted: ${String(error)}`,
        ),
      )
    })
  }

  #noString(name: string, id: unknown): string {
    const got = `got ${id === null ? 'null' : typeof id}`
    return this.#options.key === undefined
      ? `the key of the rate limit '${name}' must be a string, or undefined for the address, ${got}`
      : `the key of the rate limit '${name}' must be a string, ${got}: return one for every request, such as key: (request) => request.user?.id ?? 'anonymous'`
  }
}

/**
 * Returns whether a response cache makes the request in the background, for no client. A message may be a primitive
 * value.
 */
function isBackground(request: unknown): boolean {
  return typeof request === 'object' && request !== null && isBackgroundRequest(request)
}

/** The properties of an HTTP/2 response that are read, since its `writableFinished` is true however it ended. */
interface Http2Response {
  readonly stream?: { readonly rstCode?: number | undefined; readonly closed?: boolean } | undefined
}

/** Calls back when a response has ended, with whether the client received all of it. */
function onResponseOver(response: ServerResponse & Http2Response, callback: (isWhole: boolean) => void): void {
  // If the response has already ended, there is no event.
  if (isOver(response)) return callback(isWhole(response))
  let isSettled = false
  const settle = (how: 'whole' | 'cut'): void => {
    if (isSettled) return
    isSettled = true
    callback(how === 'whole')
  }
  addListener(response, 'close', () => settle(isWhole(response) ? 'whole' : 'cut'))
  // Uses the event, because the responses that Fastify injects in tests set `writableFinished` too late.
  if (response.stream === undefined) addListener(response, 'finish', () => settle('whole'))
}

function isOver(response: ServerResponse & Http2Response): boolean {
  return response.destroyed || response.closed || response.stream?.closed === true
}

function isWhole({ writableEnded, writableFinished, stream }: ServerResponse & Http2Response): boolean {
  return writableEnded && writableFinished && (stream?.rstCode ?? 0) === 0
}
