import 'reflect-metadata'
import { createServer } from 'node:http'
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo, Server } from 'node:net'
import { All, Controller, Module, Req, Res } from '@nestjs/common'
import type { INestApplication } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import express from 'express'
// @ts-expect-error the types are those of Express 5
import express4 from 'express4'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { cacheFetch, cacheHandler } from 'memcache-ts/http'
import type { Memcache } from 'memcache-ts'
import type { Purge, ResponseCacheOptions } from 'memcache-ts/http'
import { testMemcache } from 'memcache-ts/testing'
import { cacheResponse } from 'memcache-ts-express'
import { cacheResponses } from 'memcache-ts-fastify'
import { CacheResponse } from 'memcache-ts-nestjs'
import { sendHttp1, sendHttp2 } from './send-raw.ts'
import type { RawRequest, RawResponse } from './send-raw.ts'

/** A request as a handler of any framework can see it. */
interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly originalUrl: string | undefined
  readonly query: unknown
  readonly host: string | undefined
  readonly protocol: string | undefined
  readonly field: (name: string) => string | undefined
  /** The framework's own object. */
  readonly request: object
  /** Node's response; `undefined` where there is none. */
  readonly raw: ServerResponse | undefined
}

interface PlainResponse {
  readonly status?: number
  readonly fields?: Record<string, string>
  readonly body: string
}

export type PlainHandler = (seen: SeenRequest) => PlainResponse | Promise<PlainResponse>

/** A middleware before the cache; it may change the request. */
type Before = (request: IncomingMessage & Record<string, unknown>, response: ServerResponse) => void

/** The options of a form; their functions need no request. */
type CacheOptions = ResponseCacheOptions & {
  readonly key?: () => string
  readonly tags?: () => string[]
  readonly condition?: () => boolean
}

export interface FormOptions {
  readonly options?: CacheOptions | undefined
  readonly before?: Before | undefined
  /** Whether there is a cache at all. */
  readonly isCached?: boolean | undefined
  readonly l1?: boolean | undefined
}

export interface OpenForm extends AsyncDisposable {
  readonly send: (request: RawRequest) => Promise<RawResponse>
  readonly purge: Purge
  readonly cache: Memcache
}

type Listen = (
  handler: PlainHandler,
  form: Required<Pick<FormOptions, 'isCached'>> & FormOptions,
) => Promise<{
  readonly server: Server
  readonly purge: Purge
  readonly close?: () => Promise<unknown>
}>

const noPurge: Purge = () => Promise.resolve(false)

async function seenByNode(handler: PlainHandler, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const {
    status = 200,
    fields = {},
    body,
  } = await handler({
    method: request.method!,
    url: request.url!,
    originalUrl: undefined,
    query: [...new URLSearchParams(request.url!.split('?').slice(1).join('?'))],
    host: request.headers.host ?? (request.headers[':authority'] as string),
    protocol: undefined,
    field: (name) => request.headers[name]?.toString(),
    request,
    raw: response,
  })
  if (response.headersSent) return
  response.writeHead(status, fields)
  response.end(body)
}

const byNode =
  (create: (listener: (request: IncomingMessage, response: ServerResponse) => void) => Server): Listen =>
  (handler, { options, before, isCached }) => {
    const inner = (request: IncomingMessage, response: ServerResponse): void =>
      void seenByNode(handler, request, response)
    const cached = cacheHandler(inner, options)
    const server = create((request, response) => {
      before?.(request as never, response)
      if (isCached) cached(request, response)
      else inner(request, response)
    })
    return Promise.resolve({ server, purge: cached.purge })
  }

const byExpress =
  (create: typeof express): Listen =>
  (handler, { options, before, isCached }) => {
    const app = create()
    app.set('env', 'test')
    app.use((request, response, next) => (before?.(request as never, response), next()))
    const cached = cacheResponse(options)
    if (isCached) app.use(cached)
    app.use(async (request, response, next) => {
      try {
        const { method, url, originalUrl, query, hostname, protocol } = request
        const field = (name: string): string | undefined => request.headers[name]?.toString()
        const told = await handler({
          method,
          url,
          originalUrl,
          query,
          host: `${hostname} ${request.headers.host}`,
          protocol,
          field,
          request,
          raw: response,
        })
        if (!response.headersSent)
          response
            .status(told.status ?? 200)
            .set(told.fields ?? {})
            .type('text/plain')
            .send(told.body)
      } catch (error) {
        next(error)
      }
    })
    return Promise.resolve({ server: createServer(app), purge: cached.purge })
  }

const byFastify: Listen = async (handler, { options, before, isCached }) => {
  const app = Fastify()
  app.addHook('onRequest', async (request, reply) => before?.(request.raw as never, reply.raw))
  let purge = noPurge
  if (isCached) {
    await app.register(cacheResponses, { ...options })
    purge = app.purgeResponses
  }
  app.route({
    method: ['GET', 'POST', 'PUT', 'DELETE'],
    url: '/*',
    async handler(request, reply) {
      const { method, url, originalUrl, query, host, protocol } = request
      const field = (name: string): string | undefined => request.headers[name]?.toString()
      const told = await handler({ method, url, originalUrl, query, host, protocol, field, request, raw: reply.raw })
      return reply
        .code(told.status ?? 200)
        .headers(told.fields ?? {})
        .send(told.body)
    },
  })
  await app.ready()
  return { server: app.server, purge, close: () => app.close() }
}

