import { createServer as createHttp2Server, connect } from 'node:http2'
import { get } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Express, NextFunction, Request, RequestHandler, Response } from 'express'
import { isBackgroundRequest, markBackgroundRequest } from 'memcache-ts/rate-limit'
import request from 'supertest'
import { describe, expect, it, vi } from 'vitest'
import { cacheResponse, rateLimit } from '../src/index.ts'
import type { RateLimitOptions } from '../src/index.ts'
import { Gate } from './gate.ts'
import { EXPRESSES, listen, TestFleet } from './open-app.ts'

describe.each(EXPRESSES)('rateLimit on %s', (_, create) => {
  /** An application with one answer for every path. */
  function site(...handlers: RequestHandler[]): Express {
    const made = create()
    made.set('env', 'test')
    made.use(...handlers, (req: Request, res) => void res.json({ remaining: req.rateLimit?.remaining ?? 'none' }))
    return made
  }

  it.each(['skip', 'key', 'cost', 'perMinute', 'handler'] as const)(
    'lets no request pass for what its %s throws',
    async (option) => {
      await using fleet = new TestFleet()
      const options = { perMinute: 1, key: () => 'k', cache: fleet.cache() } satisfies RateLimitOptions
      if (option === 'handler') await rateLimit(options).limiter.consume('k')
      for (const thrown of [undefined, null, 'route', 'router', 0, false, Symbol('none'), new Error('none'), {}]) {
        const fail = (): never => {
          throw thrown
        }
        for (const failing of [fail, async () => fail()]) {
          const made = create()
          made.set('env', 'test')
          made.get('/', rateLimit({ ...options, [option]: failing }), (_req, res) => void res.json({}))
          made.use((_req: Request, res: Response) => void res.json({}))
          made.use((_error: unknown, _req: Request, res: Response, _next: NextFunction) => void res.sendStatus(500))
          await using server = await listen(made)
          await request(server).get('/').expect(500)
        }
      }
    },
  )

  describe('with limits that depend on the request', () => {
    const plans: Record<string, number | undefined> = { free: 2, paid: 5, staff: Infinity, nobody: undefined }
    const plan = (req: Request): string => req.get('x-plan') ?? 'free'

    it('applies to each client its own limit, in functions that may be async', async () => {
      await using fleet = new TestFleet()
      const options: RateLimitOptions = {
        limit: async (req: Request) => plans[plan(req)],
        windowMs: (req: Request) => (plan(req) === 'paid' ? 10_000 : 60_000),
        key: (req) => req.get('x-user')!,
        cache: fleet.cache(),
      }
      const limiting = rateLimit(options)
      await using server = await listen(site(limiting))
      const visit = async (user: string, of: string) =>
        (await request(server).get('/').set('x-user', user).set('x-plan', of)).body.remaining as unknown
      expect([await visit('a', 'free'), await visit('a', 'free'), await visit('a', 'free')]).toEqual([1, 0, undefined])
      expect([await visit('b', 'paid'), await visit('b', 'paid')]).toEqual([4, 3])
      expect([await visit('c', 'staff'), await visit('c', 'nobody')]).toEqual(['none', 'none'])
      const { headers } = await request(server).get('/').set('x-user', 'd').set('x-plan', 'paid')
      expect(headers['ratelimit-policy']).toBe('"default";q=5;w=10')
      expect(() => limiting.limiter).toThrow("the limits of rateLimit 'default' depend on the request: use limiterFor")
      // Their limiters are at hand for a request.
      const found = await limiting.limiterFor({ get: () => 'free' } as never, {} as never)
      await found!.reset('a')
      expect(await visit('a', 'free')).toBe(1)
    })

    it('passes an error to the application for an invalid limit', async () => {
      await using fleet = new TestFleet()
      const odd: Record<string, unknown> = { nan: Number.NaN, negative: -1, text: '5', zero: 0, half: 0.5 }
      const perMinute = (req: Request) => odd[req.path.slice(1)] as number
      await using server = await listen(site(rateLimit({ perMinute, cache: fleet.cache() })))
      for (const name of Object.keys(odd)) {
        const { text } = await request(server).get(`/${name}`).expect(500)
        expect(text).toContain('perMinute must be a whole number from 1')
      }
      expect(() => rateLimit({ perMinute: () => 5, algorithm: 'leaky' } as never)).toThrow('algorithm must be')
      expect(() => rateLimit({ limit: () => 5 })).toThrow('limit and windowMs belong together')
    })

    it('keeps no limiter for each of a thousand limits', async () => {
      await using fleet = new TestFleet()
      const perMinute = (req: Request) => Number(req.path.slice(1))
      await using server = await listen(site(rateLimit({ perMinute, cache: fleet.cache() })))
      for (let limit = 1; limit <= 250; limit++) {
        const { body } = await request(server).get(`/${limit}`)
        expect(body).toEqual({ remaining: limit - 1 })
      }
      expect((await request(server).get('/1')).status).toBe(429)
    })
  })

  describe('met twice by one request', () => {
    it.each([
      [
        'of one application, by two limiters',
        (cache: RateLimitOptions['cache']) => [1, 2].map(() => rateLimit({ perMinute: 10, cache })),
      ],
      [
        'by one limiter on two routes',
        (cache: RateLimitOptions['cache']) => {
          const one = rateLimit({ perMinute: 10, cache })
          return [one, one]
        },
      ],
    ])('counts once: %s', async (_name, limits) => {
      await using fleet = new TestFleet()
      const [first, second] = limits(fleet.cache())
      const router = create.Router()
      router.use(second!, (req, res) => void res.json(req.rateLimit))
      const made = create()
      made.use(first!)
      made.use('/api', router)
      await using server = await listen(made)
      for (let remaining = 9; remaining >= 0; remaining--) {
        expect((await request(server).get('/api/x').expect(200)).body).toMatchObject({ remaining })
      }
      await request(server).get('/api/x').expect(429)
    })

    it('counts once at the higher cost, and separately for each id and name', async () => {
      await using fleet = new TestFleet()
      const cache = fleet.cache()
      const made = site(
        rateLimit({ perMinute: 10, cache }),
        rateLimit({ perMinute: 10, cost: 4, cache }),
        rateLimit({ perMinute: 10, cost: 2, cache }),
      )
      await using server = await listen(made)
      expect((await request(server).get('/')).body).toEqual({ remaining: 6 })
      await using two = await listen(
        site(
          rateLimit({ name: 'n', perMinute: 10, cache }),
          rateLimit({ name: 'n', perMinute: 10, key: () => 'all', cache }),
        ),
      )
      await request(two).get('/')
      expect((await request(two).get('/')).body).toEqual({ remaining: 8 })
    })

    it('separates limits that share only a name, and refuses limits that share some counters', async () => {
      await using fleet = new TestFleet()
      const cache = fleet.cache()
      await using apart = await listen(site(rateLimit({ perMinute: 10, cache }), rateLimit({ perMinute: 3, cache })))
      expect((await request(apart).get('/').expect(200)).body).toEqual({ remaining: 2 })
      await using shared = await listen(
        site(rateLimit({ perMinute: 10, cache }), rateLimit({ perMinute: 10, perHour: 20, cache })),
      )
      const { text } = await request(shared).get('/').expect(500)
      expect(text).toContain('two rate limits named &#39;default&#39; count one request twice')
    })
  })

  describe('that gives requests back', () => {
    it('by the result of requestWasSuccessful, which may be async', async () => {
      await using fleet = new TestFleet()
      const limiting = rateLimit({
        perMinute: 3,
        key: () => 'k',
        skipSuccessfulRequests: true,
        requestWasSuccessful: async (req, res) => req.path === '/fine' && res.statusCode === 404,
        cache: fleet.cache(),
      })
      const made = create()
      made.use(limiting, (_req: Request, res) => void res.status(404).json({}))
      await using server = await listen(made)
      for (let call = 0; call < 5; call++) {
        await request(server).get('/fine').expect(404)
        await expect.poll(async () => (await limiting.limiter.peek('k')).remaining).toBe(3)
      }
      for (let call = 0; call < 3; call++) await request(server).get('/other').expect(404)
      await request(server).get('/fine').expect(429)
    })

    it('as failed if the client disconnected while it waited for the limiter or the response', async () => {
      await using fleet = new TestFleet()
      const gate = new Gate()
      const limiting = rateLimit({
        perMinute: 3,
        key: async () => {
          await gate.pass()
          return 'k'
        },
        skipFailedRequests: true,
        requestWasSuccessful: () => true,
        cache: fleet.cache(),
      })
      const made = create()
      let handled = 0
      made.use(limiting, () => void handled++)
      await using server = await listen(made)
      const { port } = server.address() as AddressInfo
      const client = get({ port })
      client.on('error', () => {})
      await gate.arrived
      client.destroy()
      await new Promise((resolve) => setImmediate(resolve))
      gate.open()
      await expect.poll(() => handled).toBe(1)
      await expect.poll(async () => (await limiting.limiter.peek('k')).remaining).toBe(3)
    })

    it('survives a requestWasSuccessful that throws: the request counts', async () => {
      await using fleet = new TestFleet()
      const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
      const limiting = rateLimit({
        perMinute: 3,
        key: () => 'k',
        skipSuccessfulRequests: true,
        requestWasSuccessful: () => {
          throw new Error('no idea')
        },
        cache: fleet.cache(),
      })
      await using server = await listen(site(limiting))
      await request(server).get('/').expect(200)
      await expect.poll(() => warn.mock.calls.length).toBe(1)
      expect((await limiting.limiter.peek('k')).remaining).toBe(2)
      warn.mockRestore()
    })
  })

  it('does not count the requests by which a cached response is revalidated', async () => {
    await using fleet = new TestFleet()
    const cache = fleet.cache()
    const limiting = rateLimit({ perHour: 6, key: () => 'k', cache })
    let calls = 0
    const made = create()
    made.use(limiting, cacheResponse({ ttlSeconds: 1, staleSeconds: 600, cache }))
    made.use((req: Request, res) => void res.send(`${++calls} ${req.rateLimit!.remaining > 0}`))
    await using server = await listen(made)
    for (let remaining = 5; remaining >= 0; remaining--) {
      await request(server).get('/').expect(200)
      await expect.poll(() => cache.stats().loading).toBe(0)
      expect((await limiting.limiter.peek('k')).remaining).toBe(remaining)
      fleet.clock.advanceSeconds(3)
    }
    expect(calls).toBeGreaterThanOrEqual(3)
    await request(server).get('/').expect(429)
  })

  it('ignores fields by which a client pretends to be the application', async () => {
    await using fleet = new TestFleet()
    const made = create()
    made.use(
      rateLimit({ perMinute: 2, key: () => 'k', cache: fleet.cache() }),
      (req: Request, res) => void res.json({ background: isBackgroundRequest(req) }),
    )
    await using server = await listen(made)
    const forge = () =>
      request(server)
        .get('/?memcache-ts.background-request=true')
        .set('memcache-ts.background-request', 'true')
        .set('raw', 'true')
    expect((await forge()).body).toEqual({ background: false })
    await forge()
    await forge().expect(429)
    const own = {}
    markBackgroundRequest(own)
    expect([isBackgroundRequest(own), isBackgroundRequest({ raw: own }), isBackgroundRequest({})]).toEqual([
      true,
      true,
      false,
    ])
  })

  it('sends no Retry-After if a request is never allowed', async () => {
    await using fleet = new TestFleet()
    await using server = await listen(site(rateLimit({ perMinute: 3, cost: 4, cache: fleet.cache() })))
    const answer = await request(server).get('/').expect(429)
    expect(answer.headers).not.toHaveProperty('retry-after')
    expect(JSON.parse(answer.text).detail).toBe('The limit of 3 never allows this request.')
  })

  it('counts by the number of bits of an IPv6 address that ipv6Subnet sets', async () => {
    await using fleet = new TestFleet()
    const made = site(rateLimit({ perMinute: 1, ipv6Subnet: 64, cache: fleet.cache() }))
    made.set('trust proxy', 1)
    await using server = await listen(made)
    const from = (address: string) => request(server).get('/').set('X-Forwarded-For', address)
    await from('2001:db8:1:2f7::1').expect(200)
    await from('2001:db8:1:2f7::2').expect(429)
    await from('2001:db8:1:2f8::1').expect(200)
    await from('64:ff9b::198.51.100.7').expect(200)
    await from('198.51.100.7').expect(429)
    expect(() => rateLimit({ perMinute: 1, ipv6Subnet: 200 })).toThrow('ipv6Subnet must be a whole number of bits')
    expect(() => rateLimit({ perMinute: 1, ipv6Subnet: 64, key: () => 'k' })).toThrow(
      'ipv6Subnet works only with the default key',
    )
  })

  it('sends the quota unit and the partition key of the draft', async () => {
    await using fleet = new TestFleet()
    const options = { perMinute: 1000, key: (req: Request) => req.path, partitionKey: true } as const
    await using server = await listen(
      site(rateLimit({ ...options, quotaUnit: 'content-bytes', cost: 10, cache: fleet.cache() })),
    )
    const { headers } = await request(server).get('/a')
    const pk = /^"default";q=1000;w=60;qu="content-bytes";pk=:([\w+/]{16}):$/.exec(headers['ratelimit-policy']!)![1]!
    expect(headers['ratelimit']).toMatch(/^"default";r=990;t=\d+;pk=:/)
    expect(headers['ratelimit']).toContain(`;pk=:${pk}:`)
    expect((await request(server).get('/b')).headers['ratelimit-policy']).not.toContain(pk)
    expect(() => rateLimit({ perMinute: 1, quotaUnit: 'bytes' as never })).toThrow(
      'quotaUnit must be requests, content-bytes',
    )
  })

  it('sends for gcra the time of the next unit', async () => {
    await using fleet = new TestFleet()
    const gcra = rateLimit({ perMinute: 6, algorithm: 'gcra', key: () => 'k', cache: fleet.cache() })
    await using server = await listen(site(gcra))
    expect((await request(server).get('/')).headers['ratelimit']).toBe('"default";r=5;t=10')
    fleet.clock.advanceSeconds(4)
    expect((await request(server).get('/')).headers['ratelimit']).toBe('"default";r=4;t=6')
    await gcra.limiter.penalty('k', 4)
    const denied = await request(server).get('/').expect(429)
    expect(denied.headers).toMatchObject({ ratelimit: '"default";r=0;t=6', 'retry-after': '6' })
  })
})

describe('rateLimit on HTTP/2', () => {
  it('gives failed requests back, and requests whose client has disconnected', async () => {
    await using fleet = new TestFleet()
    const limiting = rateLimit({ perMinute: 3, key: () => 'k', skipFailedRequests: true, cache: fleet.cache() })
    const server = createHttp2Server((req, res) => {
      limiting(req as never, res as never, () => {
        if (req.url === '/slow') return
        res.statusCode = req.url === '/failed' ? 500 : 200
        res.end('{}')
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const ask = (path: string) =>
      new Promise((resolve) => {
        const stream = client.request({ ':path': path })
        stream.on('response', (headers) => resolve(headers[':status']))
        stream.resume()
      })
    const left = () => limiting.limiter.peek('k').then(({ remaining }) => remaining)
    expect(await ask('/')).toBe(200)
    expect(await left()).toBe(2)
    expect(await ask('/failed')).toBe(500)
    await expect.poll(left).toBe(2)
    const slow = client.request({ ':path': '/slow' })
    await expect.poll(left).toBe(1)
    slow.close(8)
    await expect.poll(left).toBe(2)
    client.close()
    server.close()
  })
})
