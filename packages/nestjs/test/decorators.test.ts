import 'reflect-metadata'
import { Controller, Get, Inject, Injectable, Param, Post, Scope, SetMetadata } from '@nestjs/common'
import { ContextIdFactory, ModuleRef, Reflector, REQUEST } from '@nestjs/core'
import { Test } from '@nestjs/testing'
import { cacheOf, Memcache } from 'memcache-ts'
import { testMemcache } from 'memcache-ts/testing'
import { describe, expect, it } from 'vitest'
import { CacheConfig, Cached, CacheEvict, CachePut, getMemcacheToken, MemcacheModule } from '../src/index.ts'
import { openApp } from './open-app.ts'

interface City {
  id: number
  name: string
}

@Injectable()
class Cities {
  finds = 0

  @Cached('5m') async find(id: number): Promise<City | null> {
    this.finds++
    return { id, name: `city ${id}` }
  }

  @CachePut({ key: (city: City) => ['find', city.id] }) async save(city: City): Promise<City> {
    return city
  }

  @CacheEvict({ key: (id: number) => ['find', id] }) async remove(_id: number): Promise<void> {}
}

describe('on a provider', () => {
  it('uses the cache of the application, not the one of the process', async () => {
    await using test = await openApp({ providers: [Cities] })
    await using process = await testMemcache({ asDefault: true })
    const cities = test.get(Cities)
    expect(await cities.find(1)).toEqual({ id: 1, name: 'city 1' })
    expect(await cities.find(1)).toEqual({ id: 1, name: 'city 1' })
    expect(cities.finds).toBe(1)
    expect(await test.cache.get(['Cities', 'find', 1])).toEqual({ id: 1, name: 'city 1' })
    await cities.save({ id: 1, name: 'Oslo' })
    expect(await cities.find(1)).toEqual({ id: 1, name: 'Oslo' })
    await cities.remove(1)
    expect(await cities.find(1)).toEqual({ id: 1, name: 'city 1' })
    expect(process.cache.stats()).toMatchObject({ loads: 0, hits: 0 })
  })

  it('two applications in one process have each their own', async () => {
    await using one = await openApp({ providers: [Cities] })
    await using other = await openApp({ providers: [Cities] })
    await one.get(Cities).find(1)
    await other.get(Cities).find(1)
    expect(one.cache.stats().loads).toBe(1)
    expect(other.cache.stats().loads).toBe(1)
  })

  it('adds no visible property to the object', async () => {
    await using test = await openApp({ providers: [Cities] })
    expect(test.get(Cities)).toEqual(new Cities())
    expect(Reflect.ownKeys(test.get(Cities))).toEqual(['finds'])
  })

  it('works in every scope', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Transient extends Cities {}
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {
      readonly #request: { url?: string } | undefined
      constructor(@Inject(REQUEST) request: { url?: string } | undefined) {
        this.#request = request
      }
      @Cached(60) async url(): Promise<string> {
        return this.#request?.url ?? 'none'
      }
    }
    @Controller()
    class Shows {
      readonly perRequest: PerRequest
      readonly transient: Transient
      constructor(perRequest: PerRequest, transient: Transient) {
        this.perRequest = perRequest
        this.transient = transient
      }
      @Get('*path') async show() {
        return { url: await this.perRequest.url(), city: await this.transient.find(1), finds: this.transient.finds }
      }
    }
    await using test = await openApp({ providers: [Transient, PerRequest], controllers: [Shows] })
    const first = await (await test.fetch('/a')).json()
    expect(first).toEqual({ url: '/a', city: { id: 1, name: 'city 1' }, finds: 1 })
    // Other objects, the same cache.
    expect(await (await test.fetch('/b')).json()).toEqual({ ...first, finds: 0 })
    const moduleRef = test.app.get(ModuleRef)
    const resolved = await moduleRef.resolve(Transient, ContextIdFactory.create(), { strict: false })
    await resolved.find(1)
    expect(resolved.finds).toBe(0)
  })

  it('is inherited: by the subclass with its own name, from abstract classes, beside its own methods', async () => {
    abstract class Repository {
      loads: string[] = []
      @Cached(60) async find(id: number): Promise<string> {
        this.loads.push(`find ${id}`)
        return `${this.table()} ${id}`
      }
      protected abstract table(): string
    }
    @Injectable()
    class Towns extends Repository {
      protected table() {
        return 'town'
      }
      @Cached(60) async count(): Promise<number> {
        this.loads.push('count')
        return 3
      }
    }
    @Injectable()
    class Rivers extends Repository {
      @Inject(Memcache) readonly own!: Memcache
      protected table() {
        return 'river'
      }
    }
    await using test = await openApp({ providers: [Towns, Rivers] })
    const towns = test.get(Towns)
    for (const _ of [1, 2]) {
      expect(await towns.find(1)).toBe('town 1')
      expect(await towns.count()).toBe(3)
      expect(await test.get(Rivers).find(1)).toBe('river 1')
    }
    expect(towns.loads).toEqual(['find 1', 'count'])
    expect(test.get(Rivers).own).toBe(test.cache)
    expect(await test.cache.get(['Rivers', 'find', 1])).toBe('river 1')
  })

  it('works above or below Nest’s own decorators, and keeps metadata, name and length', async () => {
    const Roles = (role: string) => SetMetadata('roles', role)
    @Controller('cities')
    class Shows {
      shown = 0
      @Get('above/:id') @Roles('a') @Cached(60) async above(@Param('id') id: string, _rest = 1): Promise<string> {
        return `${id} ${++this.shown}`
      }
      @Cached(60) @Roles('b') @Get('below/:id') async below(@Param('id') id: string): Promise<string> {
        return `${id} ${++this.shown}`
      }
      @Post() @CacheEvict({ all: true }) @Roles('c') async clear(): Promise<void> {}
    }
    await using test = await openApp({ controllers: [Shows] })
    for (const _ of [1, 2]) {
      expect(await (await test.fetch('/cities/above/x')).text()).toBe('x 1')
      expect(await (await test.fetch('/cities/below/y')).text()).toBe('y 2')
    }
    await test.fetch('/cities', { method: 'POST' })
    expect(await (await test.fetch('/cities/above/x')).text()).toBe('x 3')
    const { above, below, clear } = Shows.prototype
    expect([above, below, clear].map((method) => new Reflector().get('roles', method))).toEqual(['a', 'b', 'c'])
    expect([above.name, above.length, below.name, below.length]).toEqual(['above', 1, 'below', 1])
    expect(Reflect.getMetadata('design:paramtypes', Shows.prototype, 'above')).toEqual([String, Object])
  })

  it('cacheOf finds the cache of the application', async () => {
    await using test = await openApp({ providers: [Cities] })
    const cities = test.get(Cities)
    await cities.find(1)
    const cache = cacheOf(cities, 'find')
    expect(await cache.get([1])).toEqual({ id: 1, name: 'city 1' })
    expect(await cache.delete([1])).toBe(true)
    expect(await cache.warm([[1], [2]])).toEqual({ loaded: 2, skipped: 0, failed: 0 })
    expect(await test.cache.get(['Cities', 'find', 2])).toEqual({ id: 2, name: 'city 2' })
  })
})

