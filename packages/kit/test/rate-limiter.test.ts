import { readFileSync } from 'node:fs'
import { FakeClock, until } from 'memcache-ts-testing'
import { describe, expect, it, vi } from 'vitest'
import { memcache, rateLimiter } from '../src/index.ts'
import { RATE_LIMITER_OPTIONS } from '../src/rate-limit/index.ts'
import type { RateLimiter, RateLimiterOptions, RateLimitResult } from '../src/index.ts'
import { ownKey } from '../src/engine/engine.ts'
import { countWrites } from './count-writes.ts'
import { openCache } from './open-cache.ts'
import type { TestCaches } from './open-cache.ts'

const ALGORITHMS = ['sliding', 'fixed', 'gcra'] as const

/** Calls at once; how many were allowed. */
async function allowedOf(calls: readonly Promise<RateLimitResult>[]): Promise<number> {
  return (await Promise.all(calls)).filter(({ allowed }) => allowed).length
}

function many(count: number, limiters: readonly RateLimiter[], cost = 1): Promise<RateLimitResult>[] {
  return Array.from({ length: count }, (_, index) => limiters[index % limiters.length]!.consume('client', { cost }))
}

describe.each(ALGORITHMS)('a %s limiter', (algorithm) => {
  const limiterOf = (test: TestCaches, options: RateLimiterOptions) =>
    rateLimiter({ algorithm, cache: test.cache, ...options })

  it('admits exactly 100 of 1000 parallel calls', async () => {
    await using test = await openCache()
    const limiter = limiterOf(test, { perMinute: 100 })
    expect(await allowedOf(many(1000, [limiter]))).toBe(100)
    expect((await limiter.peek('client')).remaining).toBe(0)
  })

  it('admits exactly 100 of 1000 parallel calls to two processes', async () => {
    await using test = await openCache()
    const limiters = [limiterOf(test, { perMinute: 100 }), limiterOf(test, { perMinute: 100, cache: test.another() })]
    expect(await allowedOf(many(1000, limiters))).toBe(100)
  })

  it('admits as much as the limit of parallel calls that cost more', async () => {
    await using test = await openCache()
    const limiter = limiterOf(test, { perMinute: 100 })
    expect(await allowedOf(many(100, [limiter], 7))).toBe(14)
    expect((await limiter.peek('client')).remaining).toBe(2)
    expect((await limiter.consume('client', { cost: 3 })).allowed).toBe(false)
    expect((await limiter.consume('client', { cost: 2 })).allowed).toBe(true)
  })

  it('admits as many parallel calls as the strictest of several windows', async () => {
    await using test = await openCache()
    const limiter = limiterOf(test, { perMinute: 100, perSecond: 10, perHour: 15 })
    expect(await allowedOf(many(200, [limiter]))).toBe(10)
    expect(await limiter.peek('client')).toMatchObject({ allowed: false, limit: 10 })
    test.clock.advanceSeconds(5)
    expect(await allowedOf(many(200, [limiter]))).toBe(5)
    expect(await limiter.peek('client')).toMatchObject({ allowed: false, limit: 15 })
  })

  it('does not count a call in the other windows that one has denied', async () => {
    await using test = await openCache()
    const limiter = limiterOf(test, { perSecond: 1, perHour: 3 })
    for (let round = 0; round < 3; round++) {
      expect((await limiter.consume('a')).allowed).toBe(true)
      for (let call = 0; call < 5; call++) expect((await limiter.consume('a')).allowed).toBe(false)
      test.clock.advanceSeconds(2)
    }
    expect(await limiter.consume('a')).toMatchObject({ allowed: false, limit: 3 })
  })

  it.each([{ windowMs: 500 }, { windowMs: 31 * 86_400_000 }])(
    'holds a window of $windowMs ms',
    async ({ windowMs }) => {
      await using test = await openCache()
      const limiter = limiterOf(test, { limit: 3, windowMs })
      test.clock.advanceMs(windowMs - (test.clock.nowMs() % windowMs))
      expect(await allowedOf(many(5, [limiter]))).toBe(3)
      const { retryAfterMs } = await limiter.consume('client')
      test.clock.advanceMs(retryAfterMs - 1)
      expect((await limiter.consume('client')).allowed).toBe(false)
      test.clock.advanceMs(1)
      expect((await limiter.consume('client')).allowed).toBe(true)
      test.clock.advanceMs(2 * windowMs)
      expect(await allowedOf(many(5, [limiter]))).toBe(3)
    },
  )

  it('peeks without counting', async () => {
    await using test = await openCache()
    const limiter = limiterOf(test, { perMinute: 2 })
    for (let call = 0; call < 5; call++) {
      expect(await limiter.peek('a')).toMatchObject({ allowed: true, remaining: 2, retryAfterMs: 0 })
    }
    await limiter.consume('a')
    expect(await limiter.peek('a')).toMatchObject({ allowed: true, remaining: 1 })
    await limiter.consume('a')
    expect(await limiter.peek('a')).toMatchObject({ allowed: false, remaining: 0 })
  })

  it('counts penalties and rewards, which another process sees immediately', async () => {
    await using test = await openCache()
    const limiter = limiterOf(test, { perMinute: 10 })
    const other = limiterOf(test, { perMinute: 10, cache: test.another() })
    await other.consume('a')
    expect(await limiter.penalty('a', 4)).toMatchObject({ allowed: true, remaining: 5 })
    expect(await limiter.penalty('a', 20)).toMatchObject({ allowed: false, remaining: 0 })
    expect((await other.consume('a')).allowed).toBe(false)
    expect(await limiter.reward('a', 16)).toMatchObject({ allowed: true, remaining: 1 })
    expect((await limiter.consume('a')).allowed).toBe(true)
    expect(await limiter.penalty('a', { cost: 2 })).toMatchObject({ allowed: false, remaining: 0 })
    expect(await limiter.reward('a', { cost: 5 })).toMatchObject({ allowed: true, remaining: 3 })
    expect(await limiter.reward('a', 100)).toMatchObject({ allowed: true, remaining: 10 })
    await expect(limiter.penalty('a', 0)).rejects.toThrow('amount must be a whole number greater than 0')
    await expect(limiter.reward('a', -1)).rejects.toThrow('amount must be a whole number greater than 0')
  })

  it('allows a denied client after a reward or a reset', async () => {
    await using test = await openCache()
    const limiter = limiterOf(test, { perMinute: 1 })
    await limiter.consume('a')
    expect((await limiter.consume('a')).allowed).toBe(false)
    await limiter.reward('a')
    expect((await limiter.consume('a')).allowed).toBe(true)
    expect((await limiter.consume('a')).allowed).toBe(false)
    await limiter.reset('a')
    expect((await limiter.consume('a')).allowed).toBe(true)
  })

  it('denies repeated calls of a denied client without a round trip, and reads the counter again after a second', async () => {
    await using test = await openCache()
    await using counted = await countWrites(test)
    const limiter = limiterOf(test, { perMinute: 5, cache: counted.cache })
    await allowedOf(many(20, [limiter]))
    const first = await limiter.consume('client')
    counted.writes.length = 0
    for (let call = 0; call < 100; call++) expect((await limiter.consume('client')).allowed).toBe(false)
    test.clock.advanceMs(400)
    expect(await limiter.consume('client')).toEqual({
      ...first,
      resetMs: first.resetMs - 400,
      retryAfterMs: first.retryAfterMs - 400,
    })
    expect(counted.writes).toEqual([])
    await limiterOf(test, { perMinute: 5 }).reset('client')
    test.clock.advanceMs(600)
    expect((await limiter.consume('client')).allowed).toBe(true)
  })

  it('does not use facts from before the clock was set back', async () => {
    await using test = await openCache()
    const limiter = limiterOf(test, { limit: 1, windowMs: 2 * 3_600_000 })
    test.clock.advanceMs(3_600_000 - (test.clock.nowMs() % 7_200_000))
    await limiter.consume('client')
    expect((await limiter.consume('client')).allowed).toBe(false)
    test.clock.advanceMs(-600_000)
    await limiterOf(test, { limit: 1, windowMs: 2 * 3_600_000 }).reset('client')
    expect((await limiter.consume('client')).allowed).toBe(true)
  })

  it.each([1500, 45_000, 3_600_000, -45_000, -3_600_000])(
    'counts for two processes, one of whose clocks jumps by %s ms, at most once more',
    async (jumpMs) => {
      await using test = await openCache()
      const clock = new FakeClock(test.clock.nowMs())
      const [one, other] = [test.cache, test.another({ clock })].map((cache) =>
        rateLimiter({ algorithm, cache, perMinute: 10 }),
      )
      let allowed = 0
      for (let call = 0; call < 60; call++) {
        if (call === 10) clock.advanceMs(jumpMs)
        if ((await (call % 2 === 0 ? one! : other!).consume('client')).allowed) allowed++
      }
      expect(allowed).toBeGreaterThanOrEqual(10)
      expect(allowed).toBeLessThanOrEqual(20)
      for (const limiter of [one!, other!]) {
        const { retryAfterMs } = await limiter.peek('client')
        expect(retryAfterMs).toBeLessThanOrEqual(120_000)
      }
    },
  )

  it('denies none of the calls that fit because of calls at the same time that are never allowed', async () => {
    await using test = await openCache()
    const limiter = limiterOf(test, { perMinute: 10 })
    const costs = [11, 1, 1, 1, 1, 1, 5_000_000_000, 1, 1, 1, 1, 1, 12]
    const results = await Promise.all(costs.map((cost) => limiter.consume('client', { cost })))
    expect(results.map(({ allowed }) => allowed)).toEqual(costs.map((cost) => cost === 1))
    expect(results[0]!.retryAfterMs).toBe(Infinity)
    expect((await limiter.peek('client')).remaining).toBe(0)
  })

  it('does not deny calls for longer after the clock was set back by an hour', async () => {
    await using test = await openCache()
    const limiter = limiterOf(test, { perMinute: 2 })
    await limiter.consume('client', { cost: 2 })
    test.clock.advanceMs(-3_600_000)
    const { allowed, retryAfterMs } = await limiter.consume('client')
    if (allowed) return
    expect(retryAfterMs).toBeLessThanOrEqual(60_000)
    test.clock.advanceMs(retryAfterMs)
    expect((await limiter.consume('client')).allowed).toBe(true)
  })

  it('blocks a client that exceeds its limit, in all processes, for blockMs', async () => {
    await using test = await openCache()
    const options = { perMinute: 3, blockMs: 600_000 } as const
    const limiter = limiterOf(test, options)
    const other = limiterOf(test, { ...options, cache: test.another() })
    expect((await other.consume('client')).allowed).toBe(true)
    expect(await allowedOf(many(20, [limiter]))).toBe(2)
    const blocked = { allowed: false, limit: 3, remaining: 0, resetMs: 600_000, retryAfterMs: 600_000 }
    expect(await limiter.consume('client')).toEqual(blocked)
    expect(await other.consume('client')).toEqual(blocked)
    for (let minute = 0; minute < 10; minute++) {
      // Calls meanwhile make it no longer.
      expect(await other.consume('client')).toMatchObject({ allowed: false, retryAfterMs: 600_000 - minute * 60_000 })
      test.clock.advanceSeconds(60)
    }
    expect(await allowedOf([other.consume('client'), limiter.consume('client')])).toBe(2)
  })

  it('block() takes effect on a client that another process has just allowed', async () => {
    await using test = await openCache()
    const limiter = limiterOf(test, { perHour: 10 })
    const other = limiterOf(test, { perHour: 10, cache: test.another() })
    await other.consume('client')
    expect(await limiter.block('client', 5000)).toMatchObject({ allowed: false, retryAfterMs: 5000 })
    expect(await allowedOf(many(10, [other]))).toBe(0)
    expect(await limiter.peek('client')).toMatchObject({ allowed: false, retryAfterMs: 5000 })
    test.clock.advanceMs(4999)
    expect(await allowedOf(many(10, [other, limiter]))).toBe(0)
    test.clock.advanceMs(1)
    // As much as was left: what was counted meanwhile is taken back.
    await until(async () => (await other.peek('client')).remaining === 9)
    expect(await allowedOf(many(20, [other]))).toBe(9)
    await limiter.reset('client')
    const longest = Number.MAX_SAFE_INTEGER - test.clock.nowMs()
    // A longer one ends when times are no longer exact.
    for (const blockMs of [5000, longest, Number.MAX_SAFE_INTEGER]) {
      await limiter.block('client', blockMs)
      expect(await other.peek('client')).toMatchObject({ allowed: false, retryAfterMs: Math.min(blockMs, longest) })
      await limiter.reset('client')
      expect(await limiter.consume('client')).toMatchObject({ allowed: true, remaining: 9 })
    }
    await expect(limiter.block('client')).rejects.toThrow(
      'block needs a time in milliseconds: call block(id, 600_000), or set the option blockMs',
    )
    await expect(limiter.block('client', 0.5)).rejects.toThrow('blockMs must be a whole number greater than 0')
  })

  it('gives back no more than was used, in a window in which it blocked', async () => {
    await using test = await openCache()
    const limiter = limiterOf(test, { perHour: 10 })
    await limiter.block('client', 1000)
    test.clock.advanceSeconds(2)
    await limiter.consume('client')
    await limiter.reward('client', 5)
    expect((await limiter.peek('client')).remaining).toBe(10)
    expect(await allowedOf(many(20, [limiter]))).toBe(10)
  })

  it('separates limits by name, limit and window, and ids by their exact text', async () => {
    await using test = await openCache()
    const one = limiterOf(test, { name: 'one', perMinute: 1 })
    const two = limiterOf(test, { name: 'two', perMinute: 1 })
    const raised = limiterOf(test, { name: 'one', perMinute: 2 })
    expect((await one.consume('a')).allowed).toBe(true)
    expect((await two.consume('a')).allowed).toBe(true)
    expect((await raised.consume('a')).remaining).toBe(1)
    expect((await one.consume('a')).allowed).toBe(false)
    for (const id of ['', 'a b', 'a:b', 'a%20b', 'x'.repeat(300), 'ü\r\n']) {
      expect((await one.consume(id)).allowed).toBe(true)
      expect((await one.consume(id)).allowed).toBe(false)
    }
  })

  it('treats a stored value that is not a counter as no count', async () => {
    await using test = await openCache()
    const limiter = limiterOf(test, { perMinute: 5, perHour: 50 })
    await limiter.consume('a')
    await test.cache.client.set(ownKey(test.cache, 'rate', ['default', 'gcra', '5/60000,50/3600000', 'a']), 'nonsense')
    const policies = '5/60000,50/3600000'
    await test.cache.client.set(ownKey(test.cache, 'rate', ['default', 'block', policies, 'a']), 'nonsense')
    await test.cache.client.set(ownKey(test.cache, 'rate', ['default', 'fixed', 'block', policies, 'a']), 'nonsense')
    expect((await limiter.consume('a')).allowed).toBe(true)
  })
})

