import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import { CacheConfig, Cached, cached, CacheEvict, CachePut, defineCache, memcache, rateLimiter } from 'memcache-ts'
import type { Memcache } from 'memcache-ts'
import { MemcachedClient } from 'memcache-ts-client'
import { cacheResponse, MemcacheRateLimitStore, memcacheSession, MemcacheStore, rateLimit } from 'memcache-ts-express'
import { MemcachedServer } from 'memcache-ts-server'
import { dashboard } from 'memcache-ts/dashboard'
import { cacheFetch, cacheHandler } from 'memcache-ts/http'
import { concurrency, limited } from 'memcache-ts/rate-limit'
import { fetchSession } from 'memcache-ts/session'
import { testMemcache } from 'memcache-ts/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

let cache: Memcache
let client: MemcachedClient
beforeAll(() => {
  cache = memcache({ servers: 'embedded', logger: false })
  const server = { name: 'memcached', connect: () => cacheStream() }
  client = new MemcachedClient({ servers: [server], timeoutMs: 20_000 })
})
afterAll(() => Promise.all([cache.close(), client.close()]))

const memcached = new MemcachedServer()
/** A stream to a memcached in this process. */
function cacheStream(): Duplex {
  const [near, far] = duplexPair()
  memcached.handle(far)
  return near
}

/** Options without types, as JavaScript and a configuration file give them. */
type Loose = never
const load = async (): Promise<number> => 1
let calls = 0
const next = (): string => `k${calls++}`

/** Each function with options, and the options that it cannot do without. */
const OWNERS: Readonly<Record<string, readonly [call: (options: Loose) => unknown, required?: object]>> = {
  memcache: [(options) => memcache(options).close()],
  'loading of memcache': [(options) => memcache({ servers: 'embedded', loading: options }).close()],
  'l1 of memcache': [(options) => memcache({ servers: 'embedded', l1: options }).close()],
  'compression of memcache': [(options) => memcache({ servers: 'embedded', compression: options }).close()],
  getOrSet: [(options) => cache.getOrSet(next(), load, options)],
  getOrSetMany: [(options) => cache.getOrSetMany([next()], () => [1], options)],
  get: [(options) => cache.get('k', options)],
  set: [(options) => cache.set('k', 1, options)],
  lock: [(options) => cache.lock(next(), options)],
  invalidateTags: [(options) => cache.invalidateTags(['a'], options)],
  defineCache: [(options) => defineCache(options), { name: 'grid', load }],
  warm: [(options) => defineCache({ cache, name: next(), load }).warm([1], options)],
  cached: [(options) => cached(load, options), { name: 'grid' }],
  '@Cached': [(options) => Cached(options)],
  '@CachePut': [(options) => CachePut(options), { key: () => ['a'] }],
  '@CacheEvict': [(options) => CacheEvict(options), { key: () => ['a'] }],
  '@CacheConfig': [(options) => CacheConfig(options)],
  rateLimiter: [(options) => rateLimiter(options), { name: 'grid', perMinute: 5 }],
  consume: [(options) => rateLimiter({ cache, name: 'consume', perMinute: 5 }).consume('a', options)],
  concurrency: [(options) => concurrency(options), { max: 2 }],
  acquire: [(options) => concurrency({ cache, name: next(), max: 2 }).acquire('a', options)],
  limited: [(options) => limited(load, options), { name: 'grid', perMinute: 5 }],
  cacheHandler: [(options) => cacheHandler(() => {}, options), { ttlSeconds: 5 }],
  cacheFetch: [(options) => cacheFetch(() => new Response(), options), { ttlSeconds: 5 }],
  fetchSession: [(options) => fetchSession(options), { secret: 'one' }],
  memcacheSession: [(options) => memcacheSession(options), { secret: 'one' }],
  MemcacheStore: [(options) => new MemcacheStore(options)],
  rateLimit: [(options) => rateLimit(options), { perMinute: 5 }],
  cacheResponse: [(options) => cacheResponse(options), { ttlSeconds: 5 }],
  MemcacheRateLimitStore: [(options) => new MemcacheRateLimitStore(options)],
  MemcachedClient: [(options) => new MemcachedClient(options).close()],
  'compression of MemcachedClient': [(options) => new MemcachedClient({ compression: options }).close()],
  'get of a client': [(options) => client.get('k', options)],
  'incr of a client': [(options) => client.incr('k', 1n, options), { initial: 1n }],
  MemcachedServer: [(options) => new MemcachedServer(options).close()],
  'tuning of MemcachedServer': [(options) => new MemcachedServer({ tuning: options }).close()],
  testMemcache: [async (options) => (await testMemcache(options)).close()],
  dashboard: [(options) => dashboard(options), { servers: '127.0.0.1:1' }],
}

/** The values that are given to an option, by their kind. */
const VALUES = {
  null: null,
  NaN: NaN,
  negative: -1,
  text: 'abc',
  boolean: true,
  object: {},
  list: [],
  function: () => {},
  symbol: Symbol('s'),
  bigint: 1n,
  date: new Date(0),
  map: new Map(),
  promise: Promise.resolve(1),
  'object that has no text': Object.create(null) as object,
}
type Kind = keyof typeof VALUES

const BOOLEAN: readonly Kind[] = ['boolean']
const TEXT: readonly Kind[] = ['text']
const FUNCTION: readonly Kind[] = ['function']
const OBJECT: readonly Kind[] = ['object', 'object that has no text']
const NAMES: readonly Kind[] = ['list', 'map']

