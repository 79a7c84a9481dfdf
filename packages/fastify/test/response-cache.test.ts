import { get as httpGet } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { createGzip } from 'node:zlib'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions, InjectOptions } from 'fastify'
import { passTime, until } from 'memcache-ts-testing'
import { testMemcache } from 'memcache-ts/testing'
import { describe, expect, it } from 'vitest'
import { Gate } from '../../express/test/gate.ts'
import { cacheResponses, memcacheSession } from '../src/index.ts'
import type { CacheResponsesOptions } from '../src/index.ts'

async function open(
  routes: (app: FastifyInstance) => void,
  options: CacheResponsesOptions = { ttlSeconds: 60 },
  { before, server }: { before?: (app: FastifyInstance) => unknown; server?: FastifyServerOptions } = {},
) {
  const test = await testMemcache({ timeoutMs: 5000 })
  const app = Fastify(server)
  await before?.(app)
  await app.register(cacheResponses, { ...options, cache: test.cache })
  routes(app)
  return {
    app,
    cache: test.cache,
    get: (url: string, more: InjectOptions = {}) => app.inject({ url, ...more }),
    pass: (seconds: number) => passTime(test.clock, test.cache, seconds),
    async [Symbol.asyncDispose]() {
      await app.close()
      await test[Symbol.asyncDispose]()
    },
  }
}

