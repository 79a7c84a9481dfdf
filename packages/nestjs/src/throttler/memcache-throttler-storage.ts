import { Inject, Injectable } from '@nestjs/common'
import { Memcache } from 'memcache-ts'
import { BlockingHitCounter } from 'memcache-ts/rate-limit'

/** The result of one request for @nestjs/throttler; times are in seconds. */
export interface ThrottlerRecord {
  totalHits: number
  timeToExpire: number
  isBlocked: boolean
  timeToBlockExpire: number
}

/**
 * A storage for @nestjs/throttler 6 in memcached. It is exact for concurrent requests in all processes, and takes one
 * round trip per request. As in that library's own storage, a window starts at the first hit, a block ends at the time
 * that its denial announced, and hits start at 1 again after it. If memcached is away, it rejects.
 *
 * @example
 *   ThrottlerModule.forRootAsync({
 *     inject: [MemcacheThrottlerStorage],
 *     useFactory: (storage: MemcacheThrottlerStorage) => ({ throttlers: [{ ttl: 60_000, limit: 100 }], storage }),
 *   })
 */
@Injectable()
export class MemcacheThrottlerStorage {
  readonly #counter: BlockingHitCounter

  constructor(@Inject(Memcache) cache: Memcache) {
    this.#counter = new BlockingHitCounter('throttler', cache)
  }

  /**
   * Counts a request.
   *
   * @param ttl the window in milliseconds.
   * @param blockDuration in milliseconds; 0 means until the window ends.
   */
  // oxlint-disable-next-line max-params -- the interface of @nestjs/throttler
  async increment(
    key: string,
    ttl: number,
    limit: number,
    blockDuration: number,
    throttlerName: string,
  ): Promise<ThrottlerRecord> {
    const windowMs = Math.ceil(ttl)
    if (!(windowMs >= 1)) return { totalHits: 1, timeToExpire: 0, isBlocked: false, timeToBlockExpire: 0 }
    const { hits, resetMs, blockedMs } = await this.#counter.increment([throttlerName, key], {
      windowMs,
      // A limit of 0 denies every hit.
      limit: Math.max(0, Math.floor(limit)),
      blockMs: blockDuration > 0 ? Math.ceil(blockDuration) : 0,
    })
    return {
      totalHits: hits,
      timeToExpire: Math.ceil(resetMs / 1000),
      isBlocked: blockedMs > 0,
      timeToBlockExpire: Math.ceil(blockedMs / 1000),
    }
  }
}
