import fc from 'fast-check'
import { describeWithMemcached, FakeClock, launchMemcached } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { memcache } from '../src/index.ts'
import type { Memcache } from '../src/index.ts'
import { CounterLayout } from '../src/rate-limit/counter-layout.ts'
import { FirstHitCounter } from '../src/rate-limit/first-hit-counter.ts'
import { LocalCounters } from '../src/rate-limit/local-counters.ts'
import { aloneKey, MemcachedCounters } from '../src/rate-limit/rate-limit-store.ts'
import { openCache } from './open-cache.ts'

const WORD = 2n ** 64n
const DAY_MS = 86_400_000
const KEY = aloneKey('k')
const windowMs = fc.constantFrom(1, 500, 60_000, DAY_MS, 31 * DAY_MS, 3650 * DAY_MS)
const nowMs = fc.integer({ min: 1_500_000_000_000, max: 4_500_000_000_000 })

describe('CounterLayout', () => {
  it('contains the start to the millisecond, the count and the marks', () => {
    fc.assert(
      fc.property(
        windowMs,
        nowMs,
        fc.double({ min: -1, max: 1.1, noNaN: true }),
        fc.integer({ min: -1000, max: 100_000 }),
        fc.integer({ min: 0, max: 15 }),
        (window, now, age, count, marks) => {
          const layout = new CounterLayout(window)
          const held = { startMs: now - Math.round(age * window), count, marks }
          const word = layout.word(held)
          expect(word).toBeLessThan(WORD)
          expect(layout.read(word, now)).toEqual(held)
        },
      ),
    )
  })

  it('counts by plain addition, which never reaches the start: below 0, and with any number of marks', () => {
    fc.assert(
      fc.property(
        windowMs,
        nowMs,
        fc.array(fc.oneof(fc.integer({ min: -50, max: 50 }), fc.constant('mark' as const)), { maxLength: 40 }),
        (window, now, changes) => {
          const layout = new CounterLayout(window)
          let word = layout.word({ startMs: now, count: 0, marks: 0 })
          let count = 0
          let marks = 0
          for (const change of changes) {
            if (change === 'mark') marks++
            else count += change
            word = BigInt.asUintN(64, word + (change === 'mark' ? CounterLayout.MARK : BigInt(change)))
          }
          expect(layout.read(word, now)).toEqual({ startMs: now, count, marks: marks % 16 })
        },
      ),
    )
  })

  it('moves the start by addition, forth and back', () => {
    fc.assert(
      fc.property(nowMs, fc.integer({ min: -60_000, max: 600_000 }), fc.nat(1000), (now, moved, count) => {
        const layout = new CounterLayout(60_000, undefined, 600_000)
        const found = { startMs: now, count, marks: 0 }
        const word = BigInt.asUintN(64, layout.word(found) + layout.moveAndMark(found, now + moved))
        expect(layout.read(word, now)).toEqual({ startMs: now + moved, count, marks: 1 })
      }),
    )
  })

  it('can count twice the limit, or refuses the limit', () => {
    expect(new CounterLayout(60_000, 1_000_000_000).maxCount).toBeGreaterThanOrEqual(1_000_000_000)
    expect(() => new CounterLayout(31 * DAY_MS, 1_000_000_000)).toThrow("use algorithm 'sliding' or 'gcra'")
    expect(() => new CounterLayout(Number.MAX_SAFE_INTEGER, 1000)).toThrow('can count up to')
  })
})

/** Counters for one key, as several processes have them. */
function counters(caches: readonly Memcache[], windowMs: number): FirstHitCounter[] {
  return caches.map(({ client }) => new FirstHitCounter(new MemcachedCounters(client), new CounterLayout(windowMs)))
}

