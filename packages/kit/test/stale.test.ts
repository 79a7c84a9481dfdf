import { until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { deferred } from './deferred.ts'
import { openCache } from './open-cache.ts'

const STALE = { ttlSeconds: 60, staleSeconds: 600, jitter: 0 } as const

describe('staleSeconds', () => {
  it('serves the stale value at once, while one caller of all processes loads it again', async () => {
    await using test = await openCache()
    const caches = [test.cache, test.another(), test.another()]
    await test.cache.getOrSet('k', () => 'old', STALE)
    test.clock.advanceSeconds(61)
    const fresh = deferred<string>()
    let loads = 0
    const load = () => (loads++, fresh.promise)
    const calls = caches.flatMap((cache) => Array.from({ length: 50 }, () => cache.getOrSet('k', load, STALE)))
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['old']))
    await until(() => loads > 0)
    expect(caches.reduce((sum, cache) => sum + cache.stats().stale, 0)).toBe(150)
    fresh.resolve('new')
    await until(async () => (await test.cache.get('k')) === 'new')
    expect(await test.cache.getOrSet('k', load, STALE)).toBe('new')
    expect(loads).toBe(1)
  })

  it('is stored with the end of its freshness, and without staleSeconds bare, so that other programs read it', async () => {
    await using test = await openCache()
    await test.cache.getOrSet('k', () => ({ a: 1 }), STALE)
    const facts = { freshUntilMs: test.clock.nowMs() + 60_000 }
    expect(await test.cache.client.meta.get('k')).toMatchObject({ value: { value: { a: 1 }, facts }, clientFlags: 8 })
    await test.cache.getOrSet('bare', () => ({ a: 1 }), 60)
    expect(await test.cache.client.meta.get('bare')).toMatchObject({ value: { a: 1 }, clientFlags: 2, ttlSeconds: 60 })
  })

  it('is over when the time is', async () => {
    await using test = await openCache()
    await test.cache.getOrSet('k', () => 'old', STALE)
    test.clock.advanceSeconds(661)
    expect(await test.cache.getOrSet('k', () => 'new', STALE)).toBe('new')
  })

  it('outlives a loader’s error, which is tried again after the time of a lease', async () => {
    await using test = await openCache({ leaseSeconds: 5 })
    await test.cache.getOrSet('k', () => 'old', STALE)
    test.clock.advanceSeconds(61)
    let loads = 0
    const fail = () => (loads++, Promise.reject(new Error('no database')))
    for (let call = 0; call < 5; call++) {
      expect(await test.cache.getOrSet('k', fail, STALE)).toBe('old')
      await until(() => test.cache.stats().loadErrors === 1)
    }
    expect(loads).toBe(1)
    test.clock.advanceSeconds(6)
    await until(async () => {
      expect(await test.cache.getOrSet('k', fail, STALE)).toBe('old')
      return loads === 2
    })
  })

  it('lets another process load when the claiming process died', async () => {
    await using test = await openCache({ leaseSeconds: 5 })
    await test.cache.getOrSet('k', () => 'old', STALE)
    test.clock.advanceSeconds(61)
    // A process that claimed the value and was killed.
    expect((await test.cache.client.meta.get('k', { recacheSeconds: 700 }))?.won).toBe(true)
    let loads = 0
    const load = () => (loads++, 'new')
    expect(await test.cache.getOrSet('k', load, STALE)).toBe('old')
    test.clock.advanceSeconds(4)
    expect(await test.cache.getOrSet('k', load, STALE)).toBe('old')
    expect(loads).toBe(0)
    test.clock.advanceSeconds(2)
    await until(async () => (await test.cache.getOrSet('k', load, STALE)) === 'new')
    expect(loads).toBe(1)
  })

  it('waits for the loader as long as softTimeoutMs says', async () => {
    await using test = await openCache()
    const options = { ...STALE, softTimeoutMs: 60_000 }
    await test.cache.getOrSet('k', () => 'old', options)
    test.clock.advanceSeconds(61)
    expect(await test.cache.getOrSet('k', async () => 'new', options)).toBe('new')
    test.clock.advanceSeconds(61)
    const slow = deferred<string>()
    expect(await test.cache.getOrSet('k', () => slow.promise, { ...STALE, softTimeoutMs: 1 })).toBe('new')
    slow.resolve('newest')
    await until(async () => (await test.cache.get('k')) === 'newest')
    test.clock.advanceSeconds(61)
    const fail = () => Promise.reject(new Error('no database'))
    expect(await test.cache.getOrSet('k', fail, options)).toBe('newest')
  })

  it('hands the old value to the loader', async () => {
    await using test = await openCache()
    const value = { list: [1] }
    await test.cache.getOrSet('k', () => value, STALE)
    test.clock.advanceSeconds(61)
    const seen: unknown[] = []
    await test.cache.getOrSet('k', ({ stale }) => (seen.push(stale), value), STALE)
    await until(() => seen.length === 1)
    expect(seen).toEqual([{ list: [1] }])
    await test.cache.getOrSet('cold', ({ stale }) => (seen.push(stale), value), STALE)
    expect(seen[1]).toBeUndefined()
  })
})

