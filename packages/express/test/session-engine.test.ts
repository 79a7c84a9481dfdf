import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import type { NextFunction, Request, Response } from 'express'
import session from 'express-session'
import { MemcacheOptionError } from 'memcache-ts'
import { KeyPrefix } from 'memcache-ts/adapter'
import { SessionRepository } from 'memcache-ts/session'
import { testMemcache } from 'memcache-ts/testing'
import type { TestMemcache } from 'memcache-ts/testing'
import { until } from 'memcache-ts-testing'
import flash from 'connect-flash'
import csurf from 'csurf'
import passport from 'passport'
import { Strategy as LocalStrategy } from 'passport-local'
import { Server as SocketServer } from 'socket.io'
import { io } from 'socket.io-client'
import request from 'supertest'
import { describe, expect, it, vi } from 'vitest'
import { memcacheSession, MemcacheStore } from '../src/index.ts'
import type { MemcacheSessionHandler, MemcacheSessionOptions } from '../src/index.ts'
import { Gate } from './gate.ts'
import { listen } from './open-app.ts'

declare module 'express-session' {
  interface SessionData {
    user: string
    n: number
    nested: Record<string, unknown>
    draft: string
    admin: boolean
  }
}

type Handle = (req: Request, res: Response, next: NextFunction) => unknown

interface Site extends AsyncDisposable {
  readonly server: Server
  readonly test: TestMemcache
  readonly sessions: MemcacheSessionHandler
  /** The cookie of a user who has logged in. */
  login(user?: string): Promise<string>
  visit(path: string, cookie?: string): request.Test
}

async function openSite(
  routes: Record<string, Handle>,
  options: MemcacheSessionOptions = {},
  timeoutMs = 5000,
): Promise<Site> {
  const test = await testMemcache({ timeoutMs })
  const sessions = memcacheSession({ secret: 'test', cache: test.cache, ...options })
  const app = express()
  app.set('env', 'test')
  app.use(sessions)
  app.get('/login/:user', (req, res) => {
    req.session.user = req.params.user
    res.json({ id: req.sessionID })
  })
  app.get('/me', (req, res) => void res.json({ user: req.session.user ?? 'nobody' }))
  app.get('/all', (req, res) => {
    const { cookie: _, ...data } = req.session
    res.json(data)
  })
  for (const [path, handle] of Object.entries(routes)) app.get(path, handle)
  app.use((error: { code?: string }, _req: Request, res: Response, next: NextFunction) => {
    if (res.headersSent) return next(error)
    res.status(503).json({ error: error.code })
  })
  const server = await listen(app)
  const visit = (path: string, cookie?: string): request.Test => {
    const visiting = request(server).get(path)
    return cookie === undefined ? visiting : visiting.set('Cookie', cookie)
  }
  return {
    server,
    test,
    sessions,
    visit,
    login: async (user = 'ann') => cookieOf(await visit(`/login/${user}`).expect(200)),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await test[Symbol.asyncDispose]()
    },
  }
}

const cookieOf = ({ headers }: request.Response): string =>
  (headers['set-cookie'] as unknown as string[])[0]!.split(';')[0]!
/** Calls `destroy` as from JavaScript, without a callback. */
const destroyAndForget = (session: Request['session']): unknown => session.destroy(undefined as never)
const idOf = (cookie: string): string => decodeURIComponent(cookie.split('=')[1]!).slice(2).split('.')[0]!

