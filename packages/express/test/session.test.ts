import express from 'express'
import type { Express, NextFunction, Request, Response } from 'express'
import type { Server } from 'node:http'
import { freePort } from 'memcache-ts-testing'
import { memcache, MemcacheConnectionError } from 'memcache-ts'
import type { Memcache } from 'memcache-ts'
import request from 'supertest'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { memcacheSession } from '../src/index.ts'
import type { MemcacheSessionOptions } from '../src/index.ts'
import { Gate } from './gate.ts'
import { EXPRESSES, listen, TestFleet } from './open-app.ts'

declare module 'express-session' {
  interface SessionData {
    [key: `k${number}`]: number
    views: number
    user: string
  }
}

const DAY_MS = 86_400_000

afterEach(() => {
  vi.unstubAllEnvs()
  vi.useRealTimers()
})

describe.each(EXPRESSES)('memcacheSession on %s', (_, express) => {
  function app(cache: Memcache, gates: Record<string, Gate> = {}, options: MemcacheSessionOptions = {}): Express {
    const made = express()
    made.set('trust proxy', true)
    made.use(memcacheSession({ cache, secret: 'test', ...options }))
    made.get('/views', (req, res) => {
      req.session.views = (req.session.views ?? 0) + 1
      res.json({ views: req.session.views })
    })
    made.get('/read/:gate', async (req, res) => {
      await gates[req.params.gate]?.pass()
      const { cookie: _, ...data } = req.session
      res.json(data)
    })
    made.get('/set/:key/:value/:gate', async (req, res) => {
      await gates[req.params.gate]?.pass()
      req.session[req.params.key as `k${number}`] = Number(req.params.value)
      res.json({})
    })
    made.get('/twice', (req, res, next) => {
      req.session.k1 = 1
      req.session.save((error) => {
        if (error !== undefined && error !== null) return next(error)
        req.session.k2 = 2
        res.json({})
      })
    })
    made.get('/remember', (req, res) => {
      req.session.cookie.maxAge = 31 * DAY_MS
      res.json({})
    })
    made.get('/logout', (req, res, next) => req.session.destroy((error) => (error ? next(error) : res.json({}))))
    made.get('/login/:user', (req, res, next) => {
      req.session.regenerate((error) => {
        if (error) return next(error)
        req.session.user = req.params.user!
        res.json({})
      })
    })
    return made
  }

  async function login(server: Server): Promise<string> {
    const { headers } = await request(server).get('/views').expect(200)
    return (headers['set-cookie'] as unknown as string[])[0]!.split(';')[0]!
  }

  it('keeps a session from request to request, in a cookie that scripts and other sites cannot use', async () => {
    await using fleet = new TestFleet()
    await using server = await listen(app(fleet.cache()))
    const agent = request.agent(server)
    const first = await agent.get('/views').expect({ views: 1 })
    expect(first.headers['set-cookie']![0]).toMatch(/^connect\.sid=.*; Path=\/; HttpOnly; SameSite=Lax$/)
    await agent.get('/views').expect({ views: 2 })
    await request(server).get('/views').expect({ views: 1 })
  })

  it.each([
    ['a cookie object', { cookie: {} }, '; Secure'],
    ['a cookie function', { cookie: () => ({}) }, '; Secure'],
    ['a proxy trusted here', { cookie: () => ({}), proxy: true }, '; Secure'],
    ['a proxy not trusted here', { cookie: () => ({}), proxy: false }, ''],
  ])('sends its cookie Secure where the connection is, and over HTTP where it is not: %s', async (_, options, mark) => {
    await using fleet = new TestFleet()
    await using server = await listen(app(fleet.cache(), {}, options))
    const plain = await request(server).get('/views').expect(200)
    expect(plain.headers['set-cookie']![0]).toMatch(/; Path=\/; HttpOnly; SameSite=Lax$/)
    const forwarded = await request(server).get('/views').set('X-Forwarded-Proto', 'https').expect(200)
    expect(forwarded.headers['set-cookie']![0]).toContain(`; Path=/; HttpOnly${mark}; SameSite=Lax`)
  })

  it('treats an undefined option as missing', async () => {
    await using fleet = new TestFleet()
    const options = { resave: undefined, saveUninitialized: undefined, cookie: { httpOnly: undefined } }
    await using server = await listen(app(fleet.cache(), {}, options))
    await request(server).get('/read/now').expect(200)
    expect(fleet.server.stats()['curr_items']).toBe(0)
    const { headers } = await request(server).get('/views').expect(200)
    expect(headers['set-cookie']![0]).toContain('; HttpOnly')
  })

  it('stores no session without data', async () => {
    await using fleet = new TestFleet()
    await using server = await listen(app(fleet.cache()))
    const { headers } = await request(server).get('/read/now').expect(200)
    expect(headers['set-cookie']).toBeUndefined()
    expect(fleet.server.stats()['curr_items']).toBe(0)
  })

  it('is shared by two processes', async () => {
    await using fleet = new TestFleet()
    await using one = await listen(app(fleet.cache()))
    await using other = await listen(app(fleet.cache()))
    const cookie = await login(one)
    await request(other).get('/views').set('Cookie', cookie).expect({ views: 2 })
    await request(one).get('/views').set('Cookie', cookie).expect({ views: 3 })
  })

  it('loses none of 100 writes, ten at a time on one session', async () => {
    await using fleet = new TestFleet()
    const gates: Record<string, Gate> = {}
    await using server = await listen(app(fleet.cache(), gates))
    const cookie = await login(server)
    for (let round = 0; round < 10; round++) {
      // All ten have read the session before the first of them writes.
      const names = Array.from({ length: 10 }, (_, index) => `${round}-${index}`)
      for (const name of names) gates[name] = new Gate()
      const writes = names.map((name, index) =>
        request(server)
          .get(`/set/k${round * 10 + index}/1/${name}`)
          .set('Cookie', cookie)
          .expect(200)
          .then(),
      )
      await Promise.all(names.map((name) => gates[name]!.arrived))
      for (const name of names) gates[name]!.open()
      await Promise.all(writes)
    }
    const { body } = await request(server).get('/read/now').set('Cookie', cookie)
    const written = Object.keys(body as object).filter((key) => /^k\d+$/.test(key))
    expect(written).toHaveLength(100)
  })

  it('does not overwrite a concurrent write by a request that only read', async () => {
    await using fleet = new TestFleet()
    const slow = new Gate()
    await using server = await listen(app(fleet.cache(), { slow }))
    const cookie = await login(server)
    const reading = request(server).get('/read/slow').set('Cookie', cookie).then()
    await slow.arrived
    await request(server).get('/set/k1/7/now').set('Cookie', cookie).expect(200)
    slow.open()
    await reading
    const { body } = await request(server).get('/read/now').set('Cookie', cookie)
    expect(body).toMatchObject({ k1: 7, views: 1 })
  })

  it('does not restore a session that was destroyed while a slow request wrote it', async () => {
    await using fleet = new TestFleet()
    const slow = new Gate()
    await using server = await listen(app(fleet.cache(), { slow }))
    const cookie = await login(server)
    const writing = request(server).get('/set/k1/7/slow').set('Cookie', cookie).then()
    await slow.arrived
    await request(server).get('/logout').set('Cookie', cookie).expect(200)
    fleet.clock.advanceSeconds(59)
    slow.open()
    await writing
    const { body } = await request(server).get('/read/now').set('Cookie', cookie)
    expect(body).toEqual({})
  })

  it('makes a session again that was evicted while a request held it', async () => {
    await using fleet = new TestFleet()
    const slow = new Gate()
    const cache = fleet.cache()
    await using server = await listen(app(cache, { slow }))
    const cookie = await login(server)
    const writing = request(server).get('/set/k1/7/slow').set('Cookie', cookie).then()
    await slow.arrived
    await cache.client.flushAll()
    slow.open()
    await writing
    const { body } = await request(server).get('/read/now').set('Cookie', cookie)
    expect(body).toMatchObject({ views: 1, k1: 7 })
  })

  it('keeps the writes of other requests when one request saves twice', async () => {
    await using fleet = new TestFleet()
    await using server = await listen(app(fleet.cache()))
    const cookie = await login(server)
    await request(server).get('/twice').set('Cookie', cookie).expect(200)
    const { body } = await request(server).get('/read/now').set('Cookie', cookie)
    expect(body).toEqual({ views: 1, k1: 1, k2: 2 })
  })

  it('regenerates the id at login, without the old session’s data', async () => {
    await using fleet = new TestFleet()
    await using server = await listen(app(fleet.cache()))
    const cookie = await login(server)
    const { headers } = await request(server).get('/login/ann').set('Cookie', cookie).expect(200)
    const fresh = (headers['set-cookie'] as unknown as string[])[0]!.split(';')[0]!
    expect(fresh).not.toBe(cookie)
    expect((await request(server).get('/read/now').set('Cookie', fresh)).body).toEqual({ user: 'ann' })
    expect((await request(server).get('/read/now').set('Cookie', cookie)).body).toEqual({})
  })

  it.each([
    [86_400, undefined],
    [31 * 86_400, 31 * 86_400_000],
    [400 * 86_400, 400 * 86_400_000],
    [60, 59_500],
  ])('keeps a session for %d seconds with a cookie of %s ms', async (seconds, maxAge) => {
    // The cookie counts by the machine's time, so the cache does here.
    await using cache = memcache({ servers: 'embedded', logger: false, timeoutMs: 20_000 })
    await using server = await listen(app(cache, {}, maxAge === undefined ? {} : { cookie: { maxAge } }))
    const cookie = await login(server)
    const id = decodeURIComponent(cookie.split('=')[1]!).slice(2).split('.')[0]!
    const item = await cache.client.meta.get(`session:${id}`)
    expect(item!.ttlSeconds).toBeGreaterThan(seconds - 20)
    // Over 30 days it is a moment, which the server's seconds may meet one late.
    expect(item!.ttlSeconds).toBeLessThanOrEqual(seconds + 1)
  })

  it('lengthens the life of a session that is only read', async () => {
    await using fleet = new TestFleet()
    await using server = await listen(app(fleet.cache(), {}, { ttlSeconds: 100 }))
    const cookie = await login(server)
    for (let visit = 0; visit < 3; visit++) {
      fleet.clock.advanceSeconds(90)
      await request(server).get('/read/now').set('Cookie', cookie).expect({ views: 1 })
    }
    fleet.clock.advanceSeconds(101)
    await request(server).get('/read/now').set('Cookie', cookie).expect({})
  })

  it('does not end a session that was only read for longer than its cookie lives, when it is saved', async () => {
    await using fleet = new TestFleet()
    const pass = travel(fleet)
    await using server = await listen(app(fleet.cache(), {}, { cookie: { maxAge: 100_000 } }))
    const cookie = await login(server)
    for (let visit = 0; visit < 3; visit++) {
      pass(90)
      await request(server).get('/read/now').set('Cookie', cookie).expect({ views: 1 })
    }
    await request(server).get('/twice').set('Cookie', cookie).expect(200)
    await request(server).get('/read/now').set('Cookie', cookie).expect({ views: 1, k1: 1, k2: 2 })
    pass(101)
    await request(server).get('/read/now').set('Cookie', cookie).expect({})
  })

  it('keeps a session with a longer maxAge alive through requests that only read', async () => {
    await using fleet = new TestFleet()
    const pass = travel(fleet)
    await using server = await listen(app(fleet.cache()))
    const cookie = await login(server)
    await request(server).get('/remember').set('Cookie', cookie).expect(200)
    for (let visit = 0; visit < 3; visit++) {
      pass(30 * 86_400)
      await request(server).get('/read/now').set('Cookie', cookie).expect({ views: 1 })
    }
    pass(32 * 86_400)
    await request(server).get('/read/now').set('Cookie', cookie).expect({})
  })

  it('accepts ids that memcached refuses', async () => {
    await using fleet = new TestFleet()
    let made = 0
    const genid = () => `${++made} ${'é\n'.repeat(300)}`
    await using server = await listen(app(fleet.cache(), {}, { genid }))
    const [one, other] = [await login(server), await login(server)]
    await request(server).get('/set/k1/7/now').set('Cookie', one).expect(200)
    await request(server).get('/read/now').set('Cookie', one).expect({ views: 1, k1: 7 })
    await request(server).get('/read/now').set('Cookie', other).expect({ views: 1 })
  })

  /** Lets time pass for the server and for express-session, which goes by the machine's. */
  function travel(fleet: TestFleet): (seconds: number) => void {
    vi.useFakeTimers({ toFake: ['Date'], now: fleet.clock.nowMs() })
    return (seconds) => {
      fleet.clock.advanceSeconds(seconds)
      vi.setSystemTime(fleet.clock.nowMs())
    }
  }

  it('responds with an error instead of losing a login when memcached is away, and does not hang', async () => {
    await using cache = memcache({ servers: `127.0.0.1:${await freePort()}`, logger: false })
    const made = app(cache)
    made.set('env', 'test')
    const errors: unknown[] = []
    made.use((error: unknown, _req: Request, _res: Response, next: NextFunction) => {
      errors.push(error)
      next(error)
    })
    await using server = await listen(made)
    await request(server)
      .get('/read/now')
      .set('Cookie', await cookieOfAnotherDay())
      .expect(503)
    expect(errors).toHaveLength(1)
    // Without a cookie there is nothing to read; that the new session could not be stored is told all the same, where
    // express-session tells it: it has sent the head by then.
    await request(server)
      .get('/views')
      .catch(() => {})
    expect(errors).toHaveLength(2)
    expect(errors[1]).toBeInstanceOf(MemcacheConnectionError)
  })

  /** A cookie that the application accepts, without a session behind it. */
  async function cookieOfAnotherDay(): Promise<string> {
    await using fleet = new TestFleet()
    await using server = await listen(app(fleet.cache()))
    return await login(server)
  }
})

