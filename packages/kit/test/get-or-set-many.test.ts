import { until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { defineCache } from '../src/index.ts'
import { deferred } from './deferred.ts'
import { openCache } from './open-cache.ts'

const ids = Array.from({ length: 1000 }, (_, id) => id)

describe('getOrSetMany', () => {
  it('loads all missing values by one call, and they are hits afterwards', async () => {
    await using test = await openCache()
    const asked: number[][] = []
    const load = async (missing: readonly number[]) => (
      asked.push([...missing]),
      new Map(missing.map((id) => [id, `city ${id}`]))
    )
    const key = (id: number) => ['city', id] as const
    await test.cache.set(['city', 3], 'there')
    const cities = await test.cache.getOrSetMany([3, 1, 2, 1], load, { key })
    expect([...cities]).toEqual([
      [3, 'there'],
      [1, 'city 1'],
      [2, 'city 2'],
    ])
    expect(asked).toEqual([[1, 2]])
    await test.cache.getOrSetMany(ids, load, { key })
    expect((await test.cache.getOrSetMany(ids, load, { key })).size).toBe(1000)
    expect(asked).toHaveLength(2)
    expect(test.cache.stats()).toMatchObject({ loads: 2, hits: 1 + 3 + 1000 })
  })

  it('treats a safe integer and its text as one id in the Map of a loader, as in a key, and no other two values', async () => {
    await using test = await openCache()
    const load = (loaded: unknown) => () => new Map([[loaded, 'value']])
    const others = ['+1', '01', '1.0', '1e0', '-0', 1n, true]
    const pairs: [asked: unknown, loaded: unknown, isSame: boolean][] = [
      [1, '1', true],
      ['1', 1, true],
      [-7, '-7', true],
      [2 ** 53, String(2 ** 53), false],
      [1.5, '1.5', false],
      ...others.map((other): (typeof pairs)[number] => [1, other, false]),
      ...others.map((other): (typeof pairs)[number] => [other, 1, false]),
    ]
    for (const [index, [asked, loaded, isSame]] of pairs.entries()) {
      const key = (id: unknown) => [index, String(id)]
      const expected = isSame ? new Map([[asked, 'value']]) : new Map()
      const get = (type?: () => string) =>
        test.cache.getOrSetMany([asked], load(loaded), { key, ...(type === undefined ? {} : { revive: type }) })
      expect(await get(), `${String(asked)} ${String(loaded)}`).toEqual(expected)
      expect(await test.cache.get([index, String(asked)])).toBe(isSame ? 'value' : undefined)
      await test.cache.delete([index, String(asked)])
      expect((await get(() => 'revived')).get(asked)).toBe(isSame ? 'revived' : undefined)
    }
    const cities = defineCache({
      name: 'cities',
      cache: test.cache,
      load: async (id: number) => `city ${id}`,
      loadMany: async (missing) => new Map(missing.map((id) => [String(id) as never, `city ${id}`])),
    })
    expect(await cities.warm([1, 2])).toEqual({ loaded: 2, skipped: 0, failed: 0 })
  })

  it('loads each key once, whichever caller requests it', async () => {
    await using test = await openCache()
    const caches = [test.cache, test.another(), test.another(), test.another()]
    const loaded: number[] = []
    let calls = 0
    const load = async (missing: readonly number[]) => {
      calls++
      loaded.push(...missing)
      await new Promise((resolve) => setImmediate(resolve))
      return missing.map((id) => id * 2)
    }
    const found = await Promise.all(caches.map((cache) => cache.getOrSetMany(ids, load)))
    for (const values of found) expect([...values]).toEqual(ids.map((id) => [id, id * 2]))
    expect(loaded.sort((a, b) => a - b)).toEqual(ids)
    expect(calls).toBeLessThanOrEqual(caches.length)
  })

  it('joins a running load of getOrSet, and getOrSet joins its load', async () => {
    await using test = await openCache()
    const single = deferred<string>()
    const started = deferred()
    const first = test.cache.getOrSet('a', () => (started.resolve(), single.promise))
    await started.promise
    const asked: string[][] = []
    const batch = deferred()
    const many = test.cache.getOrSetMany(['a', 'b'], async (missing) => {
      asked.push([...missing])
      await batch.promise
      return missing.map((id) => `many ${id}`)
    })
    await until(() => asked.length === 1)
    const joined = test.cache.getOrSet('b', () => 'never')
    batch.resolve()
    single.resolve('single')
    expect([...(await many)]).toEqual([
      ['a', 'single'],
      ['b', 'many b'],
    ])
    expect([await first, await joined]).toEqual(['single', 'many b'])
    expect(asked).toEqual([['b']])
  })

  it('looks a key up again if another process deleted it during the load that was joined', async () => {
    await using test = await openCache()
    const loading = deferred<string>()
    const single = test.cache.getOrSet(['k'], () => loading.promise)
    await until(() => test.cache.stats().loads === 1)
    const many = test.cache.getOrSetMany(['k'], () => ['new'])
    await until(() => test.cache.stats().coalesced === 1)
    expect(await test.another().delete(['k'])).toBe(true)
    loading.resolve('old')
    expect([await single, await many]).toEqual(['old', new Map([['k', 'new']])])
  })

  it('omits values that the loader does not return, keeps null, and releases the leases', async () => {
    await using test = await openCache()
    const found = await test.cache.getOrSetMany([1, 2, 3], () => [1, null, undefined])
    expect([...found]).toEqual([
      [1, 1],
      [2, null],
    ])
    expect(await test.cache.getOrSet(['3'], () => 'now')).toBe('now')
    expect(await test.cache.get(['2'])).toBeNull()
  })

  it('passes the loader’s error on, and frees the leases', async () => {
    await using test = await openCache()
    const error = new Error('no database')
    await expect(test.cache.getOrSetMany([1, 2], () => Promise.reject(error))).rejects.toBe(error)
    expect(await test.cache.getOrSet(['1'], () => 'now')).toBe('now')
    await expect(test.cache.getOrSetMany([5, 6], () => [1])).rejects.toThrow('1 values for 2 ids')
    await expect(test.cache.getOrSetMany([{ id: 1 }], () => [1])).rejects.toThrow('set key: (id) => [id.name]')
    await expect(test.cache.getOrSetMany([1], () => [1], { ttl: 5 } as never)).rejects.toThrow(
      '`ttl` is `ttlSeconds` here',
    )
  })

  it('serves stale values, and loads them again in the background', async () => {
    await using test = await openCache()
    const options = { ttlSeconds: 60, staleSeconds: 600, jitter: 0 } as const
    await test.cache.getOrSetMany([1, 2], () => ['old', 'old'], options)
    test.clock.advanceSeconds(61)
    const found = await test.cache.getOrSetMany([1, 2], (missing) => missing.map(() => 'new'), options)
    expect([...found.values()]).toEqual(['old', 'old'])
    await until(async () => [...(await test.cache.getMany(['1', '2'])).values()].join() === 'new,new')
  })

  it('rejects when its signal is aborted, and aborts the load when no caller waits for any value', async () => {
    await using test = await openCache()
    const controller = new AbortController()
    let aborted: unknown
    const started = deferred()
    const many = test.cache.getOrSetMany(
      [1, 2],
      (_, { signal }) => {
        signal.addEventListener('abort', () => (aborted = signal.reason))
        started.resolve()
        return new Promise<string[]>(() => {})
      },
      { signal: controller.signal },
    )
    await started.promise
    controller.abort(new Error('enough'))
    await expect(many).rejects.toThrow('enough')
    expect(aborted).toMatchObject({ message: 'enough' })
  })

  it('continues without the cache', async () => {
    await using test = await openCache({ timeoutMs: 250 })
    await test.server.stop()
    let calls = 0
    const found = await test.cache.getOrSetMany(ids, (missing) => (calls++, [...missing]))
    expect(found.size).toBe(1000)
    expect(calls).toBe(1)
  })

  it('takes tags of all values, or of each', async () => {
    await using test = await openCache()
    const load = (ids: readonly string[]): string[] => [...ids]
    await test.cache.getOrSetMany(['1', '2'], load, { tags: ['all'] })
    await test.cache.getOrSetMany(['3', '4'], load, { tags: (id) => ['all', `one:${id}`] })
    await test.cache.invalidateTags(['one:3'])
    expect([...(await test.cache.getMany(['1', '2', '3', '4'])).keys()]).toEqual(['1', '2', '4'])
    await test.cache.invalidateTags(['all'])
    expect((await test.cache.getMany(['1', '2', '3', '4'])).size).toBe(0)
    for (const tags of ['all', [1], [''], null, 5]) {
      const invalid = { tags } as unknown as { tags: string[] }
      await expect(test.cache.getOrSetMany(['1'], load, invalid)).rejects.toThrow(/tags? must/)
    }
  })

  it('is a declared cache’s too, with loadMany or without', async () => {
    await using test = await openCache({ asDefault: true })
    const calls: (readonly number[])[] = []
    const many = defineCache({
      name: 'many',
      load: (id: number) => `one ${id}`,
      loadMany: (missing) => (calls.push(missing), missing.map((id) => `many ${id}`)),
      tags: (id) => [`city:${id}`],
    })
    expect([...(await many.getOrSetMany([1, 2]))]).toEqual([
      [1, 'many 1'],
      [2, 'many 2'],
    ])
    expect(await many.getOrSet(1)).toBe('many 1')
    await test.cache.invalidateTags(['city:1'])
    expect(await many.getMany([1, 2])).toEqual(new Map([[2, 'many 2']]))
    const one = defineCache({ name: 'one', load: (id: number) => `one ${id}` })
    expect([...(await one.getOrSetMany([1, 2]))]).toEqual([
      [1, 'one 1'],
      [2, 'one 2'],
    ])
    const tokens = defineCache<string, string>({ name: 'token' })
    expect((await tokens.getOrSetMany(['a'], () => ['x'])).get('a')).toBe('x')
  })
})
