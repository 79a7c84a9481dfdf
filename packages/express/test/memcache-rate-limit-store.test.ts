import express from 'express'
import type { Express } from 'express'
import { rateLimit as expressRateLimit } from 'express-rate-limit'
import type { Options } from 'express-rate-limit'
import { describeWithMemcached, FakeClock, freePort, launchMemcached } from 'memcache-ts-testing'
import { memcache } from 'memcache-ts'
import request from 'supertest'
import { describe, expect, it, vi } from 'vitest'
import { MemcacheRateLimitStore } from '../src/index.ts'
import { listen, TestFleet } from './open-app.ts'

const MONTH_MS = 31 * 86_400_000

/** An app behind express-rate-limit, all of whose own checks have to pass. */
function appWith(store: MemcacheRateLimitStore, options: Partial<Options> = {}): Express {
  const app = express()
  app.use(expressRateLimit({ store, windowMs: 60_000, limit: 3, standardHeaders: 'draft-8', ...options }))
  app.get('/', (_req, res) => res.json({}))
  return app
}

describe('MemcacheRateLimitStore', () => {
  it('has the properties localKeys and prefix for express-rate-limit', () => {
    expect(new MemcacheRateLimitStore()).toMatchObject({ localKeys: false, prefix: 'express-rate-limit' })
  })

  it('limits an app over two processes, without a word of complaint', async () => {
    const logged = [vi.spyOn(console, 'error'), vi.spyOn(console, 'warn')]
    await using fleet = new TestFleet()
    const stores = [1, 2].map(() => new MemcacheRateLimitStore({ cache: fleet.cache() }))
    await using one = await listen(appWith(stores[0]!))
    await using other = await listen(appWith(stores[1]!))
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => request(index % 2 === 0 ? one : other).get('/')),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(17)
    for (const spy of logged) {
      expect(spy).not.toHaveBeenCalled()
      spy.mockRestore()
    }
  })

  it.each([500, 60_000, MONTH_MS])('holds a window of %i ms, to its end and no longer', async (windowMs) => {
    await using fleet = new TestFleet()
    const store = new MemcacheRateLimitStore({ cache: fleet.cache() })
    await using server = await listen(appWith(store, { windowMs }))
    fleet.clock.advanceMs(123)
    for (let call = 0; call < 3; call++) await request(server).get('/').expect(200)
    await request(server).get('/').expect(429)
    fleet.clock.advanceMs(windowMs - 1)
    await request(server).get('/').expect(429)
    fleet.clock.advanceMs(1)
    await request(server).get('/').expect(200)
  })

  it('returns the end of the window', async () => {
    await using fleet = new TestFleet()
    const store = new MemcacheRateLimitStore({ cache: fleet.cache() })
    store.init({ windowMs: MONTH_MS })
    const resetTime = new Date(fleet.clock.nowMs() + MONTH_MS)
    expect(await store.get('a')).toBeUndefined()
    expect(await store.increment('a')).toEqual({ totalHits: 1, resetTime })
    fleet.clock.advanceSeconds(86_400)
    expect(await store.increment('a')).toEqual({ totalHits: 2, resetTime })
    expect(await store.get('a')).toEqual({ totalHits: 2, resetTime })
  })

  it('counts exactly, each hit in one round trip', async () => {
    await using fleet = new TestFleet()
    const store = new MemcacheRateLimitStore({ cache: fleet.cache() })
    const hits = await Promise.all(Array.from({ length: 1000 }, () => store.increment('a')))
    expect(new Set(hits.map(({ totalHits }) => totalHits)).size).toBe(1000)
    expect(fleet.server.stats()).toMatchObject({ incr_hits: 999, cmd_get: 1 })
  })

  it('takes hits back, and resets one client or all clients, in other processes too', async () => {
    await using fleet = new TestFleet()
    const store = new MemcacheRateLimitStore({ cache: fleet.cache() })
    const other = new MemcacheRateLimitStore({ cache: fleet.cache() })
    const apart = new MemcacheRateLimitStore({ prefix: 'login', cache: fleet.cache() })
    for (const each of [store, other, apart]) for (const key of ['a', 'b']) await each.increment(key)
    await store.decrement('a')
    expect((await store.get('a'))?.totalHits).toBe(1)
    await store.resetKey('a')
    expect(await other.get('a')).toBeUndefined()
    expect((await other.get('b'))?.totalHits).toBe(2)
    await store.resetAll()
    expect(await store.get('b')).toBeUndefined()
    fleet.clock.advanceSeconds(1)
    expect((await other.increment('b')).totalHits).toBe(1)
    expect((await store.increment('b')).totalHits).toBe(2)
    expect((await apart.get('b'))?.totalHits).toBe(1)
    await other.resetAll()
    fleet.clock.advanceSeconds(1)
    expect((await store.increment('b')).totalHits).toBe(1)
  })

  it('gives requests back that express-rate-limit skips, and resets a client', async () => {
    await using fleet = new TestFleet()
    const store = new MemcacheRateLimitStore({ cache: fleet.cache() })
    const limiter = expressRateLimit({
      store,
      limit: 2,
      skipSuccessfulRequests: true,
      keyGenerator: () => 'k',
      validate: { keyGeneratorIpFallback: false },
    })
    const app = express()
    app.get('/:status', limiter, (req, res) => res.status(Number(req.params.status)).json({}))
    await using server = await listen(app)
    for (let call = 0; call < 5; call++) await request(server).get('/200').expect(200)
    for (let call = 0; call < 2; call++) await request(server).get('/500').expect(500)
    await request(server).get('/500').expect(429)
    limiter.resetKey('k')
    await request(server).get('/500').expect(500)
  })

  it('rejects when memcached is away, so that passOnStoreError applies', async () => {
    await using cache = memcache({ servers: `127.0.0.1:${await freePort()}`, logger: false, clock: new FakeClock() })
    const logged = vi.spyOn(console, 'error').mockImplementation(() => {})
    await using strict = await listen(
      appWith(new MemcacheRateLimitStore({ prefix: 'strict', cache })).set('env', 'test'),
    )
    await using lax = await listen(
      appWith(new MemcacheRateLimitStore({ prefix: 'lax', cache }), { passOnStoreError: true }),
    )
    await request(strict).get('/').expect(500)
    await request(lax).get('/').expect(200)
    logged.mockRestore()
  })

  it('refuses an option that there is not', () => {
    expect(() => new MemcacheRateLimitStore({ client: {} } as never)).toThrow('`client` is `cache` here')
  })
})

describeWithMemcached('MemcacheRateLimitStore on the real memcached', () => {
  it.each([500, MONTH_MS])('counts exactly in a window of %i ms', async (windowMs) => {
    await using memcached = await launchMemcached()
    await using cache = memcache({
      servers: memcached.address,
      logger: false,
      timeoutMs: 5000,
      clock: new FakeClock(Date.now()),
    })
    const store = new MemcacheRateLimitStore({ cache })
    store.init({ windowMs })
    const hits = await Promise.all(Array.from({ length: 1000 }, () => store.increment('a')))
    expect(Math.max(...hits.map(({ totalHits }) => totalHits))).toBe(1000)
  })
})