describe('expire', () => {
  it('serves the old value while one caller loads it again, with any staleSeconds', async () => {
    await using test = await openCache()
    const other = test.another()
    await test.cache.getOrSet('k', () => 'old', 60)
    expect(await test.cache.markStale('k')).toBe(true)
    const fresh = deferred<string>()
    let loads = 0
    const load = () => (loads++, fresh.promise)
    expect(await Promise.all([test.cache, other, other].map((cache) => cache.getOrSet('k', load, 60)))).toEqual([
      'old',
      'old',
      'old',
    ])
    expect(loads).toBe(1)
    fresh.resolve('new')
    await until(async () => (await other.get('k')) === 'new')
    expect(await other.getOrSet('k', load, 60)).toBe('new')
  })

  it('does not let a plain get take the right to load it away', async () => {
    await using test = await openCache()
    await test.cache.set('k', 'old')
    await test.cache.markStale('k')
    expect(await test.cache.get('k')).toBe('old')
    expect((await test.cache.getMany(['k'])).get('k')).toBe('old')
    await test.cache.getOrSet('k', () => 'new')
    await until(async () => (await test.cache.get('k')) === 'new')
  })

  it('refuses the value of a load that began before', async () => {
    await using test = await openCache()
    await test.cache.getOrSet('k', () => 'oldest', STALE)
    test.clock.advanceSeconds(61)
    const late = deferred<string>()
    expect(await test.cache.getOrSet('k', () => late.promise, STALE)).toBe('oldest')
    await test.another().markStale('k')
    late.resolve('old')
    await until(() => test.cache.stats().discarded === 1)
    await until(async () => (await test.cache.getOrSet('k', () => 'new', STALE)) === 'new')
  })
})

describe('hardTimeoutMs', () => {
  it('aborts the loader, rejects all waiting callers, and lets the next caller load', async () => {
    await using test = await openCache()
    let aborted: unknown
    const never = ({ signal }: { signal: AbortSignal }) =>
      new Promise<string>(() => signal.addEventListener('abort', () => (aborted = signal.reason)))
    const calls = [1, 2].map(() => test.cache.getOrSet('k', never, { hardTimeoutMs: 5 }))
    for (const call of calls) {
      await expect(call).rejects.toMatchObject({ code: 'ERR_MEMCACHE_LOADER_TIMEOUT', key: 'k' })
    }
    expect(aborted).toMatchObject({ code: 'ERR_MEMCACHE_LOADER_TIMEOUT' })
    expect(await test.cache.getOrSet('k', () => 'now')).toBe('now')
    expect(test.cache.stats().loadErrors).toBe(1)
  })
})

describe('nullTtlSeconds', () => {
  it('limits the lifetime of null to 30 seconds by default', async () => {
    await using test = await openCache()
    let loads = 0
    const load = () => (loads++, null)
    const options = { ttlSeconds: 300, jitter: 0 }
    await test.cache.getOrSet('k', load, options)
    test.clock.advanceSeconds(29)
    await test.cache.getOrSet('k', load, options)
    expect(loads).toBe(1)
    test.clock.advanceSeconds(2)
    await test.cache.getOrSet('k', load, options)
    expect(loads).toBe(2)
    await test.cache.getOrSet('long', load, { ...options, nullTtlSeconds: '1h' })
    await test.cache.getOrSet('short', load, { ttlSeconds: 10, jitter: 0 })
    expect((await test.cache.client.meta.get('long'))?.ttlSeconds).toBe(300)
    expect((await test.cache.client.meta.get('short'))?.ttlSeconds).toBe(10)
  })
})

describe('earlyRefresh', () => {
  const EARLY = { ttlSeconds: 100, jitter: 0, earlyRefresh: { beta: 1 } } as const

  it('loads ahead of the end, once in all processes, while all are served the value that is there', async () => {
    await using test = await openCache()
    const caches = [test.cache, test.another(), test.another()]
    await test.cache.getOrSet('k', () => 'old', EARLY)
    test.clock.advanceSeconds(99.999)
    let loads = 0
    const fresh = deferred<string>()
    const load = () => (loads++, fresh.promise)
    for (let round = 0; round < 20; round++) {
      expect(await Promise.all(caches.map((cache) => cache.getOrSet('k', load, EARLY)))).toEqual(['old', 'old', 'old'])
    }
    await until(() => loads > 0)
    fresh.resolve('new')
    await until(async () => (await test.cache.get('k')) === 'new')
    expect(loads).toBe(1)
    expect(caches.reduce((sum, cache) => sum + cache.stats().earlyRefreshes, 0)).toBe(1)
  })

  it('does not when there is time', async () => {
    await using test = await openCache()
    await test.cache.getOrSet('k', () => 'old', EARLY)
    test.clock.advanceSeconds(50)
    for (let round = 0; round < 100; round++) await test.cache.getOrSet('k', () => 'new', EARLY)
    expect(test.cache.stats()).toMatchObject({ loads: 1, earlyRefreshes: 0 })
  })
})
