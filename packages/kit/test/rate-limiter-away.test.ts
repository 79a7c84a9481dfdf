import { FakeClock, FaultProxy, launchServer, until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { memcache, rateLimiter } from '../src/index.ts'
import type { RateLimiter } from '../src/index.ts'
import { LocalCounters } from '../src/rate-limit/local-counters.ts'
import { aloneKey } from '../src/rate-limit/rate-limit-store.ts'
import { openCache } from './open-cache.ts'

const ALGORITHMS = ['sliding', 'fixed', 'gcra'] as const
const FAULTS = ['stop', 'pause'] as const
/** Nothing wraps around in it. */
const DAY_MS = 86_400_000

async function allowedOf(limiter: RateLimiter, calls: number): Promise<number> {
  const results = await Promise.all(Array.from({ length: calls }, () => limiter.consume('client')))
  return results.filter(({ allowed }) => allowed).length
}

class Log {
  readonly lines: string[] = []
  readonly info = (message: string): void => void this.lines.push(message)
  readonly warn = this.info

  get ofLimits(): string[] {
    return this.lines.filter((line) => line.includes('rate limit'))
  }
}

describe.each(FAULTS)('a limiter whose memcached is away: %s', (fault) => {
  it.each([
    ['local', 10],
    ['open', 200],
    ['closed', 0],
  ] as const)('is %s under load, says so once, and is whole again without a restart', async (onCacheDown, allowed) => {
    const log = new Log()
    await using test = await openCache({ timeoutMs: 250, logger: log })
    const { cache, server } = test
    const limiter = rateLimiter({ name: 'api', limit: 10, windowMs: DAY_MS, onCacheDown, cache })
    expect((await limiter.peek('client')).allowed).toBe(true)
    await server[fault]()
    // The first hundred find out, all at once; the second do not even wait.
    expect((await allowedOf(limiter, 100)) + (await allowedOf(limiter, 100))).toBe(allowed)
    expect(log.ofLimits).toEqual([
      expect.stringMatching(/^memcache-ts: the rate limit 'api' is .* while memcached is away: /),
    ])
    expect(cache.stats()).toMatchObject({ health: 'down' })
    // A process that knows that it is away sends no request.
    expect(cache.stats().cacheErrors).toBe(100)
    await server.start()
    await server.resume()
    await until(() => cache.stats().health === 'up')
    // Nobody is believed to be denied for longer than a second.
    test.clock.advanceMs(1000)
    expect(await allowedOf(limiter, 100)).toBe(10)
    expect(log.ofLimits).toEqual([
      expect.stringContaining('is away'),
      "memcache-ts: the rate limit 'api' is counted by memcached again: test",
    ])
    await server[fault]()
    test.clock.advanceMs(1000)
    await limiter.consume('client')
    expect(log.ofLimits).toHaveLength(3)
  })

  it.each(ALGORITHMS)('judges by its own counters meanwhile, %s, and does all that it does', async (algorithm) => {
    await using test = await openCache({ timeoutMs: 250 })
    const limiter = rateLimiter({
      limit: 10,
      windowMs: DAY_MS,
      perHour: 8,
      algorithm,
      blockMs: 5000,
      cache: test.cache,
    })
    await test.server[fault]()
    expect((await limiter.consume('client', { cost: 3 })).remaining).toBe(5)
    expect((await limiter.peek('client')).remaining).toBe(5)
    expect((await limiter.penalty('client', 2)).remaining).toBe(3)
    expect((await limiter.reward('client', 4)).remaining).toBe(7)
    expect(await allowedOf(limiter, 100)).toBe(7)
    expect((await limiter.peek('client')).retryAfterMs).toBeGreaterThanOrEqual(5000)
    await limiter.reset('client')
    expect(await limiter.consume('client')).toMatchObject({ allowed: true, remaining: 7 })
    expect(await limiter.block('client', 1000)).toMatchObject({ allowed: false, retryAfterMs: 1000 })
    test.clock.advanceMs(1000)
    expect((await limiter.consume('client')).allowed).toBe(true)
  })

  it.each(ALGORITHMS)('denies a client that it has blocked before, %s', async (algorithm) => {
    await using test = await openCache({ timeoutMs: 250 })
    const options = { limit: 2, windowMs: 60_000, algorithm, blockMs: 3_600_000, cache: test.cache } as const
    const limiter = rateLimiter(options)
    expect(await allowedOf(limiter, 5)).toBe(2)
    await test.server[fault]()
    test.clock.advanceMs(600_000)
    expect(await limiter.consume('client')).toMatchObject({ allowed: false, retryAfterMs: 3_000_000 })
    expect((await limiter.consume('another')).allowed).toBe(true)
    test.clock.advanceMs(2_999_999)
    expect(await limiter.consume('client')).toMatchObject({ allowed: false, retryAfterMs: 1 })
    test.clock.advanceMs(1)
    expect((await limiter.consume('client')).allowed).toBe(true)
    expect(await allowedOf(limiter, 5)).toBe(1)
    await limiter.reset('client')
    expect((await limiter.consume('client')).allowed).toBe(true)
  })

  it.each(ALGORITHMS)('gives a call back only to the counter that counted it, %s', async (algorithm) => {
    await using test = await openCache({ timeoutMs: 250 })
    const options = { limit: 10, windowMs: DAY_MS, algorithm, cache: test.cache } as const
    const local = rateLimiter(options)
    const open = rateLimiter({ ...options, onCacheDown: 'open' })
    const remaining = async (): Promise<number> => (await local.peek('client')).remaining
    const before = await local.consume('client')
    await test.server[fault]()
    const [meanwhile, uncounted] = [await local.consume('client', { cost: 4 }), await open.consume('client')]
    await local.giveBack('client', 1, before)
    expect(await remaining()).toBe(6)
    await test.server.start()
    await test.server.resume()
    await until(() => test.cache.stats().health === 'up')
    await local.penalty('client', 3)
    const left = await remaining()
    await local.giveBack('client', 4, meanwhile)
    await open.giveBack('client', 1, uncounted)
    expect(await remaining()).toBe(left)
    await local.giveBack('client', 2, await local.consume('client', { cost: 2 }))
    expect(await remaining()).toBe(left)
  })

  it('never rejects', async () => {
    await using test = await openCache({ timeoutMs: 250 })
    await test.server[fault]()
    for (const onCacheDown of ['open', 'closed'] as const) {
      const limiter = rateLimiter({ perMinute: 10, onCacheDown, cache: test.cache })
      const allowed = onCacheDown === 'open'
      expect(await limiter.peek('a')).toMatchObject({ allowed })
      expect(await limiter.penalty('a')).toMatchObject({ allowed })
      expect(await limiter.reward('a')).toMatchObject({ allowed })
      expect(await limiter.block('a', 1000)).toMatchObject({ allowed })
      await limiter.reset('a')
      // Closed, it is worth trying again soon, however long the window is.
      expect((await limiter.consume('a')).retryAfterMs).toBe(allowed ? 0 : 1000)
    }
  })
})

describe('a limiter whose memcached misbehaves', () => {
  it.each(ALGORITHMS)('continues without it, %s', async (algorithm) => {
    await using server = await launchServer()
    await using proxy = await FaultProxy.start({ host: '127.0.0.1', port: server.port })
    await using cache = memcache({ servers: proxy.address, logger: false, timeoutMs: 250 })
    const limiter = rateLimiter({ limit: 10, windowMs: DAY_MS, algorithm, cache })
    await limiter.consume('other')
    proxy.fault = { kind: 'respond', bytes: 'SERVER_ERROR out of memory storing object\r\n' }
    expect(await allowedOf(limiter, 50)).toBe(10)
    proxy.fault = { kind: 'reset' }
    expect((await limiter.consume('somebody')).allowed).toBe(true)
    proxy.fault = { kind: 'none' }
    await until(async () => {
      await limiter.reset('client')
      return (await limiter.consume('client')).remaining === 9
    })
  })

  it('adds no listener to its cache, with any number of limiters', async () => {
    await using test = await openCache({ timeoutMs: 250 })
    await test.server.stop()
    for (let index = 0; index < 20; index++) {
      await rateLimiter({ name: `limiter ${index}`, perMinute: 1, cache: test.cache }).consume('a')
    }
    expect(test.cache.listenerCount('recovered')).toBe(0)
  })

  it('keeps a limited number of local counters', async () => {
    const counters = new LocalCounters(new FakeClock())
    for (let id = 0; id <= 100_000; id++) await counters.incr(aloneKey(`id ${id}`), 1, 60)
    // The first has made room.
    expect(await counters.count(aloneKey('id 0'))).toBe(0)
    expect(await counters.count(aloneKey('id 1'))).toBe(1)
  })
})