describe('the secret of sessions', () => {
  it('is required if processes have to share it', () => {
    vi.stubEnv('SESSION_SECRET', '')
    vi.stubEnv('MEMCACHE_SERVERS', 'a:11211')
    expect(() => memcacheSession()).toThrow('set SESSION_SECRET')
    vi.stubEnv('MEMCACHE_SERVERS', '')
    vi.stubEnv('NODE_ENV', 'production')
    expect(() => memcacheSession()).toThrow('set SESSION_SECRET')
    vi.stubEnv('SESSION_SECRET', 'from the environment')
    expect(memcacheSession()).toBeTypeOf('function')
  })

  it('is random in development, once per process and with one warning', async () => {
    vi.stubEnv('SESSION_SECRET', '')
    vi.stubEnv('MEMCACHE_SERVERS', '')
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    await using cache = memcache({ servers: 'embedded', logger: false, timeoutMs: 20_000 })
    const [one, other] = [1, 2].map(() => {
      const made = express()
      made.use(memcacheSession({ cache, secret: '' }))
      return made.get('/', (req, res) => res.json({ views: (req.session.views = (req.session.views ?? 0) + 1) }))
    })
    expect(warn.mock.calls.map(([message]) => message)).toEqual([
      'SESSION_SECRET is not set: a random secret is used, so all sessions end when this process exits; set SESSION_SECRET to keep them',
    ])
    warn.mockRestore()
    const first = await request(one!).get('/').expect({ views: 1 })
    const cookie = first.headers['set-cookie']![0]!
    await request(other!).get('/').set('Cookie', cookie).expect({ views: 2 })
  })

  it('is not the only option that is checked', () => {
    expect(() => memcacheSession({ secret: 's', ttl: 5 } as never)).toThrow('`ttl` is `ttlSeconds` here')
    expect(() => memcacheSession({ secret: 's', ttlSeconds: 0 })).toThrow('ttlSeconds must be greater than 0')
  })
})
