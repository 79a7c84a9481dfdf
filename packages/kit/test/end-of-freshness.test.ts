import { describeWithMemcached, FakeClock, launchMemcached, listenAsOldServer, until } from 'memcache-ts-testing'
import { MemcachedServer } from 'memcache-ts-server'
import { describe, expect, it } from 'vitest'
import { memcache } from '../src/index.ts'
import type { Memcache } from '../src/index.ts'
import { OpenedCaches } from './open-cache.ts'

interface TimedServer extends AsyncDisposable {
  readonly clock: FakeClock
  open(options?: { l1: boolean }): Memcache
}

async function timedServer(listen: (server: MemcachedServer) => Promise<{ address: string; close(): void }>) {
  const clock = new FakeClock()
  const server = new MemcachedServer({ clock, port: 0 })
  const { address, close } = await listen(server)
  const caches = new OpenedCaches()
  return {
    clock,
    open({ l1 } = { l1: false }) {
      return caches.open({ servers: address, clock, l1, loading: { jitter: 0 } })
    },
    async [Symbol.asyncDispose]() {
      await caches.close()
      close()
      await server.close()
    },
  } satisfies TimedServer
}

const SERVERS: Record<string, () => Promise<TimedServer>> = {
  'with meta commands': () =>
    timedServer(async (server) => {
      const { port } = await server.listen()
      return { address: `127.0.0.1:${port}`, close: () => {} }
    }),
  'without meta commands': () => timedServer(listenAsOldServer),
}

/** The ways to store 1 as the value of a key, fresh for some seconds. */
const WRITERS: Record<string, (cache: Memcache, ttlSeconds: number, staleSeconds: number) => Promise<unknown>> = {
  getOrSet: (cache, ttlSeconds, staleSeconds) => cache.getOrSet('k', () => 1, { ttlSeconds, staleSeconds }),
  getOrSetMany: (cache, ttlSeconds, staleSeconds) =>
    cache.getOrSetMany(['k'], () => [1], { ttlSeconds, staleSeconds, key: (id) => id }),
  'a lifetime that the loader sets': (cache, ttlSeconds, staleSeconds) =>
    cache.getOrSet('k', ({ setTtlSeconds }) => (setTtlSeconds(ttlSeconds), 1), { staleSeconds }),
  'a lifetime by the value': (cache, ttlSeconds, staleSeconds) =>
    cache.getOrSet('k', () => 1, { ttlSeconds: () => ttlSeconds, staleSeconds }),
  'an early refresh': (cache, ttlSeconds, staleSeconds) =>
    cache.getOrSet('k', () => 1, { ttlSeconds, staleSeconds, earlyRefresh: { beta: 0.001 } }),
}
const UNCONDITIONAL: typeof WRITERS = {
  set: (cache, ttlSeconds) => cache.set('k', 1, ttlSeconds),
  add: (cache, ttlSeconds) => cache.add('k', 1, ttlSeconds),
  increment: (cache, ttlSeconds) => cache.increment('k', 1, ttlSeconds),
  'a tagged set': (cache, ttlSeconds) => cache.set('k', 1, { ttlSeconds, tags: ['t'] }),
}

/** The results of readers that accept no stale value, for a fresh 1 and for a miss. */
const READERS: Record<string, { read(cache: Memcache): Promise<unknown>; fresh: unknown; miss: unknown }> = {
  get: { read: (cache) => cache.get('k'), fresh: 1, miss: undefined },
  getMany: { read: async (cache) => (await cache.getMany(['k'])).get('k'), fresh: 1, miss: undefined },
  has: { read: (cache) => cache.has('k'), fresh: true, miss: false },
  pull: { read: (cache) => cache.pull('k'), fresh: 1, miss: undefined },
  add: { read: (cache) => cache.add('k', 2), fresh: false, miss: true },
  increment: { read: (cache) => cache.increment('k', 10), fresh: 11, miss: 10 },
  getOrSet: { read: (cache) => cache.getOrSet('k', () => 2), fresh: 1, miss: 2 },
  getOrSetMany: {
    read: async (cache) => (await cache.getOrSetMany(['k'], () => [2], { key: (id) => id })).get('k'),
    fresh: 1,
    miss: 2,
  },
  'getOrSet with a shorter stale time': {
    read: (cache) => cache.getOrSet('k', () => 2, { staleSeconds: 0.5 }),
    fresh: 1,
    miss: 2,
  },
}

/** Lifetimes and stale times: whole seconds, parts of one, and both. */
const TIMES = [
  [60, 600],
  [1, 600],
  [0.4, 600],
  [0.4, 0],
  [2.7, 1.6],
] as const

