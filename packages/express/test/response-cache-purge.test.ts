import express from 'express'
import { purgeHandler } from 'memcache-ts/http'
import { describe, expect, it } from 'vitest'
import { openSite, sendRequest } from './cache-areas/open-site.ts'
import { Gate } from './gate.ts'
import { listen, TestFleet } from './open-app.ts'
import { cacheResponse } from '../src/index.ts'

const TOKEN = 'a-token-of-these-tests'

async function open(options: Parameters<typeof cacheResponse>[0] = { ttlSeconds: 60, wildcards: true }) {
  const fleet = new TestFleet()
  const cached = cacheResponse({ ...(options as object), cache: fleet.cache() })
  const app = express()
  app.use(purgeHandler(cached.purge, { token: TOKEN }))
  app.use(cached)
  let calls = 0
  app.use((_request, response) => response.send(String(++calls)))
  const server = await listen(app)
  const { port } = server.address() as { port: number }
  return {
    purge: cached.purge,
    send: (method: string, path: string, headers = {}) => sendRequest(port, method, path, headers),
    async isHit(path: string): Promise<boolean> {
      return (await sendRequest(port, 'GET', path)).isHit
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await fleet[Symbol.asyncDispose]()
    },
  }
}

const PATHS = ['/', '/cities', '/cities/', '/cities/oslo', '/Cities/Oslo/map?a=1', '/cities/%6Fslo', '/rivers/rhine']

async function hitsAfter(pattern: string): Promise<string[]> {
  await using site = await open()
  for (const path of PATHS) await site.isHit(path)
  for (const path of PATHS) expect(await site.isHit(path), path).toBe(true)
  expect(await site.purge(pattern)).toBe(true)
  const hits: string[] = []
  for (const path of PATHS) if (await site.isHit(path)) hits.push(path)
  return hits
}

describe('purge', () => {
  it.each([
    ['/cities/oslo', ['/', '/cities', '/cities/', '/Cities/Oslo/map?a=1', '/rivers/rhine']],
    ['/cities/', ['/', '/cities/oslo', '/Cities/Oslo/map?a=1', '/cities/%6Fslo', '/rivers/rhine']],
    ['/cities/*', ['/', '/rivers/rhine']],
    // At least what matches: everything under the last directory before the wildcard.
    ['/cities/osl*', ['/', '/rivers/rhine']],
    ['/cities/*/map', ['/', '/rivers/rhine']],
    ['/cities/oslo/*', ['/', '/cities', '/cities/', '/rivers/rhine']],
    ['/*', []],
    ['/nothing/*', PATHS],
  ])('of %s leaves the others', async (pattern, left) => {
    expect(await hitsAfter(pattern)).toEqual(left)
  })

  it('reaches paths of any depth', async () => {
    await using site = await open()
    const path = '/a/b/c/d/e/f/g/h/i/j/k/l'
    await site.isHit(path)
    await site.purge('/a/b/c/d/e/f/g/h/i/j/*')
    expect(await site.isHit(path)).toBe(false)
  })

  it.each([
    ['/städte/*', '/st%C3%A4dte/k%c3%b6ln'],
    ['/städte', '/st%C3%A4dte'],
    ['/st%c3%a4dte', '/st%C3%A4dte/'],
    ['/two words', '/two%20words'],
    ['//cities//*', '/cities/oslo'],
    ['/a%0D%0Aflush_all%0D%0A', '/a%0d%0aflush_all%0d%0a'],
    ['/a/../b', '/a/../b'],
    ['/b', '/a/../b'],
    ['/a/b', '/a/./b'],
    ['/a/b', '/a/%2e/c/%2E%2e/b'],
    ['/a/*', '/x/../a/b'],
    ['/.well-known/x', '/.well-known/x'],
  ])('of %s reaches %s, by whatever encoding', async (pattern, path) => {
    await using site = await open()
    for (const each of [path, '/other']) await site.isHit(each)
    expect([await site.isHit(path), await site.isHit('/other')]).toEqual([true, true])
    expect(await site.purge(pattern)).toBe(true)
    expect([await site.isHit(path), await site.isHit('/other')]).toEqual([false, true])
  })

  it('refuses an invalid path, and wildcards without the option', async () => {
    await using site = await open()
    for (const pattern of ['cities', '', '/a?b=1', undefined as never]) {
      await expect(site.purge(pattern)).rejects.toThrow('purge takes a path')
    }
    await using plain = await open({ ttlSeconds: 60 })
    await expect(plain.purge('/cities/*')).rejects.toThrow('wildcards: true')
    expect(await plain.purge('/cities')).toBe(true)
  })
})

