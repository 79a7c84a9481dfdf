import 'reflect-metadata'
import { CacheInterceptor, CacheModule, CACHE_MANAGER } from '@nestjs/cache-manager'
import { Controller, Get, Inject, UseInterceptors } from '@nestjs/common'
import type { Cache } from 'cache-manager'
import { Memcache } from 'memcache-ts'
import { KeyvMemcache } from 'memcache-ts/keyv'
import { describe, expect, it } from 'vitest'
import { openApp } from './open-app.ts'

@Controller()
class Shows {
  shown = 0
  readonly manager: Cache
  constructor(@Inject(CACHE_MANAGER) manager: Cache) {
    this.manager = manager
  }
  @UseInterceptors(CacheInterceptor) @Get('shown') show() {
    return { shown: ++this.shown }
  }
  @Get('wrapped') wrapped() {
    return this.manager.wrap('wrapped', async () => ({ shown: ++this.shown }), 60_000)
  }
}

describe.each(['express', 'fastify'] as const)('Nest’s CacheModule on memcached, on %s', (platform) => {
  it('its interceptor and its manager run on the store', async () => {
    await using test = await openApp({
      platform,
      imports: [
        CacheModule.registerAsync({
          inject: [Memcache],
          useFactory: (cache: Memcache) => ({ stores: [new KeyvMemcache(cache)], ttl: 60_000, namespace: 'nest' }),
        }),
      ],
      controllers: [Shows],
    })
    const json = async (path: string): Promise<unknown> => (await test.fetch(path)).json()
    expect([await json('/shown'), await json('/shown')]).toEqual([{ shown: 1 }, { shown: 1 }])
    expect([await json('/wrapped'), await json('/wrapped')]).toEqual([{ shown: 2 }, { shown: 2 }])
    expect(
      await test.cache.client.get('~keyv:nest:nest%3A/shown').then((entry) => (entry as { value: string }).value),
    ).toContain('"value":{"shown":1}')
    await test.get<Cache>(CACHE_MANAGER).clear()
    expect(await json('/shown')).toEqual({ shown: 3 })
  })
})
