import { once } from 'node:events'
import type { Server } from 'node:http'
import express from 'express'
import { describeWithMemcached, FakeClock, launchMemcached } from 'memcache-ts-testing'
import type { LaunchedServer } from 'memcache-ts-testing'
import { memcache } from 'memcache-ts'
import type { Memcache } from 'memcache-ts'
import request from 'supertest'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { memcacheSession, rateLimit } from '../src/index.ts'
import { Gate } from './gate.ts'
import { listen } from './open-app.ts'

describeWithMemcached('Express on the real memcached', () => {
  let memcached: LaunchedServer
  let gates: Record<string, Gate>
  beforeEach(async () => {
    memcached = await launchMemcached()
    gates = {}
  })
  afterEach(() => memcached.kill())

  /** One process of the service, with its own connections. Limits are by a clock that stands still. */
  async function process(timeoutMs = 5000): Promise<{ server: Server; cache: Memcache } & AsyncDisposable> {
    const cache = memcache({ servers: memcached.address, logger: false, timeoutMs, clock: new FakeClock() })
    const app = express()
    app.set('env', 'test')
    app.get('/limited', rateLimit({ perDay: 100, cache }), (_req, res) => res.json({}))
    app.use(memcacheSession({ cache, secret: 'known to both processes' }))
    app.get('/set/:key', async (req, res) => {
      await gates[req.params.key]?.pass()
      Object.assign(req.session, { [req.params.key]: 1 })
      res.json({})
    })
    app.get('/session', async (req, res) => {
      const { cookie: _, ...data } = req.session
      await gates[req.query['gate'] as string]?.pass()
      res.json(data)
    })
    app.get('/logout', (req, res, next) => req.session.destroy((error) => (error ? next(error) : res.json({}))))
    const server = await listen(app)
    return {
      server,
      cache,
      async [Symbol.asyncDispose]() {
        await server[Symbol.asyncDispose]()
        await cache.close()
      },
    }
  }

  async function login(server: Server): Promise<string> {
    const { headers } = await request(server).get('/set/in').expect(200)
    return headers['set-cookie']![0]!.split(';')[0]!
  }

  it('shares sessions between processes, and loses none of 100 writes, ten at a time', async () => {
    await using one = await process()
    await using other = await process()
    const cookie = await login(one.server)
    for (let round = 0; round < 10; round++) {
      const names = Array.from({ length: 10 }, (_, index) => `k${round}-${index}`)
      for (const name of names) gates[name] = new Gate()
      const writes = names.map((name, index) =>
        request(index % 2 === 0 ? one.server : other.server)
          .get(`/set/${name}`)
          .set('Cookie', cookie)
          .expect(200)
          .then(),
      )
      await Promise.all(names.map((name) => gates[name]!.arrived))
      for (const name of names) gates[name]!.open()
      await Promise.all(writes)
    }
    const { body } = await request(other.server).get('/session').set('Cookie', cookie).expect(200)
    expect(Object.keys(body as object)).toHaveLength(101)
  })

  it('a request that only reads neither reverts a write nor restores a destroyed session', async () => {
    await using one = await process()
    await using other = await process()
    const cookie = await login(one.server)
    gates = { read: new Gate(), slow: new Gate() }
    const reading = request(one.server).get('/session?gate=read').set('Cookie', cookie).then()
    await gates['read']!.arrived
    await request(other.server).get('/set/written').set('Cookie', cookie).expect(200)
    gates['read']!.open()
    await reading
    await request(one.server).get('/session').set('Cookie', cookie).expect({ in: 1, written: 1 })
    const writing = request(one.server).get('/set/slow').set('Cookie', cookie).then()
    await gates['slow']!.arrived
    await request(other.server).get('/logout').set('Cookie', cookie).expect(200)
    gates['slow']!.open()
    await writing
    await request(other.server).get('/session').set('Cookie', cookie).expect({})
  })

  it('admits exactly 100 of 1000 parallel requests to two processes', async () => {
    await using one = await process()
    await using other = await process()
    const answers = await Promise.all(
      Array.from({ length: 1000 }, (_, index) => request((index % 2 === 0 ? one : other).server).get('/limited')),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(100)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(900)
    expect(answers.find(({ status }) => status === 429)!.headers['retry-after']).toMatch(/^\d+$/)
  })

  it.each([
    ['killed', () => memcached.kill()],
    ['stopped', () => memcached.pause()],
  ])('answers all the same when memcached is %s: limits count on, sessions are an error', async (_, harm) => {
    // A busy machine may need more than a short limit to log in, so another process does that, with a long one.
    await using patient = await process()
    const cookie = await login(patient.server)
    await using service = await process(100)
    await service.cache.client.version({ timeoutMs: 20_000 })
    await harm()
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        request(service.server)
          .get(index % 2 === 0 ? '/limited' : '/session')
          .set('Cookie', cookie),
      ),
    )
    expect(answers.map(({ status }) => status)).toEqual(
      Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? 200 : 503)),
    )
  })

  it('works again when memcached does, without a restart', async () => {
    await using service = await process()
    const cookie = await login(service.server)
    await memcached.kill()
    await request(service.server).get('/session').set('Cookie', cookie).expect(503)
    const back = once(service.cache.client, 'connect')
    await memcached.restart()
    await back
    // It came back empty, so everyone is a stranger who can log in.
    await request(service.server).get('/session').set('Cookie', cookie).expect({})
    const again = await login(service.server)
    await request(service.server).get('/session').set('Cookie', again).expect({ in: 1 })
  })
})