describe('purgeHandler', () => {
  it('purges for callers with the token only', async () => {
    await using site = await open()
    await site.isHit('/cities/oslo')
    for (const authorization of [undefined, 'Bearer', 'Bearer wrong', `Basic ${TOKEN}`, `Bearer ${TOKEN}x`]) {
      const denied = await site.send('PURGE', '/cities/oslo', authorization === undefined ? {} : { authorization })
      expect([denied.status, denied.headers['www-authenticate']]).toEqual([401, 'Bearer'])
    }
    expect(await site.isHit('/cities/oslo')).toBe(true)
    const purged = await site.send('PURGE', '/cities/*', { authorization: `Bearer ${TOKEN}` })
    expect([purged.status, purged.body]).toEqual([200, '{"purged":"/cities/*"}'])
    expect(await site.isHit('/cities/oslo')).toBe(false)
  })

  it('responds with the purged path, and 400 for an invalid pattern', async () => {
    await using fleet = new TestFleet()
    const cached = cacheResponse({ ttlSeconds: 60, cache: fleet.cache() })
    const app = express()
    app.use(purgeHandler(cached.purge, { authorize: (request) => request.headers['x-let'] === 'me' }))
    app.use(cached)
    app.use((_request, response) => response.send('page'))
    await using server = await listen(app)
    const { port } = server.address() as { port: number }
    const send = (method: string, path: string, headers = { 'x-let': 'me' }) => sendRequest(port, method, path, headers)
    await send('GET', '/a')
    expect((await send('GET', '/a')).isHit).toBe(true)
    expect(await send('PURGE', '/a?ignored=1')).toMatchObject({ status: 200, body: '{"purged":"/a"}' })
    expect((await send('GET', '/a')).isHit).toBe(false)
    expect(await send('PURGE', '/a/*')).toMatchObject({ status: 400 })
    expect((await send('PURGE', '/a', { 'x-let': 'him' })).status).toBe(401)
  })

  it('accepts a target in absolute form, and only requests with the method PURGE', async () => {
    await using fleet = new TestFleet()
    const cached = cacheResponse({ ttlSeconds: 60, cache: fleet.cache() })
    const app = express()
    app.use((request, _response, next) => {
      // As method-override does it by a field, or by `_method` in a form.
      const method = request.get('X-HTTP-Method-Override')
      if (method !== undefined) Object.assign(request, { originalMethod: request.method, method })
      next()
    })
    app.use(purgeHandler(cached.purge, { authorize: () => true }))
    app.use(cached)
    app.use((request, response) => response.status(request.method === 'GET' ? 200 : 404).send('page'))
    await using server = await listen(app)
    const { port } = server.address() as { port: number }
    await sendRequest(port, 'GET', '/a')
    expect((await sendRequest(port, 'POST', '/a', { 'X-HTTP-Method-Override': 'PURGE' })).status).toBe(404)
    expect((await sendRequest(port, 'GET', '/a')).isHit).toBe(true)
    expect(await sendRequest(port, 'PURGE', 'http://shop.test/a?b')).toMatchObject({ body: '{"purged":"/a"}' })
    expect((await sendRequest(port, 'GET', '/a')).isHit).toBe(false)
  })

  it('refuses options that let every client purge', () => {
    const purge = () => Promise.resolve(true)
    expect(() => purgeHandler(purge, {})).toThrow('every client could purge')
    expect(() => purgeHandler(purge, { token: 'short' })).toThrow('16 characters')
    expect(() => purgeHandler(purge, { token: 'with a space in the middle' })).toThrow('no spaces')
    expect(() => purgeHandler(purge, { secret: 'x' } as never)).toThrow('token')
  })
})

