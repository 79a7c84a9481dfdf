import 'reflect-metadata'
import { Controller, Get } from '@nestjs/common'
import { APP_GUARD } from '@nestjs/core'
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler'
import fc from 'fast-check'
import { memcache } from 'memcache-ts'
import { testMemcache } from 'memcache-ts/testing'
import { describe, expect, it } from 'vitest'
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

  it('blocks for blockDuration', async () => {
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
  it('counts for @nestjs/throttler 6, with times in seconds for milliseconds', async () => {
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

  it('starts a window at the first hit, blocks until the announced time, and begins at 1 again: in two processes, like a model', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(
          [3, 1000, 1000],
          [2, 10_000, 5000],
          [2, 500, 60_000],
          [1, 60_000, 300],
          [5, 2_678_400_000, 3_000_000_000],
        ),
        fc.array(fc.double({ min: 0, max: 1.3, noNaN: true }), { maxLength: 40 }),
        async ([limit, ttl, block], waits) => {
          await using test = await testMemcache({ timeoutMs: 5000 })
          const other = memcache({ servers: test.server.servers, clock: test.clock, logger: false, timeoutMs: 5000 })
          const storages = [test.cache, other].map((cache) => new MemcacheThrottlerStorage(cache))
          let model = { startMs: -Infinity, hits: 0, blockedUntilMs: 0 }
          for (const [index, wait] of waits.entries()) {
            test.clock.advanceMs(Math.round((wait * Math.max(ttl!, block!)) / 4))
            const nowMs = test.clock.nowMs()
            const found = await storages[index % 2]!.increment('ann', ttl!, limit!, block!, 'default')
            const isBlocked = nowMs < model.blockedUntilMs
            const isOver = model.blockedUntilMs > 0 ? !isBlocked : nowMs - model.startMs >= ttl!
            if (isOver) model = { startMs: nowMs, hits: 0, blockedUntilMs: 0 }
            if (!isBlocked) model.hits++
            if (!isBlocked && model.hits > limit!) model.blockedUntilMs = nowMs + block!
            const blockedMs = Math.max(0, model.blockedUntilMs - nowMs)
            expect(found).toEqual({
              totalHits: model.hits,
              isBlocked: blockedMs > 0,
              timeToBlockExpire: Math.ceil(blockedMs / 1000),
              timeToExpire: Math.ceil((blockedMs > 0 ? blockedMs : model.startMs + ttl! - nowMs) / 1000),
            })
          }
          await other.close()
        },
      ),
      { numRuns: 60 },
    )
  })

  it('stores a block for hits that came under a higher limit', async () => {
    await using test = await testMemcache()
    const storage = new MemcacheThrottlerStorage(test.cache)
    for (let hit = 0; hit < 5; hit++) await storage.increment('client', 10_000, 10, 60_000, 'plan')
    const blocked = await storage.increment('client', 10_000, 2, 60_000, 'plan')
    expect(blocked).toMatchObject({ isBlocked: true, timeToBlockExpire: 60 })
    test.clock.advanceMs(59_999)
    expect(await storage.increment('client', 10_000, 2, 60_000, 'plan')).toMatchObject({ isBlocked: true })
    test.clock.advanceMs(1)
    expect(await storage.increment('client', 10_000, 2, 60_000, 'plan')).toMatchObject({
      isBlocked: false,
      totalHits: 1,
    })
  })

  it('counts in this process while memcached is away', async () => {
    await using test = await testMemcache()
    await test.server.stop()
    const storage = new MemcacheThrottlerStorage(test.cache)
    const hits = [1, 2, 3].map(() => storage.increment('k', 60_000, 2, 60_000, 'default'))
    expect((await Promise.all(hits)).map(({ isBlocked }) => isBlocked)).toEqual([false, false, true])
  })

  it('accepts a limit of 0, and a window of 0', async () => {
    await using test = await testMemcache()
    const storage = new MemcacheThrottlerStorage(test.cache)
    expect(await storage.increment('k', 60_000, 0, 0, 'none')).toMatchObject({ isBlocked: true, timeToBlockExpire: 60 })
    expect(await storage.increment('k', 0, 1, 0, 'none')).toMatchObject({ isBlocked: false })
  })

  it('counts with infinite and negative limits, ignores an invalid block, and refuses a limit or a window that is not a number', async () => {
    await using test = await testMemcache({ timeoutMs: 5000 })
    const storage = new MemcacheThrottlerStorage(test.cache)
    expect(await storage.increment('a', 1000, Infinity, 1000, 'odd')).toMatchObject({ totalHits: 1, isBlocked: false })
    expect(await storage.increment('b', 1000, -1, 1000, 'odd')).toMatchObject({ totalHits: 1, isBlocked: true })
    for (const block of [Number.NaN, undefined as never, -5]) {
      expect(await storage.increment(`c${block}`, 1000, 1, block, 'odd')).toMatchObject({ isBlocked: false })
      expect(await storage.increment(`c${block}`, 1000, 1, block, 'odd')).toMatchObject({ timeToBlockExpire: 1 })
    }
    await expect(storage.increment('d', 1000, Number.NaN, 0, 'odd')).rejects.toThrow(
      'a limit must be a number, got NaN',
    )
    await expect(storage.increment('e', Infinity, 1, 0, 'odd')).rejects.toThrow('windowMs must be a whole number')
  })

  it('does not pile up limits that are computed', async () => {
    await using test = await testMemcache()
    const storage = new MemcacheThrottlerStorage(test.cache)
    for (let limit = 1; limit <= 300; limit++) {
      expect(await storage.increment('k', 1000 + limit, limit, 0, 'many')).toMatchObject({ totalHits: 1 })
    }
  })
})