describe('FirstHitCounter', () => {
  it.each([500, 2000, 31 * DAY_MS])(
    'starts the next window of %i ms once, however many processes do, and loses no hit',
    async (window) => {
      await using test = await openCache()
      const all = counters([test.cache, test.another(), test.another(), test.another()], window)
      // An item that outlives its window, as memcached's seconds allow.
      const { clock } = test
      const startMs = clock.nowMs()
      const at = (ms: number, calls: number) =>
        Promise.all(Array.from({ length: calls }, (_, call) => all[call % all.length]!.add(KEY, 1, startMs + ms)))
      for (let round = 0; round < 5; round++) {
        const found = await at(round * window, 200)
        expect(new Set(found.map((each) => each.startMs))).toEqual(new Set([startMs + round * window]))
        expect(found.map(({ count }) => count).toSorted((a, b) => a - b)).toEqual(
          Array.from({ length: 200 }, (_, index) => index + 1),
        )
        expect(await all[1]!.get(KEY, startMs + round * window + window - 1)).toMatchObject({ count: 200 })
        expect(await all[1]!.get(KEY, startMs + (round + 1) * window)).toBeUndefined()
      }
    },
  )

  it('continues a window that a later clock has started, by that clock, and starts no window twice', async () => {
    await using test = await openCache()
    const [one, other] = counters([test.cache, test.another()], 60_000)
    const now = test.clock.nowMs()
    expect(await one!.add(KEY, 1, now + 300)).toEqual({ startMs: now + 300, count: 1, marks: 0 })
    expect(await other!.add(KEY, 1, now)).toEqual({ startMs: now + 300, count: 2, marks: 0 })
    const setBack = now - 3_600_000
    expect(await other!.add(KEY, 1, setBack)).toEqual({ startMs: setBack, count: 3, marks: 0 })
    expect(await one!.add(KEY, 1, now + 400)).toEqual({ startMs: now + 300, count: 4, marks: 0 })
    expect(await other!.add(KEY, 1, setBack + 59_999)).toMatchObject({ startMs: setBack, count: 5 })
    expect(await other!.add(KEY, 1, setBack + 60_000)).toMatchObject({ startMs: setBack + 60_000, count: 1 })
    expect(await one!.add(KEY, 1, now + 60_300)).toEqual({ startMs: now + 60_300, count: 2, marks: 0 })
  })

  it('gives hits back down to 0, and never to a later window', async () => {
    await using test = await openCache()
    const [counter] = counters([test.cache], 10_000)
    const now = test.clock.nowMs()
    await counter!.giveBack(KEY, { amount: 5 }, now)
    expect(await counter!.get(KEY, now)).toBeUndefined()
    await counter!.add(KEY, 3, now)
    await counter!.giveBack(KEY, { amount: 5, countedAtMs: now }, now)
    expect(await counter!.get(KEY, now)).toEqual({ startMs: now, count: 0, marks: 0 })
    await counter!.add(KEY, 3, now + 10_000)
    await counter!.giveBack(KEY, { amount: 2, countedAtMs: now }, now + 10_000)
    expect((await counter!.get(KEY, now + 10_000))!.count).toBe(3)
    await counter!.giveBack(KEY, { amount: 2, countedAtMs: now + 10_500 }, now + 10_500)
    expect((await counter!.get(KEY, now + 10_500))!.count).toBe(1)
  })

  it('stays far from the start, with any number of hits over any limit', async () => {
    const clock = new FakeClock()
    const layout = new CounterLayout(60_000)
    const counter = new FirstHitCounter(new LocalCounters(clock), layout)
    const now = clock.nowMs()
    for (let hit = 0; hit < 10; hit++) {
      const { startMs } = await counter.add(KEY, layout.maxCount - 1, now)
      expect(startMs).toBe(now)
    }
    expect((await counter.get(KEY, now))!.count).toBeGreaterThan(layout.maxCount)
  })

  it('treats a stored value that is not a counter as a missing counter', async () => {
    await using test = await openCache()
    const [counter] = counters([test.cache], 60_000)
    await test.cache.client.set('k', 'nonsense')
    expect(await counter!.get(KEY, test.clock.nowMs())).toBeUndefined()
  })
})

describeWithMemcached('FirstHitCounter on the real memcached', () => {
  // Not shorter: memcached expires items by the time of the machine, even if it is busy.
  it.each([60_300, 61_000, 31 * DAY_MS])('is exact in windows of %i ms, by its own clock', async (window) => {
    await using memcached = await launchMemcached()
    const caches = [1, 2].map(() => memcache({ servers: memcached.address, logger: false, timeoutMs: 5000 }))
    const all = counters(caches, window)
    let now = Date.now()
    for (let round = 0; round < 20; round++) {
      const found = await Promise.all(Array.from({ length: 50 }, (_, call) => all[call % 2]!.add(KEY, 1, now)))
      expect(new Set(found.map(({ startMs }) => startMs))).toEqual(new Set([now]))
      expect(Math.max(...found.map(({ count }) => count))).toBe(50)
      now += window
    }
    await Promise.all(caches.map((cache) => cache.close()))
  })
})
