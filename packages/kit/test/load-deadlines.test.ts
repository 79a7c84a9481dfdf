import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { concurrency, memcache, rateLimiter } from '../src/index.ts'
import { Abandonment } from '../src/engine/load/abandonment.ts'
import { LoadDeadlines } from '../src/engine/load/load-deadlines.ts'

describe('the time limits of loads', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  class Load {
    readonly deadlineMs: number
    readonly #expired: number[]

    constructor(afterMs: number, expired: number[]) {
      this.deadlineMs = performance.now() + afterMs
      this.#expired = expired
    }

    expire(): void {
      this.#expired.push(this.deadlineMs)
    }
  }

  it('end each load at its own time, in any order of addition', () => {
    const deadlines = new LoadDeadlines()
    const expired: number[] = []
    const loads = [500, 100, 300, 100].map((afterMs) => new Load(afterMs, expired))
    for (const load of loads) deadlines.add(load)
    vi.advanceTimersByTime(99)
    expect(expired).toHaveLength(0)
    vi.advanceTimersByTime(1)
    expect(expired).toHaveLength(2)
    vi.advanceTimersByTime(200)
    expect(expired).toHaveLength(3)
    vi.advanceTimersByTime(200)
    expect(expired).toHaveLength(4)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('do not end a completed load, or a load without a limit', () => {
    const deadlines = new LoadDeadlines()
    const expired: number[] = []
    const ended = new Load(100, expired)
    deadlines.add(ended)
    deadlines.add(new Load(Infinity, expired))
    deadlines.delete(ended)
    vi.advanceTimersByTime(10_000)
    expect(expired).toEqual([])
  })

  it('are one timer, with any number of loads', () => {
    const deadlines = new LoadDeadlines()
    const expired: number[] = []
    for (let index = 0; index < 1000; index++) deadlines.add(new Load(1000 + index, expired))
    expect(vi.getTimerCount()).toBe(1)
  })

  it('may be longer than a timer of Node can be', () => {
    const deadlines = new LoadDeadlines()
    const expired: number[] = []
    deadlines.add(new Load(2 ** 31 + 1000, expired))
    vi.advanceTimersByTime(2 ** 31 - 1)
    expect(expired).toEqual([])
    vi.advanceTimersByTime(1001)
    expect(expired).toHaveLength(1)
  })

  it('hold for loads that are added while others expire', () => {
    const deadlines = new LoadDeadlines()
    const expired: number[] = []
    const next = new Load(150, expired)
    deadlines.add({ deadlineMs: performance.now() + 100, expire: () => deadlines.add(next) })
    deadlines.add(new Load(400, expired))
    vi.advanceTimersByTime(150)
    expect(expired).toEqual([next.deadlineMs])
    vi.advanceTimersByTime(250)
    expect(expired).toHaveLength(2)
  })
})

describe('an abandonment', () => {
  it('aborts the signal that the work reads, before or after the abandonment', () => {
    const before = new Abandonment()
    const { signal } = before
    before.abort('gone')
    expect([signal.aborted, signal.reason]).toEqual([true, 'gone'])
    const after = new Abandonment()
    after.abort('gone')
    expect([after.signal.aborted, after.signal.reason]).toEqual([true, 'gone'])
  })

  it('calls each listener once, and none that was removed', () => {
    const abandonment = new Abandonment()
    const calls: string[] = []
    const removed = (): void => void calls.push('removed')
    abandonment.addEventListener('abort', () => calls.push('a'))
    abandonment.addEventListener('abort', removed)
    abandonment.removeEventListener('abort', removed)
    abandonment.abort('gone')
    abandonment.abort('again')
    expect([calls, abandonment.reason]).toEqual([['a'], 'gone'])
  })
})

describe('an environment whose timers are numbers and which has no setImmediate, like jest’s jsdom', () => {
  afterEach(() => vi.unstubAllGlobals())

  it('a cache on an embedded server loads, stores, locks, limits and invalidates', async () => {
    const timers = new Map<number, NodeJS.Timeout>()
    const numbered = (timer: NodeJS.Timeout): number => {
      timers.set(timers.size + 1, timer)
      return timers.size
    }
    const { setTimeout: later, setInterval: often, clearTimeout: clearTimer } = globalThis
    const clear = (id: number | undefined): void => clearTimer(timers.get(id ?? 0))
    vi.stubGlobal('setTimeout', (run: () => void, ms: number) => numbered(later(run, ms)))
    vi.stubGlobal('setInterval', (run: () => void, ms: number) => numbered(often(run, ms)))
    vi.stubGlobal('clearTimeout', clear)
    vi.stubGlobal('clearInterval', clear)
    vi.stubGlobal('setImmediate', undefined)
    await using cache = memcache({ servers: 'embedded', logger: false, timeoutMs: 10_000 })
    expect(await cache.getOrSet('a', async () => 1, { ttlSeconds: 60, tags: ['t'], hardTimeoutMs: 60_000 })).toBe(1)
    expect(await cache.getOrSet('a', async () => 2, { ttlSeconds: 60, tags: ['t'] })).toBe(1)
    expect(await cache.invalidateTags(['t'])).toBe(true)
    expect(await cache.getOrSet('a', async () => 3, { ttlSeconds: 60, tags: ['t'] })).toBe(3)
    await using lock = await cache.lock('l', { ttlSeconds: 10 })
    expect(lock).toBeDefined()
    expect(await rateLimiter({ perMinute: 1, cache }).consume('a')).toMatchObject({ allowed: true })
    await using slot = await concurrency({ max: 1, cache }).acquire('a')
    expect(slot).toBeDefined()
  })
})
