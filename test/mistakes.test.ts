import express from 'express'
import { Cached, cached, defineCache, memcache, rateLimiter, setDefaultMemcache } from 'memcache-ts'
import { MemcachedClient } from 'memcache-ts-client'
import { cacheResponse, MemcacheRateLimitStore, memcacheSession, MemcacheStore, rateLimit } from 'memcache-ts-express'
import { cacheFetch, cacheHandler } from 'memcache-ts/http'
import { fetchSession } from 'memcache-ts/session'
import { MemcachedServer } from 'memcache-ts-server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const server = new MemcachedServer({ port: 0 })
let client: MemcachedClient
let cache: ReturnType<typeof memcache>
beforeAll(async () => {
  const { port } = await server.listen()
  client = new MemcachedClient({ servers: `127.0.0.1:${port}`, timeoutMs: 20_000 })
  cache = memcache({ servers: `127.0.0.1:${port}`, timeoutMs: 20_000 })
})
afterAll(async () => {
  await client.close()
  await cache.close()
  await server.close()
})

/** A function that is called without type checks. */
type Loose = (...args: unknown[]) => unknown
const loose = <Value>(value: Value): Record<string, Loose> => value as unknown as Record<string, Loose>

async function inProduction(run: () => unknown): Promise<unknown> {
  const { NODE_ENV } = process.env
  process.env['NODE_ENV'] = 'production'
  try {
    return await run()
  } finally {
    process.env['NODE_ENV'] = NODE_ENV
  }
}

/** Mounts a middleware that was not called, and sends a request. */
async function use(middleware: unknown): Promise<string> {
  const app = express()
  app.use(middleware as express.RequestHandler)
  const failed = new Promise<string>((resolve) => {
    app.use(((error: Error, _req, res, _next) => {
      res.end()
      resolve(error.message)
    }) satisfies express.ErrorRequestHandler)
  })
  const listening = app.listen(0)
  await new Promise((resolve) => listening.once('listening', resolve))
  await fetch(`http://127.0.0.1:${(listening.address() as { port: number }).port}/`)
  listening.close()
  return failed
}

class Cities {
  find(): void {}
}

/** Something else where a cache is due. */
function withoutCache(): [name: string, make: () => unknown, message: string][] {
  const load = async (): Promise<number> => 1
  const owners: Record<string, (cache: never) => unknown> = {
    memcacheSession: (cache) => memcacheSession({ cache, secret: 'one' }),
    MemcacheStore: (cache) => new MemcacheStore({ cache }),
    fetchSession: (cache) => fetchSession({ cache, secret: 'one' }),
    rateLimit: (cache) => rateLimit({ cache, perMinute: 5 }),
    rateLimiter: (cache) => rateLimiter({ cache, name: 'mistake', perMinute: 5 }),
    MemcacheRateLimitStore: (cache) =>
      new MemcacheRateLimitStore({ cache }).init({ windowMs: 1000 } as Parameters<MemcacheRateLimitStore['init']>[0]),
    cacheResponse: (cache) => cacheResponse({ cache, ttlSeconds: 5 }),
    cacheHandler: (cache) => cacheHandler(() => {}, { cache, ttlSeconds: 5 }),
    cacheFetch: (cache) => cacheFetch(() => new Response(), { cache, ttlSeconds: 5 }),
    defineCache: (cache) => defineCache({ cache, name: 'mistake', load }),
    cached: (cache) => cached(load, { cache, name: 'mistake' }),
    '@Cached': (cache) => Cached({ cache }),
  }
  return Object.entries(owners).flatMap(([name, make]) => [
    [`a client for the cache of ${name}`, () => make(client as never), 'cache must be a memcache(), got '],
    [`a promise for the cache of ${name}`, () => make(Promise.resolve(cache) as never), 'must be a memcache(), got '],
  ])
}