const byNest =
  (isFastify: boolean): Listen =>
  async (handler, { options, before, isCached }) => {
    class Pages {
      async all(request: Record<string, unknown> & { raw?: object }, response: Record<string, unknown>): Promise<void> {
        const { method, url, originalUrl, query, hostname, host, protocol } = request as Record<string, string>
        const headers = request['headers'] as Record<string, string | undefined>
        const reply = response as unknown as {
          status: (code: number) => { send: (body: string) => void }
          raw?: ServerResponse
          header: (name: string, value: string) => void
        }
        const raw = reply.raw ?? (response as unknown as ServerResponse)
        const seen = {
          method: method!,
          url: url!,
          originalUrl,
          query,
          host: `${hostname ?? host} ${headers['host']}`,
          protocol,
          field: (name: string) => headers[name],
          request,
          raw,
        }
        const told = await handler(seen)
        if (raw.headersSent) return
        for (const [name, value] of Object.entries(told.fields ?? {})) reply.header(name, value)
        reply.status(told.status ?? 200).send(told.body)
      }
    }
    const descriptor = Object.getOwnPropertyDescriptor(Pages.prototype, 'all')!
    All(isFastify ? '*' : '*path')(Pages.prototype, 'all', descriptor)
    if (isCached) CacheResponse(options as never)(Pages.prototype, 'all', descriptor)
    Req()(Pages.prototype, 'all', 0)
    Res()(Pages.prototype, 'all', 1)
    Reflect.defineMetadata('design:paramtypes', [Object, Object], Pages.prototype, 'all')
    Controller()(Pages)
    const App = { module: Pages, controllers: [Pages] }
    Module({})(Pages)
    const app: INestApplication = isFastify
      ? await NestFactory.create(App, new FastifyAdapter() as never, { logger: false })
      : await NestFactory.create(App, { logger: false })
    app.use((request: never, response: never, next: () => void) => (before?.(request, response), next()))
    await app.init()
    if (isFastify) await (app.getHttpAdapter().getInstance() as { ready: () => Promise<void> }).ready()
    return { server: app.getHttpServer() as Server, purge: noPurge, close: () => app.close() }
  }

/** A server whose requests become those of the Fetch standard, as adapters for Node make them. */
const byFetch: Listen = (handler, { options, before, isCached }) => {
  const app = new Hono()
  app.all('*', async (context) => {
    const { req } = context
    const url = new URL(req.url)
    const told = await handler({
      method: req.method,
      url: url.pathname + url.search,
      originalUrl: undefined,
      query: [...url.searchParams],
      host: `${url.host} ${req.header('host')}`,
      protocol: url.protocol,
      field: (name) => req.header(name),
      request: req.raw,
      raw: undefined,
    })
    return new Response(told.body, { status: told.status ?? 200, headers: told.fields ?? {} })
  })
  const cached = cacheFetch((request: Request) => app.fetch(request), options)
  const server = createServer((request, response) => {
    before?.(request as never, response)
    void (async () => {
      const { method, headers } = request
      const parts: Buffer[] = []
      for await (const chunk of request) parts.push(chunk as Buffer)
      const fields = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)])
      const target = request.url!.startsWith('/') ? `http://${headers.host}${request.url}` : request.url!
      const init = { method: method!, headers: fields, ...(parts.length === 0 ? {} : { body: Buffer.concat(parts) }) }
      const made = new Request(target, init)
      const got = await (isCached ? cached(made) : app.fetch(made))
      const told: Record<string, string> = {}
      got.headers.forEach((value, name) => (told[name] = value))
      response.writeHead(got.status, told)
      response.end(Buffer.from(await got.arrayBuffer()))
    })().catch(() => response.destroy())
  })
  return Promise.resolve({ server, purge: cached.purge })
}

/** All forms of the response cache. */
export const FORMS = {
  'Express 5': { listen: byExpress(express), send: sendHttp1 },
  'Express 4': { listen: byExpress(express4 as unknown as typeof express), send: sendHttp1 },
  'Nest on Express': { listen: byNest(false), send: sendHttp1 },
  'Nest on Fastify': { listen: byNest(true), send: sendHttp1 },
  Fastify: { listen: byFastify, send: sendHttp1 },
  'cacheHandler of node:http': { listen: byNode((listener) => createServer(listener)), send: sendHttp1 },
  'cacheHandler of node:http2': {
    listen: byNode((listener) => createHttp2Server(listener as never) as Server),
    send: sendHttp2,
  },
  'cacheFetch before Hono': { listen: byFetch, send: sendHttp1 },
} as const
export type FormName = keyof typeof FORMS
export const FORM_NAMES = Object.keys(FORMS) as FormName[]

/** Opens a service in one of the forms, with a memcached of its own. */
export async function openForm(name: FormName, handler: PlainHandler, form: FormOptions = {}): Promise<OpenForm> {
  const test = await testMemcache({ timeoutMs: 5000, l1: form.l1 ?? false })
  const { listen, send } = FORMS[name]
  const options: CacheOptions = { ttlSeconds: 60, ...form.options, cache: test.cache }
  const { server, purge, close } = await listen(handler, { ...form, isCached: form.isCached ?? true, options })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    send: (request) => send(port, request),
    purge,
    cache: test.cache,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      ;(server as Partial<HttpServer>).closeAllConnections?.()
      await closed
      await close?.()
      await test[Symbol.asyncDispose]()
    },
  }
}
