import { RateLimiter } from './rate-limiter.ts'
import type { RateLimiterOptions } from './rate-limiter-options.ts'
import { WINDOW_OPTIONS } from './rate-limit-window.ts'

/** Options that may depend on the request, of a limiter that an adapter applies to requests. */
const PER_REQUEST_OPTIONS = [...WINDOW_OPTIONS, 'burst', 'blockMs'] as const

type PerRequestName = (typeof PER_REQUEST_OPTIONS)[number]

/**
 * A value, or a function of a request, where `undefined` and `Infinity` mean no limit. Declared as a method, so that a
 * function may narrow the type of its request.
 */
export type PerRequest<Args extends readonly unknown[]> =
  | number
  | { of(...args: Args): number | undefined | Promise<number | undefined> }['of']

/** Options of `rateLimiter`, whose limits may be functions of a request. */
export type RequestLimiterOptions<Args extends readonly unknown[]> = Omit<RateLimiterOptions, PerRequestName> & {
  [Name in PerRequestName]?: PerRequest<Args> | undefined
}

/** How many different limits are kept; applications have few plans. */
const MAX_LIMITERS = 100
const IDS_OF_ONE_OF_MANY = 1000

/**
 * Creates the limiters of requests whose limits may depend on the request: one limiter for each set of numbers that the
 * functions return. The adapter's object for a limiter is created together with it, once.
 */
export class RequestLimiters<Made, Args extends readonly unknown[]> {
  /** The adapter's object, if the limits are the same for all requests. */
  readonly only: Made | undefined
  readonly #options: RequestLimiterOptions<Args>
  readonly #functions: readonly PerRequestName[]
  readonly #make: (limiter: RateLimiter) => Made
  readonly #made = new Map<string, Made>()

  /** @throws MemcacheOptionError if an option is unknown or invalid and does not depend on a request. */
  constructor(options: RequestLimiterOptions<Args>, make: (limiter: RateLimiter) => Made) {
    this.#options = options
    this.#make = make
    this.#functions = PER_REQUEST_OPTIONS.filter((name) => typeof options[name] === 'function')
    const made = make(new RateLimiter(this.#with(this.#functions.map(() => 1))))
    this.only = this.#functions.length === 0 ? made : undefined
  }

  /**
   * Returns the adapter's object for a request; `undefined` if the request has no limit.
   *
   * @throws MemcacheOptionError if a function returns an invalid limit.
   */
  async for(...args: Args): Promise<Made | undefined> {
    if (this.only !== undefined) return this.only
    const values = await Promise.all(
      this.#functions.map(async (name) => (this.#options[name] as Exclude<PerRequest<Args>, number>)(...args)),
    )
    const options = this.#with(values)
    if (WINDOW_OPTIONS.every((name) => name === 'windowMs' || options[name] === undefined)) return undefined
    const key = values.map(String).join()
    let made = this.#made.get(key)
    if (made === undefined) {
      made = this.#make(new RateLimiter(options, { maxIds: IDS_OF_ONE_OF_MANY }))
      if (this.#made.size >= MAX_LIMITERS) this.#made.delete(this.#made.keys().next().value!)
      this.#made.set(key, made)
    }
    return made
  }

  /** Returns the options of a limiter, with the functions replaced by their values. */
  #with(values: readonly unknown[]): RateLimiterOptions {
    const given = Object.fromEntries(this.#functions.map((name, index) => [name, limitOf(values[index])]))
    const options = { ...this.#options, ...given } as RateLimiterOptions
    // Without a limit, its window is not used.
    if (this.#functions.includes('limit') && options.limit === undefined) delete options.windowMs
    return options
  }
}

function limitOf(value: unknown): unknown {
  return value === Infinity ? undefined : value
}