/** The likeliest mistakes, and the message that says what to write. */
const MISTAKES: readonly [name: string, make: () => unknown, message: string][] = [
  ['no key', () => loose(client)['get']!(), 'a key must be text or an array of parts, got undefined'],
  ['a key that is a number', () => loose(client)['get']!(5), 'a key must be text or an array of parts, got a number'],
  ['a key with a space', () => client.get('a b'), "give it as parts, ['name', value]"],
  ['no loader', () => loose(cache)['getOrSet']!('k'), 'getOrSet needs a loader, () => …, got undefined'],
  [
    'a value for a loader',
    () => loose(cache)['getOrSet']!('k', 5, 60),
    'getOrSet needs a loader, () => …, got a number',
  ],
  ['ttl', () => loose(cache)['getOrSet']!('k', () => 1, { ttl: 5 }), '`ttl` is `ttlSeconds` here'],
  ['ttlMs', () => loose(cache)['getOrSet']!('k', () => 1, { ttlMs: 5 }), '`ttlMs` is `ttlSeconds` here'],
  ['timeout', () => loose({ memcache })['memcache']!({ timeout: 5 }), '`timeout` is `timeoutMs` here'],
  ['a space for a colon', () => new MemcachedClient('localhost 11211'), 'write servers as localhost:11211'],
  [
    'a port for servers',
    () => loose({ memcache })['memcache']!({ servers: 11211 }),
    'servers must be text or an array, got a number',
  ],
  ['an http URL', () => memcache('http://localhost:11211'), 'write host:port,host:port or memcache://host:port'],
  ['a redis URL', () => memcache('redis://localhost:6379'), 'redis:// is not a URL of memcached servers'],
  [
    'options after the servers',
    () => Reflect.construct(MemcachedClient, ['a:1', { timeoutMs: 5 }]) as unknown,
    "MemcachedClient({ servers: 'a:11211', timeoutMs })",
  ],
  [
    'options of a cache after the servers',
    () => loose({ memcache })['memcache']!('a:1', { ttlSeconds: 5, prefix: 'shop' }),
    "memcache({ servers: 'a:11211', ttlSeconds, prefix })",
  ],
  ['a port alone', () => memcache(':11211'), 'write host, host:port, host:port:weight'],
  ['a port that cannot be', () => memcache('localhost:99999'), 'must be from 1 to 65535'],
  [
    'tls as text',
    () => new MemcachedClient({ tls: 'yes' as never }),
    'tls must be true, false or options of tls.connect',
  ],
  ['a number as text', () => new MemcachedClient({ timeoutMs: '1000' as never }), 'timeoutMs'],
  ['a setting that is missing', () => new MemcachedClient(String(undefined)), 'a missing setting becomes'],
  ['embedded in a list', () => memcache('embedded,a'), "write servers: 'embedded', alone"],
  ['a port for listen', () => loose(server)['listen']!(11211), 'write new MemcachedServer({ port, host }).listen()'],
  ['@Cached on a class', () => loose({ Cached: Cached(60) })['Cached']!(Cities), 'a class is not a method'],
  ['no limit', () => rateLimit({}), 'a rate limit needs a limit: set { perMinute: 100 }'],
  [
    'no options for a limit',
    () => loose({ rateLimit })['rateLimit']!(),
    'rateLimit takes its options as an object, got undefined: write rateLimit({ perMinute: 100 })',
  ],
  [
    'a user and a password apart',
    () => loose({ memcache })['memcache']!({ password: 'x' }),
    "servers: 'memcache://user:password@host'",
  ],
  ['a lifetime before the loader', () => loose(cache)['getOrSet']!('a', 60), 'write getOrSet(key, () => …, 60)'],
  [
    'an option of a cookie in another case',
    () => memcacheSession({ secret: 'x', cookie: { maxage: 5 } as never }),
    '`maxage` is `maxAge` here',
  ],
  ['max', () => loose({ rateLimit })['rateLimit']!({ max: 5, windowMs: 1000 }), '`max` is `limit` here'],
  ['half a window', () => rateLimit({ limit: 5 }), 'limit and windowMs belong together'],
  ['a key that is text', () => rateLimit({ perMinute: 1, key: 'x' as never }), 'key must be a function of the request'],
  [
    'rateLimit that is not called',
    () => use(rateLimit).then((text) => Promise.reject(new Error(text))),
    'call it first, as in use(rateLimit({ … }))',
  ],
  [
    'a session that is not called',
    () => use(memcacheSession).then((text) => Promise.reject(new Error(text))),
    'call it first, as in use(memcacheSession({ … }))',
  ],
  [
    'a response cache that is not called',
    () => use(cacheResponse).then((text) => Promise.reject(new Error(text))),
    'call it first, as in use(cacheResponse({ … }))',
  ],
  ['a host and a port', () => loose({ memcache })['memcache']!({ host: 'a', port: 1 }), '`host` is `servers` here'],
  ['a URL of a client', () => new MemcachedClient({ url: 'a:1' } as never), '`url` is `servers` here'],
  [
    'a client for options',
    () => loose({ memcache })['memcache']!(client),
    'memcache takes its options as an object, { … }, got a MemcachedClient',
  ],
  [
    'a client for the options of a store',
    () => new MemcacheStore(client as never),
    'MemcacheStore takes its options as an object, { … }, got a MemcachedClient',
  ],
  ...withoutCache(),
  ['a client as the default cache', () => setDefaultMemcache(client as never), 'takes the result of memcache(), got'],
  [
    '@Cached that is not called',
    () => loose({ Cached })['Cached']!(Cities.prototype, 'find', Object.getOwnPropertyDescriptor(Cities, 'find')),
    '@Cached was given a class as its options: call it first',
  ],
  [
    '@Cached of the standard that is not called',
    () => loose({ Cached })['Cached']!(Cities.prototype.find, { kind: 'method' }),
    '@Cached takes its options as an object, got a function',
  ],
  [
    'an application for its handler',
    () => cacheFetch({ fetch: () => new Response() } as never, 60),
    'write cacheFetch(app.fetch, …)',
  ],
  ['no handler', () => cacheHandler(undefined as never, 60), 'must be a handler function, got undefined'],
  ['a secret that is a number', () => memcacheSession({ cache, secret: 5 as never }), 'a secret must be a string'],
  [
    'an empty secret beside another',
    () => memcacheSession({ cache, secret: ['one', ''] }),
    'a secret must be a string that is not empty, or bytes; got an empty string',
  ],
  [
    'an empty secret',
    () => inProduction(() => memcacheSession({ cache, secret: '' })),
    'no secret is set to sign session cookies with: set SESSION_SECRET',
  ],
  ['ttl of a response', () => loose({ cacheResponse })['cacheResponse']!({ ttl: 5 }), '`ttl` is `ttlSeconds` here'],
  ['a session without a secret', () => inProduction(() => memcacheSession({ cache })), 'set SESSION_SECRET'],
  [
    'a declared cache without a loader',
    () => defineCache({ name: 'mistake', cache }).getOrSet(1 as never, undefined as never),
    'getOrSet needs a loader',
  ],
  ['a cached function without options', () => loose({ cached })['cached']!(async () => 1), 'options'],
]

