import { Inject, Injectable } from '@nestjs/common'
import { Memcache, rateLimiter } from 'memcache-ts'
import type { RateLimiter } from 'memcache-ts'

/** What @nestjs/throttler is told of one request; times are in seconds. */
export interface ThrottlerRecord {
  totalHits: number
  timeToExpire: number
  isBlocked: boolean
  timeToBlockExpire: number
}

/** Limits are few; where they are computed, by user perhaps, they must not pile up. */
const MOST_LIMITERS = 100

/**
 * The storage of @nestjs/throttler 6 in memcached: exact, however many processes count and however parallel the
 * requests are.
 * @example
 * ThrottlerModule.forRootAsync({
 *   inject: [MemcacheThrottlerStorage],
 *   useFactory: (storage: MemcacheThrottlerStorage) => ({ throttlers: [{ ttl: 60_000, limit: 100 }], storage }),
 * })
 */
@Injectable()
export class MemcacheThrottlerStorage {
  readonly #cache: Memcache
  readonly #limiters = new Map<string, RateLimiter>()

  constructor(@Inject(Memcache) cache: Memcache) {
    this.#cache = cache
  }

  /** Counts a request. @param ttl the window in milliseconds. @param blockDuration in milliseconds. */
  async increment(
    key: string,
    ttl: number,
    limit: number,
    blockDuration: number,
    throttlerName: string,
  ): Promise<ThrottlerRecord> {
    const windowMs = Math.ceil(ttl)
    if (windowMs < 1) return { totalHits: 1, timeToExpire: 0, isBlocked: false, timeToBlockExpire: 0 }
    if (limit < 1) {
      const seconds = Math.ceil(Math.max(windowMs, blockDuration) / 1000)
      return { totalHits: 1, timeToExpire: seconds, isBlocked: true, timeToBlockExpire: seconds }
    }
    const limiter = this.#limiter(throttlerName, Math.floor(limit), windowMs, Math.ceil(blockDuration))
    const result = await limiter.consume(key)
    return {
      totalHits: result.allowed ? result.limit - result.remaining : result.limit + 1,
      timeToExpire: Math.ceil(result.resetMs / 1000),
      isBlocked: !result.allowed,
      timeToBlockExpire: Math.ceil(result.retryAfterMs / 1000),
    }
  }

  #limiter(name: string, limit: number, windowMs: number, blockMs: number): RateLimiter {
    const config = JSON.stringify([name, limit, windowMs, blockMs])
    let limiter = this.#limiters.get(config)
    if (limiter === undefined) {
      if (this.#limiters.size >= MOST_LIMITERS) this.#limiters.clear()
      const block = blockMs > 0 ? { blockMs } : {}
      limiter = rateLimiter({ name: `throttler-${name}`, limit, windowMs, ...block, cache: this.#cache })
      this.#limiters.set(config, limiter)
    }
    return limiter
  }
}
