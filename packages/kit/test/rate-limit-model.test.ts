import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rateLimiter } from '../src/index.ts'
import { openCache } from './open-cache.ts'

const LIMIT = 10
const WINDOW_MS = 1000

/** What a limiter should have admitted, by a list of all it has. */
interface Model {
  allows(nowMs: number, cost: number): boolean
}

/** Sums what was admitted from a time until before another. */
type Sum = (fromMs: number, toMs: number) => number

const MODELS = {
  fixed: (sum: Sum): Model => ({
    allows: (nowMs, cost) => {
      const start = nowMs - (nowMs % WINDOW_MS)
      return sum(start, nowMs + 1) + cost <= LIMIT
    },
  }),
  sliding: (sum: Sum): Model => ({
    allows: (nowMs, cost) => {
      const start = nowMs - (nowMs % WINDOW_MS)
      const part = (WINDOW_MS - (nowMs % WINDOW_MS)) / WINDOW_MS
      return sum(start - WINDOW_MS, start) * part + sum(start, nowMs + 1) + cost <= LIMIT
    },
  }),
} as const

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('consume' as const), cost: fc.integer({ min: 1, max: 6 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), milliseconds: fc.integer({ min: 1, max: 700 }) }),
  },
)

describe.each(['sliding', 'fixed'] as const)('a %s limiter', (algorithm) => {
  it('admits what a list of all calls says, in whatever process they come', async () => {
    await using test = await openCache()
    const caches = [test.cache, test.another()]
    let run = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const name = `run ${run++}`
        const limiters = caches.map((cache) =>
          rateLimiter({ name, limit: LIMIT, windowMs: WINDOW_MS, algorithm, cache }),
        )
        // What is denied is taken back behind the answer; the keys of a group are asked for in order.
        const settle = () =>
          Promise.all(caches.map((cache) => cache.client.get('any', { groupKey: cache.key(['rate', name, 'id']) })))
        const admitted: { atMs: number; cost: number }[] = []
        const model = MODELS[algorithm]((fromMs, toMs) =>
          admitted.reduce((sum, { atMs, cost }) => (atMs >= fromMs && atMs < toMs ? sum + cost : sum), 0),
        )
        for (const [index, { ...action }] of steps.entries()) {
          if (action.kind === 'wait') {
            test.clock.advanceMs(action.milliseconds)
            continue
          }
          const nowMs = test.clock.nowMs()
          const { allowed } = await limiters[index % 2]!.consume('id', { cost: action.cost })
          expect(allowed).toBe(model.allows(nowMs, action.cost))
          if (allowed) admitted.push({ atMs: nowMs, cost: action.cost })
          else await settle()
        }
      }),
      { numRuns: 100 },
    )
  })
})