describe('a time in the other unit is a warning that says what to write', () => {
  it.each<[name: string, make: () => unknown, message: string]>([
    ['a lifetime', () => cache.set('k', 1, 600_000), 'write 600 if it was milliseconds'],
    [
      'a window',
      () => rateLimiter({ cache, name: 'window', limit: 5, windowMs: 900 }),
      'write 900000 if it was seconds',
    ],
    [
      'maxAge',
      () => memcacheSession({ cache, secret: 'x', cookie: { maxAge: 86_400 } }),
      'write 86400000 if it was seconds',
    ],
  ])('%s', async (_, make, message) => {
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
    await make()
    expect((await warned).message).toContain(message)
  })
})

it('a cache that is used after close() says so, once', async () => {
  const warnings: string[] = []
  const closed = memcache({
    servers: 'embedded',
    logger: { info: () => {}, warn: (message) => warnings.push(message) },
  })
  await closed.close()
  expect(await closed.getOrSet('k', () => 'loaded')).toBe('loaded')
  expect(await closed.get('k')).toBeUndefined()
  expect(warnings).toHaveLength(1)
  expect(warnings[0]).toContain('used after close()')
})

describe('a mistake gives one message with the code to write', () => {
  it.each(MISTAKES)('%s', async (_, make, message) => {
    const fault = await Promise.resolve()
      .then(make)
      .then(
        () => undefined,
        (error: unknown) => error as Error,
      )
    expect(fault?.message).toContain(message)
  })
})
