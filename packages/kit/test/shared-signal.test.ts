import { getEventListeners } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { until } from 'memcache-ts-testing'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { concurrency, rateLimiter } from '../src/rate-limit/index.ts'
import { defineCache } from '../src/index.ts'
import { openCache } from './open-cache.ts'
import type { TestCaches } from './open-cache.ts'

let test: TestCaches
let round = 0
beforeAll(async () => {
  test = await openCache({ asDefault: true })
})
afterAll(() => test.close())
beforeEach(() => void round++)

type Call = (signal: AbortSignal, index: number) => Promise<unknown>

/** Calls that end by themselves, each with a signal. */
const CALLS: Readonly<Record<string, () => Call>> = {
  'getOrSet, each of its own key': () => (signal, index) =>
    test.cache.getOrSet(['own', round, index], async () => (await turn(), index), { signal }),
  'getOrSet, all of one key': () => (signal) =>
    test.cache.getOrSet(['one', round], async () => (await turn(), 1), { signal, staleSeconds: 60, softTimeoutMs: 5 }),
  'getOrSet within its own load': () => (signal, index) => {
    const key = ['within', round, index]
    return test.cache.getOrSet(key, () => test.cache.getOrSet(key, () => turn(index), { signal }), { signal })
  },
  getOrSetMany: () => (signal, index) =>
    test.cache.getOrSetMany([`a${index}`, `b${index % 7}`], (ids) => turn(ids.map(String)), {
      signal,
      key: (id) => [round, id],
    }),
  'getOrSetMany within its own load': () => (signal, index) => {
    const key = ['many within', round, index]
    const inner = () => test.cache.getOrSetMany([key], () => [index], { signal })
    return test.cache.getOrSet(key, async () => (await inner()).get(key), { signal })
  },
  'a declared cache': () => {
    const values = defineCache({ name: `values ${round}`, load: async (id: number) => id })
    return async (signal, index) => {
      await values.getOrSet(index, { signal })
      await values.getOrSetMany([index, index + 1], { signal })
      await values.warm([index], { signal })
    }
  },
  lock: () => async (signal, index) => {
    await using held = await test.cache.lock(`lock ${round} ${index % 20}`, { waitMs: 60_000, signal })
    expect(held).toBeDefined()
    await turn()
  },
  blockUntilReady: () => {
    const limiter = rateLimiter({ name: `limit ${round}`, perSecond: 100_000 })
    return (signal, index) => limiter.blockUntilReady(`client ${index % 5}`, { signal })
  },
  'a concurrency limit': () => {
    const limit = concurrency({ name: `slots ${round}`, max: 100, queue: 1000 })
    return async (signal, index) => (await limit.acquire(`client ${index % 5}`, { signal }))?.release()
  },
}

describe.each(Object.entries(CALLS))('one signal for many calls: %s', (_, make) => {
  /** Runs a task, and returns the warnings of too many listeners meanwhile. */
  async function warningsOf(task: () => Promise<unknown>): Promise<string[]> {
    const warnings: string[] = []
    const listen = ({ name, message }: Error): void => {
      if (name === 'MaxListenersExceededWarning') warnings.push(message)
    }
    process.on('warning', listen)
    try {
      await task()
      // Node emits warnings on the next tick.
      await turn()
    } finally {
      process.off('warning', listen)
    }
    return warnings
  }

  it('at once, causes no warning and leaves no listener', async () => {
    const { signal } = new AbortController()
    const call = make()
    const warnings = await warningsOf(() => Promise.all(Array.from({ length: 200 }, (_, index) => call(signal, index))))
    expect(warnings).toEqual([])
    await until(() => getEventListeners(signal, 'abort').length === 0)
  }, 60_000)

  it('one after the other, causes no warning and leaves no listener', async () => {
    const { signal } = new AbortController()
    const call = make()
    const warnings = await warningsOf(async () => {
      for (let index = 0; index < 50; index++) await call(signal, index)
    })
    expect(warnings).toEqual([])
    await until(() => getEventListeners(signal, 'abort').length === 0)
  }, 60_000)
})

/** A signal as jsdom has it in jest 29: without `reason`, and without the methods that came with it. */
class OldSignal extends EventTarget {
  aborted = false

  abort(): void {
    this.aborted = true
    this.dispatchEvent(new Event('abort'))
  }

  get signal(): AbortSignal {
    return this as unknown as AbortSignal
  }
}

describe.each(Object.entries(CALLS))('a signal without reason and methods: %s', (_, make) => {
  it('does not disturb a call, and ends it with an AbortError', async () => {
    const old = new OldSignal()
    const call = make()
    await call(old.signal, 0)
    old.abort()
    await expect(call(old.signal, 1)).rejects.toMatchObject({ name: 'AbortError' })
  })
})

it.each([
  ['of Node', () => new AbortController()],
  ['without reason and methods', () => new OldSignal()],
])('a signal %s that is aborted during a load ends the wait with an AbortError', async (_, make) => {
  const { cache } = test
  const controller = make()
  const { signal } = controller
  const never = () => new Promise<never>(() => {})
  const held = await cache.lock('held by another')
  const { loads } = cache.stats()
  const calls = [
    cache.getOrSet(`during ${round}`, never, { signal }),
    cache.getOrSetMany([`many ${round}`], never, { signal }),
    cache.lock('held by another', { waitMs: 60_000, signal }),
  ]
  const settled = Promise.allSettled(calls)
  await until(() => cache.stats().loads === loads + 2)
  controller.abort()
  const outcomes = await settled
  expect(outcomes.map((outcome) => outcome.status === 'rejected' && (outcome.reason as Error).name)).toEqual(
    calls.map(() => 'AbortError'),
  )
  await held!.release()
})

it('an aborted signal ends the waits of all calls with its reason, and of no other call', async () => {
  const { cache } = test
  const controller = new AbortController()
  const { signal } = controller
  let end = (_: string): void => {}
  const loading = new Promise<string>((resolve) => (end = resolve))
  const load = () => loading
  const held = await cache.lock('held')
  const { loads } = cache.stats()
  const other = cache.getOrSet('k 0', load, { signal: new AbortController().signal })
  const calls = Array.from({ length: 30 }, (_, index) => cache.getOrSet(`k ${index % 3}`, load, { signal }))
  calls.push(cache.getOrSetMany(['k 1', 'k 5'], load as never, { signal }) as never)
  await until(() => cache.stats().loads === loads + 4)
  calls.push(test.another().getOrSetMany(['k 1'], () => ['not loaded'], { signal }) as never)
  calls.push(test.another().getOrSet('k 1', () => 'not loaded', { signal }))
  calls.push(cache.lock('held', { waitMs: 60_000, signal }) as never)
  const settled = Promise.allSettled(calls)
  const reason = new Error('the client has left')
  controller.abort(reason)
  for (const outcome of await settled) expect(outcome).toEqual({ status: 'rejected', reason })
  expect(getEventListeners(signal, 'abort')).toEqual([])
  end('loaded')
  expect(await other).toBe('loaded')
  await held!.release()
})