describe('a response whose session is being stored', () => {
  it('looks complete to its handler, as in Node', async () => {
    let looks: unknown
    await using site = await openSite({
      '/': (req, res) => {
        req.session.n = 1
        res.on('error', () => {})
        res.json({ n: 1 })
        let late: unknown
        try {
          res.setHeader('X-Late', '1')
        } catch (error) {
          late = (error as { code: string }).code
        }
        res.statusCode = 404
        looks = {
          headersSent: res.headersSent,
          writableEnded: res.writableEnded,
          writableFinished: res.writableFinished,
          late,
          written: res.write('more'),
          ended: res.end('more') === res,
        }
      },
    })
    const { headers } = await site.visit('/').expect(200, '{"n":1}')
    expect(headers['x-late']).toBeUndefined()
    expect(looks).toEqual({
      headersSent: true,
      writableEnded: true,
      writableFinished: false,
      late: 'ERR_HTTP_HEADERS_SENT',
      written: false,
      ended: true,
    })
  })

  it('finishes after that, with the callbacks of its writes', async () => {
    const order: string[] = []
    await using site = await openSite({
      '/': (req, res) => {
        req.session.n = 1
        res.on('finish', () => order.push('finish'))
        res.on('close', () => order.push('close'))
        res.write('a', () => order.push('a'))
        res.end('b', () => order.push('end'))
        order.push('handler')
      },
    })
    const closed = once(site.server, 'request').then(async ([, res]) => once(res as Response, 'close'))
    await site.visit('/').expect(200, 'ab')
    await closed
    expect(order).toEqual(
      ['handler', 'a', 'finish', 'end', 'close'].sort((a, b) => order.indexOf(a) - order.indexOf(b)),
    )
    expect(order.indexOf('finish')).toBeGreaterThan(order.indexOf('handler'))
  })

  it.each<[string, Handle]>([
    ['save, not awaited', (req, res) => (req.session.save(), res.json({ done: true }))],
    ['save with a callback that does nothing', (req, res) => (req.session.save(() => {}), res.json({ done: true }))],
    ['destroy, not awaited', (req, res) => (destroyAndForget(req.session), res.redirect('/bye'))],
    ['regenerate, not awaited', (req, res) => (req.session.regenerate(() => {}), res.json({ done: true }))],
    ['unset', (req, res) => (((req as { session: unknown }).session = null), res.json({ done: true }))],
    ['a stream', (req, res) => ((req.session.n = 1), res.write('a'), setImmediate(() => res.end('b')))],
  ])('is an error when it cannot be stored: %s', async (_, answer) => {
    await using site: Site = await openSite(
      {
        '/': async (req, res, next) => {
          req.session.n = 2
          await site.test.server.pause()
          answer(req, res, next)
        },
      },
      { unset: 'destroy' },
      100,
    )
    const cookie = await site.login()
    const { headers } = await site.visit('/', cookie).expect(503, { error: 'ERR_MEMCACHE_TIMEOUT' })
    expect(headers['set-cookie']).toBeUndefined()
    expect(headers['location']).toBeUndefined()
  })

  it('is sent as the application chose if save() reported the failure', async () => {
    await using site: Site = await openSite(
      {
        '/': async (req, res) => {
          req.session.n = 2
          await site.test.server.pause()
          req.session.save((error) => void res.status(error ? 507 : 200).json({ told: Boolean(error) }))
        },
      },
      {},
      100,
    )
    const { headers } = await site.visit('/').expect(507, { told: true })
    expect(headers['set-cookie']).toBeUndefined()
  })

  it('is cut off if its head was sent before the session was changed', async () => {
    await using site: Site = await openSite(
      {
        '/': (req, res) => {
          res.write('begun')
          setImmediate(() => {
            void site.test.server.pause().then(() => {
              req.session.n = 1
              res.end('done')
            })
          })
        },
      },
      {},
      100,
    )
    await expect(site.visit('/', await site.login())).rejects.toThrow(/aborted|socket hang up|ECONNRESET/)
  })

  it('does not wait endlessly if a producer continues', async () => {
    await using site: Site = await openSite(
      {
        '/': async (req, res) => {
          req.session.n = 1
          await site.test.server.pause()
          const timer = setInterval(() => res.write('more'), 5)
          res.on('close', () => clearInterval(timer))
          res.write('begun')
        },
      },
      {},
      100,
    )
    await expect(site.visit('/')).rejects.toThrow(/aborted|socket hang up|ECONNRESET/)
  })
})

