import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import { connect } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cacheHandler } from '../src/http/index.ts'
import type { CacheHandlerOptions } from '../src/http/index.ts'
import { Gate } from '../../express/test/gate.ts'
import { openCache } from './open-cache.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown
/** The parts in which a client sends its content. */
type Parts = readonly Buffer[]
interface Got {
  readonly body: string
  readonly cacheStatus: string
}
interface Client extends AsyncDisposable {
  query(path: string, parts: Parts, fields?: Record<string, string>): Promise<Got>
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** Lets a server take what was written to its socket. */
const served = async (): Promise<void> => {
  for (let turn = 0; turn < 3; turn++) await nextTurn()
}

/** One response of HTTP/1.1 with a `Content-Length`. */
async function responseOf(socket: Socket): Promise<Got> {
  let text = ''
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += (chunk as Buffer).toString('latin1')
    const end = text.indexOf('\r\n\r\n')
    const length = /content-length: (\d+)/i.exec(text)?.[1]
    if (end === -1 || length === undefined || text.length < end + 4 + Number(length)) continue
    const cacheStatus = /cache-status: (.*)\r\n/i.exec(text)?.[1] ?? ''
    return { body: text.slice(end + 4), cacheStatus }
  }
  throw new Error(`no response: ${text}`)
}

