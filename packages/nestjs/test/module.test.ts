import 'reflect-metadata'
import { Controller, Get, Injectable, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { Test } from '@nestjs/testing'
import { defineCache, memcache, Memcache } from 'memcache-ts'
import { testMemcache } from 'memcache-ts/testing'
import { describe, expect, it, vi } from 'vitest'
import { getCacheToken, getMemcacheToken, InjectCache, InjectMemcache, MemcacheModule } from '../src/index.ts'
import type { CacheOf, MemcacheModuleOptions, MemcacheOptionsFactory } from '../src/index.ts'
import { deferred } from '../../kit/test/deferred.ts'
import { openApp } from './open-app.ts'

const EMBEDDED: MemcacheModuleOptions = { servers: 'embedded', logger: false }

async function start(...imports: NonNullable<Parameters<typeof Test.createTestingModule>[0]['imports']>) {
  const module = await Test.createTestingModule({ imports }).compile()
  await module.init()
  return module
}

describe('forRoot', () => {
  it('opens a cache with its options, for all modules, and closes it behind the application', async () => {
    @Injectable()
    class Inner {
      readonly cache: Memcache
      constructor(cache: Memcache) {
        this.cache = cache
      }
    }
    @Module({ providers: [Inner] })
    class InnerModule {}
    const app = await start(MemcacheModule.forRoot({ ...EMBEDDED, prefix: 'shop' }), InnerModule)
    const { cache } = app.get(Inner, { strict: false })
    await cache.set('k', 'v')
    expect(cache).toBe(app.get(Memcache))
    await using raw = memcache({ servers: 'embedded', prefix: '', timeoutMs: 20_000 })
    expect(await raw.get('shop:k')).toBe('v')
    await app.close()
    await expect(cache.client.get('k')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CLOSED' })
  })

  it('needs no options: then it is the memcached of this process', async () => {
    vi.stubEnv('MEMCACHE_SERVERS', '')
    const module = await Test.createTestingModule({ imports: [MemcacheModule.forRoot()] })
      .setLogger({ log: () => {}, error: () => {}, warn: () => {} })
      .compile()
    await module.get(Memcache).set('none', 1)
    expect(await module.get(Memcache).get('none')).toBe(1)
    await module.close()
    vi.unstubAllEnvs()
  })

  it('does not close a given cache', async () => {
    await using test = await testMemcache()
    const app = await start(MemcacheModule.forRoot({ cache: test.cache }))
    expect(app.get(Memcache)).toBe(test.cache)
    await app.close()
    expect(await test.cache.set('k', 1)).toBe(true)
  })

  it('closes the cache after the last response', async () => {
    const asked = deferred()
    const going = deferred()
    @Controller()
    class Slow {
      readonly cache: Memcache
      constructor(cache: Memcache) {
        this.cache = cache
      }
      @Get() async slow() {
        asked.resolve()
        await going.promise
        return { stored: await this.cache.set('k', 1) }
      }
    }
    @Module({ imports: [MemcacheModule.forRoot(EMBEDDED)], controllers: [Slow] })
    class AppModule {}
    const app = await NestFactory.create(AppModule, { logger: false })
    await app.listen(0, '127.0.0.1')
    const answer = fetch(await app.getUrl(), { headers: { connection: 'close' } })
    await asked.promise
    const closing = app.close()
    going.resolve()
    expect(await (await answer).json()).toEqual({ stored: true })
    await closing
  })

  it('can be kept to the modules that import it', async () => {
    @Injectable()
    class Uses {
      readonly cache: Memcache
      constructor(cache: Memcache) {
        this.cache = cache
      }
    }
    const local = MemcacheModule.forRoot({ ...EMBEDDED, isGlobal: false })
    @Module({ imports: [local], providers: [Uses] })
    class WithIt {}
    @Module({ providers: [Uses] })
    class WithoutIt {}
    const app = await start(WithIt)
    expect(app.get(Uses, { strict: false }).cache).toBeInstanceOf(Memcache)
    await app.close()
    await expect(start(WithIt, WithoutIt)).rejects.toThrow('Memcache')
  })
})

describe('forRootAsync', () => {
  @Injectable()
  class Config implements MemcacheOptionsFactory {
    createMemcacheOptions(): MemcacheModuleOptions {
      return { ...EMBEDDED, prefix: 'configured' }
    }
  }
  @Module({ providers: [Config], exports: [Config] })
  class ConfigModule {}

  it.each([
    [
      'useFactory',
      MemcacheModule.forRootAsync({
        imports: [ConfigModule],
        inject: [Config],
        useFactory: async (config: Config) => config.createMemcacheOptions(),
      }),
    ],
    ['useClass', MemcacheModule.forRootAsync({ useClass: Config })],
    ['useExisting', MemcacheModule.forRootAsync({ imports: [ConfigModule], useExisting: Config })],
  ])('%s', async (_, module) => {
    const app = await start(module)
    await app.get(Memcache).set('k', 'v')
    await using raw = memcache({ servers: 'embedded', prefix: '', timeoutMs: 20_000 })
    expect(await raw.get('configured:k')).toBe('v')
    await app.close()
    await expect(app.get(Memcache).client.get('k')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CLOSED' })
  })

  it('takes a name beside the factory', async () => {
    const app = await start(MemcacheModule.forRootAsync({ name: 'other', useFactory: () => EMBEDDED }))
    expect(app.get(getMemcacheToken('other'))).toBeInstanceOf(Memcache)
    await app.close()
  })
})

describe('caches with names', () => {
  it('are injected by name, each its own', async () => {
    @Injectable()
    class Both {
      @InjectMemcache('reports') readonly property!: Memcache
      readonly own: Memcache
      readonly reports: Memcache
      constructor(own: Memcache, @InjectMemcache('reports') reports: Memcache) {
        this.own = own
        this.reports = reports
      }
    }
    const reports = MemcacheModule.forRoot({ ...EMBEDDED, name: 'reports', prefix: 'r' })
    const app = await Test.createTestingModule({
      imports: [MemcacheModule.forRoot(EMBEDDED), reports],
      providers: [Both],
    }).compile()
    const both = app.get(Both)
    expect(both.own).not.toBe(both.reports)
    expect(both.property).toBe(both.reports)
    expect(app.get(getMemcacheToken('reports'))).toBe(both.reports)
    await app.close()
    for (const { client } of [both.own, both.reports]) {
      await expect(client.get('k')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CLOSED' })
    }
  })
})

describe('forFeature', () => {
  const cities = defineCache({ name: 'city', ttlSeconds: 60, load: async (id: number) => `city ${id}` })
  const tokens = defineCache<string, string>({ name: 'token', ttlSeconds: 60 })

  @Injectable()
  class Uses {
    readonly cities: CacheOf<typeof cities>
    readonly tokens: CacheOf<typeof tokens>
    constructor(@InjectCache(cities) one: CacheOf<typeof cities>, @InjectCache(tokens) other: CacheOf<typeof tokens>) {
      this.cities = one
      this.tokens = other
    }
  }

  it('declared caches lie in the cache of the application', async () => {
    await using test = await openApp({ imports: [MemcacheModule.forFeature([cities, tokens])], providers: [Uses] })
    const uses = test.get(Uses)
    expect(await uses.cities.getOrSet(1)).toBe('city 1')
    expect(await uses.tokens.getOrSet('a', () => 'token a')).toBe('token a')
    expect(await test.cache.get(['city', 1])).toBe('city 1')
    expect(await test.cache.get(['token', 'a'])).toBe('token a')
    expect(test.get(getCacheToken(cities))).toBe(uses.cities)
  })

  it('or in one with a name', async () => {
    await using other = await testMemcache()
    await using test = await openApp({
      imports: [
        MemcacheModule.forRoot({ name: 'other', cache: other.cache }),
        MemcacheModule.forFeature([cities, tokens], 'other'),
      ],
      providers: [Uses],
    })
    await test.get(Uses).cities.getOrSet(2)
    expect(await other.cache.get(['city', 2])).toBe('city 2')
    expect(await test.cache.get(['city', 2])).toBeUndefined()
  })

  it('a declaration that names its cache stays in it', async () => {
    await using own = await testMemcache()
    const declared = defineCache({ name: 'own', ttlSeconds: 60, load: async (id: number) => id, cache: own.cache })
    await using test = await openApp({ imports: [MemcacheModule.forFeature([declared])] })
    await test.get<typeof declared>(getCacheToken(declared)).getOrSet(1)
    expect(await own.cache.get(['own', 1])).toBe(1)
  })
})

describe('each mistake is one error when the application starts', () => {
  it('an option that there is not', async () => {
    await expect(start(MemcacheModule.forRoot({ ttl: 60 } as never))).rejects.toThrow(
      /MemcacheModule\.forRoot has no option.*ttl.*ttlSeconds/,
    )
  })

  it('options beside a cache that is there already', async () => {
    await using test = await testMemcache()
    await expect(start(MemcacheModule.forRoot({ cache: test.cache, prefix: 'x' }))).rejects.toThrow(
      'prefix is an option of the given cache: write memcache({ prefix: … })',
    )
  })

  it('two for the whole application', async () => {
    await expect(start(MemcacheModule.forRoot(EMBEDDED), MemcacheModule.forRoot(EMBEDDED))).rejects.toThrow(
      "imported twice for the cache without a name: import it once, or write MemcacheModule.forRoot({ name: 'other' })",
    )
    const named = () => MemcacheModule.forRoot({ ...EMBEDDED, name: 'a' })
    await expect(start(named(), named())).rejects.toThrow("imported twice for the cache named 'a'")
  })

  it('an empty name, and a limit of all routes in a named cache', async () => {
    expect(() => MemcacheModule.forRoot({ name: '' })).toThrow('a name must not be empty')
    const named = MemcacheModule.forRootAsync({
      name: 'limits',
      useFactory: () => ({ ...EMBEDDED, rateLimit: { perMinute: 1 } }),
    })
    await expect(start(MemcacheModule.forRoot(EMBEDDED), named)).rejects.toThrow(
      "write rateLimit: { …, cache: 'limits' } there",
    )
  })

  it('one that is imported by two modules is no mistake', async () => {
    const root = MemcacheModule.forRoot(EMBEDDED)
    @Module({ imports: [root] })
    class One {}
    @Module({ imports: [root] })
    class Other {}
    const app = await start(One, Other)
    expect(app.get(Memcache, { strict: false })).toBeInstanceOf(Memcache)
    await app.close()
  })

  it('a name that there is not, and a declared cache that no module has', async () => {
    @Injectable()
    class Named {
      @InjectMemcache('reprots') readonly cache!: Memcache
    }
    const declared = defineCache({ name: 'city', ttlSeconds: 60, load: async (id: number) => id })
    @Injectable()
    class Declares {
      @InjectCache(declared) readonly cache!: CacheOf<typeof declared>
    }
    const root = MemcacheModule.forRoot(EMBEDDED)
    const compile = (provider: new () => object) =>
      Test.createTestingModule({ imports: [root], providers: [provider] }).compile()
    await expect(compile(Named)).rejects.toThrow("Memcache of MemcacheModule.forRoot({ name: 'reprots' })")
    await expect(compile(Declares)).rejects.toThrow(
      "the declared cache 'city': write imports: [MemcacheModule.forFeature([…])]",
    )
  })

  it('declared caches without the cache that they are to lie in', async () => {
    const declared = defineCache({ name: 'city', ttlSeconds: 60, load: async (id: number) => id })
    await expect(start(MemcacheModule.forFeature([declared]))).rejects.toThrow(
      /^MemcacheModule\.forFeature needs a cache, and there is none: write imports: \[MemcacheModule\.forRoot\(\)\]/,
    )
    await expect(start(MemcacheModule.forRoot(EMBEDDED), MemcacheModule.forFeature([declared], 'b'))).rejects.toThrow(
      "MemcacheModule.forFeature needs a cache, and there is none named 'b'",
    )
  })

  it('a value that defineCache did not return', async () => {
    await using test = await testMemcache()
    const root = MemcacheModule.forRoot({ cache: test.cache })
    await expect(start(root, MemcacheModule.forFeature([{}]))).rejects.toThrow('a cache that defineCache has returned')
  })
})