describe('cacheResponses', () => {
  it('responds with the stored response: Age, 304, HEAD and ranges', async () => {
    let calls = 0
    await using site = await open((app) =>
      app.get('/', async (_request, reply) => {
        reply.header('ETag', `"${++calls}"`)
        return { call: calls }
      }),
    )
    const first = await site.get('/')
    expect([first.headers['cache-status'], first.json()]).toEqual(['memcache-ts; fwd=uri-miss; stored', { call: 1 }])
    await site.pass(20)
    const hit = await site.get('/')
    expect([hit.headers['cache-status'], hit.json(), hit.headers.age]).toEqual([
      'memcache-ts; hit; ttl=40',
      { call: 1 },
      '20',
    ])
    expect(hit.headers['content-type']).toBe(first.headers['content-type'])
    const known = await site.get('/', { headers: { 'If-None-Match': '"1"' } })
    expect([known.statusCode, known.body]).toEqual([304, ''])
    const part = await site.get('/', { headers: { Range: 'bytes=0-3' } })
    expect([part.statusCode, part.body, part.headers['content-range']]).toEqual([206, '{"ca', 'bytes 0-3/10'])
    const head = await site.get('/', { method: 'HEAD' })
    expect([head.statusCode, head.body, head.headers['content-length']]).toEqual([200, '', '10'])
    const knownHead = await site.get('/', { method: 'HEAD', headers: { 'If-None-Match': '"1"' } })
    expect([knownHead.statusCode, knownHead.headers['content-length']]).toEqual([304, undefined])
    expect(calls).toBe(1)
  })

  it('passes HEAD to the handler if nothing is stored', async () => {
    await using site = await open((app) => {
      app.get('/text', () => Promise.resolve('text'))
      app.get('/stream', (_request, reply) => reply.send(Readable.from(['a', 'b'])))
    })
    const head = await site.get('/text', { method: 'HEAD' })
    expect([head.statusCode, head.headers['content-length']]).toEqual([200, '4'])
    expect((await site.get('/stream', { method: 'HEAD' })).statusCode).toBe(200)
  })

  it('runs one handler for all that miss at once', async () => {
    const gate = new Gate()
    let calls = 0
    await using site = await open((app) =>
      app.get('/', async () => {
        await gate.pass()
        return { call: ++calls }
      }),
    )
    const asked = Array.from({ length: 20 }, () => site.get('/'))
    await gate.arrived
    gate.open()
    for (const got of await Promise.all(asked)) expect(got.json()).toEqual({ call: 1 })
    expect(calls).toBe(1)
  })

  it.each([
    ['a string', () => 'whole'],
    ['a Buffer', () => Buffer.from('whole')],
    ['a stream', () => Readable.from(['who', 'le'])],
    ['a Web stream', () => new Blob(['whole']).stream()],
    ['a Response', () => new Response('whole', { status: 203, headers: { 'X-Made': '1' } })],
  ])('stores what is sent as %s', async (name, payload) => {
    let calls = 0
    await using site = await open((app) =>
      app.get('/', (_request, reply) => {
        calls++
        return reply.send(payload())
      }),
    )
    const [first, hit] = [await site.get('/'), await site.get('/')]
    expect([first.body, hit.body, hit.headers['cache-status']]).toEqual(['whole', 'whole', 'memcache-ts; hit; ttl=60'])
    expect(hit.statusCode).toBe(name === 'a Response' ? 203 : 200)
    expect(hit.headers['content-type']).toBe(first.headers['content-type'])
    expect(hit.headers['x-made']).toBe(first.headers['x-made'])
    expect(calls).toBe(1)
  })

  it('lets hooks process each reply again: headers, compression, sessions', async () => {
    let calls = 0
    let replies = 0
    await using site = await open(
      (app) => {
        app.register(memcacheSession, { secret: 'of the tests' })
        app.addHook('onSend', (request, reply, payload, done) => {
          reply.header('X-Reply', String(++replies))
          if (request.headers['accept-encoding'] !== 'gzip' || typeof payload === 'object') return done(null, payload)
          reply.header('Content-Encoding', 'gzip').removeHeader('Content-Length')
          return done(null, Readable.from([payload]).pipe(createGzip()))
        })
        app.get('/', async () => `call ${++calls}`)
      },
      { ttlSeconds: 60 },
      {
        before: (app) =>
          app.addHook('onRequest', async (_request, reply) => void reply.header('X-Before', String(replies))),
      },
    )
    const plain = await site.get('/')
    const packed = await site.get('/', { headers: { 'Accept-Encoding': 'gzip' } })
    expect([plain.body, plain.headers['x-reply'], plain.headers['x-before']]).toEqual(['call 1', '1', '0'])
    expect([packed.headers['x-reply'], packed.headers['x-before']]).toEqual(['2', '1'])
    expect(String(packed.headers['cache-status'])).toContain('hit')
    const third = await site.get('/')
    expect([third.body, third.headers['content-encoding'], calls]).toEqual(['call 1', undefined, 1])
  })

  it('shares nothing of users: sessions that the handler reads, request.user, cookies, Set-Cookie', async () => {
    let calls = 0
    await using site = await open(
      (app) => {
        app.register(memcacheSession, { secret: 'of the tests' })
        app.get('/session', async (request) => `${++calls} ${String(request.session.id !== undefined)}`)
        app.get('/stream', (request, reply) =>
          reply.send(
            Readable.from(
              (async function* () {
                yield `${++calls} `
                yield String(request.session.id !== undefined)
              })(),
            ),
          ),
        )
        app.get('/user', async (request) => `${++calls} ${request.headers['x-name'] as string}`)
        app.get('/cookie', async (_request, reply) => {
          reply.header('Set-Cookie', [`a=${++calls}`, 'b=1'])
          return 'cookie'
        })
        app.get('/public', async () => `${++calls}`)
      },
      { ttlSeconds: 60 },
      {
        before: (app) =>
          app.addHook('onRequest', async (request) => {
            if (request.headers['x-name'] !== undefined) Object.assign(request, { user: request.headers['x-name'] })
          }),
      },
    )
    expect((await site.get('/session')).body).not.toBe((await site.get('/session')).body)
    expect((await site.get('/stream')).body).not.toBe((await site.get('/stream')).body)
    expect((await site.get('/user', { headers: { 'X-Name': 'ann' } })).body).toContain('ann')
    expect((await site.get('/user', { headers: { 'X-Name': 'bob' } })).body).toContain('bob')
    const [one, other] = [await site.get('/cookie'), await site.get('/cookie')]
    expect(one.headers['set-cookie']).not.toEqual(other.headers['set-cookie'])
    expect(one.headers['set-cookie']).toHaveLength(2)
    // A session that is not used makes no difference.
    expect((await site.get('/public')).body).toBe((await site.get('/public')).body)
  })

  it('may have other options for a route, or be off', async () => {
    let calls = 0
    await using site = await open((app) => {
      app.get(
        '/short',
        { config: { cacheResponse: { ttlSeconds: 5, tags: (request) => [`at:${request.url}`] } } },
        async () => ++calls + '',
      )
      app.get('/never', { config: { cacheResponse: false } }, async () => ++calls + '')
    })
    expect((await site.get('/short')).headers['cache-status']).toContain('stored')
    expect((await site.get('/short')).headers['cache-status']).toBe('memcache-ts; hit; ttl=5')
    await site.cache.invalidateTags(['at:/short'])
    expect((await site.get('/short')).headers['cache-status']).toContain('uri-miss')
    expect((await site.get('/never')).headers['cache-status']).toBeUndefined()
    await using wrong = await open(() => {})
    expect(() => wrong.app.get('/x', { config: { cacheResponse: { ttl: 5 } as never } }, async () => '')).toThrow(
      'ttlSeconds',
    )
  })

  it('invalidates before the response to an unsafe request', async () => {
    let text = 'old'
    await using site = await open((app) => {
      app.get('/a', async () => text)
      app.put('/a', async () => (text = 'new'))
    })
    expect((await site.get('/a')).body).toBe('old')
    expect((await site.get('/a', { method: 'PUT' })).body).toBe('new')
    expect((await site.get('/a')).body).toBe('new')
  })

  it('revalidates in the background, through the hooks of the application', async () => {
    let calls = 0
    const hooked: (string | undefined)[] = []
    await using site = await open(
      (app) => {
        app.addHook('onRequest', async (request) => void hooked.push(request.headers.authorization))
        app.get('/', async () => `call ${++calls}`)
      },
      { ttlSeconds: 60, staleSeconds: 60 },
    )
    await site.get('/')
    await site.pass(61)
    expect((await site.get('/')).body).toBe('call 1')
    await until(() => calls === 2)
    await site.pass(1)
    expect((await site.get('/')).body).toBe('call 2')
    expect(hooked).toHaveLength(4)
  })

  it('revalidates a stale response by a 304, and serves it in place of an error', async () => {
    let status = 200
    await using site = await open(
      (app) =>
        app.get('/', async (_request, reply) => {
          reply.code(status).header('ETag', '"1"').header('Cache-Control', 'max-age=60, stale-if-error=60')
          return status === 304 ? null : status === 200 ? 'old' : 'broken'
        }),
      {},
    )
    await site.get('/')
    await site.pass(61)
    status = 500
    const kept = await site.get('/')
    expect([kept.statusCode, kept.body]).toEqual([200, 'old'])
    status = 304
    expect((await site.get('/')).body).toBe('old')
    expect(String((await site.get('/')).headers['cache-status'])).toContain('hit')
  })

  it('does not cache errors and hijacked replies', async () => {
    await using site = await open((app) => {
      app.get('/error', async () => {
        throw new Error('no')
      })
      app.get('/hijacked', (_request, reply) => {
        reply.hijack()
        reply.raw.end('raw')
      })
    })
    for (let time = 0; time < 2; time++) {
      expect((await site.get('/error')).statusCode).toBe(500)
      expect((await site.get('/hijacked')).body).toBe('raw')
    }
  })

  it.each([
    ['is trusted by its address', '127.0.0.1', true],
    ['is a client, since every client is trusted', true, false],
    ['is not trusted', '192.0.2.77', false],
    ['is not known', undefined, false],
  ])(
    'shares a response between forwarded addresses only behind a trusted proxy: it %s',
    async (_what, trustProxy, shares) => {
      await using site = await open(
        (app) => app.get('/', async ({ headers }) => `for ${String(headers['x-forwarded-for'])}`),
        { ttlSeconds: 60 },
        { server: trustProxy === undefined ? {} : { trustProxy } },
      )
      const get = async (address: string) => (await site.get('/', { headers: { 'X-Forwarded-For': address } })).body
      expect(await get('192.0.2.1')).toBe('for 192.0.2.1')
      expect(await get('192.0.2.2')).toBe(`for 192.0.2.${shares ? 1 : 2}`)
    },
  )

  it('shares a response only between requests that were routed alike', async () => {
    await using site = await open(
      (app) => {
        app.get('/', { constraints: { version: '1.2.0' } }, async () => 'first')
        app.get('/', { constraints: { version: '2.0.0' } }, async () => 'second')
        app.get('/plain', async () => 'plain')
        app.get('/plan', { constraints: { plan: 'gold' } }, async () => 'gold')
        app.get('/plan', { constraints: { plan: 'silver' } }, async () => 'silver')
      },
      { ttlSeconds: 60 },
      {
        before: (app) =>
          app.addConstraintStrategy({
            name: 'plan',
            storage() {
              const handlers = new Map<unknown, never>()
              return {
                get: (value) => handlers.get(value) ?? null,
                set: (value, handler) => void handlers.set(value, handler as never),
              }
            },
            deriveConstraint: (request) => request.headers['x-plan'],
            validate() {},
          }),
      },
    )
    const get = async (url: string, headers: Record<string, string>) => {
      const { statusCode, body } = await site.get(url, { headers })
      return statusCode === 404 ? '404' : body
    }
    for (let time = 0; time < 2; time++) {
      expect(await get('/', { 'Accept-Version': '9.9.9' })).toBe('404')
      expect(await get('/', { 'Accept-Version': '1.x' })).toBe('first')
      expect(await get('/', { 'Accept-Version': '2.x' })).toBe('second')
      expect(await get('/plain', { 'Accept-Version': '9.9.9' })).toBe('404')
      expect(await get('/plain', {})).toBe('plain')
      expect(await get('/plan', {})).toBe('404')
      expect(await get('/plan', { 'X-Plan': 'gold' })).toBe('gold')
      expect(await get('/plan', { 'X-Plan': 'silver' })).toBe('silver')
    }
    const { headers } = await site.get('/plan', { headers: { 'X-Plan': 'gold' } })
    expect(headers['cache-status']).toContain('hit')
  })

  it('sends trailers to each client, and stores no response whose handler adds some', async () => {
    let calls = 0
    await using site = await open((app) => {
      app.addHook('onSend', async (request, reply, payload) => {
        if (request.url === '/by-hook') reply.trailer('x-end', (_reply, _payload, done) => done(null, 'hook'))
        return payload
      })
      app.get('/by-hook', async () => `page ${++calls}`)
      app.get('/by-handler', (_request, reply) => {
        reply.trailer('x-end', (_reply, _payload, done) => done(null, 'handler'))
        return reply.send(`page ${++calls}`)
      })
    })
    await site.app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = site.app.server.address() as { port: number }
    const get = async (path: string) => {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        httpGet({ host: '127.0.0.1', port, path, agent: false }, resolve).on('error', reject)
      })
      return [await text(response), response.trailers['x-end']]
    }
    expect(await get('/by-hook')).toEqual(['page 1', 'hook'])
    expect(await get('/by-hook')).toEqual(['page 1', 'hook'])
    expect(await get('/by-handler')).toEqual(['page 2', 'handler'])
    expect(await get('/by-handler')).toEqual(['page 3', 'handler'])
  })

  it('hides ignored query parameters from the handler', async () => {
    await using site = await open((app) => app.get('/', async ({ url, query }) => ({ url, query })), {
      ttlSeconds: 60,
      ignoreQuery: ['utm_source'],
    })
    expect((await site.get('/?utm_source=x&a=1')).json()).toEqual({ url: '/?a=1', query: { a: '1' } })
    expect((await site.get('/?a=1&utm_source=y')).headers['cache-status']).toContain('hit')
  })

  it('selects the response to QUERY by its content, parsed or streamed', async () => {
    let calls = 0
    await using site = await open(
      (app) => {
        app.route({ method: 'QUERY', url: '/', handler: async ({ body }) => ({ call: ++calls, body }) })
        app.route({
          method: 'QUERY',
          url: '/stream',
          handler: async ({ body }) => {
            const parts: unknown[] = []
            for await (const part of body as Readable) parts.push(part)
            return `${++calls} ${parts.join('')}`
          },
        })
      },
      { ttlSeconds: 60 },
      {
        before: (app) => {
          app.addContentTypeParser('text/stream', (_request, payload, done) => done(null, payload))
        },
      },
    )
    const query = (url: string, type: string, payload: string) =>
      site.get(url, { method: 'QUERY' as 'GET', headers: { 'content-type': type }, payload })
    for (const [url, type] of [
      ['/', 'application/json'],
      ['/', 'text/plain'],
      ['/stream', 'text/stream'],
    ] as const) {
      const first = await query(url, type, '{"a":1}')
      expect(first.headers['cache-status'], first.body).toContain('fwd=uri-miss')
      const again = await query(url, type, '{"a":1}')
      expect([again.headers['cache-status'], again.body]).toEqual(['memcache-ts; hit; ttl=60', first.body])
      expect((await query(url, type, '{"a":2}')).headers['cache-status']).toContain('fwd=uri-miss')
    }
  })
})