describe('No-Vary-Search', () => {
  const host = { Host: 'shop.test' }

  it.each([
    ['params=("utm")', '/p?a=1&utm=x', ['/p?a=1&utm=y', '/p?utm=&a=1', '/p?a=1'], ['/p?a=2&utm=x', '/p?b=1']],
    ['params', '/p?a=1', ['/p?b=2', '/p?'], []],
    ['params, except=("a")', '/p?a=1&b=1', ['/p?a=1&c=2', '/p?a=1'], ['/p?a=2', '/p?b=1']],
    ['key-order', '/p?a=1&b=2', ['/p?b=2&a=1'], ['/p?a=2&b=1', '/p?a=1&b=2&c=3']],
    ['key-order, params=("c")', '/p?a=1&b=2&c=1', ['/p?c=4&b=2&a=1'], ['/p?a=1&c=1']],
  ])('%s makes the same of what it says, and of nothing else', async (field, first, same, others) => {
    await using site = await openSite({ ttlSeconds: 60 })
    site.answers((request, response) => response.set('No-Vary-Search', field).send(`for ${request.originalUrl}`))
    // The first response has the rule, and the second is stored by it.
    for (const _ of [1, 2]) await site.get(first, host)
    for (const url of same) expect(await site.get(url, host), url).toMatchObject({ isHit: true, body: `for ${first}` })
    for (const url of others) expect((await site.get(url, host)).body, url).toBe(`for ${url}`)
  })

  it.each(['params=1', 'params=(1)', 'except=("a")', 'key-order=2', 'params="a"', '(', 'params=("a"), except=("b")'])(
    'without a meaning has none: %s',
    async (field) => {
      await using site = await openSite({ ttlSeconds: 60 })
      site.answers((request, response) => response.set('No-Vary-Search', field).send(request.originalUrl))
      for (const url of ['/?a=1', '/?a=1', '/?a=2', '/?a=2', '/?b=1&a=1']) expect((await site.get(url)).body).toBe(url)
    },
  )

  it('that a handler no longer sends does not apply to later responses', async () => {
    await using site = await openSite({ ttlSeconds: 60 })
    site.answers((request, response) => response.set('No-Vary-Search', 'params').send(request.originalUrl))
    for (const url of ['/?a=1', '/?a=2', '/?a=3']) await site.get(url)
    await site.cache.invalidateTags(['url:/'])
    site.answers((request, response) => response.send(request.originalUrl))
    const urls = ['/?a=1', '/?a=2', '/?a=3', '/?a=1']
    const bodies = await Promise.all(urls.map(async (url) => (await site.get(url)).body))
    expect(bodies).toEqual(urls)
    for (const url of urls) expect((await site.get(url)).body).toBe(url)
  })

  it('holds for all processes', async () => {
    await using fleet = new TestFleet()
    await using one = await openSite({ fleet, ttlSeconds: 60 })
    await using other = await openSite({ fleet, ttlSeconds: 60 })
    for (const site of [one, other]) {
      site.answers((request, response) => response.set('No-Vary-Search', 'params').send(request.originalUrl))
    }
    for (const url of ['/?a=1', '/?a=2']) await one.get(url, host)
    expect(await other.get('/?a=3', host)).toMatchObject({ isHit: true, body: '/?a=2' })
  })
})

describe('storePost', () => {
  const storable = { 'Cache-Control': 'max-age=60', 'Content-Location': '/a' }

  it('stores the response to a POST for the GETs of its URL', async () => {
    await using site = await openSite({ storePost: true })
    site.answers((request, response, call) => response.set(storable).send(`${request.method} ${call}`))
    expect((await site.send('POST', '/a', {}, 'body')).cacheStatus).toContain('fwd=method')
    await site.pass(1)
    expect(await site.get('/a')).toMatchObject({ isHit: true, body: 'POST 1' })
    expect(await site.send('POST', '/a', {}, 'body')).toMatchObject({ body: 'POST 2' })
    await site.pass(1)
    expect(await site.get('/a')).toMatchObject({ isHit: true, body: 'POST 2' })
    await site.cache.invalidateTags(['url:/a'])
    expect((await site.get('/a')).body).toBe('GET 3')
  })

  it.each([
    ['without the option', {}, storable, {}],
    ['of another URL', { storePost: true }, { ...storable, 'Content-Location': '/b' }, {}],
    ['without a Content-Location', { storePost: true }, { 'Cache-Control': 'max-age=60' }, {}],
    ['without a lifetime', { storePost: true, ttlSeconds: 60 }, { 'Content-Location': '/a', ETag: '"1"' }, {}],
    ['that varies', { storePost: true }, { ...storable, Vary: 'Accept' }, {}],
    ['to a user', { storePost: true }, storable, { authorization: 'ann' }],
    ['to a client with cookies', { storePost: true }, storable, { cookie: 'a=1' }],
    ['with a condition', { storePost: true }, storable, { 'if-none-match': '"1"' }],
  ])('stores none %s', async (_, options, fields, headers) => {
    await using site = await openSite(options)
    site.answers((request, response) => response.set(fields).send(request.method))
    expect(await site.send('POST', '/a', headers, 'body')).toMatchObject({ status: 200, body: 'POST' })
    await site.pass(1)
    expect((await site.get('/a')).body).toBe('GET')
  })

  it('stores nothing that another POST has overtaken', async () => {
    await using site = await openSite({ storePost: true })
    const gate = new Gate()
    let state = 0
    site.answers(async (request, response) => {
      const own = request.method === 'POST' ? ++state : state
      if (own === 1 && request.method === 'POST') await gate.pass()
      response.set(storable).send(`state ${own}`)
    })
    const slow = site.send('POST', '/a')
    await gate.arrived
    await site.send('POST', '/a')
    gate.open()
    expect((await slow).body).toBe('state 1')
    await site.pass(1)
    expect((await site.get('/a')).body).toBe('state 2')
  })
})
