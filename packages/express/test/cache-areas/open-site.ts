import type { AddressInfo } from 'node:net'
import { request as httpRequest } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, Server, ServerResponse } from 'node:http'
import express from 'express'
import type { Express, NextFunction, Request, Response } from 'express'
import { passTime } from 'memcache-ts-testing'
import type { FakeClock } from 'memcache-ts-testing'
import type { Memcache } from 'memcache-ts'
import { cacheResponse } from '../../src/index.ts'
import type { CacheResponseOptions } from '../../src/index.ts'
import { listen, TestFleet } from '../open-app.ts'

/** The response that a client received. */
export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** The `Cache-Status` of this cache. */
  readonly cacheStatus: string
  /** Whether the handler had no part in it. */
  readonly isHit: boolean
}

/** The response of a handler. */
export interface Reply {
  readonly status?: number
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Buffer
}

type Handler = (request: Request, response: Response, call: number, next: NextFunction) => unknown

/** A service with a response cache in front of a handler that sends given responses, and how often it was called. */
export interface Site extends AsyncDisposable {
  readonly app: Express
  readonly server: Server
  readonly fleet: TestFleet
  readonly clock: FakeClock
  readonly cache: Memcache
  /** The requests that the handler has seen: their methods and fields. */
  readonly calls: { readonly method: string; readonly headers: IncomingHttpHeaders }[]
  /** How the handler answers from now on. */
  answers(reply: Reply | Handler): void
  get(path?: string, headers?: OutgoingHttpHeaders): Promise<Answer>
  send(method: string, path?: string, headers?: OutgoingHttpHeaders, body?: string): Promise<Answer>
  /** Advances the clock after the sent responses were stored: otherwise a lease would end. */
  pass(seconds: number): Promise<void>
  /** A moment as HTTP writes it, so many seconds from now. */
  date(seconds?: number): string
}

/** Options of `openSite`, besides the cache's. */
export interface SiteOptions extends CacheResponseOptions {
  readonly create?: typeof express
  /** Mounts what comes before the cache. */
  readonly before?: (app: Express) => void
  readonly fleet?: TestFleet
}

export async function openSite({
  create = express,
  before,
  fleet: shared,
  ...options
}: SiteOptions = {}): Promise<Site> {
  const fleet = shared ?? new TestFleet()
  const calls: Site['calls'] = []
  let handler: Handler = (_request, response) => response.send('ok')
  const app = create()
  app.set('env', 'test')
  before?.(app)
  const { cache = fleet.cache() } = options
  app.use(cacheResponse({ ...options, cache }))
  app.use((request, response, next) => {
    const { method, headers } = request
    calls.push({ method, headers: { ...headers } })
    return handler(request, response, calls.length, next)
  })
  const server = await listen(app)
  const { port } = server.address() as AddressInfo
  const send: Site['send'] = (method, path = '/', headers = {}, body) => sendRequest(port, method, path, headers, body)
  return {
    app,
    server,
    fleet,
    clock: fleet.clock,
    cache,
    calls,
    answers(reply) {
      handler = typeof reply === 'function' ? reply : (_request, response) => answer(response, reply)
    },
    send,
    get: (path, headers) => send('GET', path, headers),
    pass: (seconds) => passTime(fleet.clock, cache, seconds),
    date: (seconds = 0) => new Date(fleet.clock.nowMs() + seconds * 1000).toUTCString(),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      if (shared === undefined) await fleet[Symbol.asyncDispose]()
    },
  }
}

/** Answers as a proxy does: by `writeHead`, and with nothing of Express's. */
export function answer(response: ServerResponse, { status = 200, headers = {}, body = 'body' }: Reply): void {
  response.writeHead(status, headers)
  response.end(status === 204 || status === 304 ? undefined : body)
}

export function sendRequest(
  port: number,
  method: string,
  path: string,
  headers: OutgoingHttpHeaders = {},
  body?: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({ port, host: '127.0.0.1', method, path, headers, agent: false }, (response) => {
      readAnswer(response).then(resolve, reject)
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

async function readAnswer(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  const cacheStatus = String(response.headers['cache-status'] ?? '')
  return {
    status: response.statusCode!,
    headers: response.headers,
    body: Buffer.concat(chunks).toString(),
    cacheStatus,
    isHit: cacheStatus.startsWith('memcache-ts; hit'),
  }
}
