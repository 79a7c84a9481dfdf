import fc from 'fast-check'
import { listenAsOldServer } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { memcache, rateLimiter } from '../src/index.ts'
import type { RateLimiter } from '../src/index.ts'
import { ownKey } from '../src/engine/engine.ts'
import { openCache } from './open-cache.ts'
import type { TestCaches } from './open-cache.ts'
import { LimiterModel, Promises } from './rate-limit-model.ts'

const LIMITS = [
  { limit: 10, windowMs: 1000 },
  { limit: 3, windowMs: 500, perMinute: 20 },
  { perSecond: 4, perMinute: 12, blockMs: 1500 },
  { limit: 5, windowMs: 7000, blockMs: 300 },
  { limit: 2, windowMs: 1, blockMs: 90_000 },
] as const

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('consume' as const), cost: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('come back' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      milliseconds: fc.oneof(fc.integer({ min: 1, max: 900 }), fc.integer({ min: 1000, max: 70_000 })),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('look' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('penalty' as const, 'reward' as const),
      amount: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('block' as const), milliseconds: fc.integer({ min: 1, max: 3000 }) }),
  },
)

/** Two caches on the server of a test, which speaks no meta commands to them. */
async function oldCaches({ server, clock }: TestCaches) {
  const { address, close } = await listenAsOldServer(server.memcached)
  const caches = [1, 2].map(() => memcache({ servers: address, clock, logger: false, timeoutMs: 5000 }))
  return {
    caches,
    async [Symbol.asyncDispose]() {
      await Promise.all(caches.map((cache) => cache.close()))
      close()
    },
  }
}

describe.each(['sliding', 'fixed', 'gcra'] as const)('a %s limiter', (algorithm) => {
  it.each([
    ['with memcached, in two processes', false],
    ['with a server of before 1.6, in two processes', 'old'],
    ['without memcached, in one', true],
  ] as const)('says what an exact list of all calls says, and keeps what it tells: %s', async (_, without) => {
    await using test = await openCache()
    await using old = without === 'old' ? await oldCaches(test) : undefined
    const caches = old?.caches ?? (without === true ? [test.cache] : [test.cache, test.another()])
    if (without === true) await test.server.stop()
    let run = 0
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...LIMITS), fc.array(step, { maxLength: 60 }), async (limits, steps) => {
        const name = `run ${run++}`
        const limiters = caches.map((cache) => rateLimiter({ name, ...limits, algorithm, cache }))
        const { windows } = limiters[0]!
        const blockMs = 'blockMs' in limits ? limits.blockMs : undefined
        const model = new LimiterModel(algorithm, windows, blockMs)
        const promises = new Promises()
        const { clock } = test
        let comeBackMs = 0
        const consume = async (limiter: RateLimiter, cost: number): Promise<void> => {
          const nowMs = clock.nowMs()
          const result = await limiter.consume('id', { cost })
          const { allowed, blocks } = model.consume(nowMs, cost)
          expect(result.allowed).toBe(allowed)
          expect(promises.heard(nowMs, cost, result, blocks)).toBeUndefined()
          expect(result.allowed).toBe(result.retryAfterMs === 0)
          if (result.allowed) return
          if (Number.isFinite(result.retryAfterMs)) comeBackMs = Math.max(comeBackMs, nowMs + result.retryAfterMs)
          // A denied call is taken back after the response; the keys of a group are requested in order.
          if (without !== true) {
            const groupKey = ownKey(limiter.cache, 'rate', [name, 'id'])
            await limiter.cache.client.get('any', { groupKey })
            await limiter.cache.client.get('any', { groupKey })
          }
        }
        for (const [index, action] of steps.entries()) {
          const limiter = limiters[index % limiters.length]!
          switch (action.kind) {
            case 'consume':
              await consume(limiter, action.cost)
              break
            case 'come back':
              // It may have to wait for what costs most.
              clock.advanceMs(Math.max(0, comeBackMs - clock.nowMs()))
              await consume(limiter, 1)
              break
            case 'wait':
              clock.advanceMs(action.milliseconds)
              break
            case 'look':
              expect((await limiter.consume('id', { cost: 0 })).limit).toBeGreaterThan(0)
              await limiter.peek('id')
              break
            case 'penalty':
              await limiter.penalty('id', action.amount)
              model.count(clock.nowMs(), action.amount)
              promises.forget()
              break
            case 'reward':
              await limiter.reward('id', action.amount)
              model.giveBack(clock.nowMs(), action.amount)
              // What another process has just denied it may say for a second more.
              clock.advanceMs(1000)
              break
            case 'block':
              await limiter.block('id', action.milliseconds)
              model.block(clock.nowMs() + action.milliseconds)
              promises.forget()
              clock.advanceMs(1000)
          }
        }
      }),
      { numRuns: 150 },
    )
  })
})