describe('sessions that are written at once', () => {
  it('keep each other’s writes into one object, and a deletion', async () => {
    const gates: Record<string, Gate> = { page: new Gate() }
    await using site = await openSite({
      '/start': (req, res) => {
        req.session.nested = { user: { name: 'ann', seen: 0 }, files: {} }
        res.json({})
      },
      '/file/:id': (req, res) => {
        ;(req.session.nested!['files'] as Record<string, string>)[req.params['id'] as string] = 'done'
        setImmediate(() => res.json({}))
      },
      '/page': async (req, res) => {
        ;(req.session.nested!['user'] as { seen: number }).seen++
        await gates['page']!.pass()
        res.json({})
      },
      '/logout': (req, res) => {
        delete req.session.nested!['user']
        res.json({})
      },
    })
    const cookie = cookieOf(await site.visit('/start').expect(200))
    const ids = ['1', '2', '3', '4', '5', '6']
    await Promise.all(ids.map((id) => site.visit(`/file/${id}`, cookie).expect(200)))
    const page = site.visit('/page', cookie).then(({ status }) => status)
    await gates['page']!.arrived
    await site.visit('/logout', cookie).expect(200)
    gates['page']!.open()
    expect(await page).toBe(200)
    await site.visit('/all', cookie).expect({ nested: { files: Object.fromEntries(ids.map((id) => [id, 'done'])) } })
  })

  it('are saved in the order of the calls, and the last state is stored', async () => {
    await using site = await openSite({
      '/': (req, res) => {
        for (let n = 1; n <= 5; n++) {
          req.session.n = n
          req.session.save()
        }
        req.session.n = 0
        req.session.nested = {}
        res.json({})
      },
    })
    const cookie = await site.login()
    await site.visit('/', cookie).expect(200)
    await site.visit('/all', cookie).expect({ user: 'ann', n: 0, nested: {} })
  })

  it('take turns under a lock if merging would be wrong', async () => {
    await using site = await openSite({
      '/': async (req, res) => {
        await req.session.lock()
        req.session.n = (req.session.n ?? 0) + 1
        res.json({ n: req.session.n })
      },
      '/released': async (req, res) => {
        {
          await using _lock = await req.session.lock()
          req.session.n = (req.session.n ?? 0) + 1
        }
        res.json({})
      },
      '/hurried': async (req, res) => {
        const lock = await (req.sessionStore as MemcacheStore).lock(req.sessionID)
        const error = await req.session.lock({ waitMs: 0 }).catch((problem: { code: string }) => problem.code)
        await lock.release()
        res.json({ error })
      },
    })
    const cookie = await site.login()
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => site.visit(index % 2 === 0 ? '/' : '/released', cookie).expect(200)),
    )
    await site.visit('/all', cookie).expect({ user: 'ann', n: 20 })
    await site.visit('/hurried', cookie).expect({ error: 'ERR_MEMCACHE_SERVER' })
  })

  it('lock a session that is new, and one that the request has locked already', async () => {
    await using site = await openSite({
      '/': async (req, res) => {
        const outer = await req.session.lock({ waitMs: 1000 })
        const inner = await req.session.lock({ waitMs: 0 })
        req.session.n = (req.session.n ?? 0) + 1
        await inner.release()
        // Nobody has logged in to the inner one.
        const other = (req.sessionStore as MemcacheStore).lock(req.sessionID, { waitMs: 0 })
        const code = await other.then(
          () => 'let in',
          (problem: { code: string }) => problem.code,
        )
        await outer.release()
        res.json({ n: req.session.n, code })
      },
    })
    const first = await site.visit('/', '').expect({ n: 1, code: 'ERR_MEMCACHE_SERVER' })
    const cookie = first.headers['set-cookie']![0]!.split(';')[0]!
    await site.visit('/', cookie).expect({ n: 2, code: 'ERR_MEMCACHE_SERVER' })
  })
})

