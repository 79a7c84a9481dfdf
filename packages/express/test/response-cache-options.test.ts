import { readFileSync } from 'node:fs'
import express from 'express'
import { MemcacheOptionError } from 'memcache-ts'
import { RESPONSE_CACHE_OPTIONS } from 'memcache-ts/http'
import { testMemcache } from 'memcache-ts/testing'
import request from 'supertest'
import { describe, expect, it } from 'vitest'
import { openSite } from './cache-areas/open-site.ts'
import { cacheResponse } from '../src/index.ts'
import type { CacheResponseOptions } from '../src/index.ts'

describe('options of cacheResponse', () => {
  it.each([
    ['keyGenerator', { keyGenerator: () => '' }, /`keyGenerator` is `key`/],
    ['ttl', { ttl: 60 }, /`ttl` is `ttlSeconds`/],
    ['any other', { nonsense: 1 }, /nonsense/],
    ['no lifetime', { ttlSeconds: 0 }, /ttlSeconds/],
    ['milliseconds', { ttlSeconds: 3_600_000 }, /ttlSeconds/],
    ['more than a day of staleness', { staleSeconds: '2d' }, /at most a day/],
    ['no bytes', { maxBytes: 0 }, /maxBytes/],
    ['no hosts', { hosts: [] }, /hosts/],
    ['a vary that never matches', { vary: ['*'] }, /vary/],
    ['a tag that is no list', { tags: 'page' }, /tags/],
    ['an async key', { key: async () => '' }, /key must not be async/],
    ['an async condition', { condition: async () => false }, /condition must not be async/],
    ['async tags', { tags: async () => [] }, /tags must not be async/],
  ])('refuses %s', (_name, options, message) => {
    expect(() => cacheResponse(options as CacheResponseOptions)).toThrow(message)
    expect(() => cacheResponse(options as CacheResponseOptions)).toThrow(MemcacheOptionError)
  })

  it('are all in the README', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    for (const option of [...RESPONSE_CACHE_OPTIONS, 'tags', 'key', 'condition']) {
      expect(readme).toMatch(new RegExp(`^(\\| |- )[^:(|]*\`${option}\``, 'm'))
    }
  })

  it('refuses a unit that does not exist, in its types too', () => {
    // @ts-expect-error not a lifetime
    expect(() => cacheResponse('5min')).toThrow(MemcacheOptionError)
  })

  it('may be only a lifetime, and the default is the process’s cache', async () => {
    await using test = await testMemcache({ asDefault: true })
    const app = express()
    let calls = 0
    app.get('/', cacheResponse('5m'), (_request, response) => void response.json({ calls: ++calls }))
    await request(app).get('/').set('Host', 'shop.test').expect({ calls: 1 })
    await request(app)
      .get('/')
      .set('Host', 'shop.test')
      .expect({ calls: 1 })
      .expect('Cache-Status', 'memcache-ts; hit; ttl=300')
    test.clock.advanceSeconds(301)
    await request(app).get('/').set('Host', 'shop.test').expect({ calls: 2 })
  })

  it('ttlSeconds applies to responses without a lifetime of their own', async () => {
    await using site = await openSite({ ttlSeconds: 60 })
    const hits = async (status: number, headers: Record<string, string>, seconds: number): Promise<boolean> => {
      await site.cache.invalidateTags('url:/')
      await site.pass(11)
      site.answers((_request, response) => response.status(status).set(headers).send('answer'))
      await site.get()
      await site.pass(seconds)
      return (await site.get()).isHit
    }
    expect(await hits(200, {}, 59)).toBe(true)
    expect(await hits(200, {}, 61)).toBe(false)
    expect(await hits(200, { 'Last-Modified': site.date(-86_400) }, 61)).toBe(false)
    expect(await hits(404, {}, 59)).toBe(true)
    expect(await hits(500, {}, 1)).toBe(false)
    expect(await hits(403, {}, 1)).toBe(false)
    expect(await hits(200, { 'Cache-Control': 'max-age=100' }, 99)).toBe(true)
    expect(await hits(200, { 'Cache-Control': 'max-age=10' }, 11)).toBe(false)
    expect(await hits(200, { 'Cache-Control': 'private' }, 1)).toBe(false)
    expect(await hits(200, { 'Cache-Control': 'no-store' }, 1)).toBe(false)
    expect(await hits(200, { Expires: '0' }, 1)).toBe(false)
  })

  it('sends no lifetime on that the handler has not stated', async () => {
    await using site = await openSite({ ttlSeconds: 60 })
    const [first, second] = [await site.get(), await site.get()]
    for (const { headers } of [first, second]) {
      expect(headers['cache-control']).toBeUndefined()
      expect(headers.expires).toBeUndefined()
    }
  })

  it('tags belong to the request, beside url:<path>', async () => {
    await using site = await openSite({ ttlSeconds: 60, tags: (request) => [`city:${request.query['id'] as string}`] })
    const isHit = async (path: string): Promise<boolean> => (await site.get(path)).isHit
    await isHit('/city?id=1')
    await isHit('/city?id=2')
    await site.cache.invalidateTags(['city:1'])
    expect([await isHit('/city?id=1'), await isHit('/city?id=2')]).toEqual([false, true])
    await site.cache.invalidateTags(['url:/city'])
    expect([await isHit('/city?id=1'), await isHit('/city?id=2')]).toEqual([false, false])
  })

  it('key replaces path and query', async () => {
    await using site = await openSite({ ttlSeconds: 60, key: (request) => request.query['id'] as string })
    await site.get('/a?id=1')
    expect((await site.get('/b?id=1&more')).isHit).toBe(true)
    expect((await site.get('/a?id=2')).isHit).toBe(false)
    // Never what a path gives.
    expect((await site.get('/1')).isHit).toBe(false)
  })

  it('condition selects the requests that are served from the cache', async () => {
    await using site = await openSite({ ttlSeconds: 60, condition: (request) => request.path !== '/live' })
    await site.get('/live')
    const { isHit, headers } = await site.get('/live')
    expect([isHit, headers['cache-status']]).toEqual([false, undefined])
  })

  it('condition is not called for a background revalidation', async () => {
    await using site = await openSite({
      ttlSeconds: 10,
      staleSeconds: 60,
      condition: (request) => request.headers['if-none-match'] === undefined && request.headers['x-cached'] === 'yes',
    })
    site.answers((_request, response, call) => response.send(`answer ${call}`))
    const yes = { 'X-Cached': 'yes' }
    await site.get('/', yes)
    await site.pass(15)
    expect((await site.get('/', yes)).body).toBe('answer 1')
    await expect.poll(async () => (await site.get('/', yes)).body).toBe('answer 2')
  })

  it('a lifetime without an end', async () => {
    await using site = await openSite({ ttlSeconds: Infinity })
    await site.get()
    await site.pass(86_400 * 20)
    expect((await site.get()).isHit).toBe(true)
  })

  it('vary adds request fields to the key that responses depend on without a Vary field', async () => {
    await using site = await openSite({ ttlSeconds: 60, vary: ['Foo'] })
    site.answers((request, response) => response.send(`foo ${String(request.headers['foo'])}`))
    for (const foo of ['1', '2', '1', '2']) expect((await site.get('/', { Foo: foo })).body).toBe(`foo ${foo}`)
    expect(site.calls).toHaveLength(2)
  })

  it('sortQuery ignores the order of parameters, but not of the values of one parameter', async () => {
    await using site = await openSite({ ttlSeconds: 60, sortQuery: true })
    await site.get('/?b=1&a=1&a=2')
    expect((await site.get('/?a=1&b=1&a=2')).isHit).toBe(true)
    expect((await site.get('/?a=2&a=1&b=1')).isHit).toBe(false)
    await using other = await openSite({ ttlSeconds: 60 })
    await other.get('/?b=1&a=1')
    expect((await other.get('/?a=1&b=1')).isHit).toBe(false)
  })

  it('ignoreQuery leaves parameters out', async () => {
    await using site = await openSite({ ttlSeconds: 60, ignoreQuery: ['utm_source'] })
    await site.get('/?utm_source=a')
    expect((await site.get('/')).isHit).toBe(true)
    expect((await site.get('/?utm_source=b')).isHit).toBe(true)
    expect((await site.get('/?utm%5Fsource=b')).isHit).toBe(true)
    expect((await site.get('/?utm_sourc=b')).isHit).toBe(false)
  })

  it('requestDirectives: false keeps clients from having the handler called', async () => {
    await using site = await openSite({ ttlSeconds: 60, requestDirectives: false })
    await site.get()
    for (const control of ['no-cache', 'no-store', 'max-age=0', 'min-fresh=100']) {
      expect((await site.get('/', { 'Cache-Control': control })).isHit).toBe(true)
    }
    expect((await site.get('/', { Pragma: 'no-cache' })).isHit).toBe(true)
  })

  it('maxBytes is the most that is stored', async () => {
    await using site = await openSite({ ttlSeconds: 60, maxBytes: 4 })
    site.answers((_request, response) => response.send('four'))
    await site.get()
    expect((await site.get()).isHit).toBe(true)
    site.answers((_request, response) => response.send('five!'))
    await site.get('/five')
    expect((await site.get('/five')).isHit).toBe(false)
  })
})
