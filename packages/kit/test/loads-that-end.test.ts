import { AsyncLocalStorage } from 'node:async_hooks'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import { passTime, until } from 'memcache-ts-testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cached } from '../src/index.ts'
import type { Memcache } from '../src/index.ts'
import { deferred } from './deferred.ts'
import { openCache } from './open-cache.ts'
import type { TestCaches } from './open-cache.ts'
import { storeForeign } from './store-foreign.ts'

let test: TestCaches
beforeEach(async () => {
  test = await openCache()
})
afterEach(() => test[Symbol.asyncDispose]())

const never = (): Promise<never> => new Promise(() => {})

describe('a load that would wait for itself', () => {
  it('runs its loader directly', async () => {
    const { cache } = test
    expect(await cache.getOrSet('k', () => cache.getOrSet('k', () => 'inner'))).toBe('inner')
    expect(await cache.getOrSet('k', () => 'not loaded')).toBe('inner')
  })

  it('is refused if its loader requests it endlessly', async () => {
    const { cache } = test
    const node = (id: number): Promise<unknown> => cache.getOrSet(['node', id], () => node(id === 1 ? 2 : 1))
    await expect(node(1)).rejects.toThrow(MemcacheOptionError)
    await expect(node(1)).rejects.toThrow('again and again')
  })

  it('differs from a load that waits for another load', async () => {
    const { cache } = test
    let loads = 0
    const shared = () => cache.getOrSet('shared', async () => (await turn(), ++loads))
    const values = await Promise.all(['a', 'b', 'c'].map((key) => cache.getOrSet(key, shared)))
    expect(values).toEqual([1, 1, 1])
  })

  it('is detected after its loader has invalidated the key', async () => {
    const { cache } = test
    const load = async () => {
      await cache.invalidateTags('all')
      return cache.getOrSet('k', () => 'inner')
    }
    expect(await cache.getOrSet('k', load, { tags: ['all'] })).toBe('inner')
  })

  it('hangs in no arrangement of keys that need each other', async () => {
    const KEYS = ['a', 'b', 'c', 'd']
    const NEEDS = fc.array(fc.subarray(KEYS), { minLength: KEYS.length, maxLength: KEYS.length })
    const CALLS = fc.array(fc.constantFrom(...KEYS), { minLength: 1, maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(NEEDS, CALLS, fc.boolean(), async (needs, calls, many) => {
        const { cache } = test
        await cache.client.flushAll()
        const load = async (key: string): Promise<string> => {
          await turn()
          const needed = needs[KEYS.indexOf(key)]!
          if (many) await cache.getOrSetMany(needed, (ids) => Promise.all(ids.map((id) => load(id))))
          else await Promise.all(needed.map((other) => cache.getOrSet([other], () => load(other))))
          return key
        }
        const settled = await Promise.allSettled(calls.map((key) => cache.getOrSet([key], () => load(key))))
        for (const [index, outcome] of settled.entries()) {
          if (outcome.status === 'fulfilled') expect(outcome.value).toBe(calls[index])
          else expect(outcome.reason).toBeInstanceOf(MemcacheOptionError)
        }
      }),
      { numRuns: 100 },
    )
  })
})

describe('loads of two processes that wait for each other', () => {
  const WAYS: Record<string, (cache: Memcache, key: string, load: () => Promise<string>) => Promise<string>> = {
    getOrSet: (cache, key, load) => cache.getOrSet([key], load),
    'values with tags': (cache, key, load) => cache.getOrSet([key], load, { tags: ['all'] }),
    'values that may be stale': (cache, key, load) => cache.getOrSet([key], load, { staleSeconds: 60 }),
    forceFresh: (cache, key, load) => cache.getOrSet([key], load, { forceFresh: true }),
    getOrSetMany: async (cache, key, load) => (await cache.getOrSetMany([key], async () => [await load()])).get(key)!,
    cached: (cache, key, load) => cached(load, { name: 'crossed', cache, key: () => [key] })(),
  }

  it('end after a lease, with their own values, which are stored', async () => {
    const caches = [1, 2].map(() => test.another({ leaseSeconds: 3 }))
    await Promise.all(
      Object.entries(WAYS).map(async ([name, read]) => {
        const keys = caches.map((_, index) => `${name} ${index}`)
        let begun = 0
        const both = deferred()
        const load = async (at: number, of: number, isNested: boolean): Promise<string> => {
          if (!isNested && ++begun === keys.length) both.resolve()
          await both.promise
          const other = 1 - of
          if (!isNested) await read(caches[at]!, keys[other]!, () => load(at, other, true))
          return `value of ${keys[of]}`
        }
        const values = keys.map((key) => `value of ${key}`)
        const reads = caches.map((cache, at) => read(cache, keys[at]!, () => load(at, at, false)))
        expect(await Promise.all(reads), name).toEqual(values)
        // Each forced load refuses what the other one stores; the keys of the function are its own.
        if (name === 'forceFresh' || name === 'cached') return
        for (const cache of caches) expect(await Promise.all(keys.map((key) => cache.get([key]))), name).toEqual(values)
      }),
    )
    for (const cache of caches) expect(cache.stats().loading).toBe(0)
  })
})

describe('a loader that never settles', () => {
  it('blocks no later caller after its callers have ended', async () => {
    const { cache } = test
    const controller = new AbortController()
    const given = cache.getOrSet('k', never, { signal: controller.signal })
    await until(() => cache.stats().loads === 1)
    controller.abort(new Error('gone'))
    await expect(given).rejects.toThrow('gone')
    expect(await cache.getOrSet('k', () => 'loaded')).toBe('loaded')
    expect(await test.another().get('k')).toBe('loaded')
  })
})

describe('a reviver that never settles', () => {
  it('ends by the time limit of loaders, on a hit as on a miss, and the stored value stays', async () => {
    const cache = test.another({ loading: { hardTimeoutMs: 20 } })
    const options = { revive: never, ttlSeconds: 60 }
    const ENDED = { code: 'ERR_MEMCACHE_LOADER_TIMEOUT' }
    await cache.set('k', 'stored')
    await expect(cache.getOrSet('k', () => 'loaded', options)).rejects.toMatchObject(ENDED)
    await expect(cache.getOrSet('missing', () => 'loaded', options)).rejects.toMatchObject(ENDED)
    await expect(cache.getOrSetMany(['k'], () => ['loaded'], options)).rejects.toMatchObject(ENDED)
    expect(await cache.get('k', { revive: never })).toBeUndefined()
    expect(await cache.getMany(['k'], { revive: never })).toEqual(new Map())
    expect(await cache.getOrSet('k', () => 'loaded')).toBe('stored')
  })

  it('does not hold a caller whose signal is aborted', async () => {
    const { cache } = test
    await cache.set('k', 'stored')
    const controller = new AbortController()
    const { signal } = controller
    let asked = 0
    const revive = () => (asked++, never())
    const one = cache.getOrSet('k', () => 'loaded', { revive, signal })
    const many = cache.getOrSetMany(['k'], () => ['loaded'], { revive, signal })
    const settled = Promise.allSettled([one, many])
    await until(() => asked === 2)
    const reason = new Error('gone')
    controller.abort(reason)
    for (const outcome of await settled) expect(outcome).toEqual({ status: 'rejected', reason })
    expect(await cache.get('k')).toBe('stored')
  })
})

describe('work in the background', () => {
  it('sees nothing of the request that has started it', async () => {
    const { cache } = test
    const requests = new AsyncLocalStorage<string>()
    const options = { ttlSeconds: 60, staleSeconds: 600 }
    const seen: (string | undefined)[] = []
    const load = () => seen.push(requests.getStore())
    await requests.run('ann', () => cache.getOrSet('k', load, options))
    await cache.markStale('k')
    await requests.run('bob', () => cache.getOrSet('k', load, options))
    await passTime(test.clock, cache, 0)
    expect(seen).toEqual(['ann', undefined])
  })
})

describe('facts that are known only when a loader runs', () => {
  it.each([undefined, null, 0, -5, NaN, 31_536_000, '300', 'soon', {}, Infinity])(
    'a lifetime %j loses no value',
    async (ttl) => {
      expect(await test.cache.getOrSet('k', ({ setTtlSeconds }) => (setTtlSeconds(ttl as never), 'v'))).toBe('v')
      const isKept = ttl === undefined || ttl === null || ttl === 31_536_000 || ttl === Infinity
      expect(await test.cache.get('k')).toBe(isKept ? 'v' : undefined)
    },
  )

  it.each([[undefined], [null], ['news'], [['news']], [[]], [['']], [[1]], [5], [['\ud800']]])(
    'tags %j lose no value',
    async (tags) => {
      expect(await test.cache.getOrSet('k', ({ setTags }) => (setTags(tags as never), 'v'))).toBe('v')
    },
  )
})

describe('values that other programs have stored', () => {
  const STORED = fc.record({
    clientFlags: fc.constantFrom(0, 1, 2, 3, 4, 8, 16, 17, 18, 24, 33, 99, 2 ** 32 - 1, 1_296_236_549),
    bytes: fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      fc.jsonValue().map((value) => Buffer.from(`${JSON.stringify(value)}\nx`)),
      fc
        .constantFrom(
          '',
          '[1,0,0,{}]\nx',
          '[8,0,0,{}]\n[8,0,0,{}]\nx',
          '[1,0,0,{"bad key":1}]\nx',
          '[1,1e400,0,{}]\nx',
          '[1,0,0,{"~tag:a":1}]\nx',
          '["a",1000000000,5,1]',
        )
        .map((text) => Buffer.from(text)),
    ),
  })

  it('is a miss if it cannot be read, and is replaced by the next load', async () => {
    await fc.assert(
      fc.asyncProperty(STORED, async ({ clientFlags, bytes }) => {
        const { cache } = test
        for (const key of ['k', '~tag:t']) await storeForeign(test.server, key, { clientFlags, bytes })
        const first = await cache.getOrSet('k', () => 'loaded', { tags: ['t'] })
        if (first !== 'loaded') return
        expect(await cache.getOrSet('k', () => 'loaded again', { tags: ['t'] })).toBe('loaded')
        expect(await cache.invalidateTags('t')).toBe(true)
        expect(await cache.getOrSet('k', () => 'new', { tags: ['t'] })).toBe('new')
      }),
      { numRuns: 300 },
    )
  })
})

