import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { RateLimitResult } from './rate-limit-result.ts'
import type { RateLimiter } from './rate-limiter.ts'

/** Shared by all copies of this package in a process. */
const COUNTED = Symbol.for('memcache-ts.counted-calls')

/** The object that keeps the counted calls of a request. */
interface CallHolder {
  [COUNTED]?: CountedCall
}

/** The id that a request is counted for, and its cost. */
interface Counting {
  readonly id: string
  readonly cost: number
}

type CallParts = Pick<CountedCall, 'limiter' | 'id' | 'cost' | 'result' | 'before'>

/** A request that a limiter has counted. */
export class CountedCall {
  readonly limiter: RateLimiter
  readonly id: string
  cost: number
  result: RateLimitResult
  /** The amounts consumed for the request: several if a limiter with a higher cost came later. */
  #parts: (readonly [cost: number, result: RateLimitResult])[]
  /** The call that another limiter has counted for the same request before. */
  readonly before: CountedCall | undefined

  private constructor({ limiter, id, cost, result, before }: CallParts) {
    this.limiter = limiter
    this.id = id
    this.cost = cost
    this.result = result
    this.#parts = [[cost, result]]
    this.before = before
  }

  /**
   * Consumes for a request. If a limiter with the same name and limits has already counted the request for the same id,
   * the request counts once, with the higher of the two costs.
   *
   * @throws MemcacheOptionError as `consume`, or if limiters with the same name share only some of their counters.
   */
  static async consume(request: object, limiter: RateLimiter, { id, cost }: Counting): Promise<CountedCall> {
    const holder = holderOf(request)
    const last = holder[COUNTED]
    if (last !== undefined) {
      const known = find(last, limiter, id)
      if (known !== undefined) {
        await known.#raiseTo(cost)
        return known
      }
    }
    const result = await limiter.consume(id, cost === 1 ? undefined : { cost })
    return (holder[COUNTED] = new CountedCall({ limiter, id, cost, result, before: last }))
  }

  /** Gives the counted cost back, once. */
  giveBack(): void {
    const parts = this.#parts
    this.#parts = []
    for (const [cost, result] of parts) void this.limiter.giveBack(this.id, cost, result)
  }

  async #raiseTo(cost: number): Promise<void> {
    if (cost <= this.cost || !this.result.allowed) return
    const rest = cost - this.cost
    const result = await this.limiter.consume(this.id, { cost: rest })
    this.#parts.push([rest, result])
    if (result.allowed) this.cost = cost
    this.result = result
  }
}

/**
 * Returns the raw headers of a request, or the request itself if it has none. Express changes the prototype of each
 * request, after which V8 takes 2 µs to add a property; the array of headers takes it at once, and all that wrap one
 * request share the array.
 */
function holderOf(request: object): CallHolder {
  const { raw } = request as { raw?: object }
  const { rawHeaders } = (raw ?? request) as { rawHeaders?: unknown }
  return Array.isArray(rawHeaders) ? (rawHeaders as CallHolder) : request
}

/** Returns the call that a limiter with the same name and limits has counted for a request and an id. */
function find(last: CountedCall, limiter: RateLimiter, id: string): CountedCall | undefined {
  for (let call: CountedCall | undefined = last; call !== undefined; call = call.before) {
    const other = call.limiter
    if (call.id !== id || other.name !== limiter.name || other.cache !== limiter.cache) continue
    if (other === limiter || other.signature === limiter.signature) return call
    if (sharesCounters(other, limiter)) {
      throw new MemcacheOptionError(
        `two rate limits named '${limiter.name}' count one request twice in the counters that they share: give one of them another name`,
      )
    }
  }
  return undefined
}

function sharesCounters(one: RateLimiter, other: RateLimiter): boolean {
  if (one.algorithm !== other.algorithm || one.algorithm === 'gcra') return false
  return one.windows.some(({ limit, windowMs }) =>
    other.windows.some((window) => window.limit === limit && window.windowMs === windowMs),
  )
}
