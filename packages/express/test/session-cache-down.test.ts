import { once } from 'node:events'
import type { Server } from 'node:http'
import type { Express, NextFunction, Request, Response } from 'express'
import session from 'express-session'
import type { SessionData } from 'express-session'
import { memcache } from 'memcache-ts'
import type { Memcache } from 'memcache-ts'
import { testMemcache } from 'memcache-ts/testing'
import type { TestMemcache } from 'memcache-ts/testing'
import { describeWithMemcached, launchMemcached, until } from 'memcache-ts-testing'
import request from 'supertest'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { MemcacheStore, memcacheSession } from '../src/index.ts'
import type { MemcacheSessionOptions, OnCacheDown } from '../src/index.ts'
import { EXPRESSES, listen } from './open-app.ts'

afterEach(() => {
  vi.unstubAllEnvs()
})

const MODES: readonly OnCacheDown[] = ['error', 'anonymous', 'skip']

/** A site with a page for everyone, one that writes, a login and a logout. */
function site(
  express: (typeof EXPRESSES)[0][1],
  options: MemcacheSessionOptions,
  errors: unknown[] | null = [],
): Express {
  const app = express()
  app.set('env', 'test')
  app.use(memcacheSession({ secret: 'test', ...options }))
  app.get('/page', (req, res) => {
    res.json({ user: req.session === undefined ? 'no session' : (req.session.user ?? 'nobody') })
  })
  app.get('/note', (req, res) => {
    if (req.session !== undefined) req.session.views = (req.session.views ?? 0) + 1
    res.set('Cache-Control', 'public, max-age=60').json({})
  })
  app.get('/login', (req, res, next) => {
    req.session.regenerate((error) => {
      if (error) return next(error)
      req.session.user = 'ann'
      req.session.save((failed) => (failed ? next(failed) : res.json({})))
    })
  })
  app.get('/save', (req, res) => {
    req.session.save((error) => res.json({ error: (error as Error | undefined)?.name }))
  })
  app.get('/logout', (req, res) => {
    ;(req as { session: unknown }).session = null
    res.json({})
  })
  app.get('/stream', (req, res) => {
    req.session.views = 1
    res.write('first')
    res.end('last')
  })
  app.use((error: unknown, _req: Request, res: Response, next: NextFunction) => {
    if (errors === null) return next(error)
    errors.push(error)
    if (res.headersSent) return next(error)
    res.status(500).json({ failed: (error as Error).name })
  })
  return app
}

async function login(server: Server): Promise<string> {
  const { headers } = await request(server).get('/login').expect(200)
  return headers['set-cookie']![0]!.split(';')[0]!
}

/** Stops the server, and waits until the client has noticed. */
async function stop({ cache, server }: TestMemcache): Promise<void> {
  const noticed = once(cache.client, 'eject')
  await server.stop()
  await cache.client.get('any').catch(() => {})
  await noticed
}

async function start({ cache, server }: TestMemcache): Promise<void> {
  const back = once(cache.client, 'rejoin')
  await server.start()
  await back
}