describe('rateLimiter', () => {
  it('starts a fixed window at the first call of an id, and the next one after its end', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ limit: 2, windowMs: 10_000, algorithm: 'fixed', cache: test.cache })
    test.clock.advanceMs(3210)
    const allowed = { allowed: true, limit: 2, retryAfterMs: 0 }
    expect(await limiter.consume('a')).toEqual({ ...allowed, remaining: 1, resetMs: 10_000 })
    test.clock.advanceMs(4000)
    expect(await limiter.consume('a')).toEqual({ ...allowed, remaining: 0, resetMs: 6000 })
    const denied = { allowed: false, limit: 2, remaining: 0, resetMs: 6000, retryAfterMs: 6000 }
    expect(await limiter.consume('a')).toEqual(denied)
    expect(await limiter.consume('b')).toEqual({ ...allowed, remaining: 1, resetMs: 10_000 })
    test.clock.advanceMs(5999)
    expect((await limiter.consume('a')).allowed).toBe(false)
    test.clock.advanceMs(1)
    expect(await limiter.consume('a')).toEqual({ ...allowed, remaining: 1, resetMs: 10_000 })
  })

  it('gives a call back to the window in which it was counted', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ limit: 10, windowMs: 10_000, algorithm: 'sliding', cache: test.cache })
    test.clock.advanceMs(10_000 - (test.clock.nowMs() % 10_000))
    const atMs = limiter.nowMs()
    await limiter.consume('a', { cost: 10 })
    test.clock.advanceMs(15_000)
    await limiter.consume('a', { cost: 2 })
    expect((await limiter.peek('a')).remaining).toBe(3)
    expect((await limiter.reward('a', 10, atMs)).remaining).toBe(8)
  })

  it('keeps all of an id on one server', async () => {
    await using one = await openCache()
    await using other = await openCache()
    const servers = [one, other].map(({ server }, index) => ({
      name: `server ${index}`,
      connect: () => server.servers[0]!.connect(),
    }))
    await using cache = memcache({ servers, clock: one.clock, timeoutMs: 5000, logger: false })
    const limiter = rateLimiter({ perSecond: 5, perMinute: 10, perHour: 20, cache })
    const items = () => [one, other].map(({ server }) => Number(server.memcached.stats()['curr_items']))
    for (const id of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) {
      const before = items()
      await limiter.consume(id)
      const made = items().map((count, index) => count - before[index]!)
      expect(made.toSorted((a, b) => a - b)).toEqual([0, 3])
    }
    expect(items().every((count) => count > 0)).toBe(true)
  })

  it('does not count denied calls', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ perMinute: 100, cache: test.cache })
    await allowedOf(many(1000, [limiter]))
    const index = Math.floor(test.clock.nowMs() / 60_000)
    const counter = `~rate:default:100:60000:${index}:client`
    await until(async () => String(await test.cache.client.get(counter)).trim() === '100')
    expect(test.server.memcached.stats()).toMatchObject({ incr_hits: 999, decr_hits: 900 })
  })

  it('refuses an id that is not a string, since all clients would share it', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ perMinute: 10, cache: test.cache })
    for (const id of [undefined, null, 5, {}]) {
      for (const method of ['consume', 'peek', 'penalty', 'reward', 'reset'] as const) {
        await expect(limiter[method](id as never)).rejects.toThrow('the id must be a string')
      }
    }
  })

  it('with a cost of 0 returns what is left, counts nothing, and is denied only by a block', async () => {
    await using test = await openCache()
    for (const algorithm of ALGORITHMS) {
      const limiter = rateLimiter({ name: algorithm, perMinute: 2, algorithm, cache: test.cache })
      expect(await limiter.consume('a', { cost: 0 })).toMatchObject({ allowed: true, remaining: 2 })
      await limiter.consume('a', { cost: 2 })
      expect(await limiter.consume('a', { cost: 0 })).toMatchObject({ allowed: true, remaining: 0 })
      expect(await limiter.peek('a', { cost: 2 })).toMatchObject({ allowed: false, remaining: 0 })
      await limiter.block('a', 5000)
      expect((await limiter.consume('a', { cost: 0 })).allowed).toBe(false)
    }
  })

  it('never counts ids that are on a list', async () => {
    await using test = await openCache()
    const lists = { allow: ['office', '10.0.0.0/8', '2001:db8::/32'], deny: ['10.6.6.6', 'mallory'] }
    const limiter = rateLimiter({ perMinute: 1, ...lists, cache: test.cache })
    for (const id of ['office', '10.1.2.3', '2001:db8:1:200::/56']) {
      for (let call = 0; call < 3; call++) {
        expect(await limiter.consume(id)).toMatchObject({ allowed: true, remaining: 1, retryAfterMs: 0 })
      }
    }
    for (const id of ['mallory', '10.6.6.6']) {
      expect(await limiter.consume(id)).toMatchObject({ allowed: false, retryAfterMs: Infinity })
      expect((await limiter.peek(id)).allowed).toBe(false)
    }
    expect(await allowedOf([limiter.consume('11.0.0.1'), limiter.consume('11.0.0.1')])).toBe(1)
    const chosen = rateLimiter({
      name: 'f',
      perMinute: 1,
      allow: (id) => id.endsWith('@example.org'),
      cache: test.cache,
    })
    expect(await allowedOf([1, 2, 3].map(() => chosen.consume('ann@example.org')))).toBe(3)
    expect(await allowedOf([1, 2, 3].map(() => chosen.consume('ann@example.com')))).toBe(1)
    expect(test.server.memcached.stats()['curr_items']).toBe(2)
  })

  it('counts ids that differ in case or Unicode form together only with the option normalize', async () => {
    await using test = await openCache()
    const ids = ['Ann@Example.org', 'ann@example.org', 'Jose\u0301', 'jos\u00e9']
    for (const [normalize, count] of [
      [false, 4],
      [true, 2],
    ] as const) {
      const limiter = rateLimiter({ name: `normalize ${normalize}`, perMinute: 1, normalize, cache: test.cache })
      expect(await allowedOf(ids.map((id) => limiter.consume(id)))).toBe(count)
      await limiter.reset('ANN@example.org')
      expect((await limiter.consume('ann@EXAMPLE.org')).allowed).toBe(true)
    }
  })

  it('refuses invalid options of a call, and suggests the right form', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ perMinute: 10, cache: test.cache })
    await expect(limiter.consume('a', { costs: 5 } as never)).rejects.toThrow('`costs` is `cost` here')
    await expect(limiter.consume('a', { points: 5 } as never)).rejects.toThrow('`points` is `cost` here')
    await expect(limiter.consume('a', 5 as never)).rejects.toThrow(
      'consume takes its cost in an object, such as { cost: 2 }, got 5',
    )
    await expect(limiter.peek('a', { Cost: 1 } as never)).rejects.toThrow('`Cost` is `cost` here')
    await expect(limiter.penalty('a', { amount: 5 } as never)).rejects.toThrow('`amount` is `cost` here')
    await expect(limiter.penalty('a', '3' as never)).rejects.toThrow(
      "amount must be a whole number greater than 0, got the string '3'",
    )
    await expect(limiter.reward('a', Number.NaN)).rejects.toThrow(
      'amount must be a whole number greater than 0, got NaN',
    )
    await expect(limiter.reward('a', 1, Number.NaN)).rejects.toThrow('atMs must be milliseconds since 1970, got NaN')
    await expect(limiter.block('a', '5000' as never)).rejects.toThrow(
      "blockMs must be a whole number greater than 0, got the string '5000'",
    )
    expect((await limiter.peek('a')).remaining).toBe(10)
  })

  it('refuses a cost that is no whole number of at least 0', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ perMinute: 10, cache: test.cache })
    for (const cost of [-1, 0.5, Number.NaN, Infinity, '2' as never]) {
      await expect(limiter.consume('a', { cost })).rejects.toThrow('cost must be a whole number of at least 0')
    }
    // A call that can never be allowed is denied, and delays no other call.
    for (const cost of [11, 2 ** 36, Number.MAX_SAFE_INTEGER]) {
      expect(await limiter.consume('a', { cost })).toMatchObject({
        allowed: false,
        remaining: 10,
        retryAfterMs: Infinity,
      })
    }
    expect(await limiter.consume('a', { cost: 10 })).toMatchObject({ allowed: true, remaining: 0 })
    await expect(limiter.penalty('a', 2e9)).rejects.toThrow('amount must be at most 1000000000')
  })

  it.each([
    [{}, 'needs a limit'],
    [{ perMinute: 0 }, 'perMinute must be a whole number from 1'],
    [{ perMinute: 2e9 }, 'perMinute must be a whole number from 1 to 1000000000'],
    [{ limit: 5 }, 'limit and windowMs belong together'],
    [{ limit: 5, windowMs: 0.5 }, 'windowMs must be a whole number of milliseconds'],
    [{ max: 5 }, '`max` is `limit` here'],
    [{ perMinute: 5, blockDuration: 5 }, '`blockDuration` is `blockMs` here'],
    [{ perMinute: 5, onCacheDown: 'maybe' }, "onCacheDown must be 'local', 'open' or 'closed'"],
    [{ perMinute: 5, algorithm: 'leaky' }, "algorithm must be 'sliding', 'fixed' or 'gcra', got 'leaky'"],
    [{ perMinute: 5, burst: 5 }, "burst works only with algorithm: 'gcra'"],
    [{ perMinute: 5, perHour: 5, algorithm: 'gcra', burst: 5 }, 'burst works only with one window'],
    [{ perMinute: 5, blockMs: 0 }, 'blockMs must be a whole number greater than 0'],
    [
      { perMinute: 5, allow: 'office' },
      'allow must be a list of ids and address ranges, or a function of an id, got string',
    ],
    [{ perMinute: 5, deny: [5] }, 'deny must be a list of strings, got an entry of type number'],
    [{ perMinute: 5, deny: ['10.0.0.0/33'] }, "deny has an invalid address range, '10.0.0.0/33'"],
    [{ perMinute: 5, whitelist: [] }, '`whitelist` is `allow` here'],
    [{ perMinute: 5, normalize: 'lower' }, "normalize must be true or false, got 'lower'"],
    [{ perMinute: 5, name: '' }, 'name must be a string that is not empty'],
    [{ perMinute: '5' }, 'perMinute must be a whole number from 1'],
    [
      { limit: 5e8, windowMs: 31 * 86_400_000, algorithm: 'fixed' },
      'can count up to 16777216, got a limit of 500000000',
    ],
  ])('refuses %j: %s', (options, message) => {
    expect(() => rateLimiter(options as never)).toThrow(message)
  })

  it('documents all its options in the README', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    for (const option of RATE_LIMITER_OPTIONS) expect(readme).toMatch(new RegExp(`^(\\| |- )[^:(|]*\`${option}\``, 'm'))
  })

  it('refuses a misspelled option, in its types too', () => {
    // @ts-expect-error it is perMinute
    expect(() => rateLimiter({ perMinutes: 5 })).toThrow('`perMinutes` is `perMinute` here')
  })
})

