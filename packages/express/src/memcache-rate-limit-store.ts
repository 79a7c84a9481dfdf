import { checkOptions, requireCache, textOption } from 'memcache-ts/adapter'
import { HitCounter } from 'memcache-ts/rate-limit'
import type { Memcache } from 'memcache-ts'

/** Options of `MemcacheRateLimitStore`. */
export interface MemcacheRateLimitStoreOptions {
  /**
   * Separates the limiters of an application: each needs its own store and its own prefix. Default
   * `express-rate-limit`.
   */
  prefix?: string | undefined
  /** The cache that counts. Default: the default cache of this process. */
  cache?: Memcache | undefined
}

const OPTION_NAMES = ['prefix', 'cache'] as const satisfies readonly (keyof MemcacheRateLimitStoreOptions)[]

const HINTS = {
  client: 'cache',
  keyPrefix: 'prefix',
  sendCommand: 'cache',
  expiration: "express-rate-limit's windowMs",
}

const DEFAULT_WINDOW_MS = 60_000

/** A client's hits, in the form of express-rate-limit. */
export interface ClientHits {
  totalHits: number
  resetTime: Date
}

/**
 * A store for express-rate-limit 8 in memcached: one round trip per request, exact for parallel requests in all
 * processes. As with the library's memory store, a client's window starts at its first hit and ends exactly `windowMs`
 * later. While memcached is away it rejects, and `passOnStoreError` of express-rate-limit applies.
 *
 * @example
 *   app.use(rateLimit({ windowMs: 60_000, limit: 100, store: new MemcacheRateLimitStore({ prefix: 'api' }) }))
 */
export class MemcacheRateLimitStore {
  /** The counters are shared with other processes. */
  readonly localKeys = false
  readonly prefix: string
  readonly #cache: Memcache | undefined
  #counter: HitCounter

  /** @throws MemcacheOptionError if an option is unknown or invalid. */
  constructor(options: MemcacheRateLimitStoreOptions = {}) {
    checkOptions('MemcacheRateLimitStore', options, { names: OPTION_NAMES, hints: HINTS })
    const { prefix = 'express-rate-limit', cache } = options
    requireCache('MemcacheRateLimitStore', cache)
    this.prefix = textOption('prefix', prefix)
    this.#cache = cache
    this.#counter = this.#counterOf(DEFAULT_WINDOW_MS)
  }

  /**
   * Called by express-rate-limit with its options.
   *
   * @throws MemcacheOptionError if the window is invalid.
   */
  init({ windowMs }: { readonly windowMs: number }): void {
    this.#counter = this.#counterOf(windowMs)
  }

  async increment(key: string): Promise<ClientHits> {
    const { hits, resetAtMs } = await this.#counter.increment(key)
    return { totalHits: hits, resetTime: new Date(resetAtMs) }
  }

  async decrement(key: string): Promise<void> {
    await this.#counter.decrement(key)
  }

  /** Returns a client's hits; `undefined` if there are none in its window. */
  async get(key: string): Promise<ClientHits | undefined> {
    const found = await this.#counter.get(key)
    return found && { totalHits: found.hits, resetTime: new Date(found.resetAtMs) }
  }

  async resetKey(key: string): Promise<void> {
    await this.#counter.reset(key)
  }

  /** Forgets the hits of all clients; other processes see it within a second. */
  async resetAll(): Promise<void> {
    await this.#counter.resetAll()
  }

  #counterOf(windowMs: number): HitCounter {
    return new HitCounter(this.prefix, Math.ceil(windowMs), this.#cache)
  }
}
