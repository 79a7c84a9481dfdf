import { describe, expect, it } from 'vitest'
import { openSite } from './cache-areas/open-site.ts'
import type { Site } from './cache-areas/open-site.ts'
import { Gate } from './gate.ts'
import { EXPRESSES, TestFleet } from './open-app.ts'

describe.each(EXPRESSES)('requests that come at once, on %s', (_, create) => {
  function calls(sites: readonly Site[]): number {
    return sites.reduce((sum, site) => sum + site.calls.length, 0)
  }

  it('calls the handler once for 20 misses, and sends its response to all', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    const gate = new Gate()
    site.answers(async (_request, response) => {
      await gate.pass()
      response.json({ answer: 42 })
    })
    const asked = Array.from({ length: 20 }, () => site.get())
    await expect.poll(() => site.cache.stats().coalesced).toBe(19)
    gate.open()
    const answers = await Promise.all(asked)
    expect(new Set(answers.map(({ body }) => body))).toEqual(new Set(['{"answer":42}']))
    expect(answers.filter(({ cacheStatus }) => cacheStatus.endsWith('stored'))).toHaveLength(1)
    expect(site.calls).toHaveLength(1)
  })

  it('calls it once across two processes', async () => {
    await using fleet = new TestFleet()
    await using one = await openSite({ create, ttlSeconds: 60, fleet })
    await using other = await openSite({ create, ttlSeconds: 60, fleet })
    const gate = new Gate()
    for (const site of [one, other]) {
      site.answers(async (_request, response) => {
        await gate.pass()
        response.json({ answer: 42 })
      })
    }
    // Both are requested for the same host, on any port.
    const asked = Array.from({ length: 20 }, (_value, index) =>
      (index % 2 === 0 ? one : other).get('/', { Host: 'shop.test' }),
    )
    await gate.arrived
    gate.open()
    const answers = await Promise.all(asked)
    expect(answers.every(({ body }) => body === '{"answer":42}')).toBe(true)
    expect(calls([one, other])).toBe(1)
  })

  it('calls it once for each variant, also the first time', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((request, response) => response.vary('Foo').send(`foo ${String(request.headers['foo'])}`))
    const answers = await Promise.all(Array.from({ length: 20 }, (_value, index) => site.get('/', { Foo: index % 2 })))
    expect(answers.map(({ body }) => body)).toEqual(Array.from({ length: 20 }, (_value, index) => `foo ${index % 2}`))
    expect(site.calls).toHaveLength(2)
  })

  it.each([
    ['sets a cookie', { 'Set-Cookie': 'a=b' }, 200],
    ['is private', { 'Cache-Control': 'private' }, 200],
    ['is an error', {}, 500],
    ['is for now alone', { 'Cache-Control': 'max-age=0' }, 200],
  ])('runs the handler for each, all at once, where the first answer %s', async (_name, headers, status) => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    const first = new Gate()
    const others = new Gate()
    site.answers(async (_request, response, call) => {
      await (call === 1 ? first : others).pass()
      response.status(status).set(headers).send(`for ${call}`)
    })
    const asked = Array.from({ length: 20 }, () => site.get())
    await expect.poll(() => site.cache.stats().coalesced).toBe(19)
    first.open()
    // All of the others are in the handler before one of them has answered.
    await expect.poll(() => site.calls.length).toBe(20)
    others.open()
    const answers = await Promise.all(asked)
    expect(new Set(answers.map(({ body }) => body)).size).toBe(20)
    expect(answers.every((answer) => answer.status === status)).toBe(true)
  })

  it('delays no request for a response that is known not to be shared', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    const gate = new Gate()
    site.answers(async (_request, response, call) => {
      if (call > 1) await gate.pass()
      response.set('Cache-Control', 'private').send('mine')
    })
    await site.get()
    const asked = [site.get(), site.get(), site.get()]
    await expect.poll(() => site.calls.length).toBe(4)
    gate.open()
    await Promise.all(asked)
    await site.pass(11)
    site.answers((_request, response) => response.send('for all'))
    await site.get()
    expect((await site.get()).isHit).toBe(true)
  })

  it('makes authenticated requests wait for each other at most once', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    const gate = new Gate()
    site.answers(async (request, response, call) => {
      if (call > 1) await gate.pass()
      response.send(request.headers.authorization)
    })
    await site.get('/', { Authorization: '0' })
    const asked = ['1', '2', '3'].map((name) => site.get('/', { Authorization: name }))
    await expect.poll(() => site.calls.length).toBe(4)
    gate.open()
    expect((await Promise.all(asked)).map(({ body }) => body)).toEqual(['1', '2', '3'])
  })

  it('runs another handler if the first handler’s client disconnects', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    const gate = new Gate()
    const { port } = site.server.address() as { port: number }
    site.answers(async (_request, response, call) => {
      if (call === 1) response.flushHeaders()
      else await gate.pass()
      if (call > 1) response.send('whole')
    })
    const leaving = new AbortController()
    const left = fetch(`http://127.0.0.1:${port}/`, { signal: leaving.signal }).then((response) => response.text())
    await expect.poll(() => site.calls.length).toBe(1)
    const asked = [site, site, site].map((one) => one.get())
    leaving.abort()
    await expect(left).rejects.toThrow()
    await gate.arrived
    gate.open()
    expect((await Promise.all(asked)).map(({ body }) => body)).toEqual(['whole', 'whole', 'whole'])
    expect(site.calls.length).toBeLessThanOrEqual(2)
  })

  it('does not store a response that was invalidated while it was produced', async () => {
    await using site = await openSite({ create, ttlSeconds: 60, tags: ['page'] })
    const cache = site.fleet.cache()
    for (const invalidate of [
      () => cache.invalidateTags(['page']),
      () => cache.invalidateTags(['url:/']),
      () => site.send('POST'),
    ]) {
      const gate = new Gate()
      const before = site.calls.length
      site.answers(async (request, response) => {
        if (request.method === 'GET') await gate.pass()
        response.send('old')
      })
      const asked = site.get()
      await gate.arrived
      await invalidate()
      gate.open()
      expect((await asked).body).toBe('old')
      site.answers((_request, response) => response.send('new'))
      expect((await site.get()).body).toBe('new')
      expect(site.calls.length - before).toBeGreaterThanOrEqual(2)
      await cache.invalidateTags(['page'])
    }
  })

  it('lets the cache of a route serve a request that an outer cache bypasses', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    const { cacheResponse } = await import('../src/index.ts')
    const inner = cacheResponse({ cache: site.cache, ttlSeconds: 60, ignoreCookies: true, key: () => 'inner' })
    site.answers((request, response) => inner(request, response, () => response.send('ok')))
    await site.get('/', { Cookie: 'a=1' })
    expect((await site.get('/', { Cookie: 'a=2' })).cacheStatus).toBe(
      'memcache-ts; hit; ttl=60, memcache-ts; fwd=bypass; detail=cookie',
    )
  })

  it('does not wait for itself, mounted twice', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    const { cacheResponse } = await import('../src/index.ts')
    const inner = cacheResponse({ cache: site.fleet.cache(), ttlSeconds: 60 })
    site.answers((request, response) => inner(request, response, () => response.send('ok')))
    expect((await site.get()).cacheStatus).toBe('memcache-ts; fwd=uri-miss; stored')
    expect((await site.get()).isHit).toBe(true)
  })
})
