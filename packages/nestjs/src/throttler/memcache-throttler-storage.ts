import { Inject, Injectable } from '@nestjs/common'
import { Memcache } from 'memcache-ts'
import { BlockingHitCounter } from 'memcache-ts/rate-limit'

/** What @nestjs/throttler is told of one request; times are in seconds. */
export interface ThrottlerRecord {
  totalHits: number
  timeToExpire: number
  isBlocked: boolean
  timeToBlockExpire: number
}

/**
 * The storage of @nestjs/throttler 6 in memcached: exact for parallel requests in all processes, each in one round trip. As in
 * that library's own storage, a window starts at the first hit, a block ends when its denial said, and the hits begin at 1
 * again after it. When memcached is away it rejects.
 * @example
 * ThrottlerModule.forRootAsync({
 *   inject: [MemcacheThrottlerStorage],
 *   useFactory: (storage: MemcacheThrottlerStorage) => ({ throttlers: [{ ttl: 60_000, limit: 100 }], storage }),
 * })
 */
@Injectable()
export class MemcacheThrottlerStorage {
  readonly #counter: BlockingHitCounter

  constructor(@Inject(Memcache) cache: Memcache) {
    this.#counter = new BlockingHitCounter('throttler', cache)
  }

  /**
   * Counts a request.
   * @param ttl the window in milliseconds.
   * @param blockDuration in milliseconds; 0 is until the window ends.
   */
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
      // None at all, as 0, denies every hit.
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
