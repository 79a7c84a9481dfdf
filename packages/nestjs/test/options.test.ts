import 'reflect-metadata'
import { Test } from '@nestjs/testing'
import { defineCache } from 'memcache-ts'
import { describe, expect, it } from 'vitest'
import {
  CacheConfig,
  Cached,
  CacheEvict,
  CachePut,
  CacheResponse,
  getCacheToken,
  InjectCache,
  MemcacheModule,
  RateLimit,
  Warm,
} from '../src/index.ts'

class Shows {
  async show(): Promise<void> {}
}

/** Applies a decorator of a method. */
function onMethod(decorator: unknown): void {
  ;(decorator as MethodDecorator)(Shows.prototype, 'show', { value: async () => {} })
}
const { forRootAsync } = MemcacheModule as unknown as { forRootAsync(options: unknown): unknown }

describe('options that cannot be', () => {
  it.each<[string, () => unknown]>([
    ['@Cached: cache must be a memcache(), or the name of one, got 5', () => Cached({ cache: 5 as never })],
    ["@Cached: cache must be a memcache(), or the name of one, got ''", () => Cached({ cache: '' })],
    ['@CachePut: condition must be a function', () => CachePut({ key: () => [], condition: 1 as never })],
    ['@CacheEvict: soft must be a boolean', () => CacheEvict({ tags: ['a'], soft: 'yes' as never })],
    ['`keyGenerator` is `key` here', () => CacheEvict({ keyGenerator: () => [] } as never)],
    ['@CacheConfig: cache must be a memcache(), or the name of one', () => CacheConfig({ cache: true as never })],
    ['@CacheResponse takes its options as an object, got null', () => onMethod(CacheResponse(null as never))],
    [
      "@CacheResponse: key must be a function, (request) => …; got 'id'",
      () => onMethod(CacheResponse({ key: 'id' as never })),
    ],
    ['@CacheResponse: condition must be a function', () => onMethod(CacheResponse({ condition: true as never }))],
    ['@CacheResponse: tags must be a list of non-empty strings', () => onMethod(CacheResponse({ tags: [1 as never] }))],
    ['@CacheResponse: cache must be a memcache()', () => onMethod(CacheResponse({ cache: 1 as never }))],
    ['takes its options as an object, got 10', () => onMethod(RateLimit(10 as never))],
    [
      'skipFailedRequests must be a boolean',
      () => onMethod(RateLimit({ perMinute: 1, skipFailedRequests: 'no' as never })),
    ],
    ['cache must be a memcache(), or the name of one', () => onMethod(RateLimit({ perMinute: 1, cache: 1 as never }))],
    ["@Warm takes the name of a @Cached method, got number: @Warm('find')", () => Warm(5 as never)],
    ['MemcacheModule.forRoot takes its options as an object', () => MemcacheModule.forRoot('a:11211' as never)],
    ['MemcacheModule.forRoot: name must be a string, got number', () => MemcacheModule.forRoot({ name: 5 as never })],
    [
      'MemcacheModule.forRoot: isGlobal must be a boolean',
      () => MemcacheModule.forRoot({ isGlobal: 'false' as never }),
    ],
    ['needs one of useFactory, useClass and useExisting', () => forRootAsync({})],
    [
      'needs one of useFactory, useClass and useExisting',
      () => forRootAsync({ useFactory: () => ({}), useClass: Test }),
    ],
    ["has no option 'usefactory': `usefactory` is `useFactory` here", () => forRootAsync({ usefactory: () => ({}) })],
    ['`servers` is `useFactory` here', () => forRootAsync({ servers: 'a' })],
    ['MemcacheModule.forRootAsync: useFactory must be a function', () => forRootAsync({ useFactory: {} })],
    ['takes a list of declared caches', () => MemcacheModule.forFeature(defineCache({ name: 'a' }) as never)],
    [
      'take a cache that defineCache returned, got undefined: if it is undefined, two files may import each other',
      () => InjectCache(undefined as never),
    ],
    ['take a cache that defineCache returned, got cities', () => getCacheToken('cities' as never)],
  ])('are refused where they are written: %s', (message, write) => {
    expect(write).toThrow(message)
  })

  it('are refused when a factory returns them', async () => {
    for (const options of [{ ttl: 60 }, 'a:11211', null]) {
      const root = MemcacheModule.forRootAsync({ useFactory: () => options as never })
      await expect(Test.createTestingModule({ imports: [root] }).compile()).rejects.toMatchObject({
        code: 'ERR_MEMCACHE_OPTION',
      })
    }
  })
})
