import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import http2 from 'node:http2'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline, Readable } from 'node:stream'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import compression from 'compression'
import flash from 'connect-flash'
import cookieParser from 'cookie-parser'
import { unsign } from 'cookie-signature'
import csurf from 'csurf'
import type { Express, NextFunction, Request, RequestHandler, Response } from 'express'
import express5 from 'express'
import helmet from 'helmet'
import { testMemcache } from 'memcache-ts/testing'
import type { TestMemcache } from 'memcache-ts/testing'
import { readUntil, until } from 'memcache-ts-testing'
import onHeaders from 'on-headers'
import passport from 'passport'
import responseTime from 'response-time'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { memcacheSession } from '../src/index.ts'
import { EXPRESSES } from './open-app.ts'

const TEXT = 'a body of some length, which compresses. '.repeat(50)
const FILE = join(mkdtempSync(join(tmpdir(), 'session-grid-')), 'file.txt')
writeFileSync(FILE, TEXT)

/** Ways in which handlers answer; each has to give `TEXT`. */
const WAYS: Record<string, (res: Response) => void> = {
  send: (res) => void res.type('text').send(TEXT),
  end: (res) => void res.end(TEXT),
  'writeHead, end': (res) => void res.writeHead(200, { 'Content-Type': 'text/plain' }).end(TEXT),
  'writeHead with a list, end': (res) =>
    void res.writeHead(200, 'Fine', ['Content-Type', 'text/plain'] as never).end(TEXT),
  'write, write, end': (res) => {
    res.write(TEXT.slice(0, 100))
    res.write(Buffer.from(TEXT.slice(100, 200)))
    res.end(TEXT.slice(200), 'latin1', () => {})
  },
  'a stream': (res) => void Readable.from([TEXT.slice(0, 70), TEXT.slice(70)]).pipe(res.type('text')),
  sendFile: (res) => res.sendFile(FILE),
  'flushHeaders, later the rest': (res) => {
    res.type('text').flushHeaders()
    setImmediate(() => res.end(TEXT))
  },
  'writeHead, later writes and an end with a callback': (res) => {
    res.writeHead(200, { 'Content-Type': 'text/plain', 'X-List': ['1', '2'] })
    setImmediate(() => {
      // compression calls no callbacks of writes.
      res.write(TEXT.slice(0, 9))
      setImmediate(() => {
        res.write(TEXT.slice(9, 20))
        res.end(TEXT.slice(20), () => {})
      })
    })
  },
  // In HTTP/2, Node ends the stream with an error for it.
  'an end, then more': (res) => {
    res.on('error', () => {})
    res.type('text').send(TEXT)
    res.write('more')
    res.end('more')
    res.statusCode = 500
  },
  trailers: (res) => {
    res.type('text')
    res.write(TEXT.slice(0, 100))
    res.addTrailers({ 'X-Trailer': 'last' })
    res.end(TEXT.slice(100))
  },
  'early hints, then a body': (res) => {
    res.writeEarlyHints({ link: '</style.css>; rel=preload' }, () => {})
    res.type('text').send(TEXT)
  },
  'a large stream': (res) => {
    const part = TEXT.slice(0, 41)
    res.type('text')
    Readable.from(Array.from({ length: 50 }, () => part)).pipe(res)
  },
}

/** Ways in which handlers answer with something else than `TEXT`. */
const OTHER_WAYS: Record<string, { answer: (res: Response) => void; status: number; body: string }> = {
  redirect: { answer: (res) => res.redirect('/elsewhere'), status: 302, body: 'Found. Redirecting to /elsewhere' },
  'an empty body': { answer: (res) => void res.status(204).end(), status: 204, body: '' },
  'not modified': { answer: (res) => void res.status(304).set('ETag', '"a"').end(), status: 304, body: '' },
  'a status of the application': { answer: (res) => void res.sendStatus(404), status: 404, body: 'Not Found' },
}
const ALL_WAYS = {
  ...WAYS,
  ...Object.fromEntries(Object.entries(OTHER_WAYS).map(([way, { answer }]) => [way, answer])),
}

