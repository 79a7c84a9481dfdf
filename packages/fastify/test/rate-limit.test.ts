import Fastify from 'fastify'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { markBackgroundRequest } from 'memcache-ts/rate-limit'
import { testMemcache } from 'memcache-ts/testing'
import { until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { ipKey, rateLimit } from '../src/index.ts'
import type { RateLimitOptions } from '../src/index.ts'

const HOOKS = ['onRequest', 'preValidation', 'preHandler'] as const

describe('rateLimit of Fastify', () => {
  async function limitedApp(options: RateLimitOptions, hook: (typeof HOOKS)[number] = 'onRequest'): Promise<TestApp> {
    const { cache, clock, close } = await testMemcache()
    const app = Fastify({ trustProxy: true })
    const limit = rateLimit({ ...options, cache })
    app.addHook(hook, limit)
    app.get('/', async (request) => ({ remaining: request.rateLimit?.remaining }))
    app.get('/fail', async (_request, reply) => reply.code(500).send({}))
    app.post('/', async () => ({}))
    return {
      app,
      limit,
      clock,
      async [Symbol.asyncDispose]() {
        await app.close()
        await close()
      },
    }
  }

  it.each(HOOKS)('counts as an %s hook, sets the headers, and denies requests over the limit', async (hook) => {
    await using test = await limitedApp({ perMinute: 2 }, hook)
    const first = await test.app.inject('/')
    expect(first.json()).toEqual({ remaining: 1 })
    expect(first.headers).toMatchObject({ 'ratelimit-policy': '"default";q=2;w=60', ratelimit: '"default";r=1;t=60' })
    await test.app.inject('/')
    const denied = await test.app.inject('/')
    expect(denied.statusCode).toBe(429)
    expect(denied.headers).toMatchObject({ 'content-type': expect.stringContaining('application/problem+json') })
    expect(Number(denied.headers['retry-after'])).toBeGreaterThanOrEqual(60)
    expect(denied.json()).toMatchObject({ title: expect.any(String), 'violated-policies': ['default'] })
    test.clock.advanceSeconds(120)
    expect((await test.app.inject('/')).statusCode).toBe(200)
  })

  it('counts a request once for two limits of one name, and sends the fields of all limits', async () => {
    await using test = await testMemcache()
    const { cache } = test
    const app = Fastify()
    app.addHook('onRequest', rateLimit({ perMinute: 10, cache }))
    app.get(
      '/',
      { preHandler: [rateLimit({ perMinute: 10, cache }), rateLimit({ name: 'b', perMinute: 5, cache })] },
      () => '',
    )
    const { headers } = await app.inject('/')
    expect(headers['ratelimit']).toBe('"default";r=9;t=60, "default";r=9;t=60, "b";r=4;t=60')
    await app.close()
  })

  it('gives failed or successful requests back, by its options', async () => {
    for (const [options, url] of [
      [{ skipFailedRequests: true }, '/fail'],
      [{ skipSuccessfulRequests: true }, '/'],
    ] as const) {
      await using test = await limitedApp({ perMinute: 2, ...options })
      for (let visit = 0; visit < 5; visit++) {
        const { statusCode } = await test.app.inject(url)
        expect(statusCode).not.toBe(429)
        await until(async () => (await test.limit.limiter.peek('127.0.0.1')).remaining === 2)
      }
    }
  })

  it('accepts functions of the request for key, cost and limits', async () => {
    await using test = await limitedApp({
      limit: async (request: FastifyRequest) => (request.headers['x-plan'] === 'paid' ? 10 : undefined),
      windowMs: 60_000,
      cost: (request) => Number(request.headers['x-cost'] ?? 1),
      key: (request) => String(request.headers['x-user']),
    })
    const visit = async (headers: Record<string, string>) =>
      (await test.app.inject({ url: '/', headers })).json() as unknown
    expect(await visit({ 'x-plan': 'paid', 'x-user': 'a', 'x-cost': '4' })).toEqual({ remaining: 6 })
    expect(await visit({ 'x-plan': 'paid', 'x-user': 'b' })).toEqual({ remaining: 9 })
    expect(await visit({ 'x-user': 'a' })).toEqual({})
    expect(() => test.limit.limiter).toThrow('use limiterFor')
  })

  it('lets a handler respond by sending, by returning and by throwing', async () => {
    const handlers: [NonNullable<RateLimitOptions['handler']>, number, string][] = [
      [(_request, reply) => reply.code(503).send('sent'), 503, 'sent'],
      [async (_request, reply) => void (await reply.code(503).send('sent')), 503, 'sent'],
      [() => ({ returned: true }), 429, '{"returned":true}'],
      [() => undefined, 429, 'quota'],
      [
        () => {
          throw Object.assign(new Error('thrown'), { statusCode: 418 })
        },
        418,
        'thrown',
      ],
    ]
    for (const [handler, status, text] of handlers) {
      await using test = await limitedApp({ perMinute: 1, handler })
      await test.app.inject('/')
      const { statusCode, body } = await test.app.inject('/')
      expect(statusCode).toBe(status)
      expect(body).toContain(text)
    }
  })

  it('does not count background requests of a response cache', async () => {
    await using test = await testMemcache()
    const { cache } = test
    const app = Fastify()
    app.addHook('onRequest', async (request) => markBackgroundRequest(request.raw))
    app.addHook('onRequest', rateLimit({ perMinute: 1, cache }))
    app.get('/', async (request) => ({ remaining: request.rateLimit?.remaining }))
    for (let visit = 0; visit < 3; visit++) expect((await app.inject('/')).json()).toEqual({ remaining: 1 })
    await app.close()
  })

  it('counts IPv6 clients by their network', async () => {
    await using test = await limitedApp({ perMinute: 2 })
    const from = async (address: string) =>
      (await test.app.inject({ url: '/', headers: { 'x-forwarded-for': address } })).statusCode
    expect([await from('2001:db8::1'), await from('2001:db8::2'), await from('2001:db8::3')]).toEqual([200, 200, 429])
    expect(ipKey('64:ff9b::1.2.3.4')).toBe('1.2.3.4')
  })

  it('refuses options that are unknown or invalid', () => {
    expect(() => rateLimit({ perMinute: 5, keyGenerator: () => '' } as never)).toThrow('`key` here')
    expect(() => rateLimit({ perMinute: 5, handler: 'no' } as never)).toThrow('handler must be a function')
  })
})

interface TestApp extends AsyncDisposable {
  readonly app: FastifyInstance
  readonly limit: ReturnType<typeof rateLimit>
  readonly clock: Awaited<ReturnType<typeof testMemcache>>['clock']
}
