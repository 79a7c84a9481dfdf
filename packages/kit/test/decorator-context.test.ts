import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Observable } from 'rxjs'
import { CacheConfig, Cached, cached, CacheEvict, cacheOf, CachePut, defineCache } from '../src/index.ts'
import { countParameters } from '../src/declare/decorators/formal-parameters.ts'
import { openCache } from './open-cache.ts'
import type { TestCaches } from './open-cache.ts'

let test: TestCaches

beforeEach(async () => {
  test = await openCache({ asDefault: true })
})
afterEach(() => test.close())

/** Puts another function in a method's place, as decorators of applications do. */
function Wrapped(_target: object, _name: string, descriptor: PropertyDescriptor): void {
  const method = descriptor.value as (...args: unknown[]) => unknown
  descriptor.value = function (this: unknown, ...args: unknown[]) {
    return method.apply(this, args)
  }
}

describe('key, tags, condition and unless', () => {
  it('get the object after all parameters of the method, with any number of arguments', async () => {
    class Rows {
      readonly tenant: string
      loads = 0
      constructor(tenant: string) {
        this.tenant = tenant
      }
      @Cached({
        key: (id: number, limit: number | undefined, self: Rows) => [self.tenant, id, limit ?? 10],
        tags: (_id, _limit, self: Rows) => [`tenant:${self.tenant}`],
        condition: (_id, _limit, self: Rows) => self.tenant !== 'none',
        unless: (value: string, _id, _limit, self: Rows) => self.tenant === 'unstored' && value !== '',
      })
      async find(id: number, limit = 10): Promise<string> {
        this.loads++
        return `${this.tenant} ${id} ${limit}`
      }
      @CachePut({ key: (id: number, self: Rows) => [self.tenant, id, 10] })
      async save(id: number): Promise<string> {
        return `${this.tenant} ${id} saved`
      }
      @CacheEvict({ tags: (self: Rows) => [`tenant:${self.tenant}`] })
      async clear(): Promise<void> {}
    }
    const [a, b] = [new Rows('a'), new Rows('b')]
    for (const _ of [1, 2]) {
      expect(await Promise.all([a.find(1), b.find(1), a.find(1, 10)])).toEqual(['a 1 10', 'b 1 10', 'a 1 10'])
    }
    expect([a.loads, b.loads]).toEqual([1, 1])
    await a.clear()
    await Promise.all([a.find(1), b.find(1)])
    expect([a.loads, b.loads]).toEqual([2, 1])
    await b.save(1)
    expect([await a.find(1), await b.find(1)]).toEqual(['a 1 10', 'b 1 saved'])
    expect(await cacheOf(b, 'find').get([1])).toBe('b 1 saved')
    for (const tenant of ['none', 'unstored']) {
      const rows = new Rows(tenant)
      for (const _ of [1, 2]) await rows.find(1)
      expect(rows.loads).toBe(2)
    }
  })

  it('with as many parameters as the method get only its arguments', async () => {
    const given: unknown[][] = []
    class Rows {
      @Cached({ key: (id: number, limit?: number) => (given.push([id, limit]), [id, limit ?? 10]) })
      async find(id: number, limit = 10): Promise<number> {
        return id * limit
      }
      @Cached({ key: (...ids: number[]) => (given.push(ids), ids) })
      async sum(...ids: number[]): Promise<number> {
        return ids.length
      }
    }
    await new Rows().find(1)
    await new Rows().sum(1, 2)
    expect(given).toEqual([
      [1, undefined],
      [1, 2],
    ])
  })

  it('get it above a decorator that hides the method’s parameters', async () => {
    class Rows {
      tenant = 'a'
      @Cached({ key: (id: number, self: Rows) => [self.tenant, id] })
      @Wrapped
      async find(id: number): Promise<string> {
        return `${this.tenant} ${id}`
      }
    }
    await new Rows().find(1)
    expect(await test.cache.get(['Rows', 'a', 1])).toBe('a 1')
  })

  it.each<[Function, number | undefined]>([
    [async function () {}, 0],
    [async (_id: number, _limit = 10) => {}, 2],
    [async (_a = { b: [1, 2], c: (_x: number, _y: number) => 1 }, _d = 'a, ( b', _e = `${Date.now()},(`) => {}, 3],
    [runInNewContext('(function (a, b /* c, d */) {})') as Function, 2],
    [runInNewContext('(async (a, b, // c, d\n) => {})') as Function, 2],
    [runInNewContext('(a => a)') as Function, 1],
    [{ async 'a (b, c)'(_a: number) {} }['a (b, c)'], 1],
    [(_a: number, ..._rest: number[]) => {}, undefined],
    [Math.max, undefined],
  ])('counts the parameters that a method declares, number %#', (method, count) => {
    expect(countParameters(method)).toBe(count)
  })
})