describe('listeners and loggers that throw', () => {
  it('change no result, keep no lease, and are reported by Node', async () => {
    const thrown: unknown[] = []
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => thrown.push(error))
    try {
      const bug = (): never => {
        throw new Error('a bug')
      }
      const cache = test.another({ logger: { info: bug, warn: bug } })
      const EVENTS = ['hit', 'miss', 'stale', 'load', 'loadError', 'set', 'delete', 'invalidate', 'cacheError'] as const
      for (const event of EVENTS) cache.on(event, bug)
      expect(await cache.getOrSet('k', () => 'v')).toBe('v')
      expect(await cache.getOrSet('k', () => 'w')).toBe('v')
      await expect(cache.getOrSet('l', () => Promise.reject(new Error('the loader')))).rejects.toThrow('the loader')
      expect(await cache.getOrSet('l', () => 'fine')).toBe('fine')
      expect(await cache.set('k', 1)).toBe(true)
      expect(await cache.delete('k')).toBe(true)
      expect(await cache.invalidateTags('t')).toBe(true)
      expect((await cache.getOrSet('f', () => ({ f: () => 1 }))).f()).toBe(1)
      await until(() => thrown.length > 5)
    } finally {
      process.removeAllListeners('uncaughtException')
      for (const listener of listeners) process.on('uncaughtException', listener)
    }
  })
})

describe('more invalidations than can be remembered', () => {
  it('invalidate everything under the prefix, and nothing else', async () => {
    const shop = test.another({ prefix: 'shop' })
    const reader = test.another({ prefix: 'shop' })
    await shop.set('a', 'old')
    expect(await reader.get('a')).toBe('old')
    await test.server.stop()
    const tags = Array.from({ length: 100_001 }, (_, index) => `t${index}`)
    expect(await shop.invalidateTags(tags)).toBe(false)
    await test.server.start()
    await until(() => shop.stats().pending === 0)
    expect(await shop.get('a')).toBeUndefined()
    expect(await shop.getOrSet('a', () => 'new')).toBe('new')
    expect(await shop.get('a')).toBe('new')
    expect(await test.another({ prefix: 'shop' }).get('a')).toBe('new')
    await until(async () => (await reader.get('a')) === 'new')
    expect(Number(test.server.memcached.stats()['cmd_flush'])).toBe(0)
    // A hundred thousand invalidations take a while on a busy machine.
  })
})
