import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { Cached, cached, cacheOf, defineCache } from '../src/index.ts'
import { openCache } from './open-cache.ts'

describe('cached', () => {
  it('has methods that work without their object, and `expire` does the same as `markStale`', async () => {
    await using test = await openCache()
    let runs = 0
    const runsOf = cached(async (_id: number) => ++runs, {
      name: 'runs',
      ttlSeconds: 60,
      staleSeconds: 60,
      cache: test.cache,
    })
    const { markStale, expire } = runsOf.cache
    for (const mark of [markStale, expire]) {
      const before = await runsOf(1)
      expect(await mark([1])).toBe(true)
      // The stale result, while the function runs again.
      expect(await runsOf(1)).toBe(before)
      await expect.poll(() => runsOf(1)).toBe(before + 1)
    }
  })

  it('caches a function by its arguments', async () => {
    await using test = await openCache()
    let runs = 0
    const near = cached(async (lat: number, lon: number, options?: { km: number }) => [lat, lon, options?.km, ++runs], {
      name: 'near',
      ttlSeconds: 60,
      cache: test.cache,
    })
    expect(await near(1, 2, { km: 3 })).toEqual([1, 2, 3, 1])
    expect(await near(1, 2, { km: 3 })).toEqual([1, 2, 3, 1])
    expect(await near(1, 2, { km: 4 })).toEqual([1, 2, 4, 2])
    expect(await near(1, 2)).toEqual([1, 2, undefined, 3])
    expect(await near.cache.get([1, 2, { km: 3 }])).toEqual([1, 2, 3, 1])
    await near.cache.delete([1, 2, { km: 3 }])
    expect(await near(1, 2, { km: 3 })).toEqual([1, 2, 3, 4])
    expect(await near.cache.set([5, 5], [0, 0, 0, 0])).toBe(true)
    expect(await near(5, 5)).toEqual([0, 0, 0, 0])
    await near.cache.clear()
    expect(await near.cache.get([5, 5])).toBeUndefined()
  })

  it('gets the parts of the key from a function of the arguments', async () => {
    await using test = await openCache()
    const near = cached(async (lat: number) => lat, { name: 'n', key: (lat) => [lat.toFixed(1)], cache: test.cache })
    expect(await near(1.11)).toBe(1.11)
    expect(await near(1.14)).toBe(1.11)
  })

  it('does not confuse objects by the order of their keys, or maps with objects', async () => {
    await using test = await openCache()
    const seen = cached(async (value: unknown) => JSON.stringify(value), { name: 's', cache: test.cache })
    await seen({ a: 1, b: 2 })
    expect(await seen({ b: 2, a: 1 })).toBe('{"a":1,"b":2}')
    expect(await seen(new Map([['a', 1]]))).not.toBe(await seen({ a: 2 }))
    expect(test.cache.stats().loads).toBe(3)
  })
})

describe('defineCache', () => {
  it('infers its types from its loader', async () => {
    await using test = await openCache()
    const cities = defineCache({ name: 'city', version: 2, cache: test.cache, load: async (id: number) => ({ id }) })
    expect(await cities.getOrSet(42)).toEqual({ id: 42 })
    expect(await test.cache.get(['city', 'v2', 42])).toEqual({ id: 42 })
    await cities.delete(42)
    expect(await cities.get(42)).toBeUndefined()
  })

  it('without a loader takes one with each call', async () => {
    await using test = await openCache()
    const tokens = defineCache<{ token: string }, string>({ name: 'token', ttlSeconds: 60, cache: test.cache })
    expect(await tokens.getOrSet('a', () => ({ token: 'x' }))).toEqual({ token: 'x' })
    expect(await tokens.get('a')).toEqual({ token: 'x' })
  })
})

describe('@Cached, as a legacy decorator', () => {
  it('caches a method by its arguments, under the class and the method', async () => {
    await using test = await openCache()
    const { cache } = test
    class Cities {
      runs = 0
      @Cached({ ttlSeconds: 60, cache })
      async find(id: number): Promise<{ id: number; run: number }> {
        return { id, run: ++this.runs }
      }
      @Cached({
        cache,
        key: (query: string) => ['q', query.toLowerCase()],
        condition: (query) => query !== 'never',
        unless: (found: string[]) => found.length === 0,
      })
      async search(query: string): Promise<string[]> {
        this.runs++
        return query === 'nothing' ? [] : [query]
      }
    }
    const cities = new Cities()
    expect(await cities.find(1)).toEqual({ id: 1, run: 1 })
    expect(await cities.find(1)).toEqual({ id: 1, run: 1 })
    expect(await new Cities().find(1)).toEqual({ id: 1, run: 1 })
    expect(await cache.get(['Cities', 'find', 1])).toEqual({ id: 1, run: 1 })
    await cacheOf(cities, 'find').delete([1])
    expect(await cities.find(1)).toEqual({ id: 1, run: 2 })

    cities.runs = 0
    await cities.search('Oslo')
    await cities.search('OSLO')
    expect(cities.runs).toBe(1)
    await cities.search('never')
    await cities.search('never')
    await cities.search('nothing')
    await cities.search('nothing')
    expect(cities.runs).toBe(5)
    expect(cities.find.name).toBe('find')
    expect(cities.find.length).toBe(1)
  })

  it('does not compile on a method that is not async', () => {
    class Plain {
      // @ts-expect-error a cache cannot be read synchronously
      @Cached(60)
      sync(): number {
        return 1
      }
    }
    expect(() => cacheOf(new Plain() as unknown as { sync(): Promise<number> }, 'sync')).not.toThrow()
    class Bare {
      async find(): Promise<number> {
        return 1
      }
    }
    expect(() => cacheOf(new Bare(), 'find')).toThrow('Bare.find does not have @Cached')
    // @ts-expect-error 'min' is no unit
    expect(() => Cached('5min')).toThrow("'5min'")
    expect(() => Cached({ ttl: 5 } as never)).toThrow('`ttl` is `ttlSeconds` here')
  })
})

describe('@Cached, as a standard decorator', () => {
  const folder = fileURLToPath(new URL('fixtures/standard-decorators', import.meta.url))
  const answersOf = (name: string): unknown =>
    JSON.parse(execFileSync(process.execPath, [`${folder}/dist/${name}.js`], { encoding: 'utf8' }))

  beforeAll(() => {
    // vitest does not lower standard decorators: the compiler does, and the result runs in a process of its own.
    const tsc = fileURLToPath(new URL('../../../node_modules/.bin/tsc', import.meta.url))
    execFileSync(tsc, ['-p', folder], { encoding: 'utf8' })
  })

  it('works as TypeScript compiles it', () => {
    expect(answersOf('cities')).toEqual({
      first: 1,
      second: 1,
      afterDelete: 2,
      afterEvict: 3,
      afterPut: 77,
      stored: { id: 1, run: 77 },
      name: 'find',
    })
  })

  it('is found below other decorators, gets the object for its keys, and has one class a name', () => {
    expect(answersOf('more')).toEqual({
      found: ['a 1 10 1', 'b 1 10 1', 'a 1 10 1'],
      stored: 'a 1 10 1',
      overridden: 'Overrides.find does not have @Cached: add the decorator to the method',
      hidden: [2, 3],
      repositories: [
        'user 1',
        expect.stringMatching(/^class Repository \(place\) and class Repository \(place\) both/),
        'user 1',
      ],
      warned: [],
    })
  })
})
