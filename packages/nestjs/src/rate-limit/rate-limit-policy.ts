import type { ServerResponse } from 'node:http'
import type { ExecutionContext } from '@nestjs/common'
import { ipKey, MemcacheOptionError, quotaProblem, rateLimiter, rateLimitHeaders, retryAfterSeconds } from 'memcache-ts'
import type { Memcache, RateLimiter, RateLimitResult, WriteRateLimitHeaders } from 'memcache-ts'
import { sendAsProblem } from './problem-type.ts'
import { denial } from './rate-limit-exception.ts'
import { checkRateLimitOptions } from './rate-limit-options.ts'
import type { RateLimitOptions } from './rate-limit-options.ts'
import { callOf } from './requester.ts'
import type { Call } from './requester.ts'

/** One limit, as it is applied to what Nest's guards see. */
export class RateLimitPolicy {
  readonly #options: RateLimitOptions
  readonly #limiter: RateLimiter
  readonly #writeHeaders: WriteRateLimitHeaders

  /** @param name of its counters, where the options have none. */
  constructor(options: RateLimitOptions, name: string, cache: Memcache | undefined) {
    this.#options = options
    this.#limiter = limiterOf(options, name, cache)
    this.#writeHeaders = rateLimitHeaders(options.headers ?? 'draft-10', this.#limiter)
  }

  /**
   * Says what is wrong with options where they are written.
   * @throws MemcacheOptionError for an option that there is not, or a limit that cannot be.
   */
  static check(owner: string, options: RateLimitOptions): void {
    checkRateLimitOptions(owner, options)
    rateLimitHeaders(options.headers ?? 'draft-10', limiterOf(options, owner, undefined))
  }

  /** Counts a call; throws what the context answers a denied one with. Steps aside where nobody can be counted. */
  async admit(context: ExecutionContext): Promise<void> {
    const { skip, cost = 1 } = this.#options
    const call = callOf(context)
    if (call === undefined || (await skip?.(call.request, context)) === true) return
    const id = await this.#idOf(call, context)
    if (id === undefined) return
    const amount = typeof cost === 'function' ? await cost(call.request, context) : cost
    const atMs = this.#limiter.nowMs()
    const result = await this.#limiter.consume(id, { cost: amount })
    if (call.headers !== undefined) this.#writeHeaders(call.headers, result)
    if (!result.allowed) throw await this.#denied(call, context, result)
    if (call.response !== undefined) this.#giveBackLater(call.response, id, amount, atMs)
  }

  /** Gives a request back once its answer says that it is not to count. */
  #giveBackLater(response: ServerResponse, id: string, amount: number, atMs: number): void {
    const { skipSuccessfulRequests = false, skipFailedRequests = false } = this.#options
    if (!skipSuccessfulRequests && !skipFailedRequests) return
    response.once('close', () => {
      const succeeded = response.writableFinished && response.statusCode < 400
      if (succeeded ? skipSuccessfulRequests : skipFailedRequests) void this.#limiter.reward(id, amount, atMs)
    })
  }

  async #denied(call: Call, context: ExecutionContext, result: RateLimitResult): Promise<Error> {
    call.headers?.setHeader('Retry-After', String(retryAfterSeconds(result)))
    // A resolver's denial is one error among the answers of a query.
    if (context.getType() === 'http') sendAsProblem(context.switchToHttp().getResponse())
    return denial(context, quotaProblem(this.#limiter, result), result)
  }

  async #idOf(call: Call, context: ExecutionContext): Promise<string | undefined> {
    const { key = 'ip' } = this.#options
    const id: unknown = typeof key === 'function' ? await key(call.request, context) : undefined
    if (typeof id === 'string') return id
    if (id !== undefined) {
      throw new MemcacheOptionError(
        `the key of the rate limit '${this.#limiter.name}' must be a string, or undefined for the address, got ${id === null ? 'null' : typeof id}`,
      )
    }
    const user = key === 'user' ? nameOf(call.user) : undefined
    if (user !== undefined) return `user:${user}`
    if (call.address !== undefined) return ipKey(call.address)
    if (context.getType() !== 'http') return undefined
    throw new MemcacheOptionError('a request has no address to count it by: give the rate limit key: (request) => …')
  }
}

function limiterOf(options: RateLimitOptions, name: string, cache: Memcache | undefined): RateLimiter {
  const {
    key: _,
    cost: _a,
    skip: _b,
    headers: _c,
    skipSuccessfulRequests: _d,
    skipFailedRequests: _e,
    ...limits
  } = options
  return rateLimiter({ name, ...limits, cache })
}

/** Whom a guard has found out, by what Passport and Nest's guides call it. */
function nameOf(user: unknown): string | number | undefined {
  if (typeof user !== 'object' || user === null) return undefined
  const { id, sub, userId } = user as { id?: string | number; sub?: string; userId?: string | number }
  return id ?? sub ?? userId
}