describe('a lifetime by the value', () => {
  it('is one of methods and of declared caches', async () => {
    const load = async (seconds: number) => ({ seconds })
    const ttlSeconds = (token: { seconds: number }) => token.seconds
    class Tokens {
      @Cached({ ttlSeconds })
      async find(seconds: number): Promise<{ seconds: number }> {
        return load(seconds)
      }
    }
    const tokens = new Tokens()
    const declared = defineCache({ name: 'declared', load, ttlSeconds })
    const call = cached(load, { name: 'cached', ttlSeconds })
    for (const seconds of [10, 100])
      await Promise.all([tokens.find(seconds), declared.getOrSet(seconds), call(seconds)])
    await cacheOf(tokens, 'find').set([11], { seconds: 11 })
    await declared.set(11, { seconds: 11 })
    test.clock.advanceSeconds(50)
    for (const [seconds, found] of [
      [10, undefined],
      [11, undefined],
      [100, { seconds: 100 }],
    ] as const) {
      expect(await cacheOf(tokens, 'find').get([seconds])).toEqual(found)
      expect(await declared.get(seconds)).toEqual(found)
      expect(await call.cache.get([seconds])).toEqual(found)
    }
  })
})

describe('cacheOf', () => {
  class Cities {
    loads = 0
    @CacheEvict({ tags: ['t'] })
    @Cached(60)
    async below(_id: number): Promise<number> {
      return ++this.loads
    }
    @Wrapped
    @Cached(60)
    async wrapped(_id: number): Promise<number> {
      return ++this.loads
    }
    @Cached(60)
    @Wrapped
    async above(_id: number): Promise<number> {
      return ++this.loads
    }
    async plain(): Promise<void> {}
  }

  it.each(['below', 'wrapped', 'above'] as const)('finds a method with other decorators: %s', async (method) => {
    class Towns extends Cities {}
    for (const cities of [new Cities(), new Towns()]) {
      const value = await cities[method](1)
      expect(await cacheOf(cities, method).get([1])).toBe(value)
      expect(await cacheOf(cities, method).warm([[1], [2]])).toMatchObject({ loaded: 1, skipped: 1 })
      expect(await cities[method](2)).toBe(value + 1)
    }
  })

  it('finds it behind a mock on the object, but not if a subclass has overridden it', async () => {
    class Towns extends Cities {
      override async wrapped(_id: number): Promise<number> {
        return 0
      }
    }
    const cities = Object.assign(new Cities(), { wrapped: async () => 7 })
    expect(await cacheOf<Cities, 'wrapped'>(cities, 'wrapped').get([1])).toBeUndefined()
    expect(() => cacheOf(new Towns(), 'wrapped')).toThrow('Towns.wrapped does not have @Cached')
    expect(() => cacheOf(new Cities(), 'plain')).toThrow('Cities.plain does not have @Cached')
  })
})

describe('a method that cannot be cached', () => {
  it.each<[string, () => unknown]>([
    [
      '@Cached: all is a generator, which cannot be cached',
      () => {
        class Rows {
          // @ts-expect-error -- a stream of values
          @Cached(60)
          async *all() {
            yield 1
          }
        }
        return Rows
      },
    ],
    [
      '@CacheEvict: clear is static, and a static method cannot be cached: use cached(fn, options)',
      () => {
        class Rows {
          loads = 0
          @CacheEvict({ all: true })
          static async clear(): Promise<void> {}
        }
        return Rows
      },
    ],
    [
      'is named by a symbol, which cannot be part of a key: set key',
      () => {
        const find = Symbol('find')
        class Rows {
          @Cached(60)
          async [find](): Promise<number> {
            return 1
          }
        }
        return Rows
      },
    ],
  ])('is refused where it is written: %s', (message, declare) => {
    expect(declare).toThrow(message)
  })

  it('causes an error when it returns an Observable', async () => {
    class Rows {
      // @ts-expect-error -- an Observable is no Promise
      @Cached(60)
      watch(): Observable<number> {
        return new Observable()
      }
    }
    await expect(new Rows().watch()).rejects.toThrow('Rows.watch returns an Observable, which cannot be cached')
  })

  it('by a symbol is cached with a key', async () => {
    const find = Symbol('find')
    class Rows {
      loads = 0
      @Cached({ ttlSeconds: 60, key: () => ['find'] })
      async [find](): Promise<number> {
        return ++this.loads
      }
    }
    const rows = new Rows()
    expect([await rows[find](), await rows[find]()]).toEqual([1, 1])
  })
})