describe.each(EXPRESSES)('while memcached is away, on %s', (_, express) => {
  it('error: a session that cannot be read or saved is an error, before anything is sent', async () => {
    await using test = await testMemcache()
    const errors: unknown[] = []
    await using server = await listen(site(express, { cache: test.cache }, errors))
    const cookie = await login(server)
    await stop(test)
    await request(server).get('/page').set('Cookie', cookie).expect(500, { failed: 'MemcacheConnectionError' })
    // Without a cookie there is nothing to read.
    await request(server).get('/page').expect(200, { user: 'nobody' })
    const unsaved = await request(server).get('/note').expect(500, { failed: 'MemcacheConnectionError' })
    expect(unsaved.headers['set-cookie']).toBeUndefined()
    expect(unsaved.headers['cache-control']).toBeUndefined()
    expect(errors).toHaveLength(2)
  })

  it.each(['/page', '/note', '/login'])('error: %s gets 503, and the error contains the reason', async (path) => {
    await using test = await testMemcache()
    const errors: unknown[] = []
    const app = express()
    app.set('env', 'test')
    app.use(site(express, { cache: test.cache }, null))
    app.use((error: Error, _req: Request, _res: Response, next: NextFunction) => {
      errors.push(error)
      next(error)
    })
    await using server = await listen(app)
    const cookie = await login(server)
    await stop(test)
    const { headers } = await request(server)
      .get(path)
      .set('Cookie', path === '/note' ? '' : cookie)
      .expect(503)
    expect(headers['set-cookie']).toBeUndefined()
    const step = path === '/note' ? 'saved' : 'read'
    expect(errors).toEqual([
      expect.objectContaining({
        code: 'ERR_MEMCACHE_CONNECTION',
        message: expect.stringMatching(
          new RegExp(`^the session could not be ${step}: memcached at \\S+ is down; the option onCacheDown decides`),
        ) as string,
      }),
    ])
  })

  it('sends no address in production, where frameworks send messages to clients', async () => {
    vi.stubEnv('NODE_ENV', 'production')
    await using test = await testMemcache()
    const errors: Error[] = []
    await using server = await listen(site(express, { cache: test.cache }, errors))
    const cookie = await login(server)
    await stop(test)
    await request(server).get('/page').set('Cookie', cookie)
    const [{ message, server: address }] = errors as [Error & { server: string }]
    expect(message).toContain('memcached is down')
    expect(message).not.toContain(address)
  })

  it('anonymous: the temporary session is not stored, and the client’s cookie stays unchanged', async () => {
    await using test = await testMemcache()
    const onCacheDown = 'anonymous'
    await using server = await listen(
      site(express, { cache: test.cache, onCacheDown, rolling: true, unset: 'destroy' }),
    )
    const cookie = await login(server)
    await test.server.pause()
    for (const path of ['/page', '/note', '/logout']) {
      const { status, headers } = await request(server).get(path).set('Cookie', cookie)
      expect([status, headers['set-cookie']]).toEqual([200, undefined])
    }
    await request(server).get('/page').set('Cookie', cookie).expect({ user: 'nobody' })
    // A caller that waits for the write gets the error.
    await request(server).get('/save').set('Cookie', cookie).expect({ error: 'MemcacheConnectionError' })
    await request(server).get('/login').set('Cookie', cookie).expect(500)
    const stranger = await request(server).get('/note').expect(200, {})
    expect(stranger.headers['set-cookie']).toBeUndefined()
    const back = once(test.cache.client, 'rejoin')
    await test.server.resume()
    await back
    await request(server).get('/page').set('Cookie', cookie).expect({ user: 'ann' })
  })

  it('skip: there is no req.session, and the visitor’s cookie stays', async () => {
    await using test = await testMemcache()
    await using server = await listen(site(express, { cache: test.cache, onCacheDown: 'skip', unset: 'destroy' }))
    const cookie = await login(server)
    await test.server.pause()
    for (const path of ['/page', '/note', '/page']) {
      const { status, headers } = await request(server).get(path).set('Cookie', cookie)
      expect([status, headers['set-cookie']]).toEqual([200, undefined])
    }
    await request(server).get('/page').set('Cookie', cookie).expect({ user: 'no session' })
    await request(server).get('/page').expect({ user: 'no session' })
    const back = once(test.cache.client, 'rejoin')
    await test.server.resume()
    await back
    await request(server).get('/page').set('Cookie', cookie).expect({ user: 'ann' })
  })

  it.each(['anonymous', 'skip'] as const)(
    '%s: a write that cannot be saved is dropped, with a warning',
    async (mode) => {
      const warned: string[] = []
      const logger = { info: () => {}, warn: (message: string) => void warned.push(message) }
      await using test = await testMemcache({ logger })
      const app = express()
      app.use(memcacheSession({ cache: test.cache, secret: 'test', onCacheDown: mode }))
      app.get('/', async (req, res) => {
        req.session.views = 1
        if ('stop' in req.query) await stop(test)
        res.json({})
      })
      await using server = await listen(app)
      const { headers } = await request(server).get('/?stop').expect(200, {})
      expect(headers['set-cookie']).toBeUndefined()
      expect(warned.filter((message) => message.includes('changes of sessions are lost'))).toHaveLength(1)
    },
  )

  it.each(MODES)('%s: a logout that cannot be carried out is an error', async (onCacheDown) => {
    await using test = await testMemcache()
    const app = express()
    app.set('env', 'test')
    app.use(memcacheSession({ cache: test.cache, secret: 'test', onCacheDown, unset: 'destroy' }))
    app.get('/in', (req, res) => res.json((req.session.views = 1)))
    app.get('/out', async (req, res) => {
      ;(req as { session: unknown }).session = null
      await stop(test)
      res.json({})
    })
    await using server = await listen(app)
    const { headers } = await request(server).get('/in').expect(200)
    await request(server).get('/out').set('Cookie', headers['set-cookie']![0]!).expect(503)
  })

  it.each(MODES)('%s: works again without a restart', async (onCacheDown) => {
    await using test = await testMemcache()
    await using server = await listen(site(express, { cache: test.cache, onCacheDown }))
    const cookie = await login(server)
    await stop(test)
    await request(server).get('/page').set('Cookie', cookie)
    await start(test)
    // It came back empty.
    await request(server).get('/page').set('Cookie', cookie).expect({ user: 'nobody' })
    await request(server)
      .get('/page')
      .set('Cookie', await login(server))
      .expect({ user: 'ann' })
  })

  it('cuts off a response whose head was sent before its session failed to be saved', async () => {
    await using test = await testMemcache()
    const errors: unknown[] = []
    await using server = await listen(site(express, { cache: test.cache }, errors))
    await stop(test)
    await request(server)
      .get('/stream')
      .catch(() => {})
    await until(() => errors.length > 0)
    expect(errors).toHaveLength(1)
  })

  it('a session that cannot be JSON is still one clear error, in each mode', async () => {
    for (const onCacheDown of MODES) {
      await using test = await testMemcache()
      const app = express()
      app.use(memcacheSession({ cache: test.cache, secret: 'test', onCacheDown }))
      app.get('/', (req, res) => {
        Object.assign(req.session, { self: req.session })
        res.json({})
      })
      app.use((error: Error, _req: Request, res: Response, _next: NextFunction) => {
        res.status(500).json({ message: error.message })
      })
      await using server = await listen(app)
      const { body, headers } = await request(server).get('/').expect(500)
      expect((body as { message: string }).message).toContain('the session cannot be stored as JSON')
      expect(headers['set-cookie']).toBeUndefined()
    }
  })
})