describe('a session that was destroyed', () => {
  it('is not restored by a socket that still has it, at any time', async () => {
    const test = await testMemcache()
    const sessions = memcacheSession({ secret: 'test', cache: test.cache })
    const app = express()
    app.use(sessions)
    app.get('/login', (req, res) => ((req.session.user = 'ann'), void res.json({})))
    app.get('/me', (req, res) => void res.json({ user: req.session.user ?? 'nobody', draft: req.session.draft }))
    app.get('/logout', (req, res, next) => void req.session.destroy((error) => (error ? next(error) : res.json({}))))
    await using server = await listen(app)
    const sockets = new SocketServer(server)
    sockets.engine.use(sessions)
    sockets.on('connection', (socket) => {
      socket.on('draft', (text: string, done: () => void) => {
        const { session: kept } = socket.request as unknown as Request
        kept.draft = text
        kept.save(() => done())
      })
    })
    const { port } = server.address() as { port: number }
    const visitor = async () => {
      const cookie = cookieOf(await request(server).get('/login').expect(200))
      const socket = io(`http://127.0.0.1:${port}`, {
        transports: ['websocket'],
        extraHeaders: { cookie },
        forceNew: true,
      })
      await new Promise<void>((resolve) => void socket.on('connect', resolve))
      return { socket, get: (path: string) => request(server).get(path).set('Cookie', cookie) }
    }
    for (const seconds of [1, 61, 600, 661, 7200, 90_000]) {
      const { socket, get } = await visitor()
      await socket.emitWithAck('draft', 'one')
      await get('/me').expect({ user: 'ann', draft: 'one' })
      const { headers } = await get('/logout').expect(200)
      expect(headers['set-cookie']).toEqual([expect.stringMatching(/^connect\.sid=; /)])
      test.clock.advanceSeconds(seconds)
      await socket.emitWithAck('draft', 'two')
      await get('/me').expect({ user: 'nobody' })
      socket.close()
    }
    const { socket, get } = await visitor()
    test.clock.advanceSeconds(7200)
    await socket.emitWithAck('draft', 'late')
    await get('/me').expect({ user: 'ann', draft: 'late' })
    socket.close()
    await sockets.close()
    await test[Symbol.asyncDispose]()
  })

  it('is not brought back by a save that was under way', async () => {
    await using site = await openSite({
      '/': (req, res) => {
        req.session.n = 1
        const { session: held } = req
        held.save()
        destroyAndForget(held)
        res.json({})
      },
      '/new': (req, res) => {
        req.session.n = 1
        const { session: held, sessionID } = req
        held.save()
        destroyAndForget(held)
        res.json({ id: sessionID })
      },
    })
    const cookie = await site.login()
    await site.visit('/', cookie).expect(200)
    await site.visit('/me', cookie).expect({ user: 'nobody' })
    const { body } = await site.visit('/new').expect(200)
    expect(await site.sessions.store.get((body as { id: string }).id)).toBeUndefined()
  })
})

