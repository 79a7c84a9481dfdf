import express from 'express'

/** The data of a visitor's session. */
const USER = { id: 4711, name: 'Ann Example', roles: ['reader', 'editor'], locale: 'de-CH' }
const SECRET = 'known to every process of the bench'
/** Never reached: every request is admitted, which is what most of them are. */
const LIMIT = 1_000_000_000

function sessionApp(middleware) {
  const app = express()
  app.use(middleware)
  app.get('/login', (req, res) => {
    req.session.user = USER
    res.json({ in: true })
  })
  app.get('/', (req, res) => res.json({ hello: req.session.user.name }))
  app.get('/visit', (req, res) => {
    req.session.visits = (req.session.visits ?? 0) + 1
    res.json({ hello: req.session.user.name })
  })
  return app
}

function plainApp(...middlewares) {
  const app = express()
  for (const middleware of middlewares) app.use(middleware)
  app.get('/', (req, res) => res.json({ hello: USER.name }))
  return app
}

async function engine(store) {
  const { default: session } = await import('express-session')
  const made = await store(session)
  return sessionApp(session({ store: made, secret: SECRET, resave: false, saveUninitialized: false }))
}

async function memcacheSessions({ memcached }) {
  const { memcache } = await import('memcache-ts')
  const { memcacheSession } = await import('memcache-ts-express')
  return sessionApp(memcacheSession({ secret: SECRET, cache: memcache({ servers: memcached, timeoutMs: 5000 }) }))
}

function redisSessions({ redis }) {
  return engine(async () => {
    const { createClient } = await import('redis')
    const { RedisStore } = await import('connect-redis')
    const client = createClient({ url: `redis://${redis}` })
    await client.connect()
    return new RedisStore({ client })
  })
}

/** A middleware that waits for a page's data. */
function reading(read) {
  return async (req, res, next) => {
    JSON.parse(await read())
    next()
  }
}

/** The minimum of every session in memcached: Express and one get. */
async function oneGet({ memcached }) {
  const { memcache } = await import('memcache-ts')
  const { client } = memcache({ servers: memcached, timeoutMs: 5000 })
  await client.set('page', JSON.stringify({ user: USER }))
  return plainApp(reading(() => client.get('page')))
}

/** The same of redis. */
async function oneRedisGet({ redis }) {
  const { createClient } = await import('redis')
  const client = createClient({ url: `redis://${redis}` })
  await client.connect()
  await client.set('page', JSON.stringify({ user: USER }))
  return plainApp(reading(() => client.get('page')))
}

/** About 10 kB of JSON, as an API answers a list. */
const CITIES = Array.from({ length: 100 }, (_, id) => ({
  id,
  name: `City ${id}`,
  country: 'Utopia',
  people: 709_037 + id,
  mayor: 'Ann Example',
}))
const TAG = '"cities-1"'

/** A page of 10 kB, behind a cache or not. */
function pageApp(...middlewares) {
  const app = express()
  for (const middleware of middlewares) app.use(middleware)
  app.get(/^/, (req, res) => res.set({ ETag: TAG, 'Cache-Control': 'max-age=86400' }).json(CITIES))
  return app
}

/** The page as it is sent, ready, with the head that a hit has. */
const READY = Buffer.from(JSON.stringify(CITIES))
const READY_HEAD = {
  ETag: TAG,
  'Cache-Control': 'max-age=86400',
  'Content-Type': 'application/json; charset=utf-8',
  'Content-Length': READY.length,
}

function sendReady(req, res) {
  res.writeHead(200, READY_HEAD)
  res.end(READY)
}

/** The fields that a hit has besides: set one by one, so that code around the cache sees them. */
const FIELDS_OF_HIT = {
  'X-Powered-By': 'Express',
  Age: '5',
  'Cache-Status': 'memcache-ts; hit; ttl=86395',
}

function sendReadyAsHit(req, res) {
  for (const name of Object.keys(READY_HEAD)) res.setHeader(name, READY_HEAD[name])
  for (const name of Object.keys(FIELDS_OF_HIT)) res.setHeader(name, FIELDS_OF_HIT[name])
  res.writeHead(200, 'OK')
  res.end(READY)
}

/** The least that Express takes for a page: nothing is looked up, and nothing made. */
function readyPages() {
  const app = express()
  app.use(sendReady)
  return app
}

