import express from 'express'
import type { Express, Request } from 'express'
import { FakeClock, freePort } from 'memcache-ts-testing'
import { memcache } from 'memcache-ts'
import type { Memcache } from 'memcache-ts'
import request from 'supertest'
import { describe, expect, it, vi } from 'vitest'
import { rateLimit } from '../src/index.ts'
import type { RateLimitOptions } from '../src/index.ts'
import { EXPRESSES, listen, TestFleet } from './open-app.ts'

describe.each(EXPRESSES)('rateLimit on %s', (_, express) => {
  function app(cache: Memcache, options: RateLimitOptions): Express {
    const made = express()
    made.set('env', 'test')
    made.use(rateLimit({ cache, ...options }))
    made.get('/', (req, res) => res.json(req.rateLimit))
    return made
  }

  it('admits exactly 100 of 1000 parallel requests, and tells the others when to come back', async () => {
    await using fleet = new TestFleet()
    await using server = await listen(app(fleet.cache(), { perMinute: 100 }))
    const answers = await Promise.all(Array.from({ length: 1000 }, () => request(server).get('/')))
    const denied = answers.filter((answer) => answer.status === 429)
    expect(denied).toHaveLength(900)
    const seconds = Math.ceil((60_000 - (fleet.clock.nowMs() % 60_000)) / 1000)
    expect(denied[0]!.headers).toMatchObject({
      'retry-after': String(seconds + 1),
      'ratelimit-policy': '"default";q=100;w=60',
      ratelimit: `"default";r=0;t=${seconds}`,
      'content-type': 'application/problem+json; charset=utf-8',
    })
    expect(JSON.parse(denied[0]!.text)).toEqual({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'Request cannot be satisfied as assigned quota has been exceeded',
      status: 429,
      detail: `The limit of 100 is used up. Try again in ${seconds + 1} seconds.`,
      'violated-policies': ['default'],
    })
  })

  it('counts down in its headers and in req.rateLimit, and starts anew', async () => {
    await using fleet = new TestFleet()
    await using server = await listen(app(fleet.cache(), { name: 'api', perMinute: 2, algorithm: 'fixed' }))
    const first = await request(server).get('/').expect(200)
    expect(first.headers['ratelimit']).toMatch(/^"api";r=1;t=\d+$/)
    expect(first.body).toMatchObject({ allowed: true, limit: 2, remaining: 1 })
    await request(server).get('/').expect(200)
    await request(server).get('/').expect(429)
    fleet.clock.advanceSeconds(60)
    await request(server).get('/').expect(200)
  })

  it('counts together with other processes', async () => {
    await using fleet = new TestFleet()
    await using one = await listen(app(fleet.cache(), { perMinute: 2 }))
    await using other = await listen(app(fleet.cache(), { perMinute: 2 }))
    await request(one).get('/').expect(200)
    await request(other).get('/').expect(200)
    await request(one).get('/').expect(429)
    await request(other).get('/').expect(429)
  })

  it('counts by a key, at a cost, and not at all what is skipped', async () => {
    await using fleet = new TestFleet()
    const options: RateLimitOptions = {
      perMinute: 3,
      key: (req) => req.query['user'] as string,
      cost: (req) => Number(req.query['cost'] ?? 1),
      skip: (req) => req.query['user'] === 'admin',
    }
    await using server = await listen(app(fleet.cache(), options))
    await request(server).get('/?user=a&cost=3').expect(200)
    await request(server).get('/?user=a').expect(429)
    await request(server).get('/?user=b').expect(200)
    for (let call = 0; call < 5; call++) await request(server).get('/?user=admin').expect(200)
  })

  it('holds several windows, each a policy of its own', async () => {
    await using fleet = new TestFleet()
    await using server = await listen(
      app(fleet.cache(), { name: 'login', perMinute: 2, perHour: 3, algorithm: 'fixed' }),
    )
    const first = await request(server).get('/').expect(200)
    expect(first.headers['ratelimit-policy']).toBe('"login-60s";q=2;w=60, "login-3600s";q=3;w=3600')
    expect(first.headers['ratelimit']).toMatch(/^"login-60s";r=1;t=/)
    await request(server).get('/').expect(200)
    await request(server).get('/').expect(429)
    fleet.clock.advanceSeconds(60)
    await request(server).get('/').expect(200)
    const last = await request(server).get('/').expect(429)
    expect(JSON.parse(last.text)['violated-policies']).toEqual(['login-3600s'])
  })

  it('leaves the answer to a handler that is given', async () => {
    await using fleet = new TestFleet()
    const options: RateLimitOptions = { perMinute: 1, handler: (_req, res) => void res.status(503).send('later') }
    await using server = await listen(app(fleet.cache(), options))
    await request(server).get('/').expect(200)
    const { headers } = await request(server).get('/').expect(503, 'later')
    expect(headers['retry-after']).toMatch(/^\d+$/)
  })

  it('hands what a handler throws to the application', async () => {
    await using fleet = new TestFleet()
    const made = app(fleet.cache(), { perMinute: 1, handler: () => Promise.reject(new Error('no page for that')) })
    await using server = await listen(made)
    await request(server).get('/').expect(200)
    await request(server)
      .get('/')
      .expect(500, /no page for that/)
  })

  it('refuses to count requests that its key function finds nobody for', async () => {
    await using fleet = new TestFleet()
    const key = (req: Request) => req.query['user'] as string
    await using server = await listen(app(fleet.cache(), { name: 'api', perMinute: 1, key }))
    const { text } = await request(server).get('/').expect(500)
    expect(text).toContain('the key of the rate limit &#39;api&#39; must be a string, got undefined')
    await request(server).get('/?user=').expect(200)
  })

  it('says what to do about a request without an address', async () => {
    await using fleet = new TestFleet()
    const made = express()
    made.set('env', 'test')
    made.use((req, _res, next) => {
      Object.defineProperty(req, 'ip', { value: undefined })
      next()
    })
    made.use(rateLimit({ perMinute: 1, cache: fleet.cache() }))
    await using server = await listen(made)
    const { text } = await request(server).get('/').expect(500)
    expect(text).toContain('a request has no address to count it by: give rateLimit({ key: (request) =&gt; … })')
  })

  it.each([
    ['local', [200, 429]],
    ['open', [200, 200]],
    ['closed', [429, 429]],
  ] as const)('goes on when memcached is away: %s', async (onCacheDown, statuses) => {
    await using cache = memcache({ servers: `127.0.0.1:${await freePort()}`, logger: false, clock: new FakeClock() })
    await using server = await listen(app(cache, { limit: 1, windowMs: 86_400_000, onCacheDown }))
    for (const status of statuses) await request(server).get('/').expect(status)
  })
})

