import { request } from 'node:http'
import { createServer as createHttp2, connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import compression from 'compression'
import cors from 'cors'
import type { Express, RequestHandler, Response } from 'express'
import helmet from 'helmet'
import onHeaders from 'on-headers'
import responseTime from 'response-time'
import { describe, expect, it } from 'vitest'
import type { Memcache } from 'memcache-ts'
import { cacheHandler } from 'memcache-ts/http'
import { cacheResponse, MemcacheStore, memcacheSession, rateLimit } from '../src/index.ts'
import { openSite } from './cache-areas/open-site.ts'
import { EXPRESSES, listen, TestFleet } from './open-app.ts'

const TEXT = 'lorem ipsum '.repeat(300)

/** Sets a field of this very request when the head is written. */
const stamp: RequestHandler = (request, response, next) => {
  onHeaders(response, () => {
    response.setHeader('X-Stamp', String(request.headers['x-who']))
    response.appendHeader('Server-Timing', `who;desc=${String(request.headers['x-who'])}`)
  })
  next()
}

const MIDDLEWARES: Record<string, (cache: Memcache) => RequestHandler> = {
  compression: () => compression({ threshold: 0 }) as RequestHandler,
  stamp: () => stamp,
  responseTime: () => responseTime() as RequestHandler,
  helmet: () => helmet(),
  cors: () => cors(),
  session: (cache) => memcacheSession({ secret: 'of the tests', store: new MemcacheStore({ cache }) }),
  limit: (cache) => rateLimit({ perMinute: 1_000_000, cache, key: () => 'everybody' }),
}

const HANDLERS: Record<string, RequestHandler> = {
  json: (_request, response) => void response.json({ text: TEXT }),
  send: (_request, response) => void response.send(TEXT),
  'writeHead and end': (_request, response) => void response.writeHead(200, { 'Content-Type': 'text/plain' }).end(TEXT),
  parts: (_request, response) => {
    response.type('text')
    response.write(TEXT)
    response.write(TEXT)
    response.end()
  },
}

describe.each(EXPRESSES)('middleware around the cache, on %s', (_name, create) => {
  const names = Object.keys(MIDDLEWARES)
  const orders = [
    { outside: names, inside: [] },
    { outside: [], inside: names },
    { outside: [...names].toReversed(), inside: [] },
    ...names.map((name) => ({ outside: [name], inside: names.filter((other) => other !== name) })),
  ]
  it.each(orders)('a hit equals its miss with $outside outside and $inside inside', async ({ outside, inside }) => {
    for (const [what, handler] of Object.entries(HANDLERS)) {
      await using fleet = new TestFleet()
      const app: Express = create()
      const cache = fleet.cache()
      for (const name of outside) app.use(MIDDLEWARES[name]!(cache))
      app.use(cacheResponse({ ttlSeconds: 60, cache }))
      for (const name of inside) app.use(MIDDLEWARES[name]!(cache))
      let calls = 0
      app.use((request, response, next) => {
        calls++
        return handler(request, response, next)
      })
      await using server = await listen(app)
      const { port } = server.address() as AddressInfo
      for (const encoding of ['gzip', 'identity']) {
        const headers = { 'Accept-Encoding': encoding, 'X-Who': `${what} ${encoding}` }
        const before = calls
        const [miss, hit] = [
          await rawGet(port, headers),
          await rawGet(port, { ...headers, 'X-Who': 'another' }),
        ] as const
        expect(calls, `${what}, ${encoding}`).toBeLessThanOrEqual(before + 1)
        expect(hit.isHit, `${what}, ${encoding}`).toBe(true)
        expect(textOf(hit), `${what}, ${encoding}`).toBe(textOf(miss))
        expect(hit.headers['content-encoding']).toBe(miss.headers['content-encoding'])
        const stampOfHit = hit.headers['x-stamp']
        expect(stampOfHit).toBe(outside.includes('stamp') ? 'another' : miss.headers['x-stamp'])
        expect(told(hit)).toEqual(told(miss))
      }
    }
  })

  it.each([
    ['appendHeader', (response: Response, value: string) => void response.appendHeader('X-For', value)],
    ['append', (response: Response, value: string) => void response.append('X-For', value)],
    [
      'text that begins with the value before',
      (response: Response, value: string) => {
        response.setHeader('X-For', `${String(response.getHeader('X-For'))}, ${value}`)
      },
    ],
    ['vary', (response: Response, value: string) => void response.append('X-For', value).vary('Accept')],
  ])('each client gets its own value, to which the handler has added something: by %s', async (_way, add) => {
    const before: Record<string, string[]> = { ann: ['ann'], bob: ['bob', 'bob too'], none: [] }
    await using site = await openSite({
      create,
      before: (app) =>
        app.use((request, response, next) => {
          const values = before[String(request.headers['x-test-who'])]!
          if (values.length > 0) response.setHeader('X-For', values.length === 1 ? values[0]! : values)
          response.vary('Origin')
          next()
        }),
    })
    site.answers((_request, response) => {
      add(response, 'all')
      response.set({ 'Cache-Control': 'max-age=60', ETag: '"a"' }).send('body')
    })
    const get = (who: string, headers = {}) => site.get('/', { 'X-Test-Who': who, ...headers })
    const first = await get('ann')
    expect(first.headers['x-for']).toBe('ann, all')
    for (const headers of [{}, { Range: 'bytes=0-1' }, { 'If-None-Match': '"a"' }]) {
      const bob = await get('bob', headers)
      expect([bob.isHit, bob.headers['x-for']]).toEqual([true, 'bob, bob too, all'])
      expect(bob.headers.vary).toBe(first.headers.vary)
    }
    expect((await get('none')).headers['x-for']).toBe('all')
    // Revalidated by another client, and confirmed without the field.
    await site.pass(61)
    site.answers((_request, response) => {
      response.writeHead(304, { ETag: '"a"', 'Cache-Control': 'max-age=60' })
      response.end()
    })
    for (const who of ['bob', 'ann', 'none']) {
      const { headers, body } = await get(who)
      expect([body, headers['x-for']]).toEqual(['body', [...before[who]!, 'all'].join(', ')])
    }
  })

  it('does not look up field names on prototypes', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    for (const name of ['constructor', '__proto__', 'hasOwnProperty', 'toString']) {
      site.answers({ headers: { Vary: name, [`x-${name}`]: '1' } })
      for (const time of [1, 2]) expect((await site.get(`/${name}`)).status, `${name} ${time}`).toBe(200)
      expect((await site.get(`/${name}`, { [name]: 'x' })).status).toBe(200)
    }
  })
})

