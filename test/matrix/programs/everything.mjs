// What memcache-ts does, once through, on whatever runs this: the client in each protocol, the cache, limits, sessions, responses. Prints `ok`.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import express from 'express'
import { Keyv } from 'keyv'
import { defineCache, memcache, MemcacheError, rateLimiter } from 'memcache-ts'
import { cacheHandler } from 'memcache-ts/http'
import { KeyvMemcache } from 'memcache-ts/keyv'
import { concurrency } from 'memcache-ts/rate-limit'
import { fetchSession } from 'memcache-ts/session'
import { MemcachedClient } from 'memcache-ts-client'
import { cacheResponse, memcacheSession, rateLimit } from 'memcache-ts-express'
import { MemcachedServer } from 'memcache-ts-server'

const server = new MemcachedServer({ port: 0 })
const { port } = await server.listen()
const address = `127.0.0.1:${port}`

for (const protocol of ['meta', 'text', 'binary']) {
  const client = new MemcachedClient(address, { protocol, compression: true, timeoutMs: 5000 })
  const key = (name) => `${protocol}-${name}`
  await client.set(key('object'), { a: [1n, new Date(0), new Map([['b', null]])] }, 60)
  assert.deepEqual(await client.get(key('object')), { a: [1n, new Date(0), new Map([['b', null]])] })
  assert.equal(await client.get(key('nothing')), undefined)
  const long = 'long text '.repeat(60_000)
  await client.set(key('long'), long)
  assert.equal(await client.get(key('long')), long)
  await client.set(key('bytes'), new Uint8Array([0, 13, 10, 255]))
  assert.deepEqual([...(await client.get(key('bytes')))], [0, 13, 10, 255])
  const many = await client.getMulti([key('object'), key('nothing'), key('long')])
  assert.deepEqual([...many.keys()], [key('object'), key('long')])
  assert.equal(await client.add(key('object'), 1), false)
  assert.equal(await client.incr(key('count'), 2n, { initial: 40n }), 40n)
  assert.equal(await client.incr(key('count'), 2n), 42n)
  assert.equal(await client.delete(key('object')), true)
  await assert.rejects(
    client.get('a\nb'),
    (error) => error instanceof MemcacheError && error.code === 'ERR_MEMCACHE_KEY',
  )
  await Promise.all(Array.from({ length: 500 }, (_, number) => client.set(key(number), number)))
  const numbers = await Promise.all(Array.from({ length: 500 }, (_, number) => client.get(key(number))))
  assert.deepEqual(
    numbers,
    Array.from({ length: 500 }, (_, number) => number),
  )
  await client.close()
  await assert.rejects(client.get('k'), { code: 'ERR_MEMCACHE_CLOSED' })
}

const away = new MemcachedClient('127.0.0.1:1', { timeoutMs: 200 })
await assert.rejects(away.get('k'), (error) => error instanceof MemcacheError)
await away.close()

const cache = memcache({ servers: address, prefix: 'matrix', logger: false, l1: true, timeoutMs: 5000 })
let loads = 0
const load = () =>
  cache.getOrSet(['city', 1], async () => ({ name: 'Oslo', load: ++loads }), { ttlSeconds: 60, tags: ['no'] })
const all = await Promise.all(Array.from({ length: 100 }, load))
assert.deepEqual(new Set(all.map((city) => city.load)), new Set([1]))
await cache.invalidateTags(['no'])
assert.equal((await load()).load, 2)
const names = defineCache({ name: 'names', ttlSeconds: 60, load: async (id) => `name ${id}`, cache })
assert.equal(await names.getOrSet(7), 'name 7')
assert.deepEqual(await names.warm([7, 8]), { loaded: 1, skipped: 1, failed: 0 })
const lock = await cache.lock('one at a time', { ttlSeconds: 60 })
assert.equal(await cache.lock('one at a time', { ttlSeconds: 60, waitMs: 0 }), undefined)
await lock.release()
const keyv = new Keyv({ store: new KeyvMemcache(cache) })
await keyv.set('k', [1])
assert.deepEqual(await keyv.get('k'), [1])

const limiter = rateLimiter({ name: 'calls', limit: 2, windowMs: 60_000, cache })
const results = [await limiter.consume('ann'), await limiter.consume('ann'), await limiter.consume('ann')]
assert.deepEqual(
  results.map(({ allowed }) => allowed),
  [true, true, false],
)
const slots = concurrency({ name: 'slots', max: 1, cache })
const slot = await slots.tryAcquire('ann')
assert.equal(await slots.tryAcquire('ann'), undefined)
await slot.release()

const sessions = fetchSession({ secret: 'a secret of the matrix', cache })
const opened = await sessions.open(new Request('http://localhost/'))
opened.session.user = 'ann'
const welcome = await opened.commit(new Response('welcome'))
const again = await sessions.open(
  new Request('http://localhost/', { headers: { cookie: welcome.headers.get('set-cookie').split(';')[0] } }),
)
assert.equal(again.session.user, 'ann')

let shown = 0
const pages = createServer(
  cacheHandler((_request, response) => response.end(`shown ${++shown}`), { ttlSeconds: 60, cache }),
)
assert.equal(await (await fetch(await originOf(pages.listen(0)))).text(), 'shown 1')
assert.equal(await (await fetch(await originOf(pages))).text(), 'shown 1')

const app = express()
app.use(rateLimit({ perMinute: 3, cache }))
app.use(memcacheSession({ secret: 'a secret of the matrix', cache }))
app.get('/count', (request, response) => response.json((request.session.count = (request.session.count ?? 0) + 1)))
app.get('/page', cacheResponse({ ttlSeconds: 60, cache }), (_request, response) => response.send(`page ${++shown}`))
const listening = app.listen(0)
const origin = await originOf(listening)
const first = await fetch(`${origin}/count`)
assert.equal(await first.json(), 1)
const cookie = first.headers.get('set-cookie').split(';')[0]
assert.equal(await (await fetch(`${origin}/count`, { headers: { cookie } })).json(), 2)
assert.equal(await (await fetch(`${origin}/page`)).text(), 'page 2')
const denied = await fetch(`${origin}/page`)
assert.equal(denied.status, 429)
await denied.text()
for (const each of [pages, listening]) {
  each.closeAllConnections()
  await new Promise((resolve) => each.close(resolve))
}
await cache.close()
await server.close()
console.log('ok')

async function originOf(http) {
  if (!http.listening) await once(http, 'listening')
  return `http://127.0.0.1:${http.address().port}`
}
