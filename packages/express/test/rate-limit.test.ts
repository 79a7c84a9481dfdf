import { readFileSync } from 'node:fs'
import { get } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import type { Express, Request } from 'express'
import { FakeClock, freePort, until } from 'memcache-ts-testing'
import { memcache } from 'memcache-ts'
import { REQUEST_RATE_LIMIT_OPTIONS } from 'memcache-ts/rate-limit'
import type { Memcache } from 'memcache-ts'
import request from 'supertest'
import { describe, expect, it, vi } from 'vitest'
import { ipKey, rateLimit } from '../src/index.ts'
import type { RateLimitOptions } from '../src/index.ts'
import { Gate } from './gate.ts'
import { EXPRESSES, listen, TestFleet } from './open-app.ts'

describe.each(EXPRESSES)('rateLimit on %s', (_, express) => {
  function app(cache: Memcache, options: RateLimitOptions): Express {
    const made = express()
    made.set('env', 'test')
    made.use(rateLimit({ cache, ...options }))
    made.get('/', (req, res) => res.json(req.rateLimit))
    return made
  }

  it('admits exactly 100 of 1000 parallel requests, and sends Retry-After to the others', async () => {
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

  it('counts down in its headers and in req.rateLimit, and starts again after the window', async () => {
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

  it('counts by key and cost, and does not count skipped requests', async () => {
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

  it('applies several windows, each with its own policy', async () => {
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

  it('lets the option handler send the response', async () => {
    await using fleet = new TestFleet()
    const options: RateLimitOptions = { perMinute: 1, handler: (_req, res) => void res.status(503).send('later') }
    await using server = await listen(app(fleet.cache(), options))
    await request(server).get('/').expect(200)
    const { headers } = await request(server).get('/').expect(503, 'later')
    expect(headers['retry-after']).toMatch(/^\d+$/)
  })

  it('passes an error of the handler to the application', async () => {
    await using fleet = new TestFleet()
    const made = app(fleet.cache(), { perMinute: 1, handler: () => Promise.reject(new Error('no page for that')) })
    await using server = await listen(made)
    await request(server).get('/').expect(200)
    await request(server)
      .get('/')
      .expect(500, /no page for that/)
  })

  it('passes an error if the key function returns no key', async () => {
    await using fleet = new TestFleet()
    const key = (req: Request) => req.query['user'] as string
    await using server = await listen(app(fleet.cache(), { name: 'api', perMinute: 1, key }))
    const { text } = await request(server).get('/').expect(500)
    expect(text).toContain('the key of the rate limit &#39;api&#39; must be a string, got undefined')
    await request(server).get('/?user=').expect(200)
  })

  it('explains what to do about a request without an address', async () => {
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
    expect(text).toContain('a request has no address to count it by: write rateLimit({ key: (request) =&gt; … })')
  })

  it('appends the fields of several limiters for one request', async () => {
    await using fleet = new TestFleet()
    const cache = fleet.cache()
    const made = app(cache, { name: 'all', perMinute: 10 })
    made.get('/slow', rateLimit({ name: 'slow', perHour: 2, cache }), (req, res) => res.json(req.rateLimit))
    await using server = await listen(made)
    const { headers, body } = await request(server).get('/slow').expect(200)
    expect(headers['ratelimit-policy']).toBe('"all";q=10;w=60, "slow";q=2;w=3600')
    expect(headers['ratelimit']).toMatch(/^"all";r=9;t=\d+, "slow";r=1;t=\d+$/)
    expect(body).toMatchObject({ limit: 2, remaining: 1 })
    await request(server).get('/slow').expect(200)
    const denied = await request(server).get('/slow').expect(429)
    expect(JSON.parse(denied.text)['violated-policies']).toEqual(['slow'])
    expect((await request(server).get('/')).headers['ratelimit']).toMatch(/^"all";r=6;t=\d+$/)
  })

  it.each([
    ['draft-7', { 'ratelimit-policy': '10;w=60, 2;w=3600', ratelimit: 'limit=2, remaining=1, reset=3600' }],
    [
      'draft-6',
      {
        'ratelimit-policy': '10;w=60, 2;w=3600',
        'ratelimit-limit': '2',
        'ratelimit-remaining': '1',
        'ratelimit-reset': '3600',
      },
    ],
    [
      'legacy',
      { 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': '1', 'x-ratelimit-reset': String(1_800_000_000 + 3601) },
    ],
    [false, {}],
  ] as const)('tells of the tightest limit by headers of %s, in any order', async (headers, expected) => {
    await using fleet = new TestFleet()
    const cache = fleet.cache()
    const limits = { wide: { name: 'wide', perMinute: 10 }, tight: { name: 'tight', perHour: 2 } }
    for (const [first, second] of [
      ['wide', 'tight'],
      ['tight', 'wide'],
    ] as const) {
      const made = express()
      for (const name of [first, second]) {
        made.use(rateLimit({ ...limits[name], key: () => first, algorithm: 'fixed', headers, cache }))
      }
      made.get('/', (_req, res) => res.json({}))
      await using server = await listen(made)
      const answer = await request(server).get('/').expect(200)
      const found = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => name.includes('ratelimit')))
      if (first === 'wide' || headers === 'legacy') expect(found).toEqual(expected)
      else
        expect(found).toEqual({
          ...expected,
          ...('ratelimit-policy' in expected && { 'ratelimit-policy': '2;w=3600, 10;w=60' }),
        })
    }
  })

  it.each([
    ['skipSuccessfulRequests', 200, 500],
    ['skipFailedRequests', 500, 200],
  ] as const)('%s: gives back what is answered with %i, not %i', async (option, skipped, counted) => {
    await using fleet = new TestFleet()
    const made = express()
    const limited = rateLimit({ perMinute: 3, [option]: true, cost: 2, key: () => 'k', cache: fleet.cache() })
    made.get('/:status', limited, (req, res) => res.status(Number(req.params.status)).json({}))
    await using server = await listen(made)
    for (let call = 0; call < 5; call++) {
      await request(server).get(`/${skipped}`).expect(skipped)
      await until(async () => (await limited.limiter.peek('k')).remaining === 3)
    }
    await request(server).get(`/${counted}`).expect(counted)
    await request(server).get(`/${counted}`).expect(429)
    expect((await limited.limiter.peek('k')).remaining).toBe(1)
  })

  it('treats a request whose client disconnected as failed', async () => {
    await using fleet = new TestFleet()
    const gate = new Gate()
    const made = express()
    const limited = rateLimit({ perMinute: 3, skipFailedRequests: true, key: () => 'k', cache: fleet.cache() })
    made.get('/', limited, () => void gate.pass())
    await using server = await listen(made)
    const { port } = server.address() as AddressInfo
    const client = get({ port })
    client.on('error', () => {})
    await gate.arrived
    expect((await limited.limiter.peek('k')).remaining).toBe(2)
    client.destroy()
    await until(async () => (await limited.limiter.peek('k')).remaining === 3)
  })

  it('exposes its limiter, for example to reset a client', async () => {
    await using fleet = new TestFleet()
    const login = rateLimit({ name: 'login', perMinute: 1, blockMs: 600_000, key: () => 'ann', cache: fleet.cache() })
    const made = express()
    made.post('/login', login, (_req, res) => res.json({}))
    await using server = await listen(made)
    await request(server).post('/login').expect(200)
    const { headers } = await request(server).post('/login').expect(429)
    expect(headers['retry-after']).toBe('600')
    await login.limiter.reset('ann')
    await request(server).post('/login').expect(200)
  })

  it('hands a cost that cannot be to the application', async () => {
    await using fleet = new TestFleet()
    await using server = await listen(app(fleet.cache(), { perMinute: 3, cost: () => Number.NaN }))
    await request(server)
      .get('/')
      .expect(500, /cost must be a whole number of at least 0, got NaN/)
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
  it('causes one warning if it is not trusted, and otherwise its clients are counted separately', async () => {
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

  it('causes a warning if every client can pretend to be it', async () => {
    vi.resetModules()
    const { rateLimit: fresh } = await import('../src/index.ts')
    await using fleet = new TestFleet()
    const made = express()
    made.set('trust proxy', true)
    made.use(fresh({ perMinute: 2, cache: fleet.cache() }))
    made.get('/', (_req, res) => res.json({}))
    await using server = await listen(made)
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    await request(server).get('/').set('X-Forwarded-For', '192.0.2.1').expect(200)
    await request(server).get('/').set('X-Forwarded-For', '192.0.2.1').expect(200)
    expect(warn.mock.calls.map(([message]) => message)).toEqual([expect.stringContaining('Express trusts every proxy')])
    warn.mockRestore()
  })
})

describe('options of rateLimit', () => {
  it('are all in the README', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    for (const option of [...REQUEST_RATE_LIMIT_OPTIONS, 'handler'])
      expect(readme).toMatch(new RegExp(`^(\\| |- )[^:(|]*\`${option}\``, 'm'))
  })

  it.each([
    [{ perMinute: 0 }, 'perMinute must be a whole number from 1'],
    [{}, 'needs a limit'],
    [{ perMinute: 5, cost: -1 }, 'cost must be a whole number of at least 0'],
    [{ perMinute: 5, keyGenerator: () => 'k' }, '`keyGenerator` is `key` here'],
    [{ max: 5, windowMs: 1000 }, '`max` is `limit` here'],
    [{ perMinute: 5, standardHeaders: 'draft-7' }, '`standardHeaders` is `headers` here'],
    [{ perMinute: 5, legacyHeaders: true }, "`legacyHeaders` is `headers: 'legacy'` here"],
    [
      { perMinute: 5, headers: 'draft-8' },
      "headers must be draft-10, draft-7, draft-6, legacy or false, got 'draft-8'",
    ],
    [{ perMinute: 5, passOnStoreError: true }, "`passOnStoreError` is `onCacheDown: 'open'` here"],
    [{ perMinute: 5, key: 'user' }, 'key must be a function of the request, got string'],
    [{ perMinute: 5, handler: 'Too many' }, 'handler must be a function of the request, got string'],
    [{ perMinute: 5, cost: '2' }, 'cost must be a whole number of at least 0, or a function'],
    [{ perMinute: 5, identifier: 'api' }, '`identifier` is `name` here'],
  ])('%j is refused: %s', (options, message) => {
    expect(() => rateLimit(options as never)).toThrow(message)
  })
})

describe('ipKey', () => {
  it('names the client of a request, or of an address', async () => {
    await using fleet = new TestFleet()
    const made = express()
    const key = (req: Request) => req.get('x-api-key') ?? ipKey(req)
    made.use(rateLimit({ perMinute: 2, key, cache: fleet.cache() }))
    made.get('/', (req, res) => res.json(ipKey(req)))
    await using server = await listen(made)
    await request(server).get('/').expect(200, '"127.0.0.1"')
    await request(server).get('/').set('X-Api-Key', 'k').expect(200)
    expect((await request(server).get('/').expect(200)).headers['ratelimit']).toContain('r=0')
    expect(ipKey('2001:db8:1:2f7::9')).toBe('2001:db8:1:200::/56')
  })
})
