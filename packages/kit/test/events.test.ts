import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import type { ReadContext } from '../src/engine/observe/cache-report.ts'
import type { MemcacheEvents } from '../src/index.ts'
import { openCache } from './open-cache.ts'

describe('events and counters', () => {
  it('report operations, by events and by diagnostics channels', async () => {
    await using test = await openCache({ prefix: 'shop' })
    const { cache, clock } = test
    const events: unknown[][] = []
    const published: string[] = []
    const names: (keyof MemcacheEvents)[] = ['hit', 'miss', 'stale', 'load', 'loadError', 'set', 'delete', 'invalidate']
    const listeners = names.map((name) => {
      cache.on(name, (...details: unknown[]) => events.push([name, ...details.slice(0, 1)]))
      const listener = (message: unknown): void => {
        if ((message as { cache: unknown }).cache === cache) published.push(name)
      }
      subscribe(`memcache-ts:${name}`, listener)
      return () => unsubscribe(`memcache-ts:${name}`, listener)
    })
    const options = { ttlSeconds: 60, staleSeconds: 60, jitter: 0 } as const
    await cache.getOrSet(['city', 1], () => 'old', options)
    await cache.getOrSet(['city', 1], () => 'never', options)
    clock.advanceSeconds(61)
    await cache.getOrSet(['city', 1], () => 'new', options)
    await until(() => cache.stats().sets === 2)
    await cache.get('missing')
    await cache.getOrSet('broken', () => Promise.reject(new Error('no database'))).catch(() => {})
    await cache.delete('k')
    await cache.invalidateTags(['t', 'u'])
    expect(events).toEqual([
      ['miss', 'city:1'],
      ['load', 'city:1'],
      ['set', 'city:1'],
      ['hit', 'city:1'],
      ['hit', 'city:1'],
      ['stale', 'city:1'],
      ['load', 'city:1'],
      ['set', 'city:1'],
      ['miss', 'missing'],
      ['miss', 'broken'],
      ['loadError', 'broken'],
      ['delete', 'k'],
      ['invalidate', ['t', 'u']],
    ])
    expect(published).toEqual(events.map(([name]) => name))
    expect(cache.stats()).toEqual({
      hits: 2,
      memoryHits: 0,
      misses: 3,
      stale: 1,
      coalesced: 0,
      loads: 3,
      loading: 0,
      loadMs: expect.any(Number),
      loadErrors: 1,
      earlyRefreshes: 0,
      unleasedLoads: 0,
      leasesLost: 0,
      discarded: 0,
      sets: 2,
      invalidations: 2,
      limited: 0,
      cacheErrors: 0,
      memoryItems: 0,
      memoryBytes: 0,
      memoryEvictions: 0,
      pending: 0,
      health: 'up',
      breaker: 'closed',
    })
    for (const end of listeners) end()
  })

  it('never emit error, which would end the process', async () => {
    await using test = await openCache({ timeoutMs: 250 })
    const errors: unknown[] = []
    test.cache.on('cacheError', (error) => errors.push(error))
    await test.server.stop()
    await test.cache.getOrSet('k', () => 1)
    await test.cache.get('k')
    expect(errors.length).toBeGreaterThan(0)
    expect(errors[0]).toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
  })

  const bug = new Error('a bug of a tracer')
  const AROUNDS: Readonly<Record<string, (work: () => unknown) => unknown>> = {
    'throws before the work': () => {
      throw bug
    },
    'throws after the work': (work) => {
      work()
      throw bug
    },
    'runs no work': () => undefined,
    'runs the work twice': (work) => [work(), work()],
    'returns another result': (work) => (work(), Promise.resolve('another')),
  }
  it.each(Object.entries(AROUNDS))('change no outcome if a tracer %s', async (name, around) => {
    await using test = await openCache()
    const uncaught: unknown[] = []
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => uncaught.push(error))
    const start = (message: unknown): void => void ((message as ReadContext).around = around as never)
    subscribe('tracing:memcache-ts:read:start', start)
    try {
      let loads = 0
      expect(await test.cache.getOrSet('k', () => ++loads)).toBe(1)
      expect(await test.cache.getOrSetMany(['k', 'l'], () => [++loads])).toEqual(
        new Map(Object.entries({ k: 1, l: 2 })),
      )
      const failing = test.cache.getOrSet('m', () => Promise.reject(new Error('the loader')))
      await expect(failing).rejects.toThrow('the loader')
      if (name.includes('throws')) await until(() => uncaught.length === 3)
      expect(new Set(uncaught)).toEqual(new Set(name.includes('throws') ? [bug] : []))
    } finally {
      unsubscribe('tracing:memcache-ts:read:start', start)
      process.removeAllListeners('uncaughtException')
      for (const listener of listeners) process.on('uncaughtException', listener)
    }
  })
})
