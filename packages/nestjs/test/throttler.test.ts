import 'reflect-metadata'
import { Controller, Get } from '@nestjs/common'
import { APP_GUARD } from '@nestjs/core'
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler'
import type { ThrottlerStorage } from '@nestjs/throttler'
import { testMemcache } from 'memcache-ts/testing'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { MemcacheThrottlerStorage } from '../src/index.ts'
import { openApp } from './open-app.ts'

@Controller()
class Shows {
  @Get() show() {
    return 'shown'
  }
}

function throttled(platform: 'express' | 'fastify', throttler: { ttl: number; limit: number; blockDuration?: number }) {
  return openApp({
    platform,
    imports: [
      ThrottlerModule.forRootAsync({
        inject: [MemcacheThrottlerStorage],
        useFactory: (storage: MemcacheThrottlerStorage) => ({ throttlers: [throttler], storage }),
      }),
    ],
    providers: [{ provide: APP_GUARD, useClass: ThrottlerGuard }],
    controllers: [Shows],
  })
}

describe.each(['express', 'fastify'] as const)('@nestjs/throttler on %s', (platform) => {
  it('is exact when all come at once', async () => {
    await using test = await throttled(platform, { ttl: 60_000, limit: 5 })
    const answers = await Promise.all(Array.from({ length: 20 }, () => test.fetch('/')))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(5)
    const denied = answers.find(({ status }) => status === 429)
    expect(Number(denied!.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(Number(denied!.headers.get('retry-after'))).toBeLessThanOrEqual(60)
    test.clock.advanceSeconds(121)
    const after = await test.fetch('/')
    expect([after.status, after.headers.get('x-ratelimit-limit'), after.headers.get('x-ratelimit-remaining')]).toEqual([
      200,
      '5',
      '4',
    ])
  })

  it('blocks for as long as it is told', async () => {
    await using test = await throttled(platform, { ttl: 1000, limit: 1, blockDuration: 300_000 })
    await test.fetch('/')
    expect((await test.fetch('/')).headers.get('retry-after')).toBe('300')
    test.clock.advanceSeconds(299)
    expect((await test.fetch('/')).status).toBe(429)
    test.clock.advanceSeconds(2)
    expect((await test.fetch('/')).status).toBe(200)
  })
})

describe('MemcacheThrottlerStorage', () => {
  it('is what @nestjs/throttler 6 wants, with times in seconds for milliseconds', async () => {
    expectTypeOf<MemcacheThrottlerStorage>().toExtend<ThrottlerStorage>()
    await using test = await testMemcache()
    const storage = new MemcacheThrottlerStorage(test.cache)
    expect(await storage.increment('k', 60_000, 2, 0, 'default')).toMatchObject({
      totalHits: 1,
      isBlocked: false,
      timeToBlockExpire: 0,
    })
    await storage.increment('k', 60_000, 2, 0, 'default')
    const denied = await storage.increment('k', 60_000, 2, 0, 'default')
    expect(denied).toMatchObject({ totalHits: 3, isBlocked: true })
    expect(denied.timeToBlockExpire).toBeGreaterThan(0)
    expect(denied.timeToBlockExpire).toBeLessThanOrEqual(120)
    expect(await storage.increment('k', 60_000, 2, 0, 'other')).toMatchObject({ totalHits: 1 })
    expect(await storage.increment('j', 60_000, 2, 0, 'default')).toMatchObject({ totalHits: 1 })
  })

  it('takes what cannot be counted: no limit at all, no window', async () => {
    await using test = await testMemcache()
    const storage = new MemcacheThrottlerStorage(test.cache)
    expect(await storage.increment('k', 60_000, 0, 0, 'none')).toMatchObject({ isBlocked: true, timeToBlockExpire: 60 })
    expect(await storage.increment('k', 0, 1, 0, 'none')).toMatchObject({ isBlocked: false })
  })

  it('does not pile up limits that are computed', async () => {
    await using test = await testMemcache()
    const storage = new MemcacheThrottlerStorage(test.cache)
    for (let limit = 1; limit <= 300; limit++) {
      expect(await storage.increment('k', 1000 + limit, limit, 0, 'many')).toMatchObject({ totalHits: 1 })
    }
  })
})
