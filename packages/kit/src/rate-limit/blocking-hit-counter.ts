import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { Memcache } from '../memcache.ts'
import { ownKey } from '../engine/engine.ts'
import { BoundedMap } from '../bounded-map.ts'
import { CounterLayout } from './counter-layout.ts'
import { FirstHitCounter } from './first-hit-counter.ts'
import { Insurance } from './insurance.ts'
import { LocalCounters } from './local-counters.ts'
import { aloneKey, MemcachedCounters } from './rate-limit-store.ts'
import type { GroupedKey, RateLimitStore } from './rate-limit-store.ts'
import { FRESH_MS, isFreshAge } from './client-state.ts'

/** Applications have few limits; computed limits must not accumulate. */
const MAX_LIMITS = 100
const MAX_BLOCKED_IDS = 10_000

/** The limit that hits are compared with. */
export interface HitLimit {
  readonly limit: number
  readonly windowMs: number
  /** How long the first hit over the limit blocks the key, in milliseconds; 0 blocks it until the window ends. */
  readonly blockMs: number
}

/** The state of a key's hits. */
export interface BlockableHits {
  /** While the key is blocked, hits do not count, and this is the limit plus one. */
  readonly hits: number
  /** Milliseconds until the window ends, or the block. */
  readonly resetMs: number
  /** Milliseconds until the block ends; 0 if there is none. */
  readonly blockedMs: number
}

interface Blocked {
  readonly atMs: number
  readonly untilMs: number
  readonly limit: number
}

/**
 * Counts hits by key, in windows that start at a key's first hit, with blocks after which the count begins at 1 again;
 * for the storages of other libraries. The first hit over the limit moves the start of its window so that the window
 * ends when the block does, and marks the counter. So the whole state is in one counter, and a hit takes one round
 * trip.
 *
 * While memcached is away, this process counts its own hits.
 */
export class BlockingHitCounter {
  readonly #name: string
  readonly #cache: Memcache
  readonly #insurance: Insurance
  readonly #counters: LimitCounters
  readonly #localCounters: LimitCounters
  readonly #blocked = new BoundedMap<Blocked>(MAX_BLOCKED_IDS)

  /** @param name separates these counters from others. */
  constructor(name: string, cache: Memcache) {
    this.#name = name
    this.#cache = cache
    this.#insurance = new Insurance(name, 'counted in this process')
    this.#counters = new LimitCounters(() => new MemcachedCounters(cache.client))
    this.#localCounters = new LimitCounters(() => LocalCounters.of(cache))
  }

  /**
   * Counts a hit.
   *
   * @throws MemcacheOptionError if the limit is not a number, or its times are longer than a counter can hold.
   */
  async increment(parts: readonly string[], limit: HitLimit): Promise<BlockableHits> {
    const cache = this.#cache
    const nowMs = cache.clock.nowMs()
    const { windowMs, blockMs } = limit
    if (Number.isNaN(limit.limit)) throw new MemcacheOptionError('a limit must be a number, got NaN')
    const wellFormed = parts.map((part) => part.toWellFormed())
    const key = ownKey(cache, 'rate', [this.#name, 'hits', windowMs, blockMs, ...wellFormed])
    const known = this.#blocked.get(key)
    if (known !== undefined && known.limit === limit.limit && nowMs < known.untilMs) {
      const blockedMs = known.untilMs - nowMs
      if (isFreshAge(nowMs - known.atMs, FRESH_MS)) return { hits: limit.limit + 1, resetMs: blockedMs, blockedMs }
    }
    const found = await this.#count(aloneKey(key), limit, nowMs)
    if (found.blockedMs > 0) {
      this.#blocked.set(key, { atMs: nowMs, untilMs: nowMs + found.blockedMs, limit: limit.limit })
    }
    return found
  }

  async #count(key: GroupedKey, limit: HitLimit, nowMs: number): Promise<BlockableHits> {
    const cache = this.#cache
    if (!this.#insurance.isNeeded(cache)) {
      try {
        return await countIn(this.#counters.of(limit), { key, limit, nowMs })
      } catch (error) {
        this.#insurance.note(cache, error)
      }
    }
    return countIn(this.#localCounters.of(limit), { key, limit, nowMs })
  }
}

/** A hit on a key. */
interface Hit {
  readonly key: GroupedKey
  readonly limit: HitLimit
  readonly nowMs: number
}

async function countIn(counter: FirstHitCounter, { key, limit: by, nowMs }: Hit): Promise<BlockableHits> {
  const { limit, windowMs, blockMs } = by
  const found = await counter.add(key, 1, nowMs)
  const resetMs = found.startMs + windowMs - nowMs
  if (found.marks > 0) return { hits: limit + 1, resetMs, blockedMs: resetMs }
  if (found.count <= limit) return { hits: found.count, resetMs, blockedMs: 0 }
  if (blockMs <= 0) return { hits: limit + 1, resetMs, blockedMs: resetMs }
  if (found.count === limit + 1) {
    await counter.moveAndMark(key, found, nowMs + blockMs - windowMs)
    return { hits: limit + 1, resetMs: blockMs, blockedMs: blockMs }
  }
  // Another call is storing the block, its process died before it did, or the limit was higher when the other hits
  // came.
  const blocked = await counter.moveAndMarkOnce(key, nowMs + blockMs - windowMs, nowMs)
  const blockedMs = blocked === undefined ? blockMs : blocked.startMs + windowMs - nowMs
  return { hits: limit + 1, resetMs: blockedMs, blockedMs }
}

/** The counters of one store, by the times of their limits. */
class LimitCounters {
  readonly #storeNow: () => RateLimitStore
  readonly #counters = new Map<string, FirstHitCounter>()

  constructor(storeNow: () => RateLimitStore) {
    this.#storeNow = storeNow
  }

  of({ windowMs, blockMs }: HitLimit): FirstHitCounter {
    const counters = this.#counters
    const name = `${windowMs}/${blockMs}`
    let counter = counters.get(name)
    if (counter === undefined) {
      if (counters.size >= MAX_LIMITS) counters.clear()
      const layout = new CounterLayout(windowMs, undefined, Math.max(windowMs, blockMs))
      counter = new FirstHitCounter(this.#storeNow(), layout, windowMs + blockMs)
      counters.set(name, counter)
    }
    return counter
  }
}