describe('a proxy', () => {
  it('is warned of, once, when it is not trusted, and told clients apart by when it is', async () => {
    await using fleet = new TestFleet()
    const made = express()
    made.use(rateLimit({ perMinute: 2, cache: fleet.cache() }))
    made.get('/', (_req, res) => res.json({}))
    await using server = await listen(made)
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const from = (address: string) => request(server).get('/').set('X-Forwarded-For', address)
    await from('192.0.2.1').expect(200)
    await from('192.0.2.2').expect(200)
    await from('192.0.2.3').expect(429)
    expect(warn.mock.calls.map(([message]) => message)).toEqual([expect.stringContaining("app.set('trust proxy', 1)")])
    warn.mockRestore()
    made.set('trust proxy', 1)
    await from('192.0.2.4').expect(200)
    await from('192.0.2.4:50123').expect(200)
    await from('192.0.2.4:50124').expect(429)
  })
})

describe('options of rateLimit', () => {
  it.each([
    [{ perMinute: 0 }, 'perMinute must be a whole number over 0'],
    [{}, 'needs a limit'],
    [{ perMinute: 5, cost: 0 }, 'cost must be a whole number over 0'],
    [{ perMinute: 5, keyGenerator: () => 'k' }, '`keyGenerator` is `key` here'],
    [{ max: 5, windowMs: 1000 }, '`max` is `limit` here'],
  ])('%j is refused: %s', (options, message) => {
    expect(() => rateLimit(options as never)).toThrow(message)
  })
})