describe('a new id for a session', () => {
  it('that cannot be stored is not used: the request continues with the old id', async () => {
    await using site = await openSite({
      '/caught': async (req, res) => {
        const { id } = req.session
        const error = await req.session.regenerate({ keep: true }).catch((problem: unknown) => problem)
        res.json({ error: String(error), isOld: req.session.id === id && req.sessionID === id })
      },
    })
    const { store } = site.sessions
    const cookie = await site.login()
    vi.spyOn(store, 'set').mockImplementationOnce((_id: string, _session: unknown, callback: unknown) => {
      ;(callback as (error: unknown) => void)(new Error('memcached is away'))
    })
    const response = await site.visit('/caught', cookie)
    expect(response.headers['set-cookie']).toBeUndefined()
    expect(response.body).toEqual({ error: 'Error: memcached is away', isOld: true })
    await site.visit('/me', cookie).expect({ user: 'ann' })
    // Nothing is left of the new one.
    await until(async () => (await store.ids()).length === 1)
    expect(await store.ids()).toEqual([idOf(cookie)])
  })

  it('is refused if its cookie cannot reach the client, and the old one stays', async () => {
    await using site = await openSite(
      {
        '/late': async (req, res) => {
          res.write('first')
          res.end(String(await req.session.regenerate({ keep: true }).catch((problem: unknown) => problem)))
        },
        '/insecure': async (req, res) => {
          req.session.cookie.secure = true
          res.json(String(await req.session.regenerate({ keep: true }).catch((problem: unknown) => problem)))
        },
      },
      { proxy: false },
    )
    const cookie = await site.login()
    expect((await site.visit('/late', cookie)).text).toContain('the head of the response was already sent')
    await site.visit('/me', cookie).expect({ user: 'ann' })
    expect((await site.visit('/insecure', cookie)).text).toContain('its cookie is Secure, and the connection is not')
    await site.visit('/me', cookie).expect({ user: 'ann' })
  })

  it.each<[string, Handle]>([
    [
      'a handler that throws',
      async (req) => {
        await req.session.regenerate({ keep: true })
        throw new Error('of the handler')
      },
    ],
    [
      'a session that cannot be JSON',
      async (req, res) => {
        await req.session.regenerate({ keep: true })
        Object.assign(req.session, { self: req.session })
        res.json({})
      },
    ],
    [
      'a session that cannot be JSON, and a head that was written',
      async (req, res) => {
        await req.session.regenerate({ keep: true })
        Object.assign(req.session, { self: req.session })
        res.writeHead(200)
        res.end()
      },
    ],
  ])('comes with the response of an error: %s', async (_, handle) => {
    await using site = await openSite({ '/': handle })
    const old = await site.login()
    const response = await site.visit('/', old).expect(503)
    await site.visit('/me', old).expect({ user: 'nobody' })
    await site.visit('/me', cookieOf(response)).expect({ user: 'ann' })
  })

  it('is sent after all steps are done, even if the handler does not wait', async () => {
    await using site = await openSite({
      '/rotate': (req, res) => {
        void req.session.regenerate({ keep: true })
        res.json({})
      },
    })
    const old = await site.login()
    const response = await site.visit('/rotate', old).expect(200)
    await site.visit('/me', old).expect({ user: 'nobody' })
    await site.visit('/me', cookieOf(response)).expect({ user: 'ann' })
  })

  it('is the client’s as soon as its cookie was sent, and ends with a logout in any case', async () => {
    const left = new Map<string, () => void>()
    const rotate = async (req: Request, res: Response): Promise<void> => {
      await req.session.regenerate({ keep: true })
      res.once('close', () => left.get(req.path)!())
    }
    await using site = await openSite(
      {
        '/events': async (req, res) => {
          await rotate(req, res)
          res.type('text/event-stream').flushHeaders()
        },
        '/logout-everywhere': async (req, res) => {
          await rotate(req, res)
          await site.sessions.store.destroySessionsOf('ann')
          req.socket.destroy()
        },
        '/logout': async (req, res) => {
          await rotate(req, res)
          await new Promise((resolve) => req.session.destroy(resolve))
          req.socket.destroy()
        },
        '/late-logout': async (req, res) => {
          await rotate(req, res)
          const leaving = new Promise((resolve) => res.once('close', resolve))
          req.socket.destroy()
          await leaving
          req.session.destroy(() => left.get('/destroyed')!())
        },
      },
      { userId: (session) => session.user },
    )
    const { port } = site.server.address() as AddressInfo
    const leaving = (path: string): Promise<void> => new Promise((resolve) => left.set(path, resolve))
    const old = await site.login()
    const closed = leaving('/events')
    const response = await fetch(`http://127.0.0.1:${port}/events`, { headers: { cookie: old } })
    await response.body!.cancel()
    await closed
    const [cookie] = response.headers.getSetCookie()
    await site.visit('/me', cookie!.split(';')[0]!).expect({ user: 'ann' })
    await site.visit('/me', old).expect({ user: 'nobody' })
    for (const path of ['/logout-everywhere', '/logout', '/late-logout']) {
      const over = Promise.all([leaving(path), path === '/late-logout' ? leaving('/destroyed') : undefined])
      const mine = await site.login()
      await expect(site.visit(path, mine)).rejects.toThrow(/hang up|ECONNRESET/)
      await over
      // Whatever brings it back needs fewer round trips.
      for (let visit = 0; visit < 5; visit++) await site.visit('/me', mine).expect({ user: 'nobody' })
      expect(await site.sessions.store.sessionsOf('ann')).toEqual([])
    }
  })

  it('is not the only one in a store of another kind either, if its client has disconnected', async () => {
    const store = new session.MemoryStore()
    let left!: () => void
    const over = new Promise<void>((resolve) => (left = resolve))
    await using site = await openSite(
      {
        '/rotate': async (req, res) => {
          const leaving = new Promise((resolve) => res.once('close', resolve))
          req.socket.destroy()
          await leaving
          req.session.draft = 'kept'
          await req.session.regenerate({ keep: true })
          left()
        },
      },
      { store: store as never },
    )
    const old = await site.login()
    await expect(site.visit('/rotate', old)).rejects.toThrow(/hang up|ECONNRESET/)
    await over
    await site.visit('/all', old).expect({ user: 'ann', draft: 'kept' })
  })
})

