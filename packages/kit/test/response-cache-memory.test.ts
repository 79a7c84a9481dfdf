import { createServer, request as httpRequest } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { passTime } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import type { Memcache } from '../src/index.ts'
import { cacheHandler } from '../src/http/index.ts'
import type { CacheHandlerOptions } from '../src/http/index.ts'
import { openCache } from './open-cache.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown

/** A process of a service, with a response cache of its own. */
async function openProcess(cache: Memcache, handler: Handler, options: CacheHandlerOptions = {}, before?: Handler) {
  const cached = cacheHandler(handler, { ttlSeconds: 60, ...options, cache })
  const server = createServer((request, response) => {
    before?.(request, response)
    cached(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    purge: cached.purge,
    async get(path = '/', headers: Record<string, string> = {}, method = 'GET') {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        httpRequest(
          { host: '127.0.0.1', port, path, method, headers: { Host: 'shop.test', ...headers }, agent: false },
          resolve,
        )
          .on('error', reject)
          .end()
      })
      let body = ''
      for await (const chunk of response) body += String(chunk)
      const fields: IncomingHttpHeaders = response.headers
      return { status: response.statusCode!, body, fields, isHit: String(fields['cache-status']).includes('; hit') }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const counting = (): Handler => {
  let calls = 0
  return (request, response) => {
    response.setHeader('ETag', '"a"')
    response.setHeader('Vary', 'Accept-Language')
    response.setHeader('Link', ['</a>; rel=next', '</b>; rel=prev'])
    response.end(`${++calls} ${request.headers['accept-language'] ?? ''} ${'x'.repeat(2000)}`)
  }
}

describe('a response cache with l1', () => {
  it('serves hits, 304, ranges, HEAD and variants without a request to memcached', async () => {
    await using fixture = await openCache({ l1: true })
    await using site = await openProcess(fixture.cache, counting(), { l1: true })
    const gets = () => Number(fixture.server.memcached.stats()['cmd_get'])
    await site.get()
    await site.get('/', { 'Accept-Language': 'de' })
    // What was answered is stored a moment later.
    await passTime(fixture.clock, fixture.cache, 0)
    const [plain, german] = [await site.get(), await site.get('/', { 'Accept-Language': 'de' })]
    const before = gets()
    for (let time = 0; time < 5; time++) {
      expect((await site.get()).body).toBe(plain.body)
      expect((await site.get('/', { 'Accept-Language': 'de' })).body).toBe(german.body)
      expect((await site.get('/', { 'If-None-Match': '"a"' })).status).toBe(304)
      expect(await site.get('/', { Range: 'bytes=0-1' })).toMatchObject({ status: 206, body: plain.body.slice(0, 2) })
      expect((await site.get('/', {}, 'HEAD')).fields['content-length']).toBe(String(plain.body.length))
    }
    expect(gets()).toBe(before)
    expect(plain.body).not.toBe(german.body)
  })

  it('applies an invalidation of its own process immediately, and one of another process within a second', async () => {
    await using fixture = await openCache({ l1: true })
    const handler = counting()
    await using one = await openProcess(fixture.cache, handler, { l1: true })
    await using other = await openProcess(fixture.another(), handler, { l1: true })
    const first = await one.get()
    expect((await one.get()).body).toBe(first.body)
    await one.purge('/')
    const second = await one.get()
    expect([second.isHit, second.body.split(' ', 1)]).toEqual([false, ['2']])
    await passTime(fixture.clock, fixture.cache, 0)
    expect((await other.get()).body).toBe(second.body)
    await one.purge('/')
    await passTime(fixture.clock, fixture.cache, 1.001)
    expect((await other.get()).isHit).toBe(false)
  })

  it('serves no response to a client that may not use it: newer responses, credentials', async () => {
    await using fixture = await openCache({ l1: true })
    await using site = await openProcess(fixture.cache, counting(), { l1: true })
    await site.get()
    expect((await site.get()).isHit).toBe(true)
    for (const fields of [{ 'Cache-Control': 'no-cache' }, { Authorization: 'Bearer a' }, { Cookie: 'a=1' }])
      expect((await site.get('/', fields)).isHit).toBe(false)
  })
})

describe.each([
  ['without l1', false],
  ['with l1', true],
])('what a hit leaves on a response, %s', (_name, l1) => {
  it('is not in the next one: fields that others add to, with lists too', async () => {
    await using fixture = await openCache({ l1 })
    let client = ''
    // Middleware further out that adds to a field when the head is written, as Link and Server-Timing are added to.
    const appending: Handler = (_request, response) => {
      const own = client
      const writeHead = response.writeHead.bind(response) as (...args: unknown[]) => ServerResponse
      response.writeHead = (...args: unknown[]) => {
        response.appendHeader('Link', `</${own}>`)
        return writeHead(...args)
      }
    }
    await using site = await openProcess(fixture.cache, counting(), { l1 }, appending)
    for (client of ['ann', 'bob', 'eve', 'zoe']) {
      const { fields } = await site.get()
      expect(fields['link']).toBe(`</a>; rel=next, </b>; rel=prev, </${client}>`)
    }
  })
})

describe('a record that describes more than the cache stores', () => {
  it('is a miss if its body is over maxBytes, even if it is compressed', async () => {
    await using fixture = await openCache()
    const handler: Handler = (_request, response) => {
      response.setHeader('Content-Type', 'text/plain')
      response.end('0'.repeat(50_000))
    }
    await using large = await openProcess(fixture.cache, handler)
    await using small = await openProcess(fixture.another(), handler, { maxBytes: 40_000 })
    await large.get()
    expect((await large.get()).isHit).toBe(true)
    expect((await small.get()).isHit).toBe(false)
  })
})
