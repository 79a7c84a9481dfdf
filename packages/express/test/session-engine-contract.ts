import type { Server } from 'node:http'
import type { Express, Request, Response } from 'express'
import { memcache } from 'memcache-ts'
import type { Memcache } from 'memcache-ts'
import request from 'supertest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { memcacheSession } from '../src/index.ts'
import type { MemcacheSessionOptions } from '../src/index.ts'
import { EXPRESSES, listen } from './open-app.ts'
import type { ContractServer } from './session-store-contract.ts'

/** The handlers of a test, by path. */
type Routes = Record<string, (req: Request, res: Response) => unknown>

const promised = (call: (callback: (error?: unknown) => void) => unknown): Promise<void> =>
  new Promise((resolve, reject) => call((error) => (error ? reject(error as Error) : resolve())))

/** Tests express-session's documentation of `req.session` and its options, option by option. */
export function describeSessionEngine(launch: () => Promise<ContractServer>): void {
  let memcached: ContractServer
  let cache: Memcache
  beforeAll(async () => {
    memcached = await launch()
    cache = memcache({ servers: memcached.address, logger: false, timeoutMs: 5000 })
  })
  afterAll(async () => {
    await cache.close()
    await memcached[Symbol.asyncDispose]()
  })

  describe.each(EXPRESSES)('%s', (_, express) => {
    function app(options: MemcacheSessionOptions, routes: Routes): Express {
      const made = express()
      made.use(memcacheSession({ cache, secret: 'test', ...options }))
      made.get('/in', (req, res) => {
        req.session.views = 1
        res.json({ id: req.sessionID })
      })
      made.get('/data', (req, res) => {
        const { cookie: _cookie, ...data } = req.session
        res.json(data)
      })
      for (const [path, handle] of Object.entries(routes)) {
        made.get(path, (req, res, next) => void Promise.resolve(handle(req, res)).catch(next))
      }
      return made
    }

    async function login(server: Server): Promise<string> {
      const { headers } = await request(server).get('/in').expect(200)
      return headers['set-cookie']![0]!.split(';')[0]!
    }

    const visit = (server: Server, path: string, cookie: string) => request(server).get(path).set('Cookie', cookie)

    it('reload after save: a session with a new id has its cookie sent', async () => {
      await using server = await listen(
        app(
          {},
          {
            '/renew': async (req, res) => {
              await req.session.regenerate({ keep: true })
              await promised((done) => req.session.save(done))
              await promised((done) => req.session.reload(done))
              res.json({})
            },
          },
        ),
      )
      const agent = request.agent(server)
      await agent.get('/in')
      await agent.get('/renew')
      expect((await agent.get('/data')).body).toMatchObject({ views: 1 })
    })

    it('regenerate: a new id and an empty session; the old one is gone', async () => {
      const again: Routes = {
        '/again': async (req, res) => {
          const { id } = req.session
          await promised((done) => req.session.regenerate(done))
          req.session.user = 'ann'
          res.json({
            changed: id !== req.session.id,
            same: req.session.id === req.sessionID,
            views: req.session.views ?? 0,
          })
        },
      }
      await using server = await listen(app({}, again))
      const cookie = await login(server)
      const { headers } = await visit(server, '/again', cookie).expect({ changed: true, same: true, views: 0 })
      await visit(server, '/data', headers['set-cookie']![0]!).expect({ user: 'ann' })
      await visit(server, '/data', cookie).expect({})
    })

    it('destroy: the session is gone, and req.session with it', async () => {
      const out: Routes = {
        '/out': async (req, res) => {
          await promised((done) => req.session.destroy(done))
          res.json({ session: req.session ?? null })
        },
      }
      await using server = await listen(app({}, out))
      const cookie = await login(server)
      const { headers } = await visit(server, '/out', cookie).expect({ session: null })
      expect(headers['set-cookie']).toEqual([expect.stringMatching(/^connect\.sid=; .*Expires=Thu, 01 Jan 1970/)])
      await visit(server, '/data', cookie).expect({})
    })

    it("reload: reads the stored session, regardless of the request's changes; fails if there is none", async () => {
      const reload: Routes = {
        '/reload': async (req, res) => {
          req.session.views = 99
          await promised((done) => req.session.reload(done))
          req.session.user = 'ann'
          res.json({ views: req.session.views })
        },
        '/gone': async (req, res) => {
          await promised((done) => req.sessionStore.destroy(req.sessionID, done))
          const { session } = req
          res.json({ error: await promised((done) => session.reload(done)).catch((error: Error) => error.message) })
        },
      }
      await using server = await listen(app({}, reload))
      const cookie = await login(server)
      await visit(server, '/reload', cookie).expect({ views: 1 })
      await visit(server, '/data', cookie).expect({ views: 1, user: 'ann' })
      await visit(server, '/gone', cookie).expect({ error: 'failed to load session' })
    })

    it('save: the session is stored when it calls back, and later changes are stored too', async () => {
      const save: Routes = {
        '/save': async (req, res) => {
          req.session.views = 2
          await promised((done) => req.session.save(done))
          const stored = await new Promise((resolve) =>
            req.sessionStore.get(req.sessionID, (_error, data) => resolve(data)),
          )
          req.session.user = 'ann'
          res.json({ views: (stored as { views: number }).views })
        },
      }
      await using server = await listen(app({}, save))
      const cookie = await login(server)
      await visit(server, '/save', cookie).expect({ views: 2 })
      await visit(server, '/data', cookie).expect({ views: 2, user: 'ann' })
    })

    it('cookie: maxAge is the remaining time, originalMaxAge the initial one; a change is sent and kept', async () => {
      const ages: Routes = {
        '/ages': (req, res) => {
          const { maxAge, originalMaxAge, expires } = req.session.cookie
          res.json({ maxAge, originalMaxAge, isDate: expires instanceof Date })
        },
        '/hour': (req, res) => {
          req.session.cookie.maxAge = 3_600_000
          req.session.user = 'ann'
          res.json({})
        },
        '/browser': (req, res) => {
          req.session.cookie.expires = null
          res.json({})
        },
      }
      await using server = await listen(app({ cookie: { maxAge: 60_000 } }, ages))
      const cookie = await login(server)
      for (const [path, most] of [
        ['/data', 60_000],
        ['/hour', 3_600_000],
      ] as const) {
        await visit(server, path, cookie).expect(200)
        const { body } = await visit(server, '/ages', cookie).expect(200)
        const { maxAge, originalMaxAge, isDate } = body as { maxAge: number; originalMaxAge: number; isDate: boolean }
        expect(isDate).toBe(true)
        expect(maxAge).toBeGreaterThan(most - 10_000)
        expect(maxAge).toBeLessThanOrEqual(most + 1000)
        expect(Math.abs(originalMaxAge - most)).toBeLessThan(1000)
      }
      const { headers } = await visit(server, '/hour', cookie)
      expect(headers['set-cookie']).toBeUndefined()
      await visit(server, '/browser', cookie).expect(200)
      await visit(server, '/ages', cookie).expect({ maxAge: null, originalMaxAge: null, isDate: false })
    })

    it('rolling: the cookie is sent with every response, else with the first one', async () => {
      for (const [rolling, sent] of [
        [true, 1],
        [false, 0],
      ] as const) {
        await using server = await listen(app({ rolling, cookie: { maxAge: 60_000 } }, {}))
        const cookie = await login(server)
        const { headers } = await visit(server, '/data', cookie).expect({ views: 1 })
        expect(headers['set-cookie']?.length ?? 0).toBe(sent)
      }
    })

    it('resave and saveUninitialized: unchanged and empty sessions are stored too', async () => {
      await using server = await listen(app({ resave: true, saveUninitialized: true }, {}))
      const { headers } = await request(server).get('/data').expect({})
      const cookie = headers['set-cookie']![0]!
      const id = decodeURIComponent(cookie.split(';')[0]!.split('=')[1]!).slice(2).split('.')[0]!
      const casOf = async () => (await cache.client.gets(`session:${id}`))!.casUnique
      const before = await casOf()
      await visit(server, '/data', cookie).expect({})
      expect(await casOf()).not.toBe(before)
    })

    it('unset: a session that was set to null stays, or is destroyed', async () => {
      for (const unset of ['keep', 'destroy'] as const) {
        const none: Routes = {
          '/none': (req, res) => {
            ;(req as { session: unknown }).session = null
            res.json({})
          },
        }
        await using server = await listen(app({ unset }, none))
        const cookie = await login(server)
        await visit(server, '/none', cookie).expect({})
        await visit(server, '/data', cookie).expect(unset === 'keep' ? { views: 1 } : {})
      }
    })

    it('genid, name and several secrets', async () => {
      let made = 0
      const options = { genid: () => `id-${process.pid}-${Math.random()}-${++made}`, name: 'sid' }
      await using old = await listen(app({ ...options, secret: 'old' }, {}))
      await using server = await listen(app({ ...options, secret: ['new', 'old'] }, {}))
      const cookie = await login(old)
      expect(cookie).toMatch(/^sid=s%3Aid-/)
      await visit(server, '/data', cookie).expect({ views: 1 })
      await visit(server, '/data', cookie.replace('id-', 'ie-')).expect({})
      await visit(old, '/data', await login(server)).expect({})
    })

    it('is one session if the middleware is mounted twice', async () => {
      const made = express()
      const middleware = memcacheSession({ cache, secret: 'test' })
      made.use(middleware, middleware)
      made.get('/', (req, res) => res.json({ views: (req.session.views = (req.session.views ?? 0) + 1) }))
      await using server = await listen(made)
      const agent = request.agent(server)
      await agent.get('/').expect({ views: 1 })
      await agent.get('/').expect({ views: 2 })
    })

    it('is saved before a response is sent, by every method', async () => {
      const ways: Routes = {
        '/redirect': (req, res) => {
          req.session.views = 2
          res.redirect('/data')
        },
        '/empty': (req, res) => {
          req.session.views = 3
          res.status(204).end()
        },
        '/pieces': (req, res) => {
          req.session.views = 4
          res.write('one,')
          res.end('two')
        },
        '/callback': (req, res) => {
          req.session.views = 5
          ;(res.end as (chunk: string, encoding: 'utf8', sent: () => void) => void)('sent', 'utf8', () => {})
          // Node reports a second end as an error of the response.
          res.on('error', () => {})
          res.end('again')
        },
      }
      await using server = await listen(app({}, ways))
      const cookie = await login(server)
      const expectViews = (views: number) => visit(server, '/data', cookie).expect({ views })
      await visit(server, '/redirect', cookie).expect(302)
      await expectViews(2)
      await visit(server, '/empty', cookie).expect(204)
      await expectViews(3)
      expect((await visit(server, '/pieces', cookie).expect(200)).text).toBe('one,two')
      await expectViews(4)
      expect((await visit(server, '/callback', cookie).expect(200)).text).toBe('sent')
      await expectViews(5)
      await request(server).head('/in').set('Cookie', cookie).expect(200)
      await expectViews(1)
    })
  })
}