describe('a denial that its caller knows of', () => {
  const cases = (['sliding', 'fixed', 'gcra'] as const).flatMap((algorithm) => [
    { algorithm, blockMs: undefined },
    { algorithm, blockMs: 60_000 },
  ])
  it.each(cases)('changes no counter afterwards: $algorithm, block $blockMs', async ({ algorithm, blockMs }) => {
    await using test = await openCache()
    const denying = test.another()
    let underWay = 0
    for (const method of ['incr', 'decr', 'set', 'add', 'cas', 'delete'] as const) {
      const call = denying.client[method].bind(denying.client) as (...args: unknown[]) => Promise<unknown>
      vi.spyOn(denying.client, method).mockImplementation(((...args: unknown[]) => {
        underWay++
        return call(...args).finally(() => underWay--)
      }) as never)
    }
    const options = { limit: 2, windowMs: 86_400_000, algorithm, blockMs } as const
    const [limiter, other] = [denying, test.cache].map((cache) => rateLimiter({ ...options, cache }))
    for (let call = 0; call < 2; call++) await limiter!.consume('a')
    expect((await limiter!.consume('a')).allowed).toBe(false)
    expect(underWay).toBe(0)
    await other!.reset('a')
    expect((await other!.consume('a')).remaining).toBe(1)
  })
})
