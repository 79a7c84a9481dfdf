import type { HealthIndicatorResult } from '@nestjs/terminus'
import type { ThrottlerStorage } from '@nestjs/throttler'
import { cacheOf, defineCache } from 'memcache-ts'
import { expectTypeOf } from 'vitest'
import { Cached } from '../src/index.ts'
import type { CacheOf, MemcacheHealthResult, MemcacheThrottlerStorage } from '../src/index.ts'

// Type tests: `npm run types` fails if a type differs.

// The packages of Nest accept what this package hands them.
expectTypeOf<MemcacheHealthResult<'memcache'>>().toExtend<HealthIndicatorResult<'memcache'>>()
expectTypeOf<MemcacheThrottlerStorage>().toExtend<ThrottlerStorage>()

// An injected cache has the type of its declaration.
const cities = defineCache({ name: 'city', load: async (id: number) => `city ${id}` })
expectTypeOf<CacheOf<typeof cities>>().toEqualTypeOf<typeof cities>()

// The cache of a method has the method's parameters for a key, and its result for a value.
class Cities {
  @Cached('5m') async find(id: number): Promise<{ id: number } | null> {
    return { id }
  }
}
const cacheOfFind = (of: Cities) => cacheOf(of, 'find')
expectTypeOf<ReturnType<typeof cacheOfFind>['delete']>().parameter(0).toEqualTypeOf<readonly [id: number]>()
expectTypeOf<ReturnType<typeof cacheOfFind>['set']>().parameter(1).toEqualTypeOf<{ id: number } | null>()
