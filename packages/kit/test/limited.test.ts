import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { MemcacheLimitError, rateLimiter } from '../src/index.ts'
import { limited, LIMITED_OPTIONS } from '../src/rate-limit/index.ts'
import { deferred } from './deferred.ts'
import { openCache } from './open-cache.ts'

describe('blockUntilReady', () => {
  it('admits the callers of an id in their order, each when the limit allows it', async () => {
    await using test = await openCache()
    const { cache, clock } = test
    const limiter = rateLimiter({ perSecond: 1, algorithm: 'gcra', cache })
    const passed: string[] = []
    const pass = async (name: string) => {
      const { allowed } = await limiter.blockUntilReady('id')
      passed.push(`${name} ${allowed} ${(clock.nowMs() - startMs) / 1000}`)
    }
    const startMs = clock.nowMs()
    const all = ['a', 'b', 'c', 'd'].map(pass)
    await all[0]
    for (let second = 1; second <= 3; second++) {
      expect(passed).toHaveLength(second)
      clock.advanceMs(999)
      expect(passed).toHaveLength(second)
      clock.advanceMs(1)
      await all[second]
    }
    expect(passed).toEqual(['a true 0', 'b true 1', 'c true 2', 'd true 3'])
  })

  it('rejects immediately if the wait would be too long, and when a queued caller’s time is over', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ limit: 1, windowMs: 3_000_000_000, algorithm: 'fixed', cache: test.cache })
    expect((await limiter.blockUntilReady('id')).allowed).toBe(true)
    expect(await limiter.blockUntilReady('id', { waitMs: 5000 })).toMatchObject({ allowed: false, remaining: 0 })
    expect(await limiter.blockUntilReady('id', { waitMs: 0 })).toMatchObject({ allowed: false })
    expect(await limiter.blockUntilReady('other', { cost: 2 })).toMatchObject({ retryAfterMs: Infinity })
    const patient = limiter.blockUntilReady('id')
    const behind = limiter.blockUntilReady('id', { waitMs: 1000 })
    const aborting = new AbortController()
    const aborted = limiter.blockUntilReady('id', { signal: aborting.signal })
    aborting.abort(new Error('no longer wanted'))
    await expect(aborted).rejects.toThrow('no longer wanted')
    test.clock.advanceMs(1000)
    expect((await behind).allowed).toBe(false)
    test.clock.advanceMs(3_000_000_000)
    expect((await patient).allowed).toBe(true)
  })

  it('continues with the other callers when the first one gives up', async () => {
    await using test = await openCache()
    const limiter = rateLimiter({ perMinute: 1, algorithm: 'fixed', cache: test.cache })
    await limiter.consume('id')
    const aborting = new AbortController()
    const first = limiter.blockUntilReady('id', { signal: aborting.signal })
    const second = limiter.blockUntilReady('id')
    await test.cache.client.get('any')
    aborting.abort(new Error('gone'))
    await expect(first).rejects.toThrow('gone')
    test.clock.advanceMs(60_000)
    expect((await second).allowed).toBe(true)
  })

  it.each([
    [{ waitMs: -1 }, 'waitMs must be a number of milliseconds, at least 0'],
    [{ waitMs: Number.NaN }, 'waitMs must be a number of milliseconds, at least 0'],
    [{ cost: 0 }, 'cost must be a whole number greater than 0'],
    [{ timeout: 5 }, '`timeout` is `waitMs` here'],
  ])('refuses %j: %s', async (options, message) => {
    await using test = await openCache()
    const limiter = rateLimiter({ perMinute: 1, cache: test.cache })
    await expect(limiter.blockUntilReady('id', options as never)).rejects.toThrow(message)
    await expect(limiter.blockUntilReady(5 as never)).rejects.toThrow('the id must be a string')
  })
})

describe('limited', () => {
  it('makes calls wait for their turn, and returns their results', async () => {
    await using test = await openCache()
    const { cache, clock } = test
    const calls: number[] = []
    const double = limited(
      async (value: number) => {
        calls.push(clock.nowMs() - startMs)
        return value * 2
      },
      { name: 'double', perSecond: 2, burst: 1, cache },
    )
    const startMs = clock.nowMs()
    const [first, second] = [double(1), double(2)]
    expect(await first).toBe(2)
    clock.advanceMs(500)
    expect(await second).toBe(4)
    expect(calls).toEqual([0, 500])
    expect((await double.limiter.peek('all')).allowed).toBe(false)
  })

  it('rejects a call that would wait for too long, with the time after which there is room', async () => {
    await using test = await openCache()
    const call = limited(() => 'called', { perMinute: 1, waitMs: 1000, cache: test.cache })
    expect(await call()).toBe('called')
    const refused = await call().catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(MemcacheLimitError)
    expect(refused).toMatchObject({ code: 'ERR_MEMCACHE_LIMIT', retryable: true, retryAfterMs: 60_000 })
    const never = limited(() => 'called', { name: 'never', perMinute: 1, cost: 2, cache: test.cache })
    await expect(never()).rejects.toThrow("the limit 'never' never allows a call that costs 2")
  })

  it('counts by key and cost, and rejects with the function’s error', async () => {
    await using test = await openCache()
    const call = limited(
      (account: string, size: number) => {
        if (size === 0) throw new Error('nothing to send')
        return account
      },
      { perMinute: 3, key: (account) => account, cost: (_, size) => size + 1, waitMs: 0, cache: test.cache },
    )
    expect(await call('a', 2)).toBe('a')
    await expect(call('a', 1)).rejects.toThrow(MemcacheLimitError)
    expect(await call('b', 1)).toBe('b')
    await expect(call('b', 0)).rejects.toThrow('nothing to send')
  })

  it('runs at most max calls at once, in two processes', async () => {
    await using test = await openCache()
    const gate = deferred()
    let running = 0
    let most = 0
    const options = { perSecond: 1000, maxConcurrent: 2 }
    const calls = [test.cache, test.another()].map((cache) =>
      limited(
        async () => {
          most = Math.max(most, ++running)
          await gate.promise
          running--
        },
        { ...options, cache },
      ),
    )
    const all = Array.from({ length: 6 }, (_, index) => calls[index % 2]!())
    await expect.poll(() => running).toBe(2)
    gate.resolve()
    await Promise.all(all)
    expect(most).toBe(2)
  })

  it('refuses values that are not functions, and invalid options', () => {
    expect(() => limited('fn' as never, { perSecond: 1 })).toThrow(
      'the first argument of limited must be a function, got string',
    )
    expect(() => limited(() => 1, { perSecond: 1, max: 5 } as never)).toThrow('`max` is `maxConcurrent` here')
    expect(() => limited(() => 1, {})).toThrow('needs a limit')
    expect(() => limited(() => 1, { perSecond: 1, waitMs: Number.NaN })).toThrow('waitMs must be')
  })

  it('documents all its options', () => {
    const page = readFileSync(new URL('../../../docs/outgoing-calls.md', import.meta.url), 'utf8')
    for (const option of LIMITED_OPTIONS.slice(-5))
      expect(page).toMatch(new RegExp(`^(\\| |- )[^:(|]*\`${option}\``, 'm'))
  })
})
