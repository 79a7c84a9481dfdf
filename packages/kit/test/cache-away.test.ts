import { FaultProxy, launchServer, until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { memcache } from '../src/index.ts'
import { openCache } from './open-cache.ts'

describe('when memcached is away', () => {
  it.each(['stop', 'pause'] as const)('continues without it, and uses it again when it is back: %s', async (fault) => {
    await using test = await openCache({ timeoutMs: 250 })
    const events: string[] = []
    test.cache.on('degraded', () => events.push('degraded'))
    test.cache.on('recovered', (server) => events.push(`recovered ${server}`))
    await test.cache.set('k', 'stored')
    expect(test.cache.stats().health).toBe('up')
    await test.server[fault]()
    for (let call = 0; call < 20; call++) expect(await test.cache.getOrSet('k', () => 'loaded')).toBe('loaded')
    expect(await test.cache.get('k')).toBeUndefined()
    expect(await test.cache.set('k', 'lost')).toBe(false)
    expect(test.cache.stats()).toMatchObject({ health: 'down', unleasedLoads: 20 })
    await test.server.start()
    await test.server.resume()
    await until(() => test.cache.stats().health === 'up')
    expect(events).toEqual(['degraded', 'recovered test'])
    // What could not be stored was deleted before the cache was believed again.
    expect(await test.cache.getOrSet('k', () => 'again')).toBe('again')
    expect(await test.cache.get('k')).toBe('again')
  })

  it('releases a lease that a slow server granted for a request that had timed out', async () => {
    await using server = await launchServer()
    await using cache = memcache({ servers: server.address, logger: false, timeoutMs: 250, leaseSeconds: 600 })
    await using other = memcache({ servers: server.address, logger: false, timeoutMs: 5000 })
    await Promise.all([cache.get('k'), other.get('k')])
    await server.pause()
    expect(await cache.getOrSet('k', () => 'alone')).toBe('alone')
    server.resume()
    await until(() => cache.stats().health === 'up')
    // It is gone when the cache has found out that no caller waits for the response.
    await until(async () => (await other.client.meta.get('k', { value: false })) === undefined)
    expect(await other.getOrSet('k', () => 'loaded')).toBe('loaded')
  })

  it('sends the invalidations of the outage before it serves stored values again', async () => {
    await using test = await openCache({ timeoutMs: 250 })
    const { cache } = test
    const space = cache.namespace('n')
    await cache.set('deleted', 'old')
    await cache.set('expired', 'old')
    await cache.set('tagged', 'old', { tags: ['t'] })
    await space.set('k', 'old')
    await test.server.pause()
    const confirmed = await Promise.all([
      cache.delete('deleted'),
      cache.expire('expired'),
      cache.invalidateTags(['t']),
      space.clear(),
    ])
    expect(confirmed).toEqual([false, false, false, false])
    expect(cache.stats().pending).toBe(4)
    await test.server.resume()
    // At no moment on the way back is an old value seen.
    await until(async () => {
      expect(await cache.get('deleted')).toBeUndefined()
      expect(await cache.get('tagged')).toBeUndefined()
      expect(await space.get('k')).toBeUndefined()
      expect([...(await cache.getMany(['deleted', 'expired', 'tagged'])).keys()]).toEqual([])
      expect(await cache.getOrSet('deleted', () => 'new')).toBe('new')
      expect(await cache.getOrSet('tagged', () => 'new', { tags: ['t'] })).toBe('new')
      return cache.stats().pending === 0
    })
    expect(cache.stats().health).toBe('up')
    expect(await cache.getOrSet('deleted', () => 'newer')).toBe('new')
    expect(await test.another().get('expired')).toBeUndefined()
  })

  it('retries an invalidation that failed on a connection that stays open', async () => {
    await using server = await launchServer()
    await using proxy = await FaultProxy.start({ host: '127.0.0.1', port: server.port })
    await using cache = memcache({ servers: proxy.address, logger: false, timeoutMs: 5000 })
    await cache.set('k', 'old')
    proxy.fault = { kind: 'respond', bytes: 'SERVER_ERROR out of memory\r\n' }
    expect(await cache.delete('k')).toBe(false)
    proxy.fault = { kind: 'none' }
    await until(() => cache.stats().pending === 0)
    expect(await cache.get('k')).toBeUndefined()
  })

  it('does not take a new server’s value for the one in memory, though it has the same cas unique', async () => {
    await using test = await openCache({ l1: true })
    const [old, fresh] = ['old', 'new'].map((text) => text.repeat(1000))
    await test.cache.set('k', old)
    const { casUnique } = (await test.cache.client.meta.get('k'))!
    await test.server.stop()
    await test.server.start()
    await test.another({ l1: false }).client.meta.set('k', fresh, { newCas: casUnique })
    await until(async () => {
      test.clock.advanceMs(1000)
      const value = await test.cache.getOrSet('k', () => 'loaded')
      expect(value).not.toBe(old)
      return value === fresh
    })
  })

  it('survives cut connections', async () => {
    await using test = await openCache()
    await test.cache.set('k', 'v')
    for (let round = 0; round < 10; round++) {
      test.server.disconnect()
      expect(await test.cache.getOrSet(['r', round], () => round)).toBe(round)
    }
    await until(async () => (await test.cache.get('k')) === 'v')
  })

  it('rejects with the loader’s error', async () => {
    await using test = await openCache({ timeoutMs: 250 })
    await test.server.stop()
    await expect(test.cache.getOrSet('k', () => Promise.reject(new Error('no database')))).rejects.toThrow(
      'no database',
    )
  })
})
