import { createServer, request as httpRequest } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { passTime } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { ResponseCache } from '../src/http/index.ts'
import type { ResponseCacheOptions } from '../src/http/index.ts'
import { openCache } from './open-cache.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** A server without a framework: what an adapter has to do is all here. */
async function serve(handler: Handler, options: ResponseCacheOptions): Promise<Server & AsyncDisposable> {
  const responses = new ResponseCache(options)
  const dispatch = (request: IncomingMessage, response: ServerResponse): void => {
    responses
      .answer({ request, response, url: request.url!, scheme: 'http', tags: ['all'], dispatch })
      .then((isAnswered) => {
        if (!isAnswered) handler(request, response)
      })
      .catch(() => response.destroy())
  }
  const server = createServer(dispatch)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(server, {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

async function get(server: Server, headers: Record<string, string> = {}): Promise<{ body: string; status: string }> {
  const { port } = server.address() as AddressInfo
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    httpRequest({ host: '127.0.0.1', port, headers, agent: false }, resolve).on('error', reject).end()
  })
  let body = ''
  for await (const chunk of response) body += String(chunk)
  return { body, status: String(response.headers['cache-status']) }
}

describe('ResponseCache on node:http alone', () => {
  it('stores, invalidates, and revalidates in the background', async () => {
    await using test = await openCache()
    let calls = 0
    const handler: Handler = (_request, response) => {
      calls++
      response.writeHead(200, ['Content-Type', 'text/plain', 'Link', '<a>', 'Link', '<b>'])
      response.write('call ')
      response.end(String(calls))
    }
    await using server = await serve(handler, { ttlSeconds: 10, staleSeconds: 60, cache: test.cache })
    expect(await get(server)).toEqual({ body: 'call 1', status: 'memcache-ts; fwd=uri-miss' })
    expect(await get(server)).toEqual({ body: 'call 1', status: 'memcache-ts; hit; ttl=10' })
    await test.cache.invalidateTags('all')
    expect((await get(server)).body).toBe('call 2')
    await passTime(test.clock, test.cache, 15)
    expect(await get(server)).toEqual({ body: 'call 2', status: 'memcache-ts; hit; ttl=-5' })
    await expect.poll(async () => (await get(server)).body).toBe('call 3')
  })

  it('ignores a value that another program has stored under its key', async () => {
    await using test = await openCache()
    const handler: Handler = (_request, response) => void response.end('answer')
    await using server = await serve(handler, { ttlSeconds: 10, cache: test.cache })
    const host = { Host: 'shop.test' }
    const key = ['http', 'http', 'shop.test', '/']
    for (const value of [
      'text',
      { kind: 'response' },
      Buffer.from('nonsense'),
      Buffer.alloc(2),
      Buffer.alloc(40, 0xff),
      null,
    ]) {
      await test.cache.set(key, value)
      expect((await get(server, host)).body).toBe('answer')
      expect((await get(server, host)).status).toMatch(/hit/)
    }
    // Another URL's response, as a collision of hashes would bring it.
    const stored = await test.cache.get(key)
    await test.cache.set(['http', 'http', 'shop.test', '/other'], stored)
    expect((await get(server, { Host: 'shop.test' })).status).toMatch(/hit/)
    await using other = await serve((_request, response) => void response.end('other'), {
      ttlSeconds: 10,
      cache: test.cache,
    })
    const { port } = other.address() as AddressInfo
    const response = await new Promise<IncomingMessage>((resolve) => {
      httpRequest({ host: '127.0.0.1', port, path: '/other', headers: host, agent: false }, resolve).end()
    })
    let body = ''
    for await (const chunk of response) body += String(chunk)
    expect(body).toBe('other')
  })
})