/** Pages behind `cacheResponse`; with `l1`, hits are served from the memory of the process. */
const cachedPages =
  (l1 = false) =>
  async ({ memcached }) => {
    const { memcache } = await import('memcache-ts')
    const { cacheResponse } = await import('memcache-ts-express')
    return pageApp(cacheResponse({ cache: memcache({ servers: memcached, timeoutMs: 5000, l1 }), l1 }))
  }

/** The same in front of Express: what is a hit never reaches it. */
const cachedBeforeExpress =
  (l1 = false) =>
  async ({ memcached }) => {
    const { memcache } = await import('memcache-ts')
    const { cacheHandler } = await import('memcache-ts/http')
    return cacheHandler(pageApp(), { cache: memcache({ servers: memcached, timeoutMs: 5000, l1 }), l1 })
  }

async function apicachePages() {
  const { default: apicache } = await import('apicache')
  return pageApp(apicache.middleware('1 day'))
}

const KNOWN = { headers: { 'If-None-Match': TAG }, status: 304 }
/** Each request another page. */
const EACH_ANOTHER = { path: '/{n}' }

/** The applications that are measured, each with its peers' documented settings; opened with the servers' addresses. */
export const contestants = {
  'Express alone': { make: async () => plainApp() },

  'Express and one get, memcache-ts': { make: oneGet },
  'Express and one get, redis': { make: oneRedisGet },

  'session, in memory': { visits: true, make: () => engine((session) => new session.MemoryStore()) },
  'session, memcache-ts': { visits: true, make: memcacheSessions },
  'session, connect-redis': { visits: true, make: redisSessions },
  'session, connect-memcached': {
    visits: true,
    make: async ({ memcached }) =>
      engine(async (session) => {
        const { default: connectMemcached } = await import('connect-memcached')
        // By default, its client closes a connection that was idle for five seconds, and fails the next request.
        return new (connectMemcached(session))({ hosts: [memcached], prefix: 'connect:', idle: 600_000 })
      }),
  },

  'session write, memcache-ts': { visits: true, path: '/visit', make: memcacheSessions },
  'session write, connect-redis': { visits: true, path: '/visit', make: redisSessions },

  'page, Express alone': { make: async () => pageApp() },
  'page, ready in node:http': { make: async () => sendReady },
  'page, ready in node:http with the fields of a hit': { make: async () => sendReadyAsHit },
  'page, ready in Express': { make: async () => readyPages() },
  'page hit, memcache-ts': { make: cachedPages() },
  'page hit, memcache-ts with l1': { make: cachedPages(true) },
  'page hit, memcache-ts before Express': { make: cachedBeforeExpress() },
  'page hit, memcache-ts with l1 before Express': { make: cachedBeforeExpress(true) },
  'page hit, apicache': { make: apicachePages },
  'page hit, nginx': { front: 'nginx', make: async () => pageApp() },
  'page hit, Varnish': { front: 'varnishd', make: async () => pageApp() },
  'page 304, Express alone': { ...KNOWN, make: async () => pageApp() },
  'page 304, memcache-ts': { ...KNOWN, make: cachedPages() },
  'page 304, nginx': { ...KNOWN, front: 'nginx', make: async () => pageApp() },
  'page 304, Varnish': { ...KNOWN, front: 'varnishd', make: async () => pageApp() },
  'page miss, memcache-ts': { ...EACH_ANOTHER, make: cachedPages() },
  'page miss, apicache': { ...EACH_ANOTHER, make: apicachePages },

  'limit, express-rate-limit in memory': {
    make: async () => {
      const { rateLimit } = await import('express-rate-limit')
      return plainApp(rateLimit({ windowMs: 60_000, limit: LIMIT, standardHeaders: 'draft-8', legacyHeaders: false }))
    },
  },
  'limit, rate-limit-memcached': {
    make: async ({ memcached }) => {
      const { rateLimit } = await import('express-rate-limit')
      const { MemcachedStore } = await import('rate-limit-memcached')
      const store = new MemcachedStore({ prefix: 'peer:', locations: [memcached], config: { idle: 600_000 } })
      const options = { windowMs: 60_000, limit: LIMIT, standardHeaders: 'draft-8', legacyHeaders: false, store }
      return plainApp(rateLimit(options))
    },
  },
  'limit, memcache-ts': {
    make: async ({ memcached }) => {
      const { memcache } = await import('memcache-ts')
      const { rateLimit } = await import('memcache-ts-express')
      const cache = memcache({ servers: memcached, timeoutMs: 5000 })
      return plainApp(rateLimit({ perMinute: LIMIT, cache }))
    },
  },
}