describe('the lifetime of a session', () => {
  it('ends at maxLifetimeSeconds, even if its user is active or its id changes', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    try {
      await using site = await openSite(
        {
          '/write': (req, res) => ((req.session.n = (req.session.n ?? 0) + 1), void res.json({})),
          '/rotate': async (req, res) => {
            await req.session.regenerate({ keep: true })
            req.session.admin = true
            res.json({})
          },
        },
        { ttlSeconds: 60, maxLifetimeSeconds: 200 },
      )
      const pass = (seconds: number) => {
        vi.setSystemTime(Date.now() + seconds * 1000)
        site.test.clock.advanceSeconds(seconds)
      }
      let cookie = await site.login()
      for (let visit = 0; visit < 4; visit++) {
        pass(40)
        if (visit === 1) {
          const old = cookie
          cookie = cookieOf(await site.visit('/rotate', cookie).expect(200))
          expect(idOf(cookie)).not.toBe(idOf(old))
          await site.visit('/me', old).expect({ user: 'nobody' })
        }
        await site.visit(visit % 2 === 0 ? '/me' : '/write', cookie).expect(200)
        await site.visit('/me', cookie).expect({ user: 'ann' })
      }
      pass(39)
      await site.visit('/me', cookie).expect({ user: 'ann' })
      pass(2)
      await site.visit('/me', cookie).expect({ user: 'nobody' })
    } finally {
      vi.useRealTimers()
    }
  })

  it('is set again by each visit, also for shorter sessions and with touchAfterSeconds', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    try {
      for (const touchAfterSeconds of [0, 3000]) {
        await using site = await openSite(
          {
            '/short': (req, res) => (
              (req.session.user = 'ann'),
              (req.session.cookie.maxAge = 60_000),
              void res.json({})
            ),
          },
          { touchAfterSeconds },
        )
        const cookie = cookieOf(await site.visit('/short').expect(200))
        for (let visit = 0; visit < 6; visit++) {
          vi.setSystemTime(Date.now() + 31_000)
          site.test.clock.advanceSeconds(31)
          await site.visit('/me', cookie).expect({ user: 'ann' })
        }
        vi.setSystemTime(Date.now() + 62_000)
        site.test.clock.advanceSeconds(62)
        await site.visit('/me', cookie).expect({ user: 'nobody' })
      }
    } finally {
      vi.useRealTimers()
    }
  })

  it.each([
    { touchAfterSeconds: 86_400 },
    { ttlSeconds: 60, touchAfterSeconds: 60 },
    { cookie: { maxAge: 5000 }, touchAfterSeconds: 5 },
  ])('is refused where it is no longer than touchAfterSeconds: %j', (options) => {
    expect(() => memcacheSession({ secret: 'test', ...options } as MemcacheSessionOptions)).toThrow(MemcacheOptionError)
  })
})

describe('the sessions of a user', () => {
  it('are listed and ended, all but one', async () => {
    await using site = await openSite(
      {
        '/elsewhere': async (req, res) =>
          void res.json({ ended: await site.sessions.store.destroySessionsOf('ann', { except: req.sessionID }) }),
        '/as/:user': (req, res) => ((req.session.user = req.params['user'] as string), void res.json({})),
      },
      { userId: ({ user }) => user },
    )
    const cookies = await Promise.all(Array.from({ length: 25 }, () => site.login('ann')))
    const others = await site.login('bob')
    const idsOf = async (user: string) => (await site.sessions.store.sessionsOf(user)).map(({ id }) => id).sort()
    expect(await idsOf('ann')).toEqual(cookies.map(idOf).sort())
    await site.visit('/as/carl', cookies[24]).expect(200)
    expect(await idsOf('carl')).toEqual([idOf(cookies[24]!)])
    await site.visit('/elsewhere', cookies[0]).expect({ ended: 23 })
    await site.visit('/me', cookies[0]).expect({ user: 'ann' })
    await site.visit('/me', cookies[1]).expect({ user: 'nobody' })
    await site.visit('/me', cookies[24]).expect({ user: 'carl' })
    await site.visit('/me', others).expect({ user: 'bob' })
    expect(await idsOf('ann')).toEqual([idOf(cookies[0]!)])
  })

  it('are all ended, including a session that gets a new id at the same time', async () => {
    await using site = await openSite(
      {
        '/rotate': async (req, res) => {
          await req.session.regenerate({ keep: true })
          res.json({})
        },
      },
      { userId: (session) => session.user },
    )
    const { store } = site.sessions
    for (let round = 0; round < 10; round++) {
      const cookies = await Promise.all(Array.from({ length: 4 }, () => site.login()))
      await Promise.all([
        ...cookies.map((cookie) => site.visit('/rotate', cookie).catch(() => {})),
        store.destroySessionsOf('ann'),
      ])
      const alive = (await store.all()).filter(({ user }) => user === 'ann')
      expect(alive, String(round)).toEqual([])
    }
  })

  it('are found only with the option userId', async () => {
    await using site = await openSite({})
    await expect(site.sessions.store.sessionsOf('ann')).rejects.toThrow(/userId/)
  })
})

