import { createServer, request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { passTime } from 'memcache-ts-testing'
import { testMemcache } from 'memcache-ts/testing'
import { describe, it } from 'vitest'
import { cacheFetch, cacheHandler } from '../src/http/index.ts'
import { expectUsersApart, PROPERTY_MS } from './two-users.ts'
import type { PlainHandler, UsersOptions, UsersSite } from './two-users.ts'

async function openFetch(handler: PlainHandler, options: UsersOptions): Promise<UsersSite> {
  const test = await testMemcache({ timeoutMs: 5000 })
  const handle = cacheFetch(
    async (request) => {
      await new Promise(setImmediate)
      const { status, fields, body } = handler((name) => request.headers.get(name) ?? undefined, request.url)
      return new Response(request.method === 'HEAD' ? null : body, { status, headers: fields })
    },
    { ...options, cache: test.cache },
  )
  return {
    async fetch(path, headers, method) {
      const response = await handle(new Request(`http://shop.test${path}`, { method, headers }))
      return `${await response.text()} ${JSON.stringify([...response.headers])}`
    },
    pass: (seconds) => passTime(test.clock, test.cache, seconds),
    [Symbol.asyncDispose]: () => test[Symbol.asyncDispose](),
  }
}

/** With responses kept in the memory of the process, too. */
const openInMemory = (handler: PlainHandler, options: UsersOptions): Promise<UsersSite> =>
  openHandler(handler, { ...options, l1: true })

async function openHandler(handler: PlainHandler, options: UsersOptions & { l1?: boolean }): Promise<UsersSite> {
  const test = await testMemcache({ timeoutMs: 5000, l1: options.l1 ?? false })
  const listener = cacheHandler(
    async (request, response) => {
      await new Promise(setImmediate)
      const { status, fields, body } = handler((name) => request.headers[name]?.toString(), request.url!)
      response.writeHead(status, fields)
      response.write(body.slice(0, 5))
      await new Promise(setImmediate)
      response.end(body.slice(5))
    },
    { ...options, cache: test.cache },
  )
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    async fetch(path, headers, method) {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        httpRequest({ host: '127.0.0.1', port, path, method, headers, agent: false }, resolve).on('error', reject).end()
      })
      let body = ''
      for await (const chunk of response) body += String(chunk)
      return `${body} ${JSON.stringify(response.headers)}`
    },
    pass: (seconds) => passTime(test.clock, test.cache, seconds),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await test[Symbol.asyncDispose]()
    },
  }
}

describe('two users and a stranger never get a response that was made for another client', () => {
  it('by cacheFetch', () => expectUsersApart(openFetch, { runs: 40 }), PROPERTY_MS)
  it('by cacheHandler', () => expectUsersApart(openHandler, { runs: 40 }), PROPERTY_MS)
  it('by cacheHandler with l1', () => expectUsersApart(openInMemory, { runs: 40 }), PROPERTY_MS)
})
