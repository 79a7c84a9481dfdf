import { FakeClock, freePort } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { memcache, rateLimiter } from '../src/index.ts'
import { openCache } from './open-cache.ts'

describe('rateLimiter', () => {
  it('admits exactly 100 of 1000 parallel calls, each in one round trip', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ perMinute: 100, algorithm: 'fixed', cache: test.cache })
    const results = await Promise.all(Array.from({ length: 1000 }, () => limiter.consume('client')))
    expect(results.filter((result) => result.allowed)).toHaveLength(100)
    expect(test.server.memcached.stats()).toMatchObject({ incr_hits: 999, incr_misses: 0, cmd_set: 0 })
  })

  it('counts down, denies, and starts anew with the next window', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ limit: 2, windowMs: 10_000, algorithm: 'fixed', cache: test.cache })
    const start = test.clock.nowMs()
    const resetMs = 10_000 - (start % 10_000)
    expect(await limiter.consume('a')).toEqual({ allowed: true, limit: 2, remaining: 1, resetMs, retryAfterMs: 0 })
    expect(await limiter.consume('a')).toEqual({ allowed: true, limit: 2, remaining: 0, resetMs, retryAfterMs: 0 })
    expect(await limiter.consume('a')).toEqual({
      allowed: false,
      limit: 2,
      remaining: 0,
      resetMs,
      retryAfterMs: resetMs,
    })
    expect((await limiter.consume('b')).allowed).toBe(true)
    test.clock.advanceMs(resetMs - 1)
    expect((await limiter.consume('a')).allowed).toBe(false)
    test.clock.advanceMs(1)
    expect((await limiter.consume('a')).remaining).toBe(1)
  })

  it.each([
    { limit: 3, windowMs: 500 },
    { limit: 3, windowMs: 31 * 86_400_000 },
  ])('holds a window of $windowMs ms to its end', async (window) => {
    await using test = await openCache()
    const limiter = rateLimiter({ ...window, algorithm: 'fixed', cache: test.cache })
    // To the start of a window.
    test.clock.advanceMs(window.windowMs - (test.clock.nowMs() % window.windowMs))
    for (let call = 0; call < 3; call++) expect((await limiter.consume('a')).allowed).toBe(true)
    test.clock.advanceMs(window.windowMs - 1)
    expect((await limiter.consume('a')).allowed).toBe(false)
    test.clock.advanceMs(1)
    expect((await limiter.consume('a')).allowed).toBe(true)
  })

  it('takes calls at their cost', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ perMinute: 10, cache: test.cache })
    expect((await limiter.consume('a', { cost: 7 })).remaining).toBe(3)
    expect((await limiter.consume('a', { cost: 4 })).allowed).toBe(false)
    await expect(limiter.consume('a', { cost: 0 })).rejects.toThrow('cost must be a whole number over 0')
  })

  it('holds several windows at once, and tells of the tightest', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ name: 'login', perMinute: 5, perHour: 6, algorithm: 'fixed', cache: test.cache })
    for (let call = 0; call < 5; call++) expect((await limiter.consume('a')).allowed).toBe(true)
    expect(await limiter.consume('a')).toMatchObject({ allowed: false, limit: 5 })
    test.clock.advanceSeconds(60)
    // What the minute denied is not counted in the hour.
    expect((await limiter.consume('a')).allowed).toBe(true)
    expect(await limiter.consume('a')).toMatchObject({ allowed: false, limit: 6 })
  })

  it('keeps limits apart by name, limit and window', async () => {
    await using test = await openCache()
    const one = rateLimiter({ name: 'one', perMinute: 1, cache: test.cache })
    const two = rateLimiter({ name: 'two', perMinute: 1, cache: test.cache })
    const raised = rateLimiter({ name: 'one', perMinute: 2, cache: test.cache })
    expect((await one.consume('a')).allowed).toBe(true)
    expect((await two.consume('a')).allowed).toBe(true)
    expect((await raised.consume('a')).remaining).toBe(1)
    expect((await one.consume('a')).allowed).toBe(false)
  })

  it.each([
    ['local', [true, true, false]],
    ['open', [true, true, true]],
    ['closed', [false, false, false]],
  ] as const)('without its server, %s: %j', async (onCacheDown, allowed) => {
    await using cache = memcache({ servers: `127.0.0.1:${await freePort()}`, logger: false, clock: new FakeClock() })
    const limiter = rateLimiter({ limit: 2, windowMs: 86_400_000, onCacheDown, cache })
    for (const expected of allowed) expect((await limiter.consume('a')).allowed).toBe(expected)
  })

  it.each([
    [{}, 'needs a limit'],
    [{ perMinute: 0 }, 'perMinute must be a whole number over 0'],
    [{ limit: 5 }, 'limit and windowMs belong together'],
    [{ max: 5 }, '`max` is `limit` here'],
    [{ perMinute: 5, onCacheDown: 'maybe' }, "onCacheDown must be 'local', 'open' or 'closed'"],
  ])('refuses %j: %s', (options, message) => {
    expect(() => rateLimiter(options as never)).toThrow(message)
  })
})
