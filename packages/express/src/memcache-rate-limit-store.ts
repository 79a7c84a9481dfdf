import { checkOptions, HitCounter } from 'memcache-ts'
import type { Memcache } from 'memcache-ts'

/** Options of `MemcacheRateLimitStore`. */
export interface MemcacheRateLimitStoreOptions {
  /** Tells the limiters of an application apart: each needs its own store, and its own prefix. Default `express-rate-limit`. */
  prefix?: string | undefined
  /** The cache that counts. Default: this process's. */
  cache?: Memcache | undefined
}

const KNOWN = ['prefix', 'cache'] as const satisfies readonly (keyof MemcacheRateLimitStoreOptions)[]

const HINTS = {
  client: 'cache',
  keyPrefix: 'prefix',
  sendCommand: 'cache',
  expiration: "express-rate-limit's windowMs",
}

/** A client's hits, as express-rate-limit wants them. */
export interface ClientHits {
  totalHits: number
  resetTime: Date
}

/**
 * The store of express-rate-limit 8 on memcached: one round trip a request, which no parallel request passes unseen, in
 * windows that all processes share, however short or long. When memcached is away it rejects, and express-rate-limit does
 * as its `passOnStoreError` says.
 */
export class MemcacheRateLimitStore {
  /** Counters are not of this process alone. */
  readonly localKeys = false
  readonly prefix: string
  readonly #counter: HitCounter
  #windowMs = 60_000

  /** @throws MemcacheOptionError for an option that there is not. */
  constructor(options: MemcacheRateLimitStoreOptions = {}) {
    checkOptions('MemcacheRateLimitStore', options, KNOWN, HINTS)
    this.prefix = options.prefix ?? 'express-rate-limit'
    this.#counter = new HitCounter(this.prefix, options.cache)
  }

  /** Called by express-rate-limit with its options. */
  init({ windowMs }: { readonly windowMs: number }): void {
    this.#windowMs = windowMs
  }

  async increment(key: string): Promise<ClientHits> {
    const { hits, resetAtMs } = await this.#counter.increment(key, this.#windowMs)
    return { totalHits: hits, resetTime: new Date(resetAtMs) }
  }

  async decrement(key: string): Promise<void> {
    await this.#counter.decrement(key, this.#windowMs)
  }

  /** A client's hits; `undefined` where there were none. */
  async get(key: string): Promise<ClientHits | undefined> {
    const found = await this.#counter.get(key, this.#windowMs)
    return found && { totalHits: found.hits, resetTime: new Date(found.resetAtMs) }
  }

  async resetKey(key: string): Promise<void> {
    await this.#counter.reset(key, this.#windowMs)
  }

  /** Forgets the hits of all clients; other processes see it within a second. */
  async resetAll(): Promise<void> {
    await this.#counter.resetAll()
  }
}
