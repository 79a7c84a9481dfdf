import type { ServerResponse } from 'node:http'
import type { ExecutionContext } from '@nestjs/common'
import { MemcacheOptionError } from 'memcache-ts'
import {
  CountedCall,
  ipKey,
  isBackgroundRequest,
  onResponseOver,
  quotaProblem,
  rateLimitHeaders,
  RequestLimiters,
  retryAfterSeconds,
} from 'memcache-ts/rate-limit'
import type { Memcache, RateLimiter, RateLimitResult } from 'memcache-ts'
import type { WriteRateLimitHeaders } from 'memcache-ts/rate-limit'
import { sendAsProblem } from './problem-type.ts'
import { denial } from './rate-limit-exception.ts'
import { checkRateLimitOptions } from './rate-limit-options.ts'
import type { RateLimitOptions } from './rate-limit-options.ts'
import { callOf } from './requester.ts'
import type { Call, Requester } from './requester.ts'

/** A limiter with the writer of its headers. */
interface Limiting {
  readonly limiter: RateLimiter
  readonly writeHeaders: WriteRateLimitHeaders
}

type Limiters = RequestLimiters<Limiting, [Requester, ExecutionContext]>

/** One limit, as it is applied to what Nest's guards see. */
export class RateLimitPolicy {
  readonly #options: RateLimitOptions
  readonly #limiters: Limiters

  /** @param name of its counters, where the options have none. */
  constructor(options: RateLimitOptions, name: string, cache: Memcache | undefined) {
    this.#options = options
    this.#limiters = limitersOf(options, name, cache)
  }

  /**
   * Says what is wrong with options where they are written.
   * @throws MemcacheOptionError if an option is unknown or invalid.
   */
  static check(owner: string, options: RateLimitOptions): void {
    checkRateLimitOptions(owner, options)
    limitersOf(options, owner, undefined)
  }

  /** Counts a call; throws what the context answers a denied one with. Steps aside where nobody can be counted. */
  async admit(context: ExecutionContext): Promise<void> {
    const { skip, cost = 1 } = this.#options
    const call = callOf(context)
    if (call === undefined || isBackground(call) || (await skip?.(call.request, context)) === true) return
    const limiting = this.#limiters.only ?? (await this.#limiters.for(call.request, context))
    if (limiting === undefined) return
    const { limiter, writeHeaders } = limiting
    const id = await this.#idOf(limiter, call, context)
    if (id === undefined) return
    const amount = typeof cost === 'function' ? await cost(call.request, context) : cost
    // Only a route is called once a request: resolvers share it, and messages may share their data.
    const countedBy = context.getType() === 'http' ? call.request : {}
    const counted = await CountedCall.consume(countedBy, limiter, id, amount)
    const { result } = counted
    if (call.headers !== undefined) writeHeaders(call.headers, result, id)
    if (!result.allowed) throw await this.#denied(limiter, call, context, result)
    if (call.response !== undefined) this.#giveBackLater(call.request, call.response, counted)
  }

  /** Gives a request back once its answer says that it is not to count. */
  #giveBackLater(request: Requester, response: ServerResponse, counted: CountedCall): void {
    const { skipSuccessfulRequests = false, skipFailedRequests = false, requestWasSuccessful } = this.#options
    if (!skipSuccessfulRequests && !skipFailedRequests) return
    onResponseOver(response, (isWhole) => {
      void (async () => {
        const isSuccess = isWhole && ((await requestWasSuccessful?.(request, response)) ?? response.statusCode < 400)
        if (isSuccess ? skipSuccessfulRequests : skipFailedRequests) counted.giveBack()
      })().catch((error: unknown) =>
        process.emitWarning(`requestWasSuccessful of a rate limit threw: ${String(error)}`),
      )
    })
  }

  async #denied(limiter: RateLimiter, call: Call, context: ExecutionContext, result: RateLimitResult): Promise<Error> {
    const seconds = retryAfterSeconds(result)
    if (seconds < Infinity) call.headers?.setHeader('Retry-After', String(seconds))
    // A resolver's denial is one error among the answers of a query.
    if (context.getType() === 'http') sendAsProblem(context.switchToHttp().getResponse())
    return denial(context, quotaProblem(limiter, result), result)
  }

  async #idOf(limiter: RateLimiter, call: Call, context: ExecutionContext): Promise<string | undefined> {
    const { key = 'ip' } = this.#options
    const id: unknown = typeof key === 'function' ? await key(call.request, context) : undefined
    if (typeof id === 'string') return id
    if (id !== undefined) {
      throw new MemcacheOptionError(
        `the key of the rate limit '${limiter.name}' must be a string, or undefined for the address, got ${id === null ? 'null' : typeof id}`,
      )
    }
    const user = key === 'user' ? nameOf(call.user) : undefined
    if (user !== undefined) return `user:${user}`
    if (call.address !== undefined) return ipKey(call.address, this.#options.ipv6Subnet)
    if (context.getType() !== 'http') return undefined
    throw new MemcacheOptionError('a request has no address to count it by: give the rate limit key: (request) => …')
  }
}

function limitersOf(options: RateLimitOptions, name: string, cache: Memcache | undefined): Limiters {
  const {
    key: _key,
    ipv6Subnet: _ipv6Subnet,
    cost: _cost,
    skip: _skip,
    skipSuccessfulRequests: _skipSuccessful,
    skipFailedRequests: _skipFailed,
    requestWasSuccessful: _requestWasSuccessful,
    headers = 'draft-10',
    quotaUnit,
    partitionKey,
    ...limits
  } = options
  return new RequestLimiters({ name, ...limits, cache }, (limiter) => ({
    limiter,
    writeHeaders: rateLimitHeaders(headers, limiter, { quotaUnit, partitionKey }),
  }))
}

/** A request that a response cache makes in the background is no client's. */
function isBackground({ request }: Call): boolean {
  return typeof request === 'object' && request !== null && isBackgroundRequest(request)
}

/** Whom a guard has found out, by what Passport and Nest's guides call it. */
function nameOf(user: unknown): string | number | undefined {
  if (typeof user !== 'object' || user === null) return undefined
  const { id, sub, userId } = user as { id?: string | number; sub?: string; userId?: string | number }
  return id ?? sub ?? userId
}
