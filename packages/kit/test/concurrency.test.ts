import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { FakeClock, launchServer, until } from 'memcache-ts-testing'
import { describe, expect, it, vi } from 'vitest'
import { memcache, MemcacheLimitError } from '../src/index.ts'
import { concurrency, CONCURRENCY_OPTIONS } from '../src/rate-limit/index.ts'
import type { ConcurrencyLimiter, Slot } from '../src/rate-limit/index.ts'
import { ownKey } from '../src/engine/engine.ts'
import { EMPTY_STATE, takeTurn } from '../src/rate-limit/concurrency-state.ts'
import { openCache } from './open-cache.ts'

/** It runs what was built. */
const HOLDER = new URL('fixtures/concurrency-holder.js', import.meta.url)
const RULES = { max: 2, queue: 3, leaseMs: 10_000, waitLeaseMs: 3000 }

/** The slots that were given at once. */
async function taken(limiter: ConcurrencyLimiter, calls: number): Promise<Slot[]> {
  const slots = await Promise.all(Array.from({ length: calls }, () => limiter.tryAcquire('id')))
  return slots.filter((slot) => slot !== undefined)
}

describe('concurrency', () => {
  it('grants max slots to two processes together, and each slot again after its release', async () => {
    await using test = await openCache()
    const [one, other] = [test.cache, test.another()].map((cache) => concurrency({ max: 3, cache }))
    const slots = (await Promise.all([taken(one!, 20), taken(other!, 20)])).flat()
    expect(slots).toHaveLength(3)
    expect(await taken(other!, 5)).toEqual([])
    await slots[0]!.release()
    await slots[0]!.release()
    expect(await taken(other!, 5)).toHaveLength(1)
    // Other ids have their own.
    await using slot = await one!.acquire('another')
    expect(slot.signal.aborted).toBe(false)
  })

  it('rejects at once without a queue, and when the queue is full', async () => {
    await using test = await openCache()
    const strict = concurrency({ name: 'strict', max: 1, cache: test.cache })
    await using _strict = await strict.acquire('id')
    const refused = await strict.acquire('id').catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(MemcacheLimitError)
    expect(refused).toMatchObject({ code: 'ERR_MEMCACHE_LIMIT', retryable: true })
    const queued = concurrency({ name: 'queued', max: 1, queue: 2, cache: test.cache })
    const first = await queued.acquire('id')
    const waiting = [queued.acquire('id'), queued.acquire('id')]
    await expect(queued.acquire('id')).rejects.toThrow("all 1 slots of the concurrency limit 'queued' are taken")
    await first.release()
    await (await waiting[0]!).release()
    await (await waiting[1]!).release()
  })

  it('admits waiting callers of all processes in the order of their arrival', async () => {
    await using test = await openCache()
    const limiters = [test.cache, test.another()].map((cache) => concurrency({ max: 1, queue: 10, cache }))
    const first = await limiters[0]!.acquire('id')
    const order: number[] = []
    const runs: Promise<void>[] = []
    for (let index = 0; index < 8; index++) {
      runs.push(limiters[index % 2]!.run('id', () => void order.push(index)))
      // It has its place before the next one comes.
      const key = ownKey(test.cache, 'rate', ['default', 'slots', 'id'])
      await until(async () => (await test.cache.client.get<{ waiting: unknown[] }>(key))!.waiting.length === index + 1)
    }
    await first.release()
    await Promise.all(runs)
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  it('stops waiting after waitMs or when its signal is aborted, and frees its place in the queue', async () => {
    await using test = await openCache()
    const limiter = concurrency({ max: 1, waitMs: 5000, cache: test.cache })
    const first = await limiter.acquire('id')
    const late = limiter.acquire('id')
    const patient = limiter.acquire('id', { waitMs: 3_000_000_000 })
    const aborting = new AbortController()
    const aborted = limiter.acquire('id', { signal: aborting.signal })
    aborting.abort(new Error('no longer wanted'))
    await expect(aborted).rejects.toThrow('no longer wanted')
    test.clock.advanceMs(5000)
    await expect(late).rejects.toThrow(MemcacheLimitError)
    await first.release()
    await (await patient).release()
    await expect(limiter.acquire('id', { signal: AbortSignal.abort(new Error('never wanted')) })).rejects.toThrow(
      'never wanted',
    )
    expect(await taken(limiter, 3)).toHaveLength(1)
  })

  it('frees the slots and places of a process that was killed when their leases end', async () => {
    await using server = await launchServer()
    // The leases are long, so that a slow holder loses none; this process's clock is then moved behind their end.
    const clock = new FakeClock(Date.now())
    await using cache = memcache({ servers: server.address, logger: false, timeoutMs: 5000, clock })
    const options = { name: 'killed', max: 2, leaseMs: 60_000, queue: 10 }
    const holder = fork(HOLDER, [server.address, JSON.stringify(options)], { execArgv: [] })
    const ended = once(holder, 'exit')
    expect((await Promise.race([once(holder, 'message'), ended]))[0]).toBe('holds')
    const limiter = concurrency({ ...options, cache })
    expect(await limiter.tryAcquire('id')).toBeUndefined()
    const waiting = limiter.acquire('id')
    holder.kill('SIGKILL')
    await ended
    // This process sees the last leases of the holder, whose clock is ahead of its own.
    expect(await limiter.tryAcquire('id')).toBeUndefined()
    // A step beyond the lifetime of the item would be a clock that was set, of which the leases know nothing (0043).
    clock.advanceMs(options.leaseMs + 1000)
    await (await waiting).release()
  })

  it('is released when its block ends, even by an error', async () => {
    await using test = await openCache()
    const limiter = concurrency({ max: 1, cache: test.cache })
    await expect(
      (async () => {
        await using _slot = await limiter.acquire('id')
        throw new Error('thrown in the block')
      })(),
    ).rejects.toThrow('thrown in the block')
    await expect(limiter.run('id', () => Promise.reject(new Error('thrown in run')))).rejects.toThrow('thrown in run')
    expect(await taken(limiter, 3)).toHaveLength(1)
  })

  it.each([
    ['local', 2],
    ['open', 5],
    ['closed', 0],
  ] as const)('goes on when memcached is away: %s', async (onCacheDown, count) => {
    await using test = await openCache({ timeoutMs: 250 })
    const limiter = concurrency({ max: 2, onCacheDown, cache: test.cache })
    await test.server.stop()
    const slots = await taken(limiter, 5)
    expect(slots).toHaveLength(count)
    for (const slot of slots) await slot.release()
    expect(await taken(limiter, 5)).toHaveLength(count)
  })

  it('keeps the slots that it holds when the server forgets them', async () => {
    await using test = await openCache()
    const limiter = concurrency({ max: 2, cache: test.cache })
    const [slot] = await taken(limiter, 2)
    await test.cache.client.flushAll()
    // Another process would not know of them until they are renewed; this one does.
    expect(await taken(limiter, 3)).toEqual([])
    await slot!.release()
    expect(await taken(limiter, 3)).toHaveLength(1)
  })

  it.each([8_000, 3_600_000, -8_000, -3_600_000])(
    'gives no slot twice if the clock of a process is apart by %s ms, and frees it in time',
    async (skewMs) => {
      await using test = await openCache()
      const clock = new FakeClock(test.clock.nowMs() + skewMs)
      const options = { max: 2, leaseMs: 20_000 }
      const one = concurrency({ ...options, cache: test.cache })
      const other = concurrency({ ...options, cache: test.another({ clock }) })
      const slots = await taken(one, 2)
      expect(await taken(other, 3)).toEqual([])
      await slots[0]!.release()
      const [theirs] = await taken(other, 3)
      expect(theirs).toBeDefined()
      expect(await taken(one, 3)).toEqual([])
      expect([slots[1]!.signal.aborted, theirs!.signal.aborted]).toEqual([false, false])
      // The other one stops to renew its slot.
      for (let step = 0; step < 5; step++) {
        test.clock.advanceMs(9000)
        clock.advanceMs(9000)
        await one.tryAcquire('id').then(async (slot) => slot?.release())
      }
      expect(await taken(one, 3)).toHaveLength(1)
    },
  )

  it('grants no slot while other processes change its item all the time, and grants one when they stop', async () => {
    await using test = await openCache()
    const limiter = concurrency({ max: 1, queue: 5, cache: test.cache })
    const add = vi.spyOn(test.cache.client, 'add').mockResolvedValue(false)
    expect(await limiter.tryAcquire('id')).toBeUndefined()
    const waiting = limiter.acquire('id')
    expect(await limiter.tryAcquire('id')).toBeUndefined()
    add.mockRestore()
    const slot = await waiting
    const cas = vi.spyOn(test.cache.client, 'cas').mockResolvedValue('exists')
    await slot.release()
    cas.mockRestore()
    // It is given back with the next turn.
    await (await limiter.acquire('id')).release()
  })

  it('notifies a holder whose lease ended and was granted to another caller', async () => {
    await using test = await openCache()
    const stood = concurrency({ max: 1, leaseMs: 1000, cache: test.cache })
    const other = concurrency({ max: 1, leaseMs: 1000, cache: test.another() })
    const slot = await stood.acquire('id')
    test.clock.advanceMs(1500)
    const theirs = await other.acquire('id')
    // The next operation of this process finds it out.
    expect(await stood.tryAcquire('id')).toBeUndefined()
    expect(slot.signal.aborted).toBe(true)
    expect(slot.signal.reason).toBeInstanceOf(MemcacheLimitError)
    await Promise.all([slot.release(), theirs.release()])
  })

  it.each([
    [{}, 'max must be a whole number from 1 to 10000, got undefined'],
    [{ max: 0 }, 'max must be a whole number from 1'],
    [{ max: Number.NaN }, 'max must be a whole number from 1'],
    [{ max: '2' }, 'max must be a whole number from 1'],
    [{ max: 1, queue: -1 }, 'queue must be a whole number from 0'],
    [{ max: 1, waitMs: Number.NaN }, 'waitMs must be a number of milliseconds, at least 0, got NaN'],
    [{ max: 1, leaseMs: 10 }, 'leaseMs must be a whole number from 1000'],
    [{ max: 1, limit: 3 }, '`limit` is `max` here'],
    [{ max: 1, name: '' }, 'name must be a string that is not empty'],
    [{ max: 1, onCacheDown: 'maybe' }, "onCacheDown must be 'local', 'open' or 'closed'"],
  ])('refuses %j: %s', (options, message) => {
    expect(() => concurrency(options as never)).toThrow(message)
  })

  it('refuses invalid ids and options', async () => {
    await using test = await openCache()
    const limiter = concurrency({ max: 1, cache: test.cache })
    await expect(limiter.acquire(5 as never)).rejects.toThrow('the id must be a string')
    await expect(limiter.acquire('id', { timeout: 5 } as never)).rejects.toThrow('`timeout` is `waitMs` here')
    await expect(limiter.acquire('id', { waitMs: -1 })).rejects.toThrow('waitMs must be a number of milliseconds')
  })

  it('documents all its options in the README', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    for (const option of CONCURRENCY_OPTIONS) expect(readme).toMatch(new RegExp(`^(\\| |- )[^:(|]*\`${option}\``, 'm'))
  })
})

describe('a turn at the slots', () => {
  it('never grants more slots than max, and admits waiting callers in order', () => {
    const step = fc.record({
      process: fc.integer({ min: 0, max: 2 }),
      action: fc.constantFrom('want', 'release', 'turn', 'turn'),
      ms: fc.integer({ min: 0, max: 2500 }),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        let state = EMPTY_STATE
        let nowMs = 1_000_000
        let count = 0
        const processes = [0, 1, 2].map(() => ({ held: [] as string[], wanted: [] as string[], seenMs: nowMs }))
        const line: string[] = []
        for (const { process, action, ms } of steps) {
          nowMs += ms
          const me = processes[process]!
          // Living processes renew in time; here all are alive.
          for (const other of processes) other.seenMs = nowMs
          const released: string[] = []
          if (action === 'want') me.wanted.push(`${count++}`)
          if (action === 'release' && me.held.length > 0) released.push(me.held.shift()!)
          // First the releasing callers, then the others.
          for (const each of [me, ...processes.filter((other) => other !== me)]) {
            const wanted = each.wanted.map((token) => ({ token, mayWait: true }))
            const mine = each === me ? released : []
            const requests = { held: each.held, released: mine, wanted }
            const turn = takeTurn(state, { requests, nowMs }, RULES)
            state = turn.state
            expect(turn.lost.size).toBe(0)
            for (const token of turn.granted) {
              if (line.includes(token)) expect(line.shift()).toBe(token)
              each.held.push(token)
            }
            for (const token of each.wanted) {
              if (!turn.granted.has(token) && !turn.refused.has(token) && !line.includes(token)) line.push(token)
            }
            each.wanted = each.wanted.filter((token) => !turn.granted.has(token) && !turn.refused.has(token))
          }
          expect(processes.flatMap(({ held }) => held).length).toBeLessThanOrEqual(RULES.max)
          expect(line.length).toBeLessThanOrEqual(RULES.queue)
          if (line.length > 0) expect(processes.flatMap(({ held }) => held)).toHaveLength(RULES.max)
        }
      }),
      { numRuns: 300 },
    )
  })
})