describe('options of a wrong type', () => {
  const load = async (id: number): Promise<number> => id

  it.each<[string, () => unknown]>([
    ['@Cached takes its options as an object, got a list', () => Cached([] as never)],
    ['@Cached takes its options as an object, got null', () => Cached(null as never)],
    ["@Cached: key must be a function, (id) => …; got 'id'", () => Cached({ key: 'id' as never })],
    [
      "@Cached: tags must be a list of non-empty strings, or a function that returns such a list: ['a']; got 'a'",
      () => Cached({ tags: 'a' as never }),
    ],
    ['@Cached: condition must not be async', () => Cached({ condition: (async () => false) as never })],
    ['@Cached: tags must not be async', () => Cached({ tags: (async () => []) as never })],
    ['@CacheEvict: key must not be async', () => CacheEvict({ key: (async () => []) as never })],
    ['defineCache: key must not be async', () => defineCache({ name: 'a', load, key: (async () => 'a') as never })],
    ['@Cached: condition must be a function', () => Cached({ condition: true as never })],
    ['@Cached: cache must be a memcache(), got 5', () => Cached({ cache: 5 as never })],
    ['@CachePut: tags must be a list', () => CachePut({ key: () => [], tags: [1] as never })],
    ['@CachePut: unless must be a function', () => CachePut({ key: () => [], unless: 1 as never })],
    ["@CachePut has no option 'keys': `keys` is `key` here", () => CachePut({ keys: () => [] } as never)],
    ["@CacheEvict: all must be a boolean, true or false; got 'yes'", () => CacheEvict({ all: 'yes' as never })],
    ['@CacheEvict: soft must be a boolean', () => CacheEvict({ tags: ['a'], soft: 1 as never })],
    ['@CacheEvict: key must be a function, (id) => …; got a list', () => CacheEvict({ key: ['find', 1] as never })],
    ['@CacheEvict: tags must be a list', () => CacheEvict({ tags: [''] })],
    ['@CacheConfig: name must be a string that is not empty, got number', () => CacheConfig({ name: 5 as never })],
    ['@CacheConfig: version must be a whole number of at least 0, got 1.5', () => CacheConfig({ version: 1.5 })],
    ['@CacheConfig takes its options as an object', () => CacheConfig('cities' as never)],
    ['cached: the first argument must be a function', () => cached(5 as never, { name: 'a' })],
    ['cached takes its options as an object, got undefined', () => cached(load, undefined as never)],
    ['name must be a string that is not empty', () => cached(load, {} as never)],
    ['jitter must be at least 0 and less than 1', () => cached(load, { name: 'a', jitter: 2 })],
    ['defineCache: load must be a function', () => defineCache({ name: 'a', load: 5 as never })],
    ['name must be a string that is not empty', () => defineCache({ load } as never)],
    ['defineCache: tags must be a list', () => defineCache({ name: 'a', load, tags: 'a' as never })],
    ['must be greater than 0', () => defineCache({ name: 'a', load, ttlSeconds: 0 })],
    [
      "version must be a whole number of at least 0, got '2'",
      () => defineCache({ name: 'a', load, version: '2' as never }),
    ],
  ])('are refused where they are written: %s', (message, write) => {
    expect(write).toThrow(message)
  })

  it('cause an error at the call if a function returns them', async () => {
    class Rows {
      @CacheEvict({ tags: (() => ['']) as never, when: 'before' })
      async remove(): Promise<void> {}
    }
    await expect(new Rows().remove()).rejects.toThrow('a tag must not be empty')
  })
})
