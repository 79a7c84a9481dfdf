import { sign } from 'cookie-signature'
import express from 'express'
import type { Express, Request, RequestHandler, Response } from 'express'
import session from 'express-session'
import fc from 'fast-check'
import { testMemcache } from 'memcache-ts/testing'
import type { TestMemcache } from 'memcache-ts/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import request from 'supertest'
import { MemcacheStore, memcacheSession } from '../src/index.ts'

declare module 'express-session' {
  interface SessionData {
    value: number
    deep: Record<string, number>
  }
}

let test: TestMemcache
let round = 0
beforeAll(async () => {
  test = await testMemcache({ timeoutMs: 20_000 })
})
afterAll(() => test.close())

type Done = (error?: unknown) => void

/** The steps of an application with the session of a request. */
const STEPS: Readonly<Record<string, (req: Request, done: Done) => unknown>> = {
  'set a value': (req, done) => done((req.session.value = (req.session.value ?? 0) + 1) && undefined),
  'set a nested value': (req, done) => done(void ((req.session.deep ??= {})['a'] = 1)),
  'delete a value': (req, done) => done(void delete req.session.value),
  regenerate: (req, done) => req.session.regenerate(done),
  'regenerate, set and save': (req, done) =>
    req.session.regenerate((error) => {
      if (error !== undefined && error !== null) return done(error)
      req.session.value = 7
      req.session.save(done)
    }),
  reload: (req, done) => req.session.reload(done),
  save: (req, done) => req.session.save(done),
  destroy: (req, done) => req.session.destroy(done),
  touch: (req, done) => done(void req.session.touch()),
  'set maxAge': (req, done) => done(void (req.session.cookie.maxAge = 600_000)),
  'set to null': (req, done) => done(void ((req as { session: unknown }).session = null)),
}

function appWith(middleware: RequestHandler): Express {
  const app = express()
  const names = new Map<string, string>()
  const nameOf = (id: string): string => {
    if (!names.has(id)) names.set(id, `id ${names.size}`)
    return names.get(id)!
  }
  app.use(middleware)
  app.get('/', async (req: Request, res: Response) => {
    const seen: unknown[] = []
    for (const step of JSON.parse(req.query['steps'] as string) as string[]) {
      let problem: unknown
      try {
        await new Promise<void>((resolve, reject) => {
          STEPS[step]!(req, (error) => (error === undefined || error === null ? resolve() : reject(error as Error)))
        })
      } catch (error) {
        problem = (error as Error).message.replace(/ \(.*/, '')
      }
      const { cookie, ...data } = { ...(req.session as Partial<typeof req.session> | null) }
      // express-session reads the clock twice.
      const maxAge = Math.round((cookie?.originalMaxAge ?? 0) / 10_000) * 10_000
      seen.push({ step, problem, data, maxAge, id: nameOf(req.sessionID) })
    }
    res.json(seen)
  })
  return app
}

/** Returns the responses to the requests of one client, which each do some steps. */
async function responses(middleware: RequestHandler, life: readonly (readonly string[])[]): Promise<unknown[]> {
  const client = request.agent(appWith(middleware))
  const seen: unknown[] = []
  for (const steps of life) {
    const { status, body, headers } = await client.get('/').query({ steps: JSON.stringify(steps) })
    seen.push({ status, body: body as unknown, hasCookie: headers['set-cookie'] !== undefined })
  }
  return seen
}

describe('express-session', () => {
  it('behaves on a MemcacheStore as on its own store', async () => {
    const names = Object.keys(STEPS)
    const life = fc.array(fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 4 }), {
      minLength: 1,
      maxLength: 4,
    })
    const options = fc.record({
      resave: fc.boolean(),
      saveUninitialized: fc.boolean(),
      rolling: fc.boolean(),
      unset: fc.constantFrom('keep' as const, 'destroy' as const),
      cookie: fc.constantFrom({}, { maxAge: 300_000 }),
    })
    await fc.assert(
      fc.asyncProperty(life, options, async (steps, given) => {
        const secret = 'test'
        const { cache } = test
        const store = new MemcacheStore({ cache, cookie: given.cookie })
        const own = new session.MemoryStore()
        const id = `${round++}`
        let made = 0
        const genid = (): string => `${id} ${made++}`
        const theirs = await responses(session({ ...given, secret, genid, store: own }), steps)
        made = 0
        expect(await responses(session({ ...given, secret, genid, store }), steps)).toEqual(theirs)
      }),
      { numRuns: 150 },
    )
  })
})

describe('data without a cookie, which another program has stored as a session', () => {
  it.each(['express-session', 'memcacheSession'])('does not lock its user out: %s', async (engine) => {
    const { cache } = test
    const store = new MemcacheStore({ cache })
    const id = `odd ${round++}`
    await store.set(id, { version: 1 } as never)
    const options = { secret: 'test', resave: false, saveUninitialized: false }
    const app = appWith(
      engine === 'express-session' ? session({ ...options, store }) : memcacheSession({ ...options, cache }),
    )
    const cookie = `connect.sid=${encodeURIComponent(`s:${sign(id, 'test')}`)}`
    for (let time = 0; time < 2; time++) {
      const { status } = await request(app).get('/').query({ steps: '["set a value"]' }).set('Cookie', cookie)
      expect(status).toBe(200)
    }
  })
})

describe('memcacheSession', () => {
  it.each([[['set a value', 'save', 'set maxAge']], [['regenerate, set and save', 'set maxAge']]])(
    'keeps a lifetime that is set after the session was saved: %j',
    async (steps) => {
      const { cache } = test
      const middleware = memcacheSession({ cache, secret: 'test', cookie: { maxAge: 60_000, secure: false } })
      for (const before of [[], [['set a value']]]) {
        const seen = (await responses(middleware, [...before, steps, ['touch']])) as { body: [{ maxAge: number }] }[]
        expect(seen.at(-1)!.body[0].maxAge).toBe(600_000)
      }
    },
  )

  it.each([[5], [''], [[]], [() => {}], [new Map()], [null]])('refuses %j as its options', (options) => {
    expect(() => memcacheSession(options as never)).toThrow(expect.objectContaining({ code: 'ERR_MEMCACHE_OPTION' }))
  })

  it('refuses misspelt options of regenerate, which would lose the data', async () => {
    const app = express()
    app.use(memcacheSession({ cache: test.cache, secret: 'test' }))
    app.get('/', async (req, res) => {
      req.session.value = 1
      const refused: unknown[] = []
      for (const options of [{ kep: true }, { keep: 'yes' }, true, null, []]) {
        try {
          await req.session.regenerate(options as never)
        } catch (error) {
          refused.push((error as { code: unknown }).code)
        }
      }
      res.json({ refused, value: req.session.value })
    })
    const { body } = await request(app).get('/')
    expect(body).toEqual({ refused: Array.from({ length: 5 }, () => 'ERR_MEMCACHE_OPTION'), value: 1 })
  })
})
