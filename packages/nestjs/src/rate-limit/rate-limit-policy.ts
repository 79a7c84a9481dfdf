import type { ExecutionContext } from '@nestjs/common'
import { MemcacheOptionError } from 'memcache-ts'
import type { Memcache } from 'memcache-ts'
import { ipKey, quotaProblem, RequestRateLimit } from 'memcache-ts/rate-limit'
import type { RateLimitFramework, RequestRateLimitOptions } from 'memcache-ts/rate-limit'
import { denial, sendAsProblem } from './rate-limit-exception.ts'
import { checkRateLimitOptions } from './rate-limit-options.ts'
import type { RateLimitOptions } from './rate-limit-options.ts'
import { callOf } from './requester.ts'
import type { Call, Requester } from './requester.ts'

/** The calls of Nest's guards, as the kit limits them. */
const NEST: RateLimitFramework<Requester, Call> = {
  addressKey(_request, ipv6Subnet, { address, context }) {
    if (address !== undefined) return ipKey(address, ipv6Subnet)
    // Messages have no address; they are limited by a `key`.
    if (context.getType() !== 'http') return undefined
    throw new MemcacheOptionError('a request has no address to count it by: give the rate limit key: (request) => …')
  },
  headersOf: ({ headers }) => headers,
  nodeResponseOf: ({ response }) => response,
  // Only a route is called once per request: resolvers share a request, and messages may share their data.
  callOf: (request, { context }) => (context.getType() === 'http' ? request : {}),
}

/** One limit for the calls of Nest's guards. */
export class RateLimitPolicy {
  readonly #limit: RequestRateLimit<Requester, Call>

  /** @param name the name of its counters, if the options have none. */
  constructor(options: RateLimitOptions, name: string, cache: Memcache | undefined) {
    this.#limit = new RequestRateLimit({ name, ...forCalls(options), cache }, { ...NEST, keyOf: keyOf(options.key) })
  }

  /**
   * Checks options when they are written.
   *
   * @throws MemcacheOptionError if an option is unknown or invalid.
   */
  static check(owner: string, options: RateLimitOptions): void {
    checkRateLimitOptions(owner, options)
    void new RateLimitPolicy(options, owner, undefined)
  }

  /**
   * Counts a call, unless it has no key.
   *
   * @throws RateLimitException if the call is denied, or the exception that the filter of its context expects.
   */
  async admit(context: ExecutionContext): Promise<void> {
    const call = callOf(context)
    if (call === undefined) return
    const denied = await this.#limit.admit(call.request, call)
    if (denied === undefined) return
    // The denial of a resolver is an error among the results of a query.
    if (context.getType() === 'http') sendAsProblem(context.switchToHttp().getResponse())
    const { limiter, result } = denied
    throw await denial(context, quotaProblem(limiter, result), result)
  }
}

type CallOptions = RequestRateLimitOptions<Requester, Call>
type AnyFunction = (request: Requester, second: unknown) => unknown

/** Returns the options with functions of calls; the application's functions get the context, or Node's response. */
function forCalls({ key: _key, cache: _cache, ...options }: RateLimitOptions): CallOptions {
  const forCall: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(options)) {
    if (typeof value !== 'function') forCall[name] = value
    else if (name === 'requestWasSuccessful') {
      forCall[name] = (request: Requester, { response }: Call) => (value as AnyFunction)(request, response)
    } else forCall[name] = (request: Requester, { context }: Call) => (value as AnyFunction)(request, context)
  }
  return forCall
}

/** Returns the option `key` as a function of calls. */
function keyOf(key: RateLimitOptions['key']): NonNullable<RateLimitFramework<Requester, Call>['keyOf']> {
  if (typeof key === 'function') return (request, { context }) => key(request, context)
  return key === 'user' ? userKey : () => undefined
}

/**
 * Returns the key of the user that a guard has set, by the property names of Passport and Nest's guides; `undefined` if
 * there is none.
 */
function userKey(_request: Requester, { user }: Call): string | undefined {
  if (typeof user !== 'object' || user === null) return undefined
  const { id, sub, userId } = user as { id?: string | number; sub?: string; userId?: string | number }
  const name = id ?? sub ?? userId
  return name === undefined ? undefined : `user:${name}`
}
