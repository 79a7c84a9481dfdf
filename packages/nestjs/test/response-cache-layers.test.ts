import 'reflect-metadata'
import { request } from 'node:http'
import { connect } from 'node:http2'
import { Readable } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import { Controller, Get, Req, Res, StreamableFile } from '@nestjs/common'
import type { INestApplication } from '@nestjs/common'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import type { NestFastifyApplication } from '@nestjs/platform-fastify'
import { Test } from '@nestjs/testing'
import compression from 'compression'
import cors from 'cors'
import helmet from 'helmet'
import { Memcache } from 'memcache-ts'
import { memcacheSession } from 'memcache-ts-express'
import { testMemcache } from 'memcache-ts/testing'
import onHeaders from 'on-headers'
import responseTime from 'response-time'
import { describe, expect, it } from 'vitest'
import { memcacheSession as fastifySession } from '../../fastify/src/index.ts'
import { CacheResponse, MemcacheModule, RateLimit } from '../src/index.ts'

const TEXT = 'lorem ipsum '.repeat(300)
const SECRET = 'known to this test alone'

type Middleware = (request: never, response: never, next: () => void) => void
interface RawResponse {
  setHeader(name: string, value: string): void
  end(body: string): void
}

/** Sets a field of this very request when the head is written. */
const stamp = (
  incoming: { headers: Record<string, string> },
  response: Parameters<typeof onHeaders>[0],
  next: () => void,
): void => {
  onHeaders(response, () => void response.setHeader('X-Stamp', incoming.headers['x-who']!))
  next()
}

const MIDDLEWARES: Record<string, () => Middleware> = {
  compression: () => compression({ threshold: 0 }) as unknown as Middleware,
  stamp: () => stamp as unknown as Middleware,
  responseTime: () => responseTime() as unknown as Middleware,
  helmet: () => helmet() as unknown as Middleware,
  cors: () => cors() as unknown as Middleware,
}

let calls = 0
@CacheResponse(60)
@RateLimit({ perMinute: 1_000_000, key: () => 'everybody' } as never)
@Controller()
class Pages {
  @Get('json') json() {
    calls++
    return { text: TEXT }
  }
  @Get('text') text() {
    calls++
    return TEXT
  }
  @Get('file') file() {
    calls++
    return new StreamableFile(Buffer.from(TEXT), { type: 'text/plain' })
  }
  @Get('own') own(@Res() response: RawResponse & { raw?: RawResponse }) {
    calls++
    const raw = response.raw ?? response
    raw.setHeader('Content-Type', 'text/plain')
    raw.end(TEXT)
  }
}

interface WithSession {
  session: { user?: string }
}

@CacheResponse(60)
@Controller()
class Private {
  @Get('reads') reads(@Req() incoming: WithSession) {
    return `made for ${incoming.session.user ?? 'nobody'}`
  }
  @Get('streams') streams(@Req() incoming: WithSession) {
    const parts = async function* () {
      yield 'made for '
      await new Promise(setImmediate)
      yield incoming.session.user ?? 'nobody'
    }
    return new StreamableFile(Readable.from(parts(), { objectMode: false }))
  }
}

interface Got {
  readonly fields: Record<string, unknown>
  readonly text: string
}
type Fetch = (path: string, fields: Record<string, string>) => Promise<Got>

const textOf = (fields: Record<string, unknown>, chunks: readonly Buffer[]): string => {
  const body = Buffer.concat([...chunks])
  return (fields['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString()
}

const http1 =
  (port: number): Fetch =>
  (path, headers) =>
    new Promise((resolve, reject) => {
      const outgoing = request({ port, host: '127.0.0.1', path, headers, agent: false }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject)
        response.on('end', () => resolve({ fields: response.headers, text: textOf(response.headers, chunks) }))
      })
      outgoing.on('error', reject).end()
    })

