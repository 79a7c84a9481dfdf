import { describeWithCommand, FakeClock, launchSaslMemcached, listenAsOldServer, until } from 'memcache-ts-testing'
import { MemcachedServer } from 'memcache-ts-server'
import { describe, expect, it } from 'vitest'
import { defineCache, rateLimiter } from '../src/index.ts'
import { SessionRepository } from '../src/session/index.ts'
import { deferred } from './deferred.ts'
import { sharedServer } from './open-cache.ts'
import type { SharedServer } from './open-cache.ts'

interface OldServer extends SharedServer {
  readonly clock?: FakeClock
}

async function oldServer(): Promise<OldServer> {
  const clock = new FakeClock()
  const server = new MemcachedServer({ clock })
  const { address: servers, metaCommands, close } = await listenAsOldServer(server)
  const shared = sharedServer(servers, async () => {
    close()
    await server.close()
    // By its version, the kit knows that there are none.
    expect(metaCommands).toEqual([])
  })
  return { ...shared, clock, open: (options = {}) => shared.open({ clock, ...options }) }
}

/** The real memcached over the binary protocol. */
async function saslServer(): Promise<OldServer> {
  const server = await launchSaslMemcached('ann', 'secret')
  return sharedServer(`memcache://ann:secret@${server.address}`, () => server.kill())
}

function worksWithLess(launch: () => Promise<OldServer>): void {
  it('runs one loader for callers of two processes', async () => {
    await using server = await launch()
    const caches = [server.open(), server.open()]
    let loads = 0
    const load = async () => ({ loads: ++loads })
    const calls = caches.flatMap((cache) => Array.from({ length: 50 }, () => cache.getOrSet('k', load, 60)))
    expect(new Set((await Promise.all(calls)).map((value) => value.loads))).toEqual(new Set([1]))
    expect(await caches[1]!.getOrSet('k', load)).toEqual({ loads: 1 })
    expect(loads).toBe(1)
  })

  it('does not store a value that was loaded before a delete, and releases the lease of a loader that threw', async () => {
    await using server = await launch()
    const [one, other] = [server.open(), server.open()]
    await one.getOrSet('k', async () => {
      await other.delete('k')
      return 'old'
    })
    expect(await other.get('k')).toBeUndefined()
    expect(one.stats().discarded).toBe(1)
    await expect(one.getOrSet('k', () => Promise.reject(new Error('no database')))).rejects.toThrow('no database')
    expect(await other.getOrSet('k', () => 'new')).toBe('new')
  })

  it('supports tags and namespaces', async () => {
    await using server = await launch()
    const [one, other] = [server.open(), server.open()]
    await one.getOrSet('k', () => 'old', { tags: ['t'] })
    const space = one.namespace('n')
    await space.set('k', 'old')
    expect([await other.get('k'), await other.namespace('n').get('k')]).toEqual(['old', 'old'])
    await other.invalidateTags(['t'])
    await other.namespace('n').clear()
    expect([await one.get('k'), await space.get('k')]).toEqual([undefined, undefined])
  })

  it('supports getOrSetMany, declared caches and warming', async () => {
    await using server = await launch()
    const cache = server.open()
    const cities = defineCache({ name: 'city', cache, load: (id: number) => `city ${id}` })
    expect(await cities.warm([1, 2, 3])).toEqual({ loaded: 3, skipped: 0, failed: 0 })
    expect((await cities.getOrSetMany([1, 2, 3, 4])).size).toBe(4)
    expect(cache.stats().loads).toBe(4)
    await cities.clear()
    expect(await cities.get(1)).toBeUndefined()
  })

  it('keeps every type, and values over the item limit', async () => {
    await using server = await launch()
    const cache = server.open()
    const values = ['text', { a: [1] }, new Map([[1, new Date(5)]]), Buffer.alloc(0), Buffer.from('b'), null, 5n]
    for (const [index, value] of values.entries()) {
      expect(await cache.getOrSet(['k', index], () => value)).toEqual(value)
      expect(await cache.get(['k', index])).toEqual(value)
    }
    const large = 'x'.repeat(3_000_000)
    await cache.set('large', large)
    expect((await cache.get('large')) === large).toBe(true)
  })

  it.each(['sliding', 'fixed', 'gcra'] as const)('counts exactly, %s, and blocks', async (algorithm) => {
    await using server = await launch()
    const options = { limit: 10, windowMs: 86_400_000, algorithm, blockMs: 60_000 } as const
    const limiters = [server.open(), server.open()].map((cache) => rateLimiter({ ...options, cache }))
    const calls = Array.from({ length: 100 }, (_, index) => limiters[index % 2]!.consume('client'))
    const results = await Promise.all(calls)
    expect(results.filter((result) => result.allowed)).toHaveLength(10)
    for (const limiter of limiters) expect((await limiter.consume('client')).retryAfterMs).toBeGreaterThan(50_000)
    await limiters[0]!.reset('client')
    expect(await limiters[0]!.consume('client', { cost: 4 })).toMatchObject({ allowed: true, remaining: 6 })
    expect(await limiters[0]!.penalty('client', 5)).toMatchObject({ allowed: true, remaining: 1 })
    expect(await limiters[0]!.reward('client', 3)).toMatchObject({ allowed: true, remaining: 4 })
  })

  it('stores sessions, and merges parallel writes', async () => {
    await using server = await launch()
    const sessions = new SessionRepository({ cache: server.open() })
    await sessions.write('id', { a: 1 }, undefined, 60)
    const base = (await sessions.read('id'))!
    expect(base.data).toEqual({ a: 1 })
    await sessions.write('id', { a: 1, b: 2 }, base, 60)
    await sessions.write('id', { a: 1, c: 3 }, base, 60)
    expect((await sessions.read('id'))?.data).toEqual({ a: 1, b: 2, c: 3 })
    await sessions.destroy('id')
    expect(await sessions.read('id')).toBeUndefined()
    await sessions.write('other', { a: 1 }, undefined, 60)
    const held = await sessions.read('other')
    await sessions.clear()
    await sessions.write('other', { a: 2 }, held, 60)
    expect(await sessions.read('other')).toBeUndefined()
  })
}