describe('options beyond express-session’s', () => {
  it('skip: requests without a session, and without a round trip', async () => {
    await using site = await openSite(
      { '/health': (req, res) => void res.json({ session: typeof req.session }) },
      { skip: (req) => req.path === '/health' },
    )
    const cookie = await site.login()
    const before = Number(site.test.server.memcached.stats()['cmd_get'])
    await site.visit('/health', cookie).expect({ session: 'undefined' })
    expect(Number(site.test.server.memcached.stats()['cmd_get'])).toBe(before)
  })

  it('property: two sessions of one request, each with its cookie', async () => {
    await using test = await testMemcache()
    const app = express()
    app.use(memcacheSession({ secret: 'one', cache: test.cache }))
    app.use(memcacheSession({ secret: 'two', cache: test.cache, name: 'admin.sid', property: 'adminSession' }))
    app.get('/', (req, res) => {
      const { adminSession } = req as unknown as { adminSession: Request['session'] }
      req.session.n = (req.session.n ?? 0) + 1
      adminSession.n = (adminSession.n ?? 0) + 10
      res.json({ own: req.session.n, admin: adminSession.n, same: req.session.id === adminSession.id })
    })
    app.get('/out', (req, res) => {
      const { adminSession } = req as unknown as { adminSession: Request['session'] }
      const left = (): unknown => (req as unknown as { adminSession: unknown }).adminSession ?? null
      adminSession.destroy(() => void res.json({ n: req.session.n, admin: left() }))
    })
    await using server = await listen(app)
    const agent = request.agent(server)
    const { headers } = await agent.get('/').expect({ own: 1, admin: 10, same: false })
    expect((headers['set-cookie'] as unknown as string[]).map((each) => each.split('=')[0]).sort()).toEqual([
      'admin.sid',
      'connect.sid',
    ])
    await agent.get('/').expect({ own: 2, admin: 20, same: false })
    await agent.get('/out').expect({ n: 2, admin: null })
    await agent.get('/').expect({ own: 3, admin: 10, same: false })
  })

  it('store: any store of express-session’s, by its rules', async () => {
    const app = express()
    app.use(memcacheSession({ secret: 'test', store: new session.MemoryStore() }))
    app.get('/', (req, res) => ((req.session.n = (req.session.n ?? 0) + 1), void res.json({ n: req.session.n })))
    await using server = await listen(app)
    const agent = request.agent(server)
    await agent.get('/').expect({ n: 1 })
    await agent.get('/').expect({ n: 2 })
  })

  it.each([undefined, null, '', [], [undefined], [''], ['k'.repeat(32), undefined]])(
    'encryptionKeys: %j is refused, since sessions would be plain text',
    (encryptionKeys) => {
      const options = { secret: 'test', encryptionKeys } as MemcacheSessionOptions
      expect(() => memcacheSession(options)).toThrow(MemcacheOptionError)
      expect(() => new MemcacheStore({ encryptionKeys } as never)).toThrow(MemcacheOptionError)
      if (typeof encryptionKeys !== 'string') {
        expect(() => new SessionRepository({ encryptionKeys } as never)).toThrow(MemcacheOptionError)
      }
    },
  )

  it('logs once that a secure cookie is not sent over a connection that is not known to be secure', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    try {
      await using site = await openSite({}, { cookie: { secure: true } })
      for (let time = 0; time < 2; time++) {
        const { headers } = await site.visit('/login/ann').set('X-Forwarded-Proto', 'https').expect(200)
        expect(headers['set-cookie']).toBeUndefined()
      }
      expect(warn.mock.calls.map(([message]) => String(message))).toEqual([expect.stringContaining('trust proxy')])
    } finally {
      warn.mockRestore()
    }
  })
})