const http2 =
  (port: number): Fetch =>
  async (path, headers) => {
    const session = connect(`http://127.0.0.1:${port}`)
    const stream = session.request({ ':path': path, ...headers })
    const head = new Promise<Record<string, unknown>>((resolve, reject) =>
      stream.once('response', resolve).once('error', reject),
    )
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk as Buffer)
    session.close()
    const fields = { ...(await head) }
    return { fields, text: textOf(fields, chunks) }
  }

const FORMS = [
  ['Express', 'express', http1],
  ['Fastify', 'fastify', http1],
  ['Fastify over HTTP/2', 'fastify2', http2],
] as const

async function open(form: (typeof FORMS)[number][1], names: readonly string[]) {
  const test = await testMemcache({ timeoutMs: 5000 })
  const module = await Test.createTestingModule({ imports: [MemcacheModule.forRoot()], controllers: [Pages, Private] })
    .overrideProvider(Memcache)
    .useValue(test.cache)
    .compile()
  const session = { secret: SECRET, cache: test.cache }
  let app: INestApplication
  if (form === 'express') {
    app = module.createNestApplication({ logger: false })
  } else {
    const adapter = form === 'fastify2' ? new FastifyAdapter({ http2: true } as never) : new FastifyAdapter()
    app = module.createNestApplication<NestFastifyApplication>(adapter, { logger: false })
  }
  for (const name of names) {
    if (name !== 'session') app.use(MIDDLEWARES[name]!())
    else if (form === 'express') app.use(memcacheSession(session))
    else await (app as NestFastifyApplication).register(fastifySession as never, session as never)
  }
  await app.listen(0, '127.0.0.1')
  const { port } = app.getHttpServer().address() as { port: number }
  return {
    port,
    async [Symbol.asyncDispose]() {
      await app.close()
      await test.close()
    },
  }
}

/** Fields that are about the very response, or by which a hit says that it is one. */
const CHANGING = new Set(['age', 'cache-status', 'date', 'x-response-time', 'x-stamp', 'ratelimit', 'content-length'])
/** How the body is framed: one of one piece has a length where nothing outside compresses it. */
const FRAMING = new Set(['transfer-encoding', 'connection', 'keep-alive'])

const told = ({ fields }: Got): [string, unknown][] =>
  Object.entries(fields)
    .filter(([name]) => !CHANGING.has(name) && !FRAMING.has(name))
    .toSorted(([one], [other]) => (one < other ? -1 : 1))

describe.each(FORMS)('middleware around @CacheResponse, on %s', (_name, form, client) => {
  const names = [...Object.keys(MIDDLEWARES), 'session']
  const orders = [names, names.toReversed(), ...names.map((name) => [name]), []]

  it.each(orders.map((order) => [order]))('a hit equals its miss with %j', async (order) => {
    await using site = await open(form, order)
    const fetch = client(site.port)
    for (const path of ['/json', '/text', '/file', '/own']) {
      for (const encoding of ['gzip', 'identity']) {
        const before = calls
        const miss = await fetch(path, { 'accept-encoding': encoding, 'x-who': 'one' })
        const hit = await fetch(path, { 'accept-encoding': encoding, 'x-who': 'another' })
        const what = `${path} ${encoding}`
        expect(miss.text, what).toContain(TEXT)
        expect(calls, what).toBeLessThanOrEqual(before + 1)
        expect(hit.fields['cache-status'], what).toMatch(/^memcache-ts; hit/)
        expect(hit.text, what).toBe(miss.text)
        expect(told(hit), what).toEqual(told(miss))
        if (order.includes('stamp')) expect([miss.fields['x-stamp'], hit.fields['x-stamp']]).toEqual(['one', 'another'])
      }
    }
  })

  it.each(['/reads', '/streams'])('a response whose handler reads the session is not shared: %s', async (path) => {
    await using site = await open(form, ['session'])
    const fetch = client(site.port)
    for (const who of ['ann', 'bob']) {
      const got = await fetch(path, { 'accept-encoding': 'identity', 'x-who': who })
      expect(got.text).toBe('made for nobody')
      expect(got.fields['cache-status']).not.toContain('hit')
    }
  })
})
