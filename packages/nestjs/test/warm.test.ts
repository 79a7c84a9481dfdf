import 'reflect-metadata'
import { Injectable, Logger, Scope } from '@nestjs/common'
import { Test } from '@nestjs/testing'
import { memcache } from 'memcache-ts'
import { testMemcache } from 'memcache-ts/testing'
import { until } from 'memcache-ts-testing'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { deferred } from '../../kit/test/deferred.ts'
import { Cached, MemcacheModule, Warm } from '../src/index.ts'
import { openApp } from './open-app.ts'

let logged: string[]

beforeEach(() => {
  logged = []
  const collect = function (this: { context?: string }, message: unknown) {
    if (this.context === 'Warm') logged.push(String(message))
  }
  vi.spyOn(Logger.prototype, 'log').mockImplementation(collect)
  vi.spyOn(Logger.prototype, 'error').mockImplementation(collect)
})
afterEach(() => vi.restoreAllMocks())

describe('@Warm', () => {
  it('warms a cached method with the arguments that are yielded, lists or single ones, when the application starts', async () => {
    @Injectable()
    class Cities {
      loads: string[] = []
      @Cached(60) async find(id: number): Promise<string> {
        this.loads.push(`find ${id}`)
        return `city ${id}`
      }
      @Cached(60) async near(lat: number, lon: number): Promise<string> {
        this.loads.push(`near ${lat} ${lon}`)
        return `${lat} ${lon}`
      }
      @Warm('find') async top(): Promise<number[]> {
        return [1, 2]
      }
      @Warm('near') async *capitals() {
        yield [59.9, 10.7]
        yield [48.2, 16.4]
      }
    }
    @Injectable()
    class Towns extends Cities {
      @Warm('find') override async top(): Promise<number[]> {
        return [3]
      }
      @Warm('find') protected others() {
        return new Set([4])
      }
    }
    await using test = await openApp({ providers: [Cities, Towns] })
    await until(() => logged.length === 5)
    expect(await test.cache.get(['Cities', 'find', 2])).toBe('city 2')
    expect(await test.cache.get(['Cities', 'near', 59.9, 10.7])).toBe('59.9 10.7')
    expect(await test.cache.get(['Towns', 'find', 3])).toBe('city 3')
    expect(await test.cache.get(['Towns', 'find', 4])).toBe('city 4')
    expect(await test.cache.get(['Towns', 'find', 1])).toBeUndefined()
    const loads = test.get(Cities).loads.length
    await test.get(Cities).find(1)
    expect(test.get(Cities).loads).toHaveLength(loads)
    expect(logged).toContainEqual(
      expect.stringMatching(/^Cities\.find: 2 loaded, 0 already stored, 0 failed in \d+ ms$/),
    )
  })

  it('warms in a cache with a name, once, even if it is the only one', async () => {
    @Injectable()
    class Cities {
      loads = 0
      @Cached({ ttlSeconds: 60, cache: 'named' }) async find(id: number): Promise<number> {
        this.loads++
        return id
      }
      @Warm('find') top() {
        return [1]
      }
    }
    await using named = await testMemcache({ timeoutMs: 5000 })
    const root = MemcacheModule.forRoot({ name: 'named', cache: named.cache })
    const module = await Test.createTestingModule({ imports: [root], providers: [Cities] }).compile()
    await module.init()
    await until(() => logged.length === 1)
    expect(await named.cache.get(['Cities', 'find', 1])).toBe(1)
    await module.close()
    await using both = await openApp({ imports: [root], providers: [Cities] })
    await until(() => logged.length === 2)
    expect(both.get(Cities).loads).toBe(0)
  })

  it('without a name the method warms by itself, and its report is logged', async () => {
    @Injectable()
    class Cities {
      @Warm() all() {
        return { loaded: 7, skipped: 1, failed: 0 }
      }
      @Warm() async nothing(): Promise<void> {}
    }
    await using _ = await openApp({ providers: [Cities] })
    await until(() => logged.length === 2)
    expect(logged).toContainEqual(expect.stringMatching(/^Cities\.all: 7 loaded, 1 already stored, 0 failed in/))
    expect(logged).toContainEqual(expect.stringMatching(/^Cities\.nothing: done in/))
  })

  it('each value is loaded by one process of the fleet', async () => {
    const loads: number[] = []
    const build = () => {
      @Injectable()
      class Cities {
        @Cached(60) async find(id: number): Promise<number> {
          loads.push(id)
          return id
        }
        @Warm('find') top() {
          return Array.from({ length: 50 }, (_, id) => [id])
        }
      }
      return Cities
    }
    await using first = await openApp({ providers: [build()] })
    const { servers } = first.server
    const other = memcache({ servers, clock: first.clock, logger: false, timeoutMs: 5000 })
    await using _ = await openApp({ root: MemcacheModule.forRoot(), providers: [build()], cache: other })
    await until(() => logged.length === 2)
    expect(loads.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, id) => id))
    await other.close()
  })

  it('the application starts before it is done, and its end stops it', async () => {
    const begun = deferred()
    @Injectable()
    class Cities {
      @Cached(60) async find(id: number): Promise<number> {
        begun.resolve()
        return id
      }
      @Warm('find') async *endless() {
        for (let id = 0; ; id++) {
          await new Promise((resolve) => setImmediate(resolve))
          yield id
        }
      }
    }
    const test = await openApp({ providers: [Cities] })
    await begun.promise
    await test.close()
    expect(logged).toEqual(['Cities.find: stopped by the end of the application'])
  })

  it('a method that never yields delays neither the start nor the end of the application', async () => {
    const asked = deferred()
    @Injectable()
    class Cities {
      @Cached(60) async find(id: number): Promise<number> {
        return id
      }
      @Warm('find') async top(): Promise<number[]> {
        return new Promise(() => {})
      }
      @Warm('find') async *more() {
        yield 1
        asked.resolve()
        await new Promise(() => {})
      }
    }
    const test = await openApp({ providers: [Cities] })
    await asked.promise
    await test.close()
    expect(logged).toEqual(Array.from({ length: 2 }, () => 'Cities.find: stopped by the end of the application'))
  })

  it('the application starts although a method throws or the cache is away', async () => {
    @Injectable()
    class Cities {
      @Cached(60) async find(id: number): Promise<number> {
        if (id === 2) throw new Error('no such city')
        return id
      }
      @Warm('find') top() {
        return [1, 2, 3]
      }
      @Warm('find') async broken(): Promise<number[]> {
        throw new Error('the database is away')
      }
      @Warm('find') nothing() {
        return 42
      }
      @Warm('plain') plainly() {
        return [1]
      }
      async plain(): Promise<void> {}
    }
    await using test = await openApp({ providers: [Cities] })
    await until(() => logged.length === 4)
    expect(logged.toSorted()).toEqual([
      'Cities.find could not be warmed: @Warm of Cities.find: return the argument lists in an array, or yield them',
      'Cities.find could not be warmed: the database is away',
      expect.stringMatching(/^Cities\.find: 2 loaded, 0 already stored, 1 failed in/),
      'Cities.plain could not be warmed: Cities.plain does not have @Cached: add the decorator to the method',
    ])
    expect(await test.cache.get(['Cities', 'find', 3])).toBe(3)
  })

  it('needs a provider of which there is one', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Cities {
      @Warm() all() {
        return { loaded: 7, skipped: 1, failed: 0 }
      }
    }
    await using _ = await openApp({ providers: [Cities] })
    await until(() => logged.length === 1)
    expect(logged).toEqual([
      'Cities.all: @Warm needs a provider with a single instance: not request-scoped, not transient',
    ])
  })
})