describe('on a memcached without meta commands', () => {
  worksWithLess(oldServer)

  it('serves stale values while one caller loads them again', async () => {
    await using server = await oldServer()
    const [one, other] = [server.open(), server.open()]
    const options = { ttlSeconds: 60, staleSeconds: 600, jitter: 0 } as const
    // The first call finds out that there are no meta commands.
    await one.getOrSet('any', () => 1)
    await other.getOrSet('any', () => 1)
    await one.getOrSet('k', () => 'old', options)
    server.clock!.advanceSeconds(61)
    const fresh = deferred<string>()
    let loads = 0
    const load = () => (loads++, fresh.promise)
    expect(await Promise.all([one, other, other].map((cache) => cache.getOrSet('k', load, options)))).toEqual([
      'old',
      'old',
      'old',
    ])
    await until(() => loads > 0)
    fresh.resolve('new')
    await until(async () => (await other.get('k')) === 'new')
    expect(loads).toBe(1)
  })

  it('says so once', async () => {
    await using server = await oldServer()
    const logged: string[] = []
    const cache = server.open({ logger: { info: () => {}, warn: (message) => logged.push(message) } })
    await Promise.all(['a', 'b', 'c'].map((key) => cache.getOrSet(key, () => 1)))
    await rateLimiter({ perMinute: 5, cache }).consume('id')
    expect(logged).toEqual([expect.stringMatching(/has no meta commands: .* memcached 1.6 supports them/)])
  })
})

describeWithCommand(
  { command: ['sh', '-c', 'command -v saslpasswd2'], debianPackage: 'sasl2-bin' },
  'on a memcached that demands SASL',
  () => worksWithLess(saslServer),
)