/** Mount orders. */
const ORDERS: Record<string, (session: RequestHandler) => RequestHandler[]> = {
  'session alone': (session) => [session],
  'compression, session': (session) => [compression({ threshold: 0 }), session],
  'session, compression': (session) => [session, compression({ threshold: 0 })],
  'helmet, response-time, cookie-parser, session': (session) => [helmet(), responseTime(), cookieParser(), session],
  'session, response-time, on-headers, cookie-parser': (session) => [
    session,
    responseTime(),
    (_req, res, next) => {
      onHeaders(res, () => void res.setHeader('X-On-Headers', 'yes'))
      next()
    },
    cookieParser(),
  ],
  'session, csurf, flash, passport': (session) => [
    session,
    csurf({ ignoreMethods: ['GET', 'HEAD'] }) as unknown as RequestHandler,
    flash(),
    passport.initialize(),
    passport.session(),
  ],
}

interface Answer {
  readonly status: number
  readonly body: string
  readonly cookie: string | undefined
  readonly fields: Record<string, unknown>
}

function decoded(encoding: unknown, body: Buffer): string {
  if (encoding === 'gzip') return gunzipSync(body).toString()
  return (encoding === 'br' ? brotliDecompressSync(body) : body).toString()
}

function cookieOf(setCookie: string | undefined): string | undefined {
  return setCookie?.startsWith('connect.sid=') === true ? setCookie.split(';', 1)[0] : undefined
}

/** Reads the responses on a connection of HTTP/1 until it ends. */
function readResponses(bytes: Buffer, hasBodies: boolean): Answer[] {
  const answers: Answer[] = []
  for (let rest = bytes; rest.length > 0;) {
    const end = rest.indexOf('\r\n\r\n')
    const [statusLine, ...lines] = rest.subarray(0, end).toString('latin1').split('\r\n')
    const fields: Record<string, string> = {}
    for (const line of lines) fields[line.slice(0, line.indexOf(':')).toLowerCase()] = line.slice(line.indexOf(':') + 2)
    const status = Number(statusLine!.split(' ')[1])
    let body: Buffer
    rest = rest.subarray(end + 4)
    if (status < 200) continue
    if (!hasBodies || status === 204 || status === 304) body = Buffer.alloc(0)
    else if (fields['transfer-encoding'] === 'chunked') {
      const chunks: Buffer[] = []
      for (;;) {
        const lineEnd = rest.indexOf('\r\n')
        const size = Number.parseInt(rest.subarray(0, lineEnd).toString(), 16)
        if (Number.isNaN(size)) throw new Error('a chunk is missing')
        chunks.push(rest.subarray(lineEnd + 2, lineEnd + 2 + size))
        // After the last chunk there are trailers, until an empty line.
        const next = size === 0 ? rest.indexOf('\r\n\r\n') + 4 : lineEnd + 2 + size + 2
        rest = rest.subarray(next)
        if (size === 0) break
      }
      body = Buffer.concat(chunks)
    } else {
      const length = fields['content-length'] === undefined ? rest.length : Number(fields['content-length'])
      if (length > rest.length) throw new Error('the body is cut short')
      body = rest.subarray(0, length)
      rest = rest.subarray(length)
    }
    answers.push({
      status,
      body: body.length === 0 ? '' : decoded(fields['content-encoding'], body),
      cookie: cookieOf(fields['set-cookie']),
      fields,
    })
  }
  return answers
}

type Ask = (server: Server, paths: readonly string[], cookie?: string, method?: string) => Promise<Answer[]>

const overSocket =
  (version: string): Ask =>
  (server, paths, cookie, method = 'GET') =>
    new Promise((resolve, reject) => {
      const socket = connectSocket((server.address() as { port: number }).port, '127.0.0.1')
      const parts: Buffer[] = []
      socket.on('data', (part: Buffer) => parts.push(part)).on('error', reject)
      socket.on('close', () => {
        try {
          resolve(readResponses(Buffer.concat(parts), method !== 'HEAD'))
        } catch (error) {
          reject(error as Error)
        }
      })
      const carried = cookie === undefined ? '' : `Cookie: ${cookie}\r\n`
      for (const [index, path] of paths.entries()) {
        const close = index === paths.length - 1 ? 'Connection: close\r\n' : ''
        socket.write(
          `${method} ${encodeURI(path)} HTTP/${version}\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n${carried}${close}\r\n`,
        )
      }
    })

