import { HttpException } from '@nestjs/common'
import type { ExecutionContext } from '@nestjs/common'
import { MemcacheOptionError } from 'memcache-ts'
import type { Memcache, RateLimitResult } from 'memcache-ts'
import { ipKey, PROBLEM_JSON, quotaProblem, RequestRateLimit } from 'memcache-ts/rate-limit'
import type { QuotaProblem, RateLimitFramework, RequestRateLimitOptions } from 'memcache-ts/rate-limit'
import type { ServerResponse } from 'node:http'
import { checkRateLimitOptions } from './rate-limit-options.ts'
import type { RateLimitOptions } from './rate-limit-options.ts'
import { callOf } from './limited-call.ts'
import type { Call, LimitedRequest } from './limited-call.ts'

/** The calls of Nest's guards, as the kit limits them. */
const NEST: RateLimitFramework<LimitedRequest, Call> = {
  addressKey(_request, ipv6Subnet, { address, context }) {
    if (address !== undefined) return ipKey(address, ipv6Subnet)
    // Messages have no address; they are limited by a `key`.
    if (context.getType() !== 'http') return undefined
    throw new MemcacheOptionError('a request has no address to count it by: write @RateLimit({ key: (request) => … })')
  },
  headersOf: ({ headers }) => headers,
  nodeResponseOf: ({ response }) => response,
  // Only a route is called once per request: resolvers share a request, and messages may share their data.
  callOf: (request, { context }) => (context.getType() === 'http' ? request : {}),
}

/** One limit for the calls of Nest's guards. */
export class RateLimitPolicy {
  readonly #limit: RequestRateLimit<LimitedRequest, Call>

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

type CallOptions = RequestRateLimitOptions<LimitedRequest, Call>
type AnyFunction = (request: LimitedRequest, second: unknown) => unknown

/** Returns the options with functions of calls; the application's functions get the context, or Node's response. */
function forCalls({ key: _key, cache: _cache, ...options }: RateLimitOptions): CallOptions {
  const forCall: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(options)) {
    if (typeof value !== 'function') forCall[name] = value
    else if (name === 'requestWasSuccessful') {
      forCall[name] = (request: LimitedRequest, { response }: Call) => (value as AnyFunction)(request, response)
    } else forCall[name] = (request: LimitedRequest, { context }: Call) => (value as AnyFunction)(request, context)
  }
  return forCall
}

/** Returns the option `key` as a function of calls. */
function keyOf(key: RateLimitOptions['key']): NonNullable<RateLimitFramework<LimitedRequest, Call>['keyOf']> {
  if (typeof key === 'function') return (request, { context }) => key(request, context)
  return key === 'user' ? userKey : () => undefined
}

/**
 * Returns the key of the user that a guard has set, by the property names of Passport and Nest's guides; `undefined` if
 * there is none.
 */
function userKey(_request: LimitedRequest, { user }: Call): string | undefined {
  if (typeof user !== 'object' || user === null) return undefined
  const { id, sub, userId } = user as { id?: string | number; sub?: string; userId?: string | number }
  const name = id ?? sub ?? userId
  return name === undefined ? undefined : `user:${name}`
}

/** A request that a rate limit denied: 429 with a problem document (RFC 9457). */
export class RateLimitException extends HttpException {
  /** The result of the limiter. */
  readonly result: RateLimitResult

  constructor(problem: QuotaProblem, result: RateLimitResult) {
    super({ ...problem }, problem.status)
    this.message = problem.detail
    this.result = result
  }
}

/** Returns the exception that the filter of the context can handle. */
async function denial(context: ExecutionContext, problem: QuotaProblem, result: RateLimitResult): Promise<Error> {
  switch (context.getType()) {
    case 'ws': {
      const { WsException } = await import('@nestjs/websockets')
      return new WsException({ ...problem })
    }
    case 'rpc': {
      const { RpcException } = await import('@nestjs/microservices')
      return new RpcException({ ...problem })
    }
    default:
      return new RateLimitException(problem, result)
  }
}

/** The parts of Express's response, which is Node's, and of Fastify's reply that are used here. */
type AnyResponse =
  | Pick<ServerResponse, 'getHeader' | 'setHeader' | 'writeHead'>
  | { header(name: string, value: string): unknown }

/**
 * Makes the JSON of an error be sent as a problem document. On Express, the type is set when the head is written: if it
 * is set earlier, Nest 11 considers it a mistake, warns, and sets `application/json`. A type that a filter of the
 * application sets is kept.
 */
function sendAsProblem(response: AnyResponse): void {
  if ('header' in response && !('writeHead' in response)) {
    response.header('Content-Type', PROBLEM_JSON)
    return
  }
  const raw = response as ServerResponse
  const writeHead = raw.writeHead.bind(raw)
  raw.writeHead = ((...args: Parameters<typeof writeHead>) => {
    if (!raw.headersSent && String(raw.getHeader('Content-Type')).startsWith('application/json')) {
      raw.setHeader('Content-Type', PROBLEM_JSON)
    }
    return writeHead(...args)
  }) as typeof writeHead
}
