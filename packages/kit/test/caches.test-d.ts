import type { KeyvStoreAdapter } from 'keyv'
import { cacheOf, Cached, defineCache } from 'memcache-ts'
import type { Memcache, MemcacheHealth } from 'memcache-ts'
import type { KeyvMemcache } from 'memcache-ts/keyv'
import { limited, rateLimiter } from 'memcache-ts/rate-limit'
import type { RateLimitResult } from 'memcache-ts/rate-limit'
import type { OpenedSession } from 'memcache-ts/session'
import { expectTypeOf } from 'vitest'

// Type tests: `npm run types` fails if a type differs.

declare const cache: Memcache
declare const ids: number[]

// The type of a value is that of its loader.
const load = () => cache.getOrSet('k', async () => ({ id: 1 }))
expectTypeOf(load).returns.resolves.toEqualTypeOf<{ id: number }>()
const get = () => cache.get<string>('k')
expectTypeOf(get).returns.resolves.toEqualTypeOf<string | undefined>()
const loadMany = () => cache.getOrSetMany(ids, (missing) => Promise.resolve(missing.map((id) => `city ${id}`)))
expectTypeOf(loadMany).returns.resolves.toEqualTypeOf<Map<number, string>>()
expectTypeOf<Memcache['health']>().toEqualTypeOf<MemcacheHealth>()

const cities = defineCache({ name: 'city', load: async (id: number) => ({ id }) })
expectTypeOf(cities.getOrSet).returns.resolves.toEqualTypeOf<{ id: number }>()

class Cities {
  @Cached(60) async find(id: number): Promise<{ id: number } | null> {
    return { id }
  }
}
const found = (of: Cities) => cacheOf(of, 'find')
expectTypeOf(found).returns.toHaveProperty('get')
expectTypeOf<ReturnType<typeof found>['set']>().parameter(1).toEqualTypeOf<{ id: number } | null>()
expectTypeOf<Cities['find']>().returns.resolves.toEqualTypeOf<{ id: number } | null>()

const double = limited(async (n: number) => n * 2, { perSecond: 2 })
expectTypeOf(double).parameters.toEqualTypeOf<[number]>()
expectTypeOf(double).returns.resolves.toEqualTypeOf<number>()

const limiter = rateLimiter({ perMinute: 5 })
expectTypeOf(limiter.consume).returns.resolves.toEqualTypeOf<RateLimitResult>()
expectTypeOf(limiter.reset).returns.resolves.toEqualTypeOf<void>()

// Keyv accepts the store.
expectTypeOf<KeyvMemcache>().toExtend<KeyvStoreAdapter>()

// All that a session of the fetch API holds may be missing.
expectTypeOf<OpenedSession<{ user: string }>['session']['user']>().toEqualTypeOf<string | undefined>()
