import { describeWithMemcached, FakeClock, launchMemcached, until } from 'memcache-ts-testing'
import type { LaunchedServer } from 'memcache-ts-testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { defineCache, memcache, rateLimiter } from '../src/index.ts'
import type { Memcache } from '../src/index.ts'

describeWithMemcached('the kit on the real memcached', () => {
  let server: LaunchedServer
  let caches: Memcache[]
  beforeAll(async () => {
    server = await launchMemcached()
    // As two processes have them.
    caches = [1, 2].map(() =>
      memcache({ servers: server.address, logger: false, timeoutMs: 5000, clock: new FakeClock() }),
    )
  })
  afterAll(async () => {
    await Promise.all(caches.map((cache) => cache.close()))
    await server.kill()
  })

  it('runs one loader for 200 callers of two processes', async () => {
    let loads = 0
    const lost = (): number => caches.reduce((sum, cache) => sum + cache.stats().leasesLost, 0)
    const load = async () => {
      loads++
      // Until the other process has found out that it is not to load.
      await until(() => lost() === 1)
      return { loads }
    }
    const calls = caches.flatMap((cache) => Array.from({ length: 100 }, () => cache.getOrSet('cold', load, 60)))
    expect(new Set((await Promise.all(calls)).map((value) => value.loads))).toEqual(new Set([1]))
    expect([loads, lost()]).toEqual([1, 1])
  })

  it('refuses a value that was loaded before another process deleted the key', async () => {
    const [one, other] = caches as [Memcache, Memcache]
    const value = await one.getOrSet('deleted', async () => {
      await other.delete('deleted')
      return 'old'
    })
    expect(value).toBe('old')
    expect(await other.get('deleted')).toBeUndefined()
    expect(one.stats().discarded).toBe(1)
  })

  it('frees the lease of a loader that threw, for another process at once', async () => {
    const [one, other] = caches as [Memcache, Memcache]
    await expect(one.getOrSet('thrown', () => Promise.reject(new Error('no database')))).rejects.toThrow('no database')
    expect(await other.getOrSet('thrown', () => 'loaded')).toBe('loaded')
  })

  it.each(['sliding', 'fixed', 'gcra'] as const)(
    'admits exactly 100 of 1000 parallel calls to two processes: %s',
    async (algorithm) => {
      const limiters = caches.map((cache) => rateLimiter({ limit: 100, windowMs: 86_400_000, algorithm, cache }))
      const calls = limiters.flatMap((limiter) => Array.from({ length: 500 }, () => limiter.consume(algorithm)))
      expect((await Promise.all(calls)).filter((result) => result.allowed)).toHaveLength(100)
    },
  )

  // Not shorter: memcached expires items by the time of the machine, even if it is busy.
  it.each([60_500, 31 * 86_400_000])('holds windows of %i ms, blocks, penalties and rewards', async (windowMs) => {
    const clock = new FakeClock(Date.now())
    await using cache = memcache({ servers: server.address, logger: false, timeoutMs: 5000, clock })
    for (const algorithm of ['sliding', 'fixed', 'gcra'] as const) {
      const limiter = rateLimiter({ name: algorithm, limit: 5, windowMs, algorithm, cache })
      clock.advanceMs(windowMs - (clock.nowMs() % windowMs))
      const results = await Promise.all(Array.from({ length: 50 }, () => limiter.consume('client')))
      expect(results.filter((result) => result.allowed)).toHaveLength(5)
      expect(await limiter.reward('client', 3)).toMatchObject({ allowed: true, remaining: 3 })
      expect(await limiter.penalty('client', 2)).toMatchObject({ allowed: true, remaining: 1 })
      expect(await limiter.block('client', 60_000)).toMatchObject({ allowed: false, retryAfterMs: 60_000 })
      await limiter.reset('client')
      expect(await limiter.consume('client')).toMatchObject({ allowed: true, remaining: 4 })
    }
  })

  it('warms each key once, in any number of processes', async () => {
    const loaded: number[] = []
    const ids = Array.from({ length: 200 }, (_, index) => index)
    const load = (id: number) => (loaded.push(id), id)
    const reports = await Promise.all(caches.map((cache) => defineCache({ name: 'warm', cache, load }).warm(ids)))
    expect(loaded.sort((a, b) => a - b)).toEqual(ids)
    expect(reports.reduce((sum, report) => sum + report.loaded, 0)).toBe(200)
  })
})