describe('a stored value that is not a session', () => {
  it.each([
    ['text', 'hello'],
    ['a list', [1]],
    ['a number', 5],
    ['null', null],
    ['no cookie', { user: 'eve' }],
    ['a cookie that is text', { user: 'eve', cookie: 'x' }],
    ['an age that is text', { user: 'eve', cookie: { originalMaxAge: 'x' } }],
    ['an end that is no date', { user: 'eve', cookie: { expires: 'never' } }],
    ['a path that is an object', { user: 'eve', cookie: { path: {} } }],
    ['bytes', Buffer.from([0xff, 0xfe])],
  ])('is a new visitor, and no error: %s', async (_, value) => {
    await using site = await openSite({})
    const cookie = await site.login()
    await site.test.cache.client.set(`${KeyPrefix.session}:${idOf(cookie)}`, value)
    await site.visit('/me', cookie).expect(200, { user: 'nobody' })
    await site.visit('/login/bob', cookie).expect(200)
  })

  it('names no id in an error', async () => {
    await using site = await openSite({}, {}, 100)
    const cookie = await site.login()
    await site.test.server.pause()
    const error = (await site.sessions.store.get(idOf(cookie)).catch((problem: unknown) => problem)) as Error
    expect(error).toBeInstanceOf(Error)
    expect(JSON.stringify(error) + error.message + error.stack!).not.toContain(idOf(cookie))
  })
})

describe('middlewares that use sessions', () => {
  it('passport, connect-flash and csurf log in, flash and protect', async () => {
    const users = new passport.Passport()
    users.use(new LocalStrategy((name, password, done) => done(null, password === 'right' ? { name } : false)))
    users.serializeUser((user, done) => done(null, (user as { name: string }).name))
    users.deserializeUser((name: string, done) => done(null, { name }))
    await using test = await testMemcache()
    const app = express()
    app.use(express.urlencoded({ extended: false }), memcacheSession({ secret: 'test', cache: test.cache }))
    app.use(flash(), users.initialize(), users.session())
    app.use(csurf() as unknown as express.RequestHandler)
    app.get('/form', (req, res) => void res.json({ token: req.csrfToken(), flash: req.flash('error') }))
    app.post(
      '/login',
      users.authenticate('local', { successRedirect: '/me', failureRedirect: '/form', failureFlash: 'wrong' }),
    )
    app.get('/me', (req, res) => void res.json({ user: (req.user as { name?: string } | undefined)?.name ?? 'nobody' }))
    app.post('/logout', (req, res, next) => req.logout((error) => (error ? next(error) : res.redirect('/me'))))
    app.use((error: { code?: string }, _req: Request, res: Response, _next: NextFunction) => {
      res.status(error.code === 'EBADCSRFTOKEN' ? 403 : 500).json({})
    })
    await using server = await listen(app)
    const agent = request.agent(server)
    const form = async () => (await agent.get('/form').expect(200)).body as { token: string; flash: string[] }
    await agent.post('/login').type('form').send({ username: 'ann', password: 'right' }).expect(403)
    const { token } = await form()
    await agent.post('/login').type('form').send({ username: 'ann', password: 'wrong', _csrf: token }).expect(302)
    expect((await form()).flash).toEqual(['wrong'])
    expect((await form()).flash).toEqual([])
    const { headers } = await agent
      .post('/login')
      .type('form')
      .send({ username: 'ann', password: 'right', _csrf: token })
      .expect('Location', '/me')
    expect(headers['set-cookie']).toHaveLength(1)
    await agent.get('/me').expect({ user: 'ann' })
    await agent
      .post('/logout')
      .type('form')
      .send({ _csrf: (await form()).token })
      .expect('Location', '/me')
    await agent.get('/me').expect({ user: 'nobody' })
  })
})
