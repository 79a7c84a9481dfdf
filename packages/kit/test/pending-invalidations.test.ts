import { EventEmitter } from 'node:events'
import { MemcacheConnectionError, MemcacheDecodeError, MemcacheServerError } from 'memcache-ts-protocol'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { PendingInvalidations, RootGeneration } from '../src/engine/invalidate/pending-invalidations.ts'
import type { Invalidator } from '../src/engine/invalidate/pending-invalidations.ts'
import { HARD_STEP, SOFT_STEP } from '../src/engine/store/cache-store.ts'
import { Tags } from '../src/engine/invalidate/tags.ts'
import { CacheReport } from '../src/engine/observe/cache-report.ts'
import { UNAVAILABLE } from '../src/engine/or-unavailable.ts'
import type { TagGeneration } from '../src/engine/store/cache-store.ts'
import { deferred } from './deferred.ts'
import type { Deferred } from './deferred.ts'

// The pauses between retries, and the time that a load takes, pass when a test says so.
beforeEach(() => void vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

/** An invalidator whose requests the test answers. */
function openPending() {
  const requests: { readonly text: string; readonly confirm: () => void; readonly fail: () => void }[] = []
  const request = (text: string): Promise<void> =>
    new Promise((resolve, reject) => requests.push({ text, confirm: resolve, fail: () => reject(new Error('away')) }))
  const invalidator: Invalidator = {
    delete: (key) => request(`delete ${key}`),
    raise: (tagKey, by) => request(`raise ${tagKey} by ${by}`),
    raiseRoot: () => request('raise the root'),
  }
  let overflows = 0
  const pending = new PendingInvalidations(invalidator, () => void overflows++)
  onTestFinished(() => pending.close())
  return { pending, requests, overflows: () => overflows }
}

describe('pending invalidations', () => {
  it('are sent once by a run, and settled when they are confirmed', async () => {
    const { pending, requests } = openPending()
    pending.addDelete('a')
    pending.addRaise('t', 1)
    pending.addRaise('t', 65_536)
    pending.addRaise('t', 1)
    expect([pending.size, pending.has('a'), pending.hasTag('t'), pending.has('b')]).toEqual([2, true, true, false])
    const running = pending.run()
    await pending.run()
    expect(requests.map(({ text }) => text)).toEqual(['delete a', 'raise t by 65536'])
    requests[0]!.confirm()
    requests[1]!.fail()
    await running
    expect([pending.size, pending.has('a'), pending.hasTag('t')]).toEqual([1, false, true])
  })

  it('that are repeated while they are being sent stay pending, since the response may confirm the first', async () => {
    const { pending, requests } = openPending()
    pending.addDelete('a')
    pending.addDelete('b')
    pending.addRaise('t', 65_536)
    const running = pending.run()
    pending.addDelete('a')
    pending.addRaise('t', 1)
    for (const { confirm } of requests) confirm()
    await running
    expect([pending.has('a'), pending.has('b'), pending.hasTag('t')]).toEqual([true, false, true])
    const again = pending.run()
    expect(requests.slice(3).map(({ text }) => text)).toEqual(['delete a', 'raise t by 65536'])
    for (const { confirm } of requests) confirm()
    await again
    expect(pending.size).toBe(0)
  })

  it('that are too many make all values invalid until the root is raised after the last', async () => {
    const { pending, requests, overflows } = openPending()
    const fill = (name: string): void => {
      for (let index = 0; index <= 100_000; index++) pending.addDelete(`${name} ${index}`)
    }
    fill('first')
    expect([overflows(), pending.size, pending.has('any'), pending.hasTag('any')]).toEqual([1, 1, true, true])
    const running = pending.run()
    fill('second')
    requests[0]!.confirm()
    await running
    expect([overflows(), pending.has('any')]).toEqual([2, true])
    const again = pending.run()
    requests.at(-1)!.confirm()
    await again
    expect([pending.size, pending.has('any')]).toEqual([0, false])
  })

  it('of a key are removed by a newer write, and those of a closed cache are not sent', async () => {
    const { pending, requests } = openPending()
    pending.addDelete('a')
    pending.settle('a')
    expect(pending.has('a')).toBe(false)
    pending.addDelete('b')
    pending.close()
    await pending.run()
    expect(requests).toEqual([])
  })
})

describe('pending invalidations that fail', () => {
  it('are retried after pauses that double up to a second, and start again when they are confirmed', async () => {
    const { pending, requests } = openPending()
    const sentAfter = async (pauseMs: number): Promise<number> => {
      const before = requests.length
      await vi.advanceTimersByTimeAsync(pauseMs)
      return requests.length - before
    }
    pending.addDelete('a')
    pending.addDelete('b')
    for (const pauseMs of [100, 200, 400, 800, 1000, 1000]) {
      expect(await sentAfter(pauseMs - 1)).toBe(0)
      expect(await sentAfter(1)).toBe(2)
      for (const { fail } of requests) fail()
      await vi.advanceTimersByTimeAsync(0)
    }
    expect(await sentAfter(1000)).toBe(2)
    for (const { confirm } of requests) confirm()
    await vi.advanceTimersByTimeAsync(0)
    expect([pending.size, vi.getTimerCount()]).toEqual([0, 0])
    pending.addDelete('c')
    expect([await sentAfter(99), await sentAfter(1)]).toEqual([0, 1])
  })
})

const report = (): CacheReport => new CacheReport(new EventEmitter() as never, { info() {}, warn() {} })

describe('the root generation', () => {
  const openRoot = () => {
    const gets: Deferred<unknown>[] = []
    const get = (): Promise<unknown> => {
      const asked = deferred<unknown>()
      gets.push(asked)
      return asked.promise
    }
    return { gets, root: new RootGeneration({ get } as never, 'root', report()) }
  }

  it('is checked once a second, and only the first check is waited for', async () => {
    const { gets, root } = openRoot()
    const first = root.known()
    expect(root.known()).toBe(first)
    expect([first instanceof Promise, gets.length]).toEqual([true, 1])
    gets[0]!.resolve(undefined)
    await first
    expect(root.with(['t'])).toEqual(['t'])
    vi.advanceTimersByTime(999)
    expect([root.known(), gets.length]).toEqual([undefined, 1])
    vi.advanceTimersByTime(1)
    expect([root.known(), root.known(), gets.length]).toEqual([undefined, undefined, 2])
    gets[1]!.reject(new MemcacheConnectionError('away'))
    await vi.advanceTimersByTimeAsync(1000)
    expect([root.known(), root.with(['t'])]).toEqual([undefined, ['t']])
    gets[2]!.resolve(7)
    await vi.advanceTimersByTimeAsync(0)
    expect([root.with(['t']), root.with([]), root.with(['root'])]).toEqual([['t', 'root'], ['root'], ['root']])
    await vi.advanceTimersByTimeAsync(5000)
    expect([root.known(), gets.length]).toEqual([undefined, 3])
  })
})

describe('the generations of tags', () => {
  /** Tags on a store that responds when the test says so. */
  const openTags = () => {
    const { pending } = openPending()
    const requests: (Deferred<TagGeneration & number> & { readonly text: string })[] = []
    const request = (text: string): Promise<never> => {
      const asked = deferred<TagGeneration & number>()
      requests.push({ ...asked, text })
      return asked.promise as Promise<never>
    }
    const store = {
      generation: (tagKey: string) => request(`read ${tagKey}`),
      raise: (tagKey: string, by: number) => request(`raise ${tagKey} by ${by}`),
      delete: (tagKey: string) => request(`delete ${tagKey}`),
    }
    const use = (_: string, task: (using: typeof store) => unknown): unknown => task(store)
    const respond = async (response: Partial<TagGeneration> | number | Error | undefined): Promise<void> => {
      const asked = requests.shift()!
      if (response instanceof Error) asked.reject(response)
      else asked.resolve((typeof response === 'object' ? { made: false, ...response } : response) as never)
      await vi.advanceTimersByTimeAsync(0)
    }
    return { tags: new Tags({ use } as never, pending, report()), pending, requests, respond }
  }
  const STEP = HARD_STEP * 5

  it('are unchanged since a load began if a response had them before, the tag is new, or it was raised long ago', async () => {
    for (const [name, response, isUnchanged] of [
      ['the same as before', { generation: STEP, ageSeconds: 0 }, true],
      ['another one', { generation: STEP + 1, ageSeconds: 0 }, false],
      ['another one, just created', { generation: 7, made: true, ageSeconds: 0 }, true],
      ['another one, raised before the load', { generation: STEP + 1, ageSeconds: 13 }, true],
      ['another one, raised perhaps before the load', { generation: STEP + 1, ageSeconds: 12 }, false],
      ['another one, and the server does not report its age', { generation: STEP + 1 }, false],
    ] as const) {
      const { tags, respond } = openTags()
      const before = tags.read(['t'])
      await respond({ generation: STEP, ageSeconds: 0 })
      expect(await before).toEqual({ t: STEP })
      const beganMs = performance.now()
      vi.advanceTimersByTime(10_000)
      const read = tags.readSince(['t'], beganMs)
      await respond(response)
      expect(await read, name).toEqual(isUnchanged ? { t: response.generation } : undefined)
    }
  })

  it.each(['read', 'raised'] as const)(
    'that were %s here, by a response that came after a load began, may have changed',
    async (way) => {
      const { tags, respond } = openTags()
      const asked = way === 'read' ? tags.read(['t']) : tags.invalidate('t', { soft: false }, () => {})
      vi.advanceTimersByTime(5)
      const beganMs = performance.now()
      vi.advanceTimersByTime(5)
      // Another process has raised the tag before the server came to this request.
      await respond(way === 'read' ? { generation: STEP } : STEP)
      await asked
      const read = tags.readSince(['t'], beganMs)
      await respond({ generation: STEP, ageSeconds: 0 })
      expect(await read).toBeUndefined()
      const later = tags.readSince(['t'], performance.now())
      await respond({ generation: STEP, ageSeconds: 0 })
      expect(await later).toEqual({ t: STEP })
    },
  )

  it('of a value are compared by tag; missing generations make it invalid, and unknown generations are read', async () => {
    const { tags, respond } = openTags()
    const [same, soft, hard] = [STEP, STEP + SOFT_STEP, STEP + HARD_STEP]
    const state = (
      carried: Record<string, number> | undefined,
      required: readonly string[],
      known: Record<string, number> | typeof UNAVAILABLE,
    ) => tags.stateOf(carried, required, known)
    expect(state({ t: STEP, u: STEP }, ['t'], { t: same, u: same })).toBe('same')
    expect(state({ t: STEP, u: STEP }, ['t'], { t: same, u: soft })).toBe('stale')
    expect(state({ t: STEP, u: STEP }, ['t'], { t: hard, u: soft })).toBe('invalid')
    expect(state({ t: STEP }, ['t', 'u'], { t: same, u: same })).toBe('invalid')
    expect(state(undefined, [], {})).toBe('same')
    expect(state(undefined, ['t'], { t: same })).toBe('invalid')
    expect(state({ t: STEP }, [], UNAVAILABLE)).toBe(UNAVAILABLE)
    expect(tags.compare({ t: STEP }, {})).toBe('invalid')
    for (const [generation, expected] of [
      [same, 'same'],
      [soft, 'stale'],
      [hard, 'invalid'],
    ] as const) {
      const read = state({ t: STEP, u: STEP }, ['t'], { t: same })
      await respond({ generation })
      expect(await read).toBe(expected)
    }
    const failed = state({ t: STEP }, [], {})
    await respond(new MemcacheConnectionError('away'))
    expect(await failed).toBe(UNAVAILABLE)
  })

  it('are read once a tick, and again after an invalidation in the same tick', async () => {
    const { tags, requests, respond } = openTags()
    const reads = [tags.read(['t']), tags.read(['t', 'u'])]
    const raised = tags.invalidate('t', { soft: true }, () => {})
    const after = tags.read(['t'])
    expect(requests.map(({ text }) => text)).toEqual(['read t', 'read u', `raise t by ${SOFT_STEP}`, 'read t'])
    await respond({ generation: STEP })
    await respond({ generation: 7 })
    await respond(STEP + SOFT_STEP)
    await respond({ generation: STEP + SOFT_STEP })
    expect(await Promise.all([...reads, raised, after])).toEqual([
      { t: STEP },
      { t: STEP, u: 7 },
      true,
      { t: STEP + SOFT_STEP },
    ])
    const later = tags.read(['t'])
    expect(requests).toHaveLength(1)
    await respond({ generation: STEP + SOFT_STEP })
    await later
  })

  it('are no longer read while an invalidation that failed is pending', async () => {
    const { tags, pending, respond } = openTags()
    const errors: unknown[] = []
    const raised = tags.invalidate('t', { soft: false }, (error) => errors.push(error))
    const away = new MemcacheConnectionError('away')
    await respond(away)
    expect([await raised, errors, pending.hasTag('t')]).toEqual([false, [away], true])
    await expect(tags.read(['t'])).rejects.toThrow('t has a pending invalidation')
  })

  it.each([
    ['no counter', new MemcacheServerError('CLIENT_ERROR cannot increment or decrement non-numeric value'), true],
    ['no number', new MemcacheDecodeError('no number'), true],
    ['away', new MemcacheConnectionError('away'), false],
    ['out of memory', new MemcacheServerError('SERVER_ERROR out of memory'), false],
  ])('are created again if something else is stored in their place: %s', async (_, error, isReplaced) => {
    const { tags, requests, respond } = openTags()
    const read = tags.read(['t'])
    read.catch(() => {})
    await respond(error)
    expect(requests.map(({ text }) => text)).toEqual(isReplaced ? ['delete t'] : [])
    if (!isReplaced) return expect(read).rejects.toBe(error)
    await respond(undefined)
    await respond({ generation: 7 })
    return expect(await read).toEqual({ t: 7 })
  })
})
