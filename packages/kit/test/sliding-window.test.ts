import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rateLimiter } from '../src/index.ts'
import { slidingWindow } from '../src/rate-limit/window-algorithms.ts'
import { openCache } from './open-cache.ts'
import { countWrites } from './count-writes.ts'

/** To the start of a window. */
function toWindowStart(clock: { nowMs(): number; advanceMs(milliseconds: number): void }, windowMs: number): void {
  clock.advanceMs(windowMs - (clock.nowMs() % windowMs))
}

describe('a sliding window', () => {
  it('reads both windows in one round trip', async () => {
    await using test = await openCache()
    await using counted = await countWrites(test)
    const limiter = rateLimiter({ perMinute: 100, cache: counted.cache })
    await limiter.consume('client')
    await limiter.consume('client')
    expect(counted.writes).toEqual([
      expect.stringMatching(
        /^get ~rate:default:100:60000:\d+:client ~rate:default:block:100\/60000:client\r\nma ~rate:default:100:60000:\d+:client N121 J1 D1 v O\S+\r\n$/,
      ),
      expect.stringMatching(/^ma ~rate:default:100:60000:\d+:client N121 J1 D1 v O\S+\r\n$/),
    ])
  })

  it('releases the previous window gradually, and returns the exact times', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ limit: 10, windowMs: 10_000, cache: test.cache })
    toWindowStart(test.clock, 10_000)
    for (let call = 0; call < 10; call++) expect((await limiter.consume('a')).allowed).toBe(true)
    // Ten calls now are ten calls at the next window's start, and nine a tenth of it later.
    const denied = await limiter.consume('a')
    expect(denied).toEqual({ allowed: false, limit: 10, remaining: 0, resetMs: 10_000, retryAfterMs: 11_000 })
    for (let call = 0; call < 20; call++) {
      const { retryAfterMs } = await limiter.peek('a')
      test.clock.advanceMs(retryAfterMs - 1)
      expect((await limiter.consume('a')).allowed).toBe(false)
      test.clock.advanceMs(1)
      expect((await limiter.consume('a')).allowed).toBe(true)
    }
  })

  it('does not starve a client that never stops trying', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ limit: 10, windowMs: 10_000, cache: test.cache })
    toWindowStart(test.clock, 10_000)
    const admitted = Array.from({ length: 10 }, () => 0)
    for (let at = 0; at < 100_000; at += 100) {
      if ((await limiter.consume('a')).allowed) admitted[Math.floor(at / 10_000)]!++
      test.clock.advanceMs(100)
    }
    expect(admitted).toEqual([10, 9, 9, 9, 9, 9, 9, 9, 9, 9])
  })

  it('stores nothing for a call that costs too much', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ perMinute: 10, cache: test.cache })
    expect((await limiter.consume('a', { cost: 7 })).remaining).toBe(3)
    expect(await limiter.consume('a', { cost: 4 })).toMatchObject({ allowed: false, remaining: 3 })
    expect(await limiter.consume('a', { cost: 3 })).toMatchObject({ allowed: true, remaining: 0 })
  })

  it('returns the exact millisecond at which the next call is allowed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 100_000 }),
        fc.integer({ min: 0, max: 50 }),
        fc.integer({ min: 0, max: 50 }),
        fc.integer({ min: 1, max: 50 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (limit, windowMs, current, previous, cost, over) => {
          const window = { limit, windowMs }
          const elapsedMs = Math.floor(over * windowMs)
          const counted = Math.min(current, limit)
          const at = (milliseconds: number) => {
            const passed = elapsedMs + milliseconds
            return passed < windowMs
              ? { current: counted, previous: Math.min(previous, limit), elapsedMs: passed }
              : { current: 0, previous: counted, elapsedMs: Math.min(windowMs, passed - windowMs) }
          }
          fc.pre(cost <= limit)
          const result = slidingWindow.evaluate(window, at(0), { cost, isConsumed: true })
          fc.pre(!result.allowed)
          expect(slidingWindow.evaluate(window, at(result.retryAfterMs), { cost, isConsumed: true }).allowed).toBe(true)
          expect(slidingWindow.evaluate(window, at(result.retryAfterMs - 1), { cost, isConsumed: true }).allowed).toBe(
            false,
          )
        },
      ),
    )
  })
})
