import { describe, expect, it } from 'vitest'
import { rateLimiter } from '../src/index.ts'
import { GcraLimits } from '../src/rate-limit/gcra-limits.ts'
import { LocalCounters } from '../src/rate-limit/local-counters.ts'
import { countWrites } from './count-writes.ts'
import { openCache } from './open-cache.ts'

describe('gcra', () => {
  it('allows a burst, and then one call per interval', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ limit: 60, windowMs: 60_000, algorithm: 'gcra', burst: 3, cache: test.cache })
    const result = (remaining: number) => ({
      allowed: true,
      limit: 60,
      remaining,
      resetMs: (3 - remaining) * 1000,
      retryAfterMs: 0,
    })
    expect(await limiter.consume('a')).toEqual(result(2))
    expect(await limiter.consume('a')).toEqual(result(1))
    expect(await limiter.consume('a')).toEqual(result(0))
    expect(await limiter.consume('a')).toEqual({ ...result(0), allowed: false, retryAfterMs: 1000 })
    for (let second = 0; second < 10; second++) {
      test.clock.advanceMs(999)
      expect(await limiter.consume('a')).toMatchObject({ allowed: false, retryAfterMs: 1 })
      test.clock.advanceMs(1)
      expect((await limiter.consume('a')).allowed).toBe(true)
    }
    test.clock.advanceMs(2500)
    expect(await limiter.peek('a')).toMatchObject({ remaining: 2, resetMs: 500 })
    expect((await limiter.consume('a', { cost: 3 })).retryAfterMs).toBe(500)
  })

  it('counts in microseconds: an interval need not be whole milliseconds', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ perSecond: 3000, algorithm: 'gcra', burst: 1, cache: test.cache })
    let allowed = 0
    for (let millisecond = 0; millisecond < 100; millisecond++) {
      if ((await limiter.consume('a')).allowed) allowed++
      test.clock.advanceMs(1)
    }
    expect(allowed).toBe(100)
    const slower = rateLimiter({ perSecond: 700, algorithm: 'gcra', burst: 1, cache: test.cache })
    allowed = 0
    for (let millisecond = 0; millisecond < 100; millisecond++) {
      if ((await slower.consume('a')).allowed) allowed++
      test.clock.advanceMs(1)
    }
    // Allowed every 1428.6 µs, called every millisecond.
    expect(allowed).toBe(50)
  })

  it('sends the concurrent calls of a process together', async () => {
    await using test = await openCache()
    await using counted = await countWrites(test)
    const limiter = rateLimiter({ perMinute: 100, perHour: 1000, algorithm: 'gcra', cache: counted.cache })
    await Promise.all(Array.from({ length: 1000 }, () => limiter.consume('client')))
    // The first call by itself, then all others: each a question and a swap.
    expect(counted.writes).toHaveLength(4)
  })

  it('keeps its state only as long as it matters', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ perMinute: 60, algorithm: 'gcra', cache: test.cache })
    await limiter.consume('a', { cost: 30 })
    const { ttlSeconds } = (await test.cache.client.meta.get('~rate:default:gcra:60/60000:a'))!
    expect(ttlSeconds).toBe(31)
    test.clock.advanceSeconds(30)
    expect((await limiter.peek('a')).remaining).toBe(60)
  })

  it('denies when other processes are always faster', async () => {
    await using test = await openCache()
    let swaps = 0
    const store = new LocalCounters(test.clock)
    store.swap = async () => (swaps++, false)
    const key = (parts: readonly (string | number)[]) => parts.join(':')
    const windows = [{ limit: 10, windowMs: 60_000 }]
    const limits = new GcraLimits({ name: 'busy', windows, blockMs: undefined, store, key }, undefined)
    const nowMs = test.clock.nowMs()
    expect(await limits.consume('a', 1, nowMs)).toMatchObject({ allowed: false, remaining: 0, retryAfterMs: 6000 })
    expect(swaps).toBe(64)
    await expect(limits.penalty('a', 1, nowMs)).rejects.toThrow(
      "too many processes change the rate limit 'busy' of a at once",
    )
  })
})
