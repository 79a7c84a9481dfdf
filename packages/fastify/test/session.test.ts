import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import { fetchSession } from 'memcache-ts/session'
import { testMemcache } from 'memcache-ts/testing'
import type { TestMemcache } from 'memcache-ts/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { memcacheSession, MemcacheStore } from '../src/index.ts'
import type { MemcacheSessionOptions } from '../src/index.ts'
import { sessionApp, Visitor } from './open-app.ts'

declare module '../src/session.ts' {
  interface SessionData {
    views: number
    user: string
    nested: Record<string, number>
  }
}

describe('memcacheSession of Fastify', () => {
  let test: TestMemcache
  const apps: FastifyInstance[] = []
  beforeEach(async () => {
    test = await testMemcache()
  })
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()))
    await test.close()
  })

  async function open(
    routes: (app: FastifyInstance) => void,
    options: MemcacheSessionOptions = {},
    server?: FastifyServerOptions,
  ): Promise<FastifyInstance> {
    const app = await sessionApp({ cache: test.cache, ...options }, routes, server)
    apps.push(app)
    return app
  }

  const counting = (app: FastifyInstance): void => {
    app.get('/', async (request) => {
      request.session.views = (request.session.views ?? 0) + 1
      return { views: request.session.views, id: request.sessionID }
    })
    app.get('/none', async () => ({}))
    app.get('/read', async (request) => ({ views: request.session.views ?? null }))
  }

  it('stores a session that has data, and creates no session without data', async () => {
    const app = await open(counting)
    const visitor = new Visitor(app)
    expect((await visitor.get('/none')).headers['set-cookie']).toBeUndefined()
    expect((await visitor.get('/read')).json()).toEqual({ views: null })
    expect(visitor.cookie).toBeUndefined()
    const first = await visitor.get('/')
    expect(first.headers['set-cookie']).toMatch(/^connect\.sid=s%3A.*; Path=\/; HttpOnly; SameSite=Lax$/)
    expect((await visitor.get('/')).json()).toEqual({ views: 2, id: (first.json() as { id: string }).id })
    expect((await visitor.get('/read')).json()).toEqual({ views: 2 })
  })

  it('sessions have methods that return promises', async () => {
    const app = await open((app) => {
      counting(app)
      app.get('/in', async (request) => {
        const before = request.sessionID
        request.session.views = 7
        await request.session.regenerate({ keep: true })
        request.session.user = 'ann'
        await request.session.save()
        await request.session.reload()
        return { changed: before !== request.sessionID, session: { ...request.session, cookie: undefined } }
      })
      app.get('/out', async (request) => {
        await request.session.destroy()
        return { session: request.session ?? null }
      })
    })
    const visitor = new Visitor(app)
    await visitor.get('/')
    const before = visitor.cookie
    expect((await visitor.get('/in')).json()).toEqual({ changed: true, session: { views: 7, user: 'ann' } })
    expect(visitor.cookie).not.toBe(before)
    const old = new Visitor(app)
    old.cookie = before
    expect((await old.get('/read')).json()).toEqual({ views: null })
    expect((await visitor.get('/out')).json()).toEqual({ session: null })
    expect(visitor.cookie).toBeUndefined()
  })

  it('loses no parallel write, into one object or another', async () => {
    const app = await open((app) => {
      counting(app)
      app.get('/put/:key', async (request) => {
        const { key } = request.params as { key: string }
        request.session.nested = { ...request.session.nested, [key]: 1 }
        return {}
      })
      app.get('/keys', async (request) => Object.keys(request.session.nested ?? {}).sort())
    })
    const visitor = new Visitor(app)
    await visitor.get('/')
    const keys = Array.from({ length: 20 }, (_, index) => `k${index}`)
    await Promise.all(keys.map((key) => visitor.get(`/put/${key}`)))
    expect((await visitor.get('/keys')).json()).toEqual(keys.sort())
  })

  it('runs requests one after another under a lock, which ends with the response, also after an error', async () => {
    const app = await open((app) => {
      counting(app)
      app.get('/locked', async (request, reply) => {
        await request.session.lock()
        request.session.views = request.session.views! + 1
        if (request.session.views % 2 === 0) return reply.code(500).send(new Error('half of them'))
        return {}
      })
    })
    const visitor = new Visitor(app)
    await visitor.get('/')
    await Promise.all(Array.from({ length: 10 }, () => visitor.get('/locked')))
    expect((await visitor.get('/read')).json()).toEqual({ views: 11 })
  })

  describe.each(['returned', 'sent', 'streamed', 'thrown'] as const)('when a session cannot be saved: %s', (way) => {
    it('responds 503 without the handler’s payload and without a cookie', async () => {
      let stream: Readable | undefined
      const app = await open((app) => {
        app.get('/', async (request, reply) => {
          request.session.user = 'ann'
          await test.server.stop()
          reply.code(201).header('x-handler', '1')
          if (way === 'returned') return { secret: 1 }
          if (way === 'sent') return reply.send('secret')
          if (way === 'thrown') throw Object.assign(new Error('secret of the handler'), { statusCode: 418 })
          stream = Readable.from(['secret'])
          return reply.send(stream)
        })
      })
      const response = await app.inject('/')
      // The status of an error that was thrown stays.
      expect(response.statusCode).toBe(way === 'thrown' ? 418 : 503)
      expect(response.headers['set-cookie']).toBeUndefined()
      expect(response.body).not.toContain('secret')
      if (stream !== undefined) expect(stream.destroyed).toBe(true)
    })
  })

  it('sends the cookie of a regenerated session with an error response', async () => {
    const app = await open((app) => {
      counting(app)
      app.get('/rotate', async (request) => {
        await request.session.regenerate({ keep: true })
        Object.assign(request.session, { self: request.session })
        return {}
      })
    })
    const visitor = new Visitor(app)
    await visitor.get('/')
    expect((await visitor.get('/rotate')).statusCode).toBe(500)
    expect((await visitor.get('/read')).json()).toEqual({ views: 1 })
  })

  it.each(['unattended', 'attended'])('counts the failure of a write that was not awaited: %s', async (way) => {
    const app = await open((app) => {
      counting(app)
      app.get('/unattended', async (request) => {
        request.session.user = 'ann'
        await test.server.stop()
        void request.session.save()
        return {}
      })
      app.get('/attended', async (request) => {
        await test.server.stop()
        let failure: unknown
        await request.session.destroy().catch((error: unknown) => (failure = error))
        return { failed: failure instanceof Error }
      })
    })
    const visitor = new Visitor(app)
    await visitor.get('/')
    const response = await visitor.get(`/${way}`)
    if (way === 'unattended') expect(response.statusCode).toBe(503)
    else expect(response.json()).toEqual({ failed: true })
  })

  it.each(['regenerate', 'reload', 'lock', 'save', 'destroy'] as const)(
    'is not crashed by a %s that fails and that nobody waits for',
    async (method) => {
      const app = await open((app) => {
        counting(app)
        app.get('/unattended', async (request) => {
          await test.server.stop()
          void request.session[method]()
          return {}
        })
      })
      const visitor = new Visitor(app)
      await visitor.get('/')
      const rejections: unknown[] = []
      const note = (error: unknown): void => void rejections.push(error)
      process.on('unhandledRejection', note)
      await visitor.get('/unattended')
      // Rejections are reported after the microtasks.
      await new Promise((resolve) => setImmediate(resolve))
      process.off('unhandledRejection', note)
      expect(rejections).toEqual([])
    },
  )

  it('continues as onCacheDown says', async () => {
    for (const [onCacheDown, status, body] of [
      ['error', 503, undefined],
      ['anonymous', 200, { views: 1 }],
      ['skip', 200, { views: null }],
    ] as const) {
      await using own = await testMemcache()
      const app = await sessionApp({ cache: own.cache, onCacheDown }, (app) => {
        app.get('/', async (request) => {
          if (request.session) request.session.views = (request.session.views ?? 0) + 1
          return { views: request.session?.views ?? null }
        })
      })
      const visitor = new Visitor(app)
      await visitor.get('/')
      const { cookie } = visitor
      await own.server.stop()
      const response = await visitor.get('/')
      expect(response.statusCode).toBe(status)
      if (body !== undefined) expect(response.json()).toEqual(body)
      expect(visitor.cookie).toBe(cookie)
      await app.close()
    }
  })

  it('saves changes of a response that Fastify did not send', async () => {
    const app = await open((app) => {
      counting(app)
      app.get('/raw', (request, reply) => {
        request.session.views = 41
        reply.hijack()
        reply.raw.end('raw')
      })
      app.get('/stream', (request, reply) => {
        const stream = new Readable({
          read() {
            request.session.views = 42
            this.push('late')
            this.push(null)
          },
        })
        return reply.send(stream)
      })
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    const visitor = new Visitor(app)
    await visitor.get('/')
    for (const [path, views] of [
      ['/raw', 41],
      ['/stream', 42],
    ] as const) {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { cookie: visitor.cookie! } })
      await response.text()
      await expect.poll(async () => (await visitor.get('/read')).json()).toMatchObject({ views })
    }
  })

  it('sends the cookie as the connection is, and trusts proxies as Fastify does', async () => {
    const app = await open(counting, {}, { trustProxy: true })
    const secure = await app.inject({ url: '/', headers: { 'x-forwarded-proto': 'https' } })
    expect(secure.headers['set-cookie']).toContain('; Secure')
    const plain = await app.inject('/')
    expect(plain.headers['set-cookie']).not.toContain('Secure')
    const distrusting = await open(counting)
    const forged = await distrusting.inject({ url: '/', headers: { 'x-forwarded-proto': 'https' } })
    expect(forged.headers['set-cookie']).not.toContain('Secure')
  })

  it('keeps the cookies of handlers, with skip, paths, rolling and unset as in Express', async () => {
    const app = await open(
      (app) => {
        counting(app)
        app.get('/cookies', async (request, reply) => {
          request.session.views = 1
          return reply.header('Set-Cookie', 'a=1').header('Set-Cookie', 'b=2').send({})
        })
        app.get('/skipped', async (request) => ({ session: request.session ?? null }))
        app.get('/unset', async (request) => {
          request.session = null as never
          return {}
        })
      },
      { rolling: true, unset: 'destroy', skip: (request) => request.url === '/skipped' },
    )
    const visitor = new Visitor(app)
    const { headers } = await visitor.get('/cookies')
    expect(headers['set-cookie']).toEqual(['a=1', 'b=2', expect.stringContaining('connect.sid=')])
    expect((await visitor.get('/none')).headers['set-cookie']).toContain('connect.sid=')
    expect((await visitor.get('/skipped')).json()).toEqual({ session: null })
    await visitor.get('/unset')
    expect((await visitor.get('/read')).json()).toEqual({ views: null })
  })

  it('shares sessions with the Fetch form', async () => {
    const app = await open(counting)
    const visitor = new Visitor(app)
    await visitor.get('/')
    const sessions = fetchSession<{ views: number }>({ cache: test.cache, secret: 'of the tests' })
    const opened = await sessions.open(new Request('http://localhost/', { headers: { cookie: visitor.cookie! } }))
    expect(opened.session.views).toBe(1)
    opened.session.views = 5
    await opened.commit(new Response())
    expect((await visitor.get('/read')).json()).toEqual({ views: 5 })
  })

  it('finds the sessions of a user by a separate store', async () => {
    const store = new MemcacheStore({ cache: test.cache, userId: (session) => session['user'] as string })
    const app = await open(
      (app) => {
        app.get('/in', async (request) => {
          request.session.user = 'ann'
          return {}
        })
        app.get('/out', async (request) => ({
          ended: await store.destroySessionsOf('ann', { except: request.sessionID }),
        }))
      },
      { store },
    )
    const [phone, laptop] = [new Visitor(app), new Visitor(app)]
    await phone.get('/in')
    await laptop.get('/in')
    expect(await store.sessionsOf('ann')).toHaveLength(2)
    expect((await laptop.get('/out')).json()).toEqual({ ended: 1 })
  })

  it('refuses options that are unknown or invalid when it is registered', async () => {
    await expect(open(() => {}, { maxAge: 5 } as never)).rejects.toThrow('`cookie.maxAge` here')
    await expect(open(() => {}, { unset: 'never' as never })).rejects.toThrow('unset')
    const app = Fastify()
    apps.push(app)
    await expect(
      (async () => app.register(memcacheSession, { store: new MemcacheStore({ cache: test.cache }) }))(),
    ).rejects.toThrow(/secret/)
  })

  it('saves the session of a request whose client disconnects', async () => {
    let handlerRuns!: () => void
    const running = new Promise<void>((resolve) => (handlerRuns = resolve))
    const app = await open((app) => {
      counting(app)
      app.get('/slow', async (request, reply) => {
        request.session.views = 9
        // The client is not sent the new id, so its old id stays valid.
        await request.session.regenerate({ keep: true })
        request.session.user = 'admin'
        const closed = once(reply.raw, 'close')
        handlerRuns()
        await closed
        return {}
      })
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    const visitor = new Visitor(app)
    await visitor.get('/')
    const controller = new AbortController()
    const leaving = fetch(`http://127.0.0.1:${port}/slow`, {
      headers: { cookie: visitor.cookie! },
      signal: controller.signal,
    })
    await running
    controller.abort()
    await expect(leaving).rejects.toThrow()
    let read: { views?: number; user?: string } = {}
    while (read.views !== 9) read = (await visitor.get('/read')).json()
    expect(read.user).toBeUndefined()
  })
})
