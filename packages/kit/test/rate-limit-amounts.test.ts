import fc from 'fast-check'
import { testMemcache } from 'memcache-ts/testing'
import { describe, expect, it } from 'vitest'
import { rateLimiter } from '../src/index.ts'
import type { RateLimiter } from '../src/index.ts'

const MAX_COUNT = 1_000_000_000
const ALGORITHMS = ['sliding', 'fixed', 'gcra'] as const

/** Amounts of every size, the largest that are accepted among them. */
const amount = fc.oneof(
  fc.integer({ min: 1, max: 20 }),
  fc.integer({ min: 1, max: MAX_COUNT }),
  fc.constantFrom(65_536, 65_537, 2 ** 24, 2 ** 26, MAX_COUNT),
)

describe.each(ALGORITHMS)('amounts of any size in %s limits', (algorithm) => {
  async function withLimiter(limit: number, use: (limiter: RateLimiter) => Promise<void>): Promise<void> {
    await using test = await testMemcache()
    await use(rateLimiter({ limit, windowMs: 60_000, algorithm, cache: test.cache }))
  }

  it('denies a client that was penalized by its limit or more, in any number of steps', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(amount, { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 1000 }),
        fc.boolean(),
        async (amounts, limit, atOnce) => {
          await withLimiter(limit, async (limiter) => {
            if (atOnce) await Promise.all(amounts.slice(0, 20).map((each) => limiter.penalty('client', each)))
            else for (const each of amounts) await limiter.penalty('client', each)
            const used = (atOnce ? amounts.slice(0, 20) : amounts).reduce((sum, each) => sum + each, 0)
            expect((await limiter.consume('client')).allowed).toBe(used < limit)
          })
        },
      ),
      { numRuns: 60 },
    )
  })

  it('rewards give back at most the amount that was used', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(amount, { maxLength: 6 }),
        fc.integer({ min: 0, max: 5 }),
        fc.boolean(),
        async (rewards, used, atOnce) => {
          await withLimiter(5, async (limiter) => {
            if (used > 0) await limiter.penalty('client', used)
            if (atOnce) await Promise.all(rewards.map((each) => limiter.reward('client', each)))
            else for (const each of rewards) await limiter.reward('client', each)
            const left = Math.max(0, used - rewards.reduce((sum, each) => sum + each, 0))
            expect((await limiter.peek('client')).remaining).toBe(5 - left)
            let admitted = 0
            for (let call = 0; call < 8; call++) if ((await limiter.consume('client')).allowed) admitted++
            expect(admitted).toBe(5 - left)
          })
        },
      ),
      { numRuns: 60 },
    )
  })

  it('admits one of several calls at once that each cost all of a large limit', async () => {
    for (const limit of [1000, 2 ** 20 + 1, 100_000_000, MAX_COUNT]) {
      await withLimiter(limit, async (limiter) => {
        const results = await Promise.all(Array.from({ length: 12 }, () => limiter.consume('client', { cost: limit })))
        expect(results.filter(({ allowed }) => allowed)).toHaveLength(1)
        expect((await limiter.consume('client')).allowed).toBe(false)
      })
    }
  })

  it('blocks and resets a client for the limits of its own windows alone', async () => {
    await using test = await testMemcache()
    const { cache } = test
    const site = rateLimiter({ perMinute: 100, algorithm, cache })
    const login = rateLimiter({ perMinute: 2, blockMs: 600_000, algorithm, cache })
    for (let call = 0; call < 3; call++) await login.consume('client')
    expect((await login.consume('client')).retryAfterMs).toBeGreaterThan(500_000)
    expect((await site.consume('client')).allowed).toBe(true)
    await site.block('client', 60_000)
    await login.reset('client')
    expect((await login.consume('client')).allowed).toBe(true)
    expect((await site.consume('client')).allowed).toBe(false)
    // Another process with the same limit has its blocks.
    expect((await rateLimiter({ perMinute: 100, algorithm, cache }).consume('client')).allowed).toBe(false)
  })

  it('refuses windows that are longer than a century', () => {
    const options = { limit: 1, algorithm, windowMs: Number.MAX_SAFE_INTEGER }
    expect(() => rateLimiter(options)).toThrow('windowMs must be a whole number of milliseconds, from 1 to a century')
    if (algorithm === 'gcra') {
      expect(() => rateLimiter({ ...options, windowMs: 86_400_000 * 36_500, burst: MAX_COUNT })).toThrow('100 years')
    }
  })
})
