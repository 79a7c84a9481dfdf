import 'reflect-metadata'
import { Controller, Get, Injectable, Logger, Module } from '@nestjs/common'
import type { ModuleMetadata } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { Test } from '@nestjs/testing'
import { cacheOf, memcache } from 'memcache-ts'
import { testMemcache } from 'memcache-ts/testing'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Cached, CacheEvict, CacheResponse, MemcacheModule, RateLimit } from '../src/index.ts'

@Injectable()
class Cities {
  finds = 0
  @Cached('5m') async find(id: number): Promise<string> {
    return `${id}: ${++this.finds}`
  }
  @CacheEvict({ all: true }) async change(): Promise<void> {}
}
@Controller()
class Shows {
  readonly cities: Cities
  constructor(cities: Cities) {
    this.cities = cities
  }
  @RateLimit({ perMinute: 1 }) @CacheResponse(60) @Get() show() {
    return this.cities.find(1)
  }
}
@Controller()
class Limited {
  @RateLimit({ perMinute: 1 }) @Get() show(): void {}
}
@Controller()
class Responds {
  @CacheResponse(60) @Get() show(): void {}
}

let warned: string[]

beforeEach(() => {
  warned = []
  vi.spyOn(Logger.prototype, 'warn').mockImplementation((message: unknown) => void warned.push(String(message)))
})
afterEach(() => vi.restoreAllMocks())

async function start(metadata: ModuleMetadata): Promise<void> {
  @Module(metadata)
  class AppModule {}
  const app = await NestFactory.create(AppModule, { logger: false, abortOnError: false })
  await app.close()
}

/** Returns another copy of the package, with its own classes and symbols. */
function otherCopy() {
  const token = Symbol('the name of this MemcacheModule')
  @Module({ providers: [{ provide: token, useValue: '' }] })
  class MemcacheModule {}
  return MemcacheModule
}

describe('an application without the module', () => {
  const WRITE =
    "needs a cache, and there is none: write imports: [MemcacheModule.forRoot()] in the application's root module"

  it.each<[string, ModuleMetadata]>([
    ['Cities.find', { providers: [Cities] }],
    ['@RateLimit of Limited.show', { controllers: [Limited] }],
    ['@CacheResponse of Responds.show', { controllers: [Responds] }],
  ])('does not start, and one sentence says what to write: %s', async (who, metadata) => {
    await expect(start(metadata)).rejects.toThrow(new RegExp(`^${who} ${WRITE.replace(/[[\]().]/g, '\\$&')}$`))
  })

  it('gets an error that names the existing module: another name, not global, another copy, or without forRoot', async () => {
    const cache = memcache({ servers: 'embedded', logger: false, timeoutMs: 20_000 })
    const named = MemcacheModule.forRoot({ name: 'reports', cache })
    await expect(start({ imports: [named], providers: [Cities] })).rejects.toThrow(
      "there is none, but there is one named 'reports': write imports: [MemcacheModule.forRoot()]",
    )
    @Module({ providers: [Cities] })
    class Inner {}
    const local = MemcacheModule.forRoot({ cache, isGlobal: false })
    await expect(start({ imports: [local, Inner] })).rejects.toThrow(
      'its module does not see the one of MemcacheModule.forRoot(): remove isGlobal: false, or import that module there',
    )
    await expect(start({ imports: [otherCopy()], providers: [Cities] })).rejects.toThrow(
      'MemcacheModule comes from another copy of memcache-ts-nestjs or memcache-ts',
    )
    await expect(start({ imports: [MemcacheModule], providers: [Cities] })).rejects.toThrow(
      'Cities.find needs a cache, and there is none: MemcacheModule is imported without forRoot: write MemcacheModule.forRoot()',
    )
    await expect(start({ imports: [MemcacheModule] })).rejects.toThrow(
      'MemcacheModule is imported without a cache: write imports: [MemcacheModule.forRoot()]',
    )
    await cache.close()
  })

  it('gets an error for a cache of another copy', async () => {
    const foreign = { getOrSet: () => {} }
    await expect(start({ imports: [MemcacheModule.forRoot({ cache: foreign as never })] })).rejects.toThrow(
      'cache was created by another copy of memcache-ts',
    )
    await expect(start({ imports: [MemcacheModule.forRoot({ cache: 'a:11211' as never })] })).rejects.toThrow(
      'cache must be a memcache()',
    )
  })
})

describe('a test’s module as Nest generates it', () => {
  it('calls the methods without caching and counting, and logs that', async () => {
    await using process = await testMemcache({ asDefault: true })
    const module = await Test.createTestingModule({ controllers: [Shows], providers: [Cities] }).compile()
    const app = module.createNestApplication({ logger: false })
    await app.listen(0, '127.0.0.1')
    for (const load of [1, 2]) expect(await (await fetch(await app.getUrl())).text()).toBe(`1: ${load}`)
    const cities = module.get(Cities)
    await cities.change()
    expect(await cacheOf(cities, 'find').get([1])).toBeUndefined()
    expect(process.cache.stats()).toMatchObject({ hits: 0, misses: 0, loads: 0 })
    expect(warned).toEqual([
      expect.stringMatching(/is called without a cache in this test, which imports no MemcacheModule/),
    ])
    await app.close()
  })

  it('gets an error if it imports the module incorrectly', async () => {
    const bare = Test.createTestingModule({ imports: [MemcacheModule], providers: [Cities] })
    await expect(bare.compile()).rejects.toThrow('write MemcacheModule.forRoot()')
    await using other = await testMemcache()
    const named = MemcacheModule.forRoot({ name: 'other', cache: other.cache })
    const missing = Test.createTestingModule({ imports: [named], providers: [Cities] })
    await expect(missing.compile()).rejects.toThrow("there is none, but there is one named 'other'")
  })
})
