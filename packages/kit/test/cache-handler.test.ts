import { readFileSync } from 'node:fs'
import { createServer, request as httpRequest } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect, createServer as createHttp2Server } from 'node:http2'
import { createServer as createTlsServer, request as httpsRequest } from 'node:https'
import type { Http2Server, Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { Server } from 'node:net'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { TLSSocket } from 'node:tls'
import { passTime, TestCertificates } from 'memcache-ts-testing'
import type { CertificateFiles } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { cacheHandler } from '../src/http/index.ts'
import { openCache } from './open-cache.ts'

interface Got {
  readonly status: number
  readonly body: string
  readonly cacheStatus: string
  readonly trailers: Record<string, unknown>
  /** The reason phrase, which HTTP/2 has none of. */
  readonly reason: string | undefined
}
interface Opened extends AsyncDisposable {
  readonly get: (path: string, method?: string) => Promise<Got>
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

async function openHttp1(listener: (request: IncomingMessage, response: ServerResponse) => void): Promise<Opened> {
  const server = createServer(listener)
  const port = await listen(server)
  return {
    async get(path, method = 'GET') {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        httpRequest({ host: '127.0.0.1', port, path, method, agent: false }, resolve).on('error', reject).end()
      })
      let body = ''
      for await (const chunk of response) body += String(chunk)
      const { statusCode, statusMessage: reason, headers, trailers } = response
      return { status: statusCode!, body, cacheStatus: String(headers['cache-status']), trailers, reason }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function openHttp2(
  listener: (request: Http2ServerRequest, response: Http2ServerResponse) => void,
): Promise<Opened> {
  const server: Http2Server = createHttp2Server(listener)
  const session = connect(`http://127.0.0.1:${await listen(server)}`)
  return {
    async get(path, method = 'GET') {
      const stream = session.request({ ':path': path, ':method': method })
      const headers = new Promise<Record<string, unknown>>((resolve) => stream.once('response', resolve))
      let trailers: Record<string, unknown> = {}
      stream.once('trailers', (told) => (trailers = { ...told }))
      stream.end()
      let body = ''
      for await (const chunk of stream) body += String(chunk)
      const { ':status': status, 'cache-status': cacheStatus } = await headers
      return { status: Number(status), body, cacheStatus: String(cacheStatus), trailers, reason: undefined }
    },
    async [Symbol.asyncDispose]() {
      session.close()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

const SERVERS = [
  ['node:http', openHttp1 as (listener: never) => Promise<Opened>],
  ['node:http2', openHttp2 as (listener: never) => Promise<Opened>],
] as const

describe.each(SERVERS)('cacheHandler on %s', (_name, open) => {
  /** A handler that reports how often it was called. */
  function counting(fields: Record<string, string> = {}) {
    let calls = 0
    return (request: { method?: string | undefined }, response: ServerResponse): void => {
      calls++
      for (const [name, value] of Object.entries(fields)) response.setHeader(name, value)
      response.end(`${request.method} ${calls}`)
    }
  }

  it('responds with the stored response until an unsafe request invalidates it', async () => {
    await using fixture = await openCache()
    const { cache } = fixture
    await using site = await open(cacheHandler(counting(), { ttlSeconds: 60, cache }) as never)
    expect(await site.get('/a')).toMatchObject({
      status: 200,
      body: 'GET 1',
      cacheStatus: 'memcache-ts; fwd=uri-miss; stored',
    })
    expect(await site.get('/a')).toMatchObject({ body: 'GET 1', cacheStatus: 'memcache-ts; hit; ttl=60' })
    expect(await site.get('/a', 'DELETE')).toMatchObject({ body: 'DELETE 2' })
    expect(await site.get('/a')).toMatchObject({ body: 'GET 3' })
  })

  it('stores no response with trailers: each client gets its own', async () => {
    await using fixture = await openCache()
    let calls = 0
    const handler = (_request: unknown, response: ServerResponse): void => {
      const sum = String(++calls)
      if (!('stream' in response)) response.setHeader('Trailer', 'X-Sum')
      response.write('body')
      response.addTrailers({ 'X-Sum': sum })
      response.end()
    }
    await using site = await open(cacheHandler(handler as never, { ttlSeconds: 60, cache: fixture.cache }) as never)
    for (const sum of ['1', '2']) {
      expect(await site.get('/a')).toMatchObject({ body: 'body', trailers: { 'x-sum': sum } })
    }
    const together = await Promise.all([site.get('/b'), site.get('/b'), site.get('/b')])
    expect(together.map(({ body }) => body)).toEqual(['body', 'body', 'body'])
    expect((await site.get('/b')).cacheStatus).not.toContain('hit')
  })

  it.each([
    ['announced, with the body at once', true, false],
    ['not announced, after a part of the body', false, true],
  ])('stores no response whose trailers are %s', async (_name, isAnnounced, isParted) => {
    await using fixture = await openCache()
    let calls = 0
    const handler = (_request: unknown, response: ServerResponse): void => {
      if (isAnnounced && !('stream' in response)) response.setHeader('Trailer', 'X-Sum')
      if (isParted) response.write('part ')
      response.addTrailers({ 'X-Sum': String(++calls) })
      response.end('end')
    }
    await using site = await open(cacheHandler(handler as never, { ttlSeconds: 60, cache: fixture.cache }) as never)
    for (const sum of ['1', '2'])
      expect(await site.get('/a')).toMatchObject({ body: isParted ? 'part end' : 'end', trailers: { 'x-sum': sum } })
  })

  it('sends the reason phrase of the handler with each hit', async () => {
    await using fixture = await openCache()
    const handler = ({ url }: { url?: string }, response: ServerResponse): void => {
      if (url === '/a' && !('stream' in response)) response.writeHead(200, 'All Fine')
      if (url === '/b' && !('stream' in response)) response.statusMessage = 'Well'
      response.end('body')
    }
    await using site = await open(cacheHandler(handler as never, { ttlSeconds: 60, cache: fixture.cache }) as never)
    for (const [path, reason] of [
      ['/a', 'All Fine'],
      ['/b', 'Well'],
      ['/c', 'OK'],
    ] as const) {
      const [miss, hit, head] = [await site.get(path), await site.get(path), await site.get(path, 'HEAD')]
      expect(hit.cacheStatus).toContain('hit')
      for (const { reason: told } of [miss, hit, head]) expect(told ?? reason).toBe(reason)
    }
  })

  it('serves stale responses while it revalidates them in the background', async () => {
    await using fixture = await openCache()
    const { cache, clock } = fixture
    await using site = await open(cacheHandler(counting(), { ttlSeconds: 10, staleSeconds: 60, cache }) as never)
    await site.get('/a')
    await passTime(clock, cache, 15)
    expect(await site.get('/a')).toMatchObject({ body: 'GET 1' })
    await expect.poll(async () => (await site.get('/a')).body).toBe('GET 2')
  })

  it('invalidates the responses of a group for one host if a response requests it', async () => {
    await using fixture = await openCache()
    const { cache } = fixture
    let calls = 0
    const handler = (request: { method?: string | undefined; url?: string | undefined }, response: ServerResponse) => {
      calls++
      if (request.method === 'POST') response.setHeader('Cache-Group-Invalidation', '"list", "other"')
      else if (request.url !== '/c')
        response.setHeader('Cache-Groups', request.url === '/a' ? '"list";p=1' : '"x", "list"')
      response.end(String(calls))
    }
    await using site = await open(cacheHandler(handler as never, { ttlSeconds: 60, cache }) as never)
    for (const path of ['/a', '/b', '/c']) await site.get(path)
    expect(await site.get('/b')).toMatchObject({ body: '2' })
    await site.get('/unrelated', 'POST')
    expect(await site.get('/a')).toMatchObject({ body: '5' })
    expect(await site.get('/b')).toMatchObject({ body: '6' })
    expect(await site.get('/c')).toMatchObject({ body: '3' })
  })

  it('ignores a field of groups that is not a list of strings', async () => {
    await using fixture = await openCache()
    const { cache } = fixture
    await using site = await open(
      cacheHandler(counting({ 'Cache-Groups': 'list, 4' }), { ttlSeconds: 60, cache }) as never,
    )
    await site.get('/a')
    expect(await site.get('/a')).toMatchObject({ body: 'GET 1' })
  })

  it('passes requests that its condition does not select to the handler', async () => {
    await using fixture = await openCache()
    const { cache } = fixture
    await using site = await open(cacheHandler(counting(), { ttlSeconds: 60, cache, condition: () => false }) as never)
    expect(await site.get('/a')).toMatchObject({ body: 'GET 1' })
    expect(await site.get('/a')).toMatchObject({ body: 'GET 2' })
  })
})

describe('cacheHandler', () => {
  it('refuses options that it does not know, with a hint', () => {
    expect(() => cacheHandler(() => {}, { keyGenerator: () => '' } as never)).toThrow(/keyGenerator.*key/)
    expect(() => cacheHandler(() => {}, { tags: 'a' as never })).toThrow('tags must be a list')
    expect(() => cacheHandler(() => {}, 0)).toThrow()
  })
})

describe('a client certificate', () => {
  it.each([
    ['that an authority has signed', false],
    ['that only the application knows', true],
  ])('%s is an identity', async (_name, selfSigned) => {
    await using fixture = await openCache()
    using certificates = Object.assign(new TestCertificates(), {
      [Symbol.dispose](this: TestCertificates) {
        this.dispose()
      },
    })
    const read = ({ cert, key }: CertificateFiles) => ({ cert: readFileSync(cert), key: readFileSync(key) })
    const server = createTlsServer(
      {
        ...read(certificates.issue('server')),
        ca: readFileSync(certificates.ca.cert),
        requestCert: true,
        rejectUnauthorized: false,
      },
      cacheHandler(
        (request, response) => {
          const { subject } = (request.socket as TLSSocket).getPeerCertificate()
          response.end(`made for ${(subject as { CN?: string } | undefined)?.CN ?? 'nobody'}`)
        },
        { ttlSeconds: 60, cache: fixture.cache },
      ),
    )
    const port = await listen(server)
    const get = async (user?: CertificateFiles): Promise<string> => {
      const options = { host: '127.0.0.1', port, agent: false, rejectUnauthorized: false, ...(user && read(user)) }
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        httpsRequest(options, resolve).on('error', reject).end()
      })
      return (await buffer(response)).toString()
    }
    try {
      const [ann, bob] = ['ann', 'bob'].map((user) => certificates.issue(user, { selfSigned }))
      expect([await get(ann), await get(bob), await get()]).toEqual(['made for ann', 'made for bob', 'made for nobody'])
      expect(await get()).toBe('made for nobody')
    } finally {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  })
})

describe('clients of HTTP/2 that read nothing', () => {
  it('do not delay clients that joined, or clients that get the stored response', async () => {
    await using fixture = await openCache()
    const body = Buffer.alloc(4_500_000, 'x')
    let calls = 0
    const server: Http2Server = createHttp2Server(
      cacheHandler(
        async (_request: Http2ServerRequest, response: Http2ServerResponse) => {
          calls++
          for (let at = 0; at < body.length; at += 100_000) {
            const isTaken = response.write(body.subarray(at, at + 100_000))
            if (!isTaken) await new Promise((resolve) => response.once('drain', resolve))
          }
          response.end()
        },
        { ttlSeconds: 60, cache: fixture.cache },
      ),
    )
    const origin = `http://127.0.0.1:${await listen(server)}`
    // Each session has a window of its own, which its idle streams fill.
    const [idle, reading] = [connect(origin), connect(origin)]
    const begin = async (): Promise<void> => {
      const stream = idle.request({ ':path': '/' })
      await new Promise((resolve) => stream.once('response', resolve))
      stream.pause()
    }
    await begin()
    expect((await buffer(reading.request({ ':path': '/' }))).length).toBe(body.length)
    await Promise.all(Array.from({ length: 5 }, begin))
    expect((await buffer(reading.request({ ':path': '/' }))).length).toBe(body.length)
    expect(calls).toBe(1)
    idle.destroy()
    reading.destroy()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  })
})
