import { IncomingMessage, ServerResponse } from 'node:http'
import { Http2ServerRequest } from 'node:http2'
import { testMemcache } from 'memcache-ts/testing'
import { describe, expect, it } from 'vitest'
import { cacheFetch } from '../src/http/index.ts'
import { inheritedNames } from '../src/http/policy/identity.ts'

type Context = Record<string, unknown>

/** The arguments by which a framework passes the user to a handler, besides the request. */
const WAYS: Record<string, (who: string | undefined) => unknown[]> = {
  'a load context': (who) => [{ user: who }],
  'a session in a load context': (who) => [{ session: { who } }],
  'the locals of an event': (who) => [{ locals: { user: who } }],
  'a customer in a second argument': (who) => [{}, { currentCustomer: who && { name: who } }],
  'a function': (who) => [{ getUser: () => who }],
  'a map': (who) => [new Map([['user', who]])],
  'the Node request of an adapter': (who) => [{ incoming: { user: who } }],
  'a client certificate': (who) => [{ incoming: { socket: { authorized: who !== undefined, who } } }],
  'the Node request of an event': (who) => [{ node: { req: { user: who } } }],
  'a plain value': (who) => [who],
}

/** Everything that a handler can see of its arguments, as text. */
function seen(value: unknown): string {
  if (typeof value === 'function') return seen((value as () => unknown)())
  if (value instanceof Map) return [...value.values()].map(seen).join()
  if (typeof value === 'object' && value !== null) return Object.values(value).map(seen).join()
  return String(value)
}

async function open() {
  const test = await testMemcache({ timeoutMs: 5000 })
  let calls = 0
  const fetch = cacheFetch(
    (_request: Request, ...rest: unknown[]) => new Response(`${++calls} for ${rest.map(seen).join()}`),
    { ttlSeconds: 60, cache: test.cache },
  )
  return {
    fetch: async (rest: unknown[], init: RequestInit & Context = {}) => {
      const response = await fetch(new Request('https://shop.test/', init), ...rest)
      return { text: await response.text(), isHit: response.headers.get('cache-status')?.includes('hit') === true }
    },
    [Symbol.asyncDispose]: () => test[Symbol.asyncDispose](),
  }
}

describe('the further arguments of a Fetch handler', () => {
  it.each(Object.entries(WAYS))('share no response between users: %s', async (_way, argumentsOf) => {
    await using site = await open()
    for (const who of ['ann', 'bob', undefined, 'ann', undefined, 'bob']) {
      const { text } = await site.fetch(argumentsOf(who))
      for (const other of ['ann', 'bob']) if (other !== who) expect(text).not.toContain(other)
      if (who !== undefined) expect(text).toContain(who)
    }
  })

  it.each(
    Object.entries({
      none: [],
      'the environment of an adapter': [{ incoming: { headers: {}, socket: { authorized: false } }, outgoing: {} }],
      'settings and a context': [
        { API_TOKEN: 'x', DB: {} },
        { waitUntil() {}, passThroughOnException() {} },
      ],
      'a plain value': ['eu'],
    }),
  )('that identify nobody share responses: %s', async (_way, rest) => {
    await using site = await open()
    await site.fetch(rest)
    expect((await site.fetch(rest)).isHit).toBe(true)
  })
})

describe('objects of the platform', () => {
  it.each<[string, object]>([
    ['Request', new Request('https://shop.test/')],
    ['Response', new Response()],
    ['Headers', new Headers()],
    ['IncomingMessage', Object.create(IncomingMessage.prototype) as object],
    ['ServerResponse', Object.create(ServerResponse.prototype) as object],
    ['Http2ServerRequest', Object.create(Http2ServerRequest.prototype) as object],
  ])('have no property whose name says that it holds a user or a session: %s', (_name, value) => {
    expect(inheritedNames(value)).toEqual([])
  })
})