describe('invalid options are refused at the declaration', () => {
  it.each([
    [() => Cached({ ttl: 60 } as never), '`ttl` is `ttlSeconds` here'],
    [() => CachePut({} as never), '@CachePut needs a key'],
    [() => CacheEvict({}), 'nothing to evict'],
    [() => CacheConfig({ prefix: 'x' } as never), 'has no option'],
    [() => Cached(0), 'must be greater than 0'],
    [() => CachePut({ key: () => [], ttlSeconds: -1 }), 'must be greater than 0'],
    [
      () => {
        class Static {
          own = 1
          @Cached(60) static async find(): Promise<number> {
            return 1
          }
        }
        return Static
      },
      'a static method cannot be cached',
    ],
    [
      () => Cached(60)(async () => 1, { kind: 'method', name: 'find', static: false } as never),
      'find: this decorator needs "experimentalDecorators": true in tsconfig.json',
    ],
  ])('by an error, number %#', (write, message) => {
    expect(write).toThrow(message)
  })
})

describe('a cache with a name', () => {
  it('is selected by a method, or by @CacheConfig for a class and its subclasses', async () => {
    @Injectable()
    class Mixed {
      @Cached(60) async own(): Promise<string> {
        return 'own'
      }
      @Cached({ ttlSeconds: 60, cache: 'reports' }) async report(): Promise<string> {
        return 'report'
      }
    }
    @CacheConfig({ name: 'all-reports', version: 2, cache: 'reports' })
    @Injectable()
    class Reports extends Cities {
      @CacheEvict({ all: true }) async clear(): Promise<void> {}
    }
    await using reports = await testMemcache()
    await using test = await openApp({
      imports: [MemcacheModule.forRoot({ name: 'reports', cache: reports.cache })],
      providers: [Mixed, Reports],
    })
    await test.get(Mixed).own()
    await test.get(Mixed).report()
    await test.get(Reports).find(1)
    expect(await test.cache.get(['Mixed', 'own'])).toBe('own')
    expect(await reports.cache.get(['Mixed', 'report'])).toBe('report')
    expect(await reports.cache.get(['all-reports', 'v2', 'find', 1])).toEqual({ id: 1, name: 'city 1' })
    await test.get(Reports).clear()
    expect(await cacheOf(test.get(Reports), 'find').get([1])).toBeUndefined()
  })

  it('that does not exist is reported when the application starts, with the line to write', async () => {
    @Injectable()
    class Reports {
      @Cached({ ttlSeconds: 60, cache: 'reprots' }) async find(): Promise<number> {
        return 1
      }
    }
    await expect(openApp({ providers: [Reports] })).rejects.toThrow(
      "Reports.find needs a cache, and there is none named 'reprots', but there is one without a name: write imports: [MemcacheModule.forRoot({ name: 'reprots' })] in the application's root module",
    )
  })
})

describe('without the module', () => {
  it('an object that was made by new just calls, and has nothing in its cache', async () => {
    await using process = await testMemcache({ asDefault: true })
    const cities = new Cities()
    await cities.find(1)
    await cities.find(1)
    expect(cities.finds).toBe(2)
    expect(await cities.save({ id: 1, name: 'Oslo' })).toEqual({ id: 1, name: 'Oslo' })
    await cities.remove(1)
    const cache = cacheOf(cities, 'find')
    expect(await cache.set([1], null)).toBe(false)
    expect(await cache.get([1])).toBeUndefined()
    expect([await cache.delete([1]), await cache.markStale([1])]).toEqual([true, true])
    expect(await cache.warm([[1]])).toEqual({ loaded: 0, skipped: 0, failed: 0 })
    expect(process.cache.stats()).toMatchObject({ hits: 0, misses: 0, loads: 0 })
  })

  it('a test may replace the cache by a mock', async () => {
    const module = await Test.createTestingModule({
      providers: [Cities, { provide: getMemcacheToken(), useValue: { get: () => 'mocked' } }],
    })
      .useMocker(() => ({}))
      .compile()
    expect(await module.get(Cities).find(1)).toEqual({ id: 1, name: 'city 1' })
  })
})