const overHttp2: Ask = async (server, paths, cookie, method = 'GET') => {
  const client = http2.connect(`http://127.0.0.1:${(server.address() as { port: number }).port}`)
  try {
    return await Promise.all(
      paths.map(
        (path) =>
          new Promise<Answer>((resolve, reject) => {
            const stream = client.request({
              ':path': encodeURI(path),
              ':method': method,
              'accept-encoding': 'gzip',
              ...(cookie === undefined ? {} : { cookie }),
            })
            let fields: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader = {}
            const parts: Buffer[] = []
            stream.on('response', (received) => (fields = received)).on('data', (part: Buffer) => parts.push(part))
            stream.on('error', reject).on('end', () =>
              resolve({
                status: Number(fields[':status']),
                body: parts.length === 0 ? '' : decoded(fields['content-encoding'], Buffer.concat(parts)),
                cookie: cookieOf(fields['set-cookie']?.[0]),
                fields,
              }),
            )
            stream.end()
          }),
      ),
    )
  } finally {
    client.close()
  }
}

const PROTOCOLS: Record<string, Ask> = {
  'HTTP/1.0': overSocket('1.0'),
  'HTTP/1.1': overSocket('1.1'),
  'HTTP/2': overHttp2,
}

/** An application whose handlers write to the session and answer in each way. */
function makeApp(
  express: (typeof EXPRESSES)[number][1],
  middlewares: readonly RequestHandler[],
  test: TestMemcache,
): Express {
  const app = express()
  app.set('env', 'test')
  app.use(...middlewares)
  app.get('/session', (req, res) => void res.json({ way: req.session.way ?? 'none' }))
  for (const [way, answer] of Object.entries(ALL_WAYS)) {
    app.get(encodeURI(`/${way}`), (req, res) => {
      req.session.way = way
      answer(res)
    })
    app.get(encodeURI(`/away/${way}`), async (req, res) => {
      req.session.way = way
      await test.server.pause()
      answer(res)
    })
  }
  app.use((error: { code?: string }, _req: Request, res: Response, next: NextFunction) => {
    if (res.headersSent) return next(error)
    res.status(503).json({ error: error.code })
  })
  return app
}