async function openHttp1(handler: Handler, { isChunked }: { isChunked: boolean }): Promise<Client> {
  const server = createServer(handler)
  const port = await listen(server)
  // All requests on one connection: what is left unread of one would disturb the next.
  const socket = connect(port, '127.0.0.1').setNoDelay(true)
  return {
    async query(path, parts, fields = {}) {
      const length = Buffer.concat([...parts]).length
      const framing = isChunked
        ? { 'Transfer-Encoding': 'chunked', Trailer: 'X-End' }
        : { 'Content-Length': String(length) }
      const lines = Object.entries({ Host: 'shop.test', ...framing, ...fields }).map(
        ([name, value]) => `${name}: ${value}`,
      )
      const got = responseOf(socket)
      socket.write(`QUERY ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
      for (const part of parts.filter(({ length }) => length > 0)) {
        await served()
        socket.write(
          isChunked ? Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')]) : part,
        )
      }
      if (isChunked) socket.write('0\r\nX-End: yes\r\n\r\n')
      return got
    },
    async [Symbol.asyncDispose]() {
      socket.destroy()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function openHttp2(handler: Handler): Promise<Client> {
  const server = createHttp2Server(handler as never)
  const session = connectHttp2(`http://127.0.0.1:${await listen(server)}`)
  return {
    async query(path, parts, fields = {}) {
      const stream = session.request({ ':path': path, ':method': 'QUERY', ...fields }, { endStream: false })
      const head = new Promise<Record<string, unknown>>((resolve) => stream.once('response', resolve))
      for (const part of parts.filter(({ length }) => length > 0)) {
        await served()
        stream.write(part)
      }
      stream.end()
      const body = (await buffer(stream)).toString()
      return { body, cacheStatus: String((await head)['cache-status']) }
    },
    async [Symbol.asyncDispose]() {
      session.close()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

const PROTOCOLS = [
  ['HTTP/1.1 with a length', (handler: Handler) => openHttp1(handler, { isChunked: false })],
  ['HTTP/1.1 in chunks', (handler: Handler) => openHttp1(handler, { isChunked: true })],
  ['HTTP/2', openHttp2],
] as const

/** How handlers and body parsers read a request. */
const READERS: Record<string, (request: IncomingMessage) => Promise<Buffer>> = {
  iteration: async (request) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    return Buffer.concat(parts)
  },
  'data and end': (request) =>
    new Promise((resolve) => {
      const parts: Buffer[] = []
      request.on('data', (part: Buffer) => parts.push(part)).on('end', () => resolve(Buffer.concat(parts)))
    }),
  'readable and read()': (request) =>
    new Promise((resolve) => {
      const parts: Buffer[] = []
      request.on('readable', () => {
        for (let part = request.read() as Buffer | null; part !== null; part = request.read() as Buffer | null)
          parts.push(part)
      })
      request.on('end', () => resolve(Buffer.concat(parts)))
    }),
  pipe: (request) => buffer(request.pipe(new PassThrough())),
  'a stream of the web': (request) => buffer(Readable.toWeb(request) as never),
}

const CONTENTS: Record<string, Parts> = {
  'in one part': [Buffer.from('{"city":"Bern"}')],
  'in three parts': [Buffer.from('{"city'), Buffer.from('":"Be'), Buffer.from('rn"}')],
  'of no bytes': [],
  'of 200 kB': Array.from({ length: 4 }, (_, index) => Buffer.alloc(50_000, index + 97)),
}

describe.each(PROTOCOLS)('QUERY by %s', (_protocol, open) => {
  async function openCached(handler: Handler, options: CacheHandlerOptions = { ttlSeconds: 60 }, isLate = false) {
    const fixture = await openCache()
    const cached = cacheHandler(handler, { ...options, cache: fixture.cache })
    // Middleware before the cache may wait for something while content comes in.
    const client = await open(
      isLate ? async (request, response) => (await served(), cached(request, response)) : cached,
    )
    return {
      query: client.query,
      async [Symbol.asyncDispose]() {
        await client[Symbol.asyncDispose]()
        await fixture[Symbol.asyncDispose]()
      },
    }
  }

  describe.each([
    ['at once', false],
    ['after other middleware', true],
  ])('answered %s', (_when, isLate) => {
    it.each(Object.entries(READERS))('passes the content unchanged to the handler, by %s', async (_reader, read) => {
      let calls = 0
      const handler: Handler = async (request, response) => {
        calls++
        const content = await read(request)
        response.end(`${content.length} ${content.toString().slice(0, 20)}`)
      }
      await using site = await openCached(handler, { ttlSeconds: 60 }, isLate)
      for (const [name, parts] of Object.entries(CONTENTS)) {
        const content = Buffer.concat([...parts])
        const expected = `${content.length} ${content.toString().slice(0, 20)}`
        const before = calls
        expect(await site.query(`/${name.replaceAll(' ', '-')}`, parts)).toMatchObject({ body: expected })
        const again = await site.query(`/${name.replaceAll(' ', '-')}`, [content])
        expect(again).toMatchObject({ body: expected, cacheStatus: expect.stringContaining('; hit; ') })
        expect(calls).toBe(before + 1)
      }
    })
  })

  it('separates requests by their content and by every field that describes it', async () => {
    await using site = await openCached(async (request, response) => {
      response.end(
        `${(await buffer(request)).toString()} as ${request.headers['content-type']} ${request.headers['content-encoding']}`,
      )
    })
    const variants: [string, Record<string, string>][] = [
      ['a', {}],
      ['b', {}],
      ['', {}],
      ['a', { 'content-type': 'text/plain' }],
      ['a', { 'content-type': 'text/html' }],
      ['a', { 'content-type': 'text/plain', 'content-encoding': 'x' }],
      ['a', { 'content-type': 'text/plain', 'content-language': 'x' }],
    ]
    for (const [content, fields] of variants) {
      const [first, second] = [
        await site.query('/', [Buffer.from(content)], fields),
        await site.query('/', [Buffer.from(content)], fields),
      ]
      expect(first.cacheStatus).toContain('fwd=uri-miss')
      expect(second.cacheStatus).toContain('; hit')
      expect(second.body).toBe(first.body)
      expect(first.body).toBe(`${content} as ${fields['content-type']} ${fields['content-encoding']}`)
    }
  })

  it('hands content that is too large to the handler untouched, and stores nothing', async () => {
    let calls = 0
    await using site = await openCached(async (request, response) => {
      calls++
      response.end(String((await buffer(request)).length))
    })
    const parts = Array.from({ length: 30 }, () => Buffer.alloc(50_000, 97))
    for (const call of [1, 2]) {
      const got = await site.query('/', parts)
      expect([got.body, calls]).toEqual(['1500000', call])
      expect(got.cacheStatus).toContain('fwd=bypass; detail=content-too-large')
    }
  })

  it('keeps the connection usable if no handler reads the content', async () => {
    await using site = await openCached((_request, response) => response.end('unread'))
    for (const parts of [
      [Buffer.from('a')],
      [Buffer.from('a')],
      Array.from({ length: 30 }, () => Buffer.alloc(50_000, 97)),
      [Buffer.from('a')],
    ])
      expect((await site.query('/', parts)).body).toBe('unread')
  })

  it('runs one handler for concurrent misses, and each has its own content if the response is not shared', async () => {
    let calls = 0
    const gate = new Gate()
    await using site = await openCached(async (request, response) => {
      calls++
      if (request.url === '/shared') await gate.pass()
      else response.setHeader('Cache-Control', 'private')
      const content = await buffer(request)
      response.setHeader('Content-Length', content.length)
      response.end(content)
    })
    const content = [Buffer.from('mine')]
    const first = site.query('/shared', content)
    await gate.arrived
    gate.open()
    expect([(await first).body, (await site.query('/shared', content)).body, calls]).toEqual(['mine', 'mine', 1])
    for (let time = 0; time < 3; time++) expect((await site.query('/private', content)).body).toBe('mine')
    expect(calls).toBe(4)
  })

  it('is stored by an explicit lifetime only, and never by a guess', async () => {
    let fields: Record<string, string> = {}
    await using site = await openCached((_request, response) => {
      for (const [name, value] of Object.entries(fields)) response.setHeader(name, value)
      response.end('x')
    }, {})
    const isStored = async (path: string, given: Record<string, string>) => {
      fields = given
      await site.query(path, [Buffer.from('a')])
      return (await site.query(path, [Buffer.from('a')])).cacheStatus.includes('; hit')
    }
    expect(await isStored('/a', { 'Cache-Control': 'max-age=60' })).toBe(true)
    expect(await isStored('/b', { 'Last-Modified': new Date(0).toUTCString() })).toBe(false)
    expect(await isStored('/c', { 'Cache-Control': 'private, max-age=60' })).toBe(false)
  })

  it('invalidates nothing, and is invalidated with its URL', async () => {
    let calls = 0
    const fixture = await openCache()
    await using _ = fixture
    const cached = cacheHandler((_request, response) => void response.end(String(++calls)), {
      ttlSeconds: 60,
      cache: fixture.cache,
    })
    await using client = await open(cached as Handler)
    const first = await client.query('/', [Buffer.from('a')])
    await client.query('/', [Buffer.from('b')])
    expect(await client.query('/', [Buffer.from('a')])).toMatchObject({ body: first.body })
    await cached.purge('/')
    expect((await client.query('/', [Buffer.from('a')])).body).toBe('3')
  })
})

describe('random QUERY requests, several at once', () => {
  it('with the same content run one handler', async () => {
    await using fixture = await openCache()
    const gate = new Gate()
    let calls = 0
    const handler: Handler = async (request, response) => {
      calls++
      await gate.pass()
      response.end(await buffer(request))
    }
    const cached = cacheHandler(handler, { ttlSeconds: 60, cache: fixture.cache })
    await using client = await openHttp2(cached as Handler)
    const requested = Array.from({ length: 20 }, () => client.query('/', [Buffer.from('same')]))
    await gate.arrived
    gate.open()
    for (const { body } of await Promise.all(requested)) expect(body).toBe('same')
    expect(calls).toBe(1)
  })

  const REQUEST = fc.record({
    content: fc.constantFrom('', 'a', 'b', 'ab', '{"a":1}', '{"a":2}', 'x'.repeat(70_000)),
    type: fc.constantFrom(undefined, 'text/plain', 'application/json', 'a', 'b'),
    path: fc.constantFrom('/', '/page'),
    fields: fc.constantFrom<Record<string, string>>(
      {},
      {},
      { 'content-language': 'a' },
      { 'cache-control': 'no-cache' },
    ),
  })
  const LIFETIMES = fc.constantFrom('max-age=60', 'no-store', 'private', 'max-age=0, stale-while-revalidate=60')

  it('each get the response to their own content', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(REQUEST, { minLength: 1, maxLength: 6 }), { maxLength: 5 }),
        LIFETIMES,
        async (rounds, lifetime) => {
          await using fixture = await openCache()
          const echo: Handler = async (request, response) => {
            await nextTurn()
            const content = (await buffer(request)).toString()
            response.setHeader('Cache-Control', lifetime)
            response.setHeader('ETag', '"same"')
            response.end(
              `${request.url} ${request.headers['content-type']} ${request.headers['content-language']} ${content}`,
            )
          }
          const cached = cacheHandler(echo, { cache: fixture.cache })
          await using client = await openHttp2(cached as Handler)
          for (const round of rounds) {
            await Promise.all(
              round.map(async ({ content, type, path, fields }) => {
                const about = type === undefined ? fields : { ...fields, 'content-type': type }
                const { body } = await client.query(path, [Buffer.from(content)], about)
                expect(body).toBe(`${path} ${type} ${fields['content-language']} ${content}`)
              }),
            )
          }
        },
      ),
      { numRuns: 25 },
    )
  })
})

describe('QUERY that is broken off', () => {
  it('runs no handler for content that did not come whole', async () => {
    await using fixture = await openCache()
    let calls = 0
    const server = createServer(cacheHandler(() => void calls++, { ttlSeconds: 60, cache: fixture.cache }))
    const port = await listen(server)
    const closed = new Promise<void>((resolve) =>
      server.on('connection', (socket) => socket.once('close', () => resolve())),
    )
    const socket = connect(port, '127.0.0.1')
    socket.write('QUERY / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 10\r\n\r\nhalf', () => socket.destroy())
    await closed
    await served()
    expect(calls).toBe(0)
    await new Promise((resolve) => server.close(resolve))
  })

  it('passes a client that waits for 100 to its handler', async () => {
    await using fixture = await openCache()
    const server = createServer()
    server.on(
      'checkContinue',
      cacheHandler(
        async (request, response) => {
          response.writeContinue()
          response.end((await buffer(request)).toString())
        },
        { ttlSeconds: 60, cache: fixture.cache },
      ),
    )
    const socket = connect(await listen(server), '127.0.0.1')
    socket.write('QUERY / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n')
    let text = ''
    for await (const chunk of socket) {
      text += String(chunk)
      if (text === 'HTTP/1.1 100 Continue\r\n\r\n') socket.write('ping')
      if (text.endsWith('ping')) break
    }
    expect(text).toContain('detail=expect')
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
})