/** The kinds that an option takes, if that is not just a number or one of several words. */
const TAKEN: Readonly<Record<string, readonly Kind[]>> = {
  servers: [...TEXT, 'list'],
  prefix: TEXT,
  loading: OBJECT,
  l1: [...BOOLEAN, ...OBJECT],
  compression: [...BOOLEAN, ...OBJECT],
  ttlSeconds: FUNCTION,
  earlyRefresh: [...BOOLEAN, ...OBJECT],
  type: FUNCTION,
  revive: FUNCTION,
  tags: ['list', ...FUNCTION],
  forceFresh: BOOLEAN,
  soft: BOOLEAN,
  name: TEXT,
  load: FUNCTION,
  loadMany: FUNCTION,
  key: FUNCTION,
  condition: FUNCTION,
  unless: FUNCTION,
  all: BOOLEAN,
  progress: BOOLEAN,
  onProgress: FUNCTION,
  allow: [...NAMES, ...FUNCTION],
  deny: [...NAMES, ...FUNCTION],
  normalize: BOOLEAN,
  cost: FUNCTION,
  vary: NAMES,
  ignoreQuery: NAMES,
  ignoreCookies: [...BOOLEAN, ...NAMES],
  targetedFields: NAMES,
  languages: NAMES,
  encodings: NAMES,
  sortQuery: BOOLEAN,
  wildcards: BOOLEAN,
  storePost: BOOLEAN,
  requestDirectives: BOOLEAN,
  cookie: [...OBJECT, ...FUNCTION],
  userId: FUNCTION,
  genid: FUNCTION,
  proxy: BOOLEAN,
  resave: BOOLEAN,
  rolling: BOOLEAN,
  saveUninitialized: BOOLEAN,
  secret: TEXT,
  skip: FUNCTION,
  perSecond: FUNCTION,
  perMinute: FUNCTION,
  perHour: FUNCTION,
  perDay: FUNCTION,
  blockMs: FUNCTION,
  skipSuccessfulRequests: BOOLEAN,
  skipFailedRequests: BOOLEAN,
  requestWasSuccessful: FUNCTION,
  partitionKey: BOOLEAN,
  handler: FUNCTION,
  hashWithPrefix: BOOLEAN,
  // The options of tls.connect, which Node checks.
  tls: [...BOOLEAN, ...OBJECT, 'date', 'map', 'promise'],
  discovery: BOOLEAN,
  noreply: BOOLEAN,
  groupKey: ['text', 'list'],
  initial: ['bigint'],
  host: ['text', 'list'],
  unixSocket: TEXT,
  memoryFile: TEXT,
  dashboard: ['text', 'boolean'],
  dashboardToken: TEXT,
  disableTcp: BOOLEAN,
  disableEvictions: BOOLEAN,
  disableCas: BOOLEAN,
  disableFlushAll: BOOLEAN,
  disableDumping: BOOLEAN,
  disableWatch: BOOLEAN,
  enableShutdown: BOOLEAN,
  debugCommands: BOOLEAN,
  tuning: OBJECT,
  trackSizes: BOOLEAN,
  slabSizes: ['list'],
  lruSegmented: BOOLEAN,
  slabReassign: BOOLEAN,
  lruCrawler: BOOLEAN,
  lruMaintainer: BOOLEAN,
  asDefault: BOOLEAN,
  client: OBJECT,
  // An empty list of caches is no mistake beside servers.
  caches: OBJECT,
}

/** Paths of files, which are read at once. */
const FILES = ['authFile', 'saslPasswordFile']

interface Outcome {
  readonly name?: unknown
  readonly code?: unknown
  readonly message?: string
}

/** Returns the error of a call; `undefined` if there is none. */
async function errorOf(call: () => unknown): Promise<Outcome | undefined> {
  try {
    await call()
    return undefined
  } catch (error) {
    return error as Outcome
  }
}

describe.each(Object.entries(OWNERS))('%s', (_, [call, required = {}]) => {
  const run = (options: unknown) => errorOf(() => call(options as Loose))

  it('refuses a value of another kind, and names the option', async () => {
    const unknown = await run({ ...required, thereIsNone: 1 })
    const names = /it knows ([\w, ]+)/.exec(unknown?.message ?? '')?.[1]?.split(', ') ?? []
    expect(names).not.toEqual([])
    const wrong: string[] = []
    for (const name of names) {
      for (const [kind, value] of Object.entries(VALUES)) {
        if ((TAKEN[name] ?? []).includes(kind as Kind) || FILES.includes(name)) continue
        const error = await run({ ...required, [name]: value })
        const isGood = error?.code === 'ERR_MEMCACHE_OPTION' || error?.code === 'ERR_MEMCACHE_KEY'
        const isNamed = error?.message?.toLowerCase().includes(name.toLowerCase()) === true
        if (!isGood || !(isNamed || error.code === 'ERR_MEMCACHE_KEY'))
          wrong.push(`${name}: ${kind}: ${error?.message}`)
      }
    }
    expect(wrong).toEqual([])
  })

  it('refuses options that are another object', async () => {
    for (const kind of ['list', 'date', 'map', 'promise'] as const) {
      const error = await run(VALUES[kind])
      expect([kind, error?.code]).toEqual([kind, 'ERR_MEMCACHE_OPTION'])
    }
  })
})