describe.each(Object.keys(SERVERS))('a value, on a server %s', (server) => {
  it.each(Object.keys(READERS))(
    'is what %s returns until its end and no longer, however it was stored',
    async (reader) => {
      await using test = await SERVERS[server]!()
      const { read, fresh, miss } = READERS[reader]!
      const caches = [false, true].map((l1) => [test.open({ l1 }), test.open({ l1 })] as const)
      const combined = [
        ...Object.entries(WRITERS).flatMap(([name, write]) =>
          TIMES.map(([ttlSeconds, staleSeconds]) => ({ name, write, ttlSeconds, staleSeconds })),
        ),
        ...Object.entries(UNCONDITIONAL).map(([name, write]) => ({ name, write, ttlSeconds: 0.4, staleSeconds: 0 })),
      ]
      for (const { name, write, ttlSeconds, staleSeconds } of combined) {
        for (const [cache, other] of caches) {
          for (const using of [cache, other]) {
            for (const isPast of [false, true]) {
              await cache.delete('k')
              await write(cache, ttlSeconds, staleSeconds)
              // Memory may have read the value just before its end.
              test.clock.advanceSeconds(ttlSeconds - 0.2)
              if (reader !== 'increment' && reader !== 'add') await using.get('k')
              // A shorter stale time than that of the value passes, too.
              test.clock.advanceSeconds(isPast ? 0.8 : 0.05)
              const about = `${name}, ${ttlSeconds} s and ${staleSeconds} s stale, ${isPast ? 'past' : 'before'} its end`
              expect([about, await read(using)]).toEqual([about, isPast ? miss : fresh])
            }
          }
        }
      }
    },
  )

  it('is served without a reload while it is fresh, with any TTL', async () => {
    await using test = await SERVERS[server]!()
    const cache = test.open()
    const options = { ttlSeconds: 0.5, staleSeconds: 60 }
    let loads = 0
    const load = () => ++loads
    for (let call = 0; call < 5; call++) {
      expect(await cache.getOrSet('k', load, options)).toBe(1)
      test.clock.advanceSeconds(0.1)
    }
    expect(loads).toBe(1)
    expect(await cache.getOrSet('k', load, options)).toBe(1)
    await until(async () => (await cache.getOrSet('k', load, options)) === 2)
    expect(loads).toBe(2)
  })

  it('that `set` stored is not reloaded by callers whose staleSeconds is longer than its TTL', async () => {
    await using test = await SERVERS[server]!()
    const cache = test.open()
    await cache.set('k', 'set', 60)
    for (let call = 0; call < 3; call++) {
      expect(await cache.getOrSet('k', () => 'loaded', { ttlSeconds: 60, staleSeconds: 600 })).toBe('set')
    }
    expect(cache.stats()).toMatchObject({ loads: 0, stale: 0 })
  })

  it('keeps its end while it is counted up', async () => {
    await using test = await SERVERS[server]!()
    const cache = test.open()
    await cache.increment('k', 1, 0.9)
    for (let call = 2; call < 5; call++) {
      test.clock.advanceSeconds(0.25)
      expect(await cache.increment('k', 1, 0.9)).toBe(call)
    }
    test.clock.advanceSeconds(0.2)
    expect(await cache.increment('k', 1, 0.9)).toBe(1)
  })
})

describeWithMemcached('a value on memcached', () => {
  it('is reloaded once by the processes that find it past its end', async () => {
    await using server = await launchMemcached()
    const clock = new FakeClock()
    const open = (): Memcache => memcache({ servers: server.address, clock, timeoutMs: 5000, logger: false })
    await using one = open()
    await using other = open()
    const options = { ttlSeconds: 60, staleSeconds: 600, jitter: 0 }
    await one.getOrSet('k', () => 'old', options)
    expect(await other.get('k')).toBe('old')
    clock.advanceSeconds(60)
    expect([await one.get('k'), await other.has('k')]).toEqual([undefined, false])
    let loads = 0
    const load = () => `new ${++loads}`
    // memcached's own clock has not moved: the new value has more time left there because of a longer lifetime.
    const longer = { ...options, ttlSeconds: 120 }
    const calls = [one, other].flatMap((cache) => Array.from({ length: 20 }, () => cache.getOrSet('k', load, longer)))
    // A lookup may come after the value was replaced.
    for (const value of await Promise.all(calls)) expect(['old', 'new 1']).toContain(value)
    await until(async () => (await other.get('k')) === 'new 1')
    expect(loads).toBe(1)
  })
})