/** Runs middleware one after another, as Connect does; Express itself does not run on HTTP/2. */
const chain =
  (names: readonly string[], cache: Memcache, last: RequestHandler): RequestHandler =>
  (incoming, response) => {
    const handlers = [...names.map((name) => MIDDLEWARES[name]!(cache)), last]
    const run = (index: number): void => {
      void handlers[index]!(incoming, response, (error?: unknown) => {
        if (error === undefined) run(index + 1)
        else response.destroy(error as Error)
      })
    }
    run(0)
  }

describe('middleware around cacheHandler over HTTP/2', () => {
  const names = Object.keys(MIDDLEWARES)
  const orders = [
    { outside: names, inside: [] },
    { outside: [], inside: names },
    ...names.map((name) => ({ outside: [name], inside: names.filter((other) => other !== name) })),
  ]

  it.each(orders)('a hit equals its miss with $outside outside and $inside inside', async ({ outside, inside }) => {
    for (const what of ['writeHead and end', 'parts']) {
      await using fleet = new TestFleet()
      const cache = fleet.cache()
      let calls = 0
      const handler: RequestHandler = (incoming, response, next) => {
        calls++
        // Without Express there is no `type`.
        response.type = (type: string) => response.setHeader('Content-Type', `${type}/plain`)
        return HANDLERS[what]!(incoming, response, next)
      }
      const cached = cacheHandler(chain(inside, cache, handler) as never, { ttlSeconds: 60, cache })
      const server = createHttp2(chain(outside, cache, cached as never) as never)
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
      const get = async (headers: Record<string, string>) => {
        const stream = session.request({ ':path': '/', ...headers })
        const head = new Promise<Record<string, unknown>>((resolve) => stream.once('response', resolve))
        const chunks: Buffer[] = []
        for await (const chunk of stream) chunks.push(chunk as Buffer)
        const fields = { ...(await head) }
        const isHit = String(fields['cache-status']).startsWith('memcache-ts; hit')
        return { headers: fields, body: Buffer.concat(chunks), isHit }
      }
      for (const encoding of ['gzip', 'identity']) {
        const before = calls
        const miss = await get({ 'accept-encoding': encoding, 'x-who': 'one' })
        const hit = await get({ 'accept-encoding': encoding, 'x-who': 'another' })
        expect([calls <= before + 1, hit.isHit], `${what}, ${encoding}`).toEqual([true, true])
        expect(textOf(miss)).toContain(TEXT)
        expect(textOf(hit)).toBe(textOf(miss))
        expect(told(hit)).toEqual(told(miss))
        expect(hit.headers['x-stamp']).toBe(outside.includes('stamp') ? 'another' : miss.headers['x-stamp'])
      }
      session.close()
      await new Promise((resolve) => server.close(resolve))
    }
  })
})

const CHANGING = new Set([
  'age',
  'cache-status',
  'date',
  'x-response-time',
  'x-stamp',
  'server-timing',
  // A body that is written at once has a length, unless outer middleware compresses it.
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  // What limits say is about the one request, and is never stored.
  'ratelimit',
  'ratelimit-policy',
])

/** The fields of a response that are the same for a hit and its miss. */
const told = ({ headers }: { headers: Record<string, unknown> }): [string, unknown][] =>
  Object.entries(headers)
    .filter(([name]) => !CHANGING.has(name))
    .toSorted(([one], [other]) => (one < other ? -1 : 1))

async function rawGet(port: number, headers: Record<string, string>) {
  return new Promise<{ headers: Record<string, unknown>; body: Buffer; isHit: boolean }>((resolve, reject) => {
    const outgoing = request({ port, host: '127.0.0.1', headers, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject)
      response.on('end', () => {
        const isHit = String(response.headers['cache-status']).startsWith('memcache-ts; hit')
        resolve({ headers: response.headers, body: Buffer.concat(chunks), isHit })
      })
    })
    outgoing.on('error', reject).end()
  })
}

function textOf({ headers, body }: { headers: Record<string, unknown>; body: Buffer }): string {
  return (headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString()
}