describe('the events of a MemcacheStore', () => {
  it('report when all servers are away and when a server is back, so that express-session continues without sessions', async () => {
    await using test = await testMemcache()
    const store = new MemcacheStore({ cache: test.cache })
    const [express] = [EXPRESSES[0][1]]
    const app = express()
    app.use(session({ store, secret: 'test', resave: false, saveUninitialized: false }))
    app.get('/', (req, res) => res.json({ hasSession: req.session !== undefined }))
    await using server = await listen(app)
    await store.set('a', { cookie: new session.Cookie() } as SessionData)
    const away = once(store, 'disconnect')
    await stop(test)
    await away
    await request(server).get('/').expect({ hasSession: false })
    const back = once(store, 'connect')
    await start(test)
    await back
    await request(server).get('/').expect({ hasSession: true })
  })

  it('need one listener per cache, with any number of stores', async () => {
    await using test = await testMemcache()
    const stores = Array.from({ length: 20 }, () => new MemcacheStore({ cache: test.cache }))
    await Promise.all(stores.map((store) => store.get('a')))
    expect(test.cache.client.listenerCount('eject')).toBeLessThan(5)
  })
})

describe('a caller without a callback', () => {
  it('may wait for the promise, or not', async () => {
    await using test = await testMemcache()
    const store = new MemcacheStore({ cache: test.cache })
    await stop(test)
    void store.set('a', { cookie: new session.Cookie() } as SessionData)
    void store.destroy('a')
    void store.touch('a', { cookie: new session.Cookie() } as SessionData)
    void store.clear()
    void store.length()
    await expect(store.get('a')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
    await expect(store.all()).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
  })
})

describeWithMemcached('the real memcached under load', () => {
  const TIMEOUT_MS = 250

  describe.each(MODES)('%s', (onCacheDown) => {
    it.each(['killed', 'hung'] as const)('responds to every request while it is %s, and recovers', async (harm) => {
      await using memcached = await launchMemcached()
      await using cache: Memcache = memcache({ servers: memcached.address, logger: false, timeoutMs: TIMEOUT_MS })
      const made = site(EXPRESSES[0][1], { cache, onCacheDown })
      await using server = await listen(made)
      const cookies = await Promise.all(Array.from({ length: 5 }, () => login(server)))
      let isDone = false
      const statuses = new Set<number>()
      const visitors = Array.from({ length: 20 }, async (_, index) => {
        while (!isDone) {
          const path = index % 2 === 0 ? '/page' : '/note'
          const { status, headers } = await request(server)
            .get(path)
            .set('Cookie', cookies[index % 5]!)
          statuses.add(status)
          if (isHarmed) expect(headers['set-cookie']).toBeUndefined()
        }
      })
      let isHarmed = false
      const away = once(cache.client, 'eject')
      await (harm === 'killed' ? memcached.kill() : memcached.pause())
      await away
      isHarmed = true
      for (let visit = 0; visit < 20; visit++) {
        const { status } = await request(server).get('/page').set('Cookie', cookies[0]!)
        expect(status).toBe(onCacheDown === 'error' ? 500 : 200)
      }
      isHarmed = false
      const back = once(cache.client, 'rejoin')
      if (harm === 'killed') await memcached.restart()
      else memcached.resume()
      await back
      isDone = true
      await Promise.all(visitors)
      expect([...statuses].every((status) => status === 200 || (onCacheDown === 'error' && status === 500))).toBe(true)
      const cookie = harm === 'killed' ? await login(server) : cookies[0]!
      await request(server).get('/page').set('Cookie', cookie).expect(200, { user: 'ann' })
    })
  })
})