async function listenFor(app: Express, protocol: string): Promise<Server> {
  let server
  if (protocol === 'HTTP/2') {
    // The prototypes of this application alone.
    for (const [name, made] of [
      ['request', http2.Http2ServerRequest],
      ['response', http2.Http2ServerResponse],
    ] as const) {
      const own = app[name] as object
      const shared = Object.getPrototypeOf(own) as object
      Object.setPrototypeOf(
        own,
        Object.create(made.prototype as object, Object.getOwnPropertyDescriptors(shared)) as object,
      )
    }
    server = http2.createServer(app as unknown as (req: unknown, res: unknown) => void) as unknown as Server
  } else server = createServer(app as unknown as (req: IncomingMessage, res: ServerResponse) => void)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

interface Site extends AsyncDisposable {
  readonly server: Server
}

async function openSite(
  express: (typeof EXPRESSES)[number][1],
  order: (session: RequestHandler) => RequestHandler[],
  protocol: string,
  timeoutMs = 10_000,
): Promise<Site> {
  const test = await testMemcache({ timeoutMs })
  const session = memcacheSession({ secret: 'test', cache: test.cache })
  const server = await listenFor(makeApp(express, order(session), test), protocol)
  return {
    server,
    async [Symbol.asyncDispose]() {
      server.close()
      await test[Symbol.asyncDispose]()
    },
  }
}

const WRITE_AFTER_END = 'an end, then more'
const EARLY_HINTS = 'early hints, then a body'

describe.each(EXPRESSES)('a session on %s', (version, express) => {
  describe.each(Object.keys(PROTOCOLS))('over %s', (protocol) => {
    describe.each(Object.keys(ORDERS))('%s', (order) => {
      const ask = PROTOCOLS[protocol]!
      const ways = Object.keys(WAYS).filter((way) => protocol !== 'HTTP/2' || way !== WRITE_AFTER_END)
      let site: Site
      beforeAll(async () => void (site = await openSite(express, ORDERS[order]!, protocol)))
      afterAll(async () => site[Symbol.asyncDispose]())

      it('sends the exact body in every way, after the session is stored', async () => {
        for (const way of ways) {
          const [answer] = await ask(site.server, [`/${way}`])
          expect(answer, way).toMatchObject({ status: 200, body: TEXT, cookie: expect.any(String) as string })
          const [seen] = await ask(site.server, ['/session'], answer!.cookie)
          expect(seen, way).toMatchObject({ status: 200, body: JSON.stringify({ way }) })
        }
      })

      it('sends other statuses, and HEAD, after the session is stored', async () => {
        for (const [way, { status, body }] of Object.entries(OTHER_WAYS)) {
          const [answer] = await ask(site.server, [`/${way}`])
          expect(answer, way).toMatchObject({ status, body, cookie: expect.any(String) as string })
          const [seen] = await ask(site.server, ['/session'], answer!.cookie)
          expect(seen, way).toMatchObject({ status: 200, body: JSON.stringify({ way }) })
        }
        for (const way of ways) {
          const [answer] = await ask(site.server, [`/${way}`], undefined, 'HEAD')
          expect(answer, way).toMatchObject({ status: 200, body: '', cookie: expect.any(String) as string })
          const [seen] = await ask(site.server, ['/session'], answer!.cookie)
          expect(seen, way).toMatchObject({ status: 200, body: JSON.stringify({ way }) })
        }
      })

      it('never sends the handler’s response if the session cannot be stored', async () => {
        await Promise.all(
          (version === 'Express 5' ? [...ways, ...Object.keys(OTHER_WAYS)] : ways).map(async (way) => {
            await using away = await openSite(express, ORDERS[order]!, protocol, 60)
            const [answer] = await ask(away.server, [`/away/${way}`])
            expect({ ...answer, fields: undefined }, way).toEqual({
              status: 503,
              body: expect.stringMatching(/^\{"error":"ERR_MEMCACHE_(TIMEOUT|CONNECTION)"\}$/) as string,
              cookie: undefined,
              fields: undefined,
            })
          }),
        )
      })

      // HTTP/1.0 has no pipelining.
      if (protocol === 'HTTP/1.0') return
      it('keeps the order of pipelined requests', async () => {
        // Node puts an informational response that has to wait behind the head of its response.
        const piped = ways.filter((way) => way !== EARLY_HINTS)
        const answers = await ask(
          site.server,
          piped.flatMap((way) => [`/${way}`, '/session']),
        )
        expect(answers.map(({ status, body }) => [status, body])).toEqual(
          piped.flatMap(() => [
            [200, TEXT],
            [200, '{"way":"none"}'],
          ]),
        )
      })
    })
  })
})

/** Changes of a session by a handler, and the session that is stored afterwards under the client's id. */
const CHANGES: Record<
  string,
  { change: (req: Request) => unknown; stored: { way: string } | undefined; saves?: boolean }
> = {
  'a change': { change: (req) => void (req.session.way = 'changed'), stored: { way: 'changed' } },
  'a save that nobody waits for, then a change': {
    change: (req) => {
      req.session.way = 'saved'
      req.session.save()
      req.session.way = 'changed'
    },
    stored: { way: 'changed' },
  },
  'a save that is waited for': {
    change: async (req) => {
      req.session.way = 'changed'
      await new Promise((resolve) => req.session.save(resolve))
    },
    stored: { way: 'changed' },
    saves: true,
  },
  'a destruction': { change: (req) => void req.session.destroy(() => {}), stored: undefined },
  'an empty session': { change: (req) => void req.session.regenerate(() => {}), stored: undefined },
  // The client has not been sent the new id: its own works, and has not what came with the new one.
  'a new id, then a privilege': {
    change: async (req) => {
      req.session.way = 'changed'
      await req.session.regenerate({ keep: true })
      req.session.isAdmin = true
    },
    stored: { way: 'changed' },
    saves: true,
  },
  'two new ids that nobody waits for, then a privilege': {
    change: (req) => {
      req.session.way = 'changed'
      void req.session.regenerate({ keep: true })
      void req.session.regenerate({ keep: true })
      req.session.isAdmin = true
    },
    stored: { way: 'changed' },
    saves: true,
  },
  'a new id, then a destruction': {
    change: async (req) => {
      await req.session.regenerate({ keep: true })
      await new Promise((resolve) => req.session.destroy(resolve))
    },
    stored: undefined,
  },
}

/** Ways of answering that a client may not wait for. */
const LONG_WAYS: Record<string, (res: Response) => void> = {
  send: WAYS['send']!,
  sendFile: WAYS['sendFile']!,
  pipeline: (res) => pipeline(Readable.from([TEXT]), res, () => {}),
  events: (res) => res.type('text/event-stream').flushHeaders(),
  nothing: () => {},
}

/** They end no response that has no client. */
const ENDLESS_WAYS = new Set(['sendFile', 'pipeline', 'events', 'nothing'])

/** The moments at which the client disconnects. */
const MOMENTS = [
  'before the handler changes the session',
  'before the handler answers',
  'while the session is stored',
] as const

/** Connections on which a client sends a request and disconnects, by the name of their protocol. */
const LEAVING: Record<string, { protocol: string; leave: Leave }> = {
  'HTTP/1.0': { protocol: 'HTTP/1.0', leave: leaveSocket('1.0') },
  'HTTP/1.1': { protocol: 'HTTP/1.1', leave: leaveSocket('1.1') },
  'HTTP/1.1, after another response': { protocol: 'HTTP/1.1', leave: leaveSocket('1.1', '/session', true) },
  'HTTP/1.1, before the turn of its response': { protocol: 'HTTP/1.1', leave: leaveSocket('1.1', '/hold') },
  'HTTP/2': { protocol: 'HTTP/2', leave: leaveHttp2((client) => client.destroy()) },
  'HTTP/2, by a reset': {
    protocol: 'HTTP/2',
    leave: leaveHttp2((_client, stream) => stream.close(http2.constants.NGHTTP2_CANCEL)),
  },
}

/** Steps of a request whose client leaves. */
const STEPS = ['arrived', 'changed', 'left', 'handled'] as const

/** One request whose client leaves. */
class Leaver {
  readonly change: string
  readonly moment: string
  readonly #reached = new Map(STEPS.map((step) => [step, deferred()]))

  constructor(change: string, moment: string) {
    this.change = change
    this.moment = moment
  }

  reach(step: (typeof STEPS)[number]): void {
    this.#reached.get(step)!.resolve()
  }

  until(step: (typeof STEPS)[number]): Promise<void> {
    return this.#reached.get(step)!.promise
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}

describe.each(Object.keys(LONG_WAYS))('clients that leave a response by %s', (way) => {
  it.each(Object.keys(LEAVING))(
    'lose no change of their sessions, and give none to another request, over %s',
    async (connection) => {
      const { protocol, leave } = LEAVING[connection]!
      await using test = await testMemcache({ timeoutMs: 5000 })
      const sessions = memcacheSession({ secret: 'test', cache: test.cache })
      const app = express5()
      const leavers: Leaver[] = []
      let begin = deferred()
      app.use(sessions)
      app.get('/hold', () => {})
      app.get('/session', (req, res) => void res.json({ way: req.session.way ?? 'none' }))
      app.get('/begin', (req, res) => {
        req.session.way = 'begun'
        res.send('begun')
      })
      app.get('/leave/:index', async (req, res) => {
        const leaver = leavers[Number(req.params.index)]!
        const { moment } = leaver
        const { change } = CHANGES[leaver.change]!
        res.req.socket.once('close', () => leaver.reach('left'))
        res.once('close', () => leaver.reach('left'))
        leaver.reach('arrived')
        await begin.promise
        const changing = moment === MOMENTS[0] ? undefined : change(req)
        if (moment === MOMENTS[2]) LONG_WAYS[way]!(res)
        else await changing
        leaver.reach('changed')
        await leaver.until('left')
        await (moment === MOMENTS[0] ? change(req) : changing)
        if (moment !== MOMENTS[2]) LONG_WAYS[way]!(res)
        leaver.reach('handled')
      })
      const server = await listenFor(app, protocol)
      const ask = PROTOCOLS[protocol]!

      /** Lets a client for each change disconnect at a moment; returns the ids of sessions that must have ended. */
      async function leaveAt(moment: (typeof MOMENTS)[number]): Promise<string[]> {
        // After a disconnection, a change is not noticed if the response is never ended: only `save()` stores it.
        const isUnseen = moment === MOMENTS[0] && ENDLESS_WAYS.has(way)
        const changes = Object.entries(CHANGES).filter(
          ([, { stored, saves }]) => !isUnseen || stored === undefined || saves === true,
        )
        begin = deferred()
        leavers.length = 0
        const cookies = await Promise.all(changes.map(async () => (await ask(server, ['/begin']))[0]!.cookie!))
        leavers.push(...changes.map(([name]) => new Leaver(name, moment)))
        const abandons = await Promise.all(cookies.map((cookie, index) => leave(server, `/leave/${index}`, cookie)))
        await Promise.all(leavers.map((leaver) => leaver.until('arrived')))
        if (moment === MOMENTS[2]) await test.server.pause()
        begin.resolve()
        await Promise.all(leavers.map((leaver) => leaver.until('changed')))
        for (const abandon of abandons) abandon()
        await Promise.all(leavers.map((leaver) => leaver.until('left')))
        await test.server.resume()
        await Promise.all(leavers.map((leaver) => leaver.until('handled')))
        const ids = cookies.map((cookie) => String(unsign(decodeURIComponent(cookie.split('=')[1]!).slice(2), 'test')))
        await Promise.all(
          ids.map((id, index) =>
            until(async () => {
              const found = (await sessions.store.get(id)) as { way?: string; isAdmin?: boolean } | undefined
              const { stored } = changes[index]![1]
              return found?.way === stored?.way && found?.isAdmin === undefined
            }),
          ),
        )
        const [another] = await ask(server, ['/session'])
        expect(another!.body).toBe('{"way":"none"}')
        return ids.filter((_, index) => changes[index]![1].stored === undefined)
      }

      try {
        const ended: string[] = []
        for (const moment of MOMENTS) ended.push(...(await leaveAt(moment)))
        for (const id of ended) expect(await sessions.store.get(id)).toBeUndefined()
      } finally {
        server.close()
        // HTTP/2 has no such method.
        server.closeAllConnections?.()
      }
    },
  )
})

/** Sends a request; resolves to a function by which its client leaves. */
type Leave = (server: Server, path: string, cookie: string) => Promise<() => void>

/**
 * @param before a request that is sent before on the connection.
 * @param isAnswered whether its response is awaited.
 */
function leaveSocket(version: string, before?: string, isAnswered = false): Leave {
  return async (server, path, cookie) => {
    const socket = connectSocket((server.address() as { port: number }).port, '127.0.0.1').on('error', () => {})
    const send = (to: string): boolean =>
      socket.write(`GET ${to} HTTP/${version}\r\nHost: localhost\r\nCookie: ${cookie}\r\n\r\n`)
    if (before !== undefined) send(before)
    if (isAnswered) await readUntil(socket, '}')
    send(path)
    return () => socket.destroy()
  }
}

function leaveHttp2(end: (client: http2.ClientHttp2Session, stream: http2.ClientHttp2Stream) => void): Leave {
  return async (server, path, cookie) => {
    const client = http2.connect(`http://127.0.0.1:${(server.address() as { port: number }).port}`)
    client.on('error', () => {})
    const stream = client.request({ ':path': path, cookie }).on('error', () => {})
    stream.once('close', () => client.destroy())
    return () => end(client, stream)
  }
}

declare module 'express-session' {
  interface SessionData {
    way: string
    isAdmin: boolean
  }
}
