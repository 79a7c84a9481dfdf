import { launchServer, until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { memcache, MemcacheConnectionError } from '../src/index.ts'
import type { Memcache, MemcacheHealth } from '../src/index.ts'
import { engineOf } from '../src/engine/engine.ts'
import { openCache } from './open-cache.ts'

/** Outages as listeners get them, with the health at that moment. */
function told(cache: Memcache): string[] {
  const news: string[] = []
  cache.on('away', () => news.push(`away ${cache.health}`))
  cache.on('back', () => news.push(`back ${cache.isAway ? 'away' : 'there'}`))
  return news
}

describe('health', () => {
  it('is up, down while the only server is away, and up again', async () => {
    await using test = await openCache({ timeoutMs: 250 })
    const { cache, server } = test
    const news = told(cache)
    expect(cache.health).toBe('up')
    await cache.set('k', 1)
    await server.stop()
    await cache.get('k')
    await until(() => cache.health === 'down')
    expect(cache.stats()).toMatchObject({ health: 'down', breaker: 'open' })
    await server.start()
    await until(() => cache.health === 'up')
    expect(cache.stats()).toMatchObject({ health: 'up', breaker: 'closed' })
    expect(news).toEqual(['away down', 'back there'])
  })

  it('stays up, with a warning, while discovery fails', async () => {
    const lines: string[] = []
    const logger = { info: () => {}, warn: (line: string) => void lines.push(line) }
    await using test = await openCache({ logger })
    test.cache.client.emit('discoveryError', new MemcacheConnectionError('no endpoint responds'))
    expect(test.cache.health).toBe('up')
    expect(lines).toEqual(['memcache-ts: the list of servers may be outdated: no endpoint responds'])
  })

  it('is degraded while one of three servers is away, without a word of an outage', async () => {
    await using one = await launchServer()
    await using two = await launchServer()
    await using three = await launchServer()
    const servers = [one, two, three].map(({ address }) => address)
    await using cache = memcache({ servers, logger: false, timeoutMs: 2000 })
    const news = told(cache)
    const ask = (): Promise<unknown> => cache.getMany(Array.from({ length: 50 }, (_, index) => ['k', index]))
    await ask()
    await one.kill()
    await until(async () => (await ask(), cache.health === 'degraded'))
    expect(cache.stats()).toMatchObject({ health: 'degraded', breaker: 'half-open' })
    expect(news).toEqual([])
    await two.kill()
    await three.kill()
    await until(async () => (await ask(), cache.health === 'down'))
    await two.restart()
    await until(() => cache.health === 'degraded')
    expect(news).toEqual(['away down', 'back there'])
  })

  it('is degraded until the pending invalidations are sent', async () => {
    await using test = await openCache({ timeoutMs: 250 })
    const { cache, server } = test
    await cache.set('k', 'old')
    const seen: MemcacheHealth[] = []
    cache.on('back', () => seen.push(cache.health))
    await server.stop()
    await cache.delete('k')
    await server.start()
    await until(() => cache.health === 'up')
    expect(seen).toEqual(['degraded'])
    expect(await cache.get('k')).toBeUndefined()
  })

  it('emits each outage once, even if a server fails and returns repeatedly', async () => {
    await using test = await openCache({ timeoutMs: 250 })
    const { cache, server } = test
    const news = told(cache)
    for (let round = 0; round < 4; round++) {
      await server.stop()
      await until(async () => (await cache.get('k'), cache.isAway))
      await server.start()
      await until(() => cache.health === 'up')
    }
    expect(news).toEqual(Array.from({ length: 4 }, () => ['away down', 'back there']).flat())
  })

  it('does not change when the cache is closed, and emits no event', async () => {
    await using test = await openCache({ timeoutMs: 250 })
    const { server } = test
    const cache = test.another({ timeoutMs: 250 })
    const news = told(cache)
    await cache.set('k', 1)
    await server.stop()
    await until(async () => (await cache.get('k'), cache.isAway))
    await cache.close()
    await server.start()
    // Another one, whose connection shows that the server is there.
    await until(async () => await test.cache.set('k', 2))
    expect(news).toEqual(['away down'])
    expect(cache.health).toBe('down')
  })

  it('notifies a new listener of an outage in progress, and all listeners even if one throws', async () => {
    await using test = await openCache({ timeoutMs: 250 })
    const { cache, server } = test
    const news: string[] = []
    const { health } = engineOf(cache).host
    await server.stop()
    await until(async () => (await cache.get('k'), cache.isAway))
    health.watch({ away: (error) => news.push(String((error as { code?: string }).code)) })
    const thrown: unknown[] = []
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.once('uncaughtException', (error) => thrown.push(error))
    health.watch({
      back: () => {
        throw new Error('a listener’s own fault')
      },
    })
    health.watch({ back: () => news.push('back'), over: (name) => news.push(`over ${name}`) })
    try {
      await server.start()
      await until(() => thrown.length > 0)
    } finally {
      for (const listener of listeners) process.on('uncaughtException', listener)
    }
    expect(news).toEqual(['ERR_MEMCACHE_CONNECTION', 'over test', 'back'])
    expect(thrown).toMatchObject([{ message: 'a listener’s own fault' }])
  })
})
