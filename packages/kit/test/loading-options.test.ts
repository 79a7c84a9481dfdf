import { AsyncLocalStorage } from 'node:async_hooks'
import { MemcachedServer } from 'memcache-ts-server'
import { listenAsOldServer, until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { cached, defineCache, memcache, MemcacheOptionError } from '../src/index.ts'
import { deferred } from './deferred.ts'
import { openCache } from './open-cache.ts'

describe('forceFresh', () => {
  it('loads even if a fresh value is stored, and stores the new value', async () => {
    await using test = await openCache()
    await test.cache.set('k', 'old')
    expect(await test.cache.getOrSet('k', () => 'new', { forceFresh: true })).toBe('new')
    expect(await test.another().get('k')).toBe('new')
  })

  it.each([{ l1: true }, { l1: false }])('does not return a value from memory: %o', async (options) => {
    await using test = await openCache(options)
    await test.cache.getOrSet('k', () => 'old')
    expect(await test.cache.getOrSet('k', () => 'new', { forceFresh: true })).toBe('new')
    expect(await test.cache.getOrSet('k', () => 'newer')).toBe('new')
  })

  it('is an option of each call of a declared cache, with its loader or another one', async () => {
    await using test = await openCache()
    let loads = 0
    const own = defineCache({ name: 'own', cache: test.cache, load: async (id: number) => `${id}: ${++loads}` })
    const given = defineCache<string>({ name: 'given', cache: test.cache })
    const call = (options?: { forceFresh: boolean }) =>
      Promise.all([own.getOrSet(1, options), given.getOrSet('k', () => `${++loads}`, options)])
    const before = await call()
    const forced = await call({ forceFresh: true })
    expect(loads).toBe(4)
    expect(forced).not.toEqual(before)
    expect(await call({ forceFresh: false })).toEqual(forced)
    const wrong = { forceFresh: 'yes' } as never
    await expect(own.getOrSet(1, wrong)).rejects.toThrow('forceFresh must be true or false')
    // One load of many has no such option.
    await expect(own.getOrSetMany([1], wrong)).rejects.toThrow("no option 'forceFresh'")
  })

  it('does not join a load that began before it, and refuses its value', async () => {
    await using test = await openCache()
    const old = deferred<string>()
    const before = test.cache.getOrSet('k', () => old.promise)
    await until(() => test.cache.stats().loads === 1)
    expect(await test.cache.getOrSet('k', () => 'new', { forceFresh: true })).toBe('new')
    old.resolve('old')
    await before
    expect(await test.cache.get('k')).toBe('new')
  })

  it('serves the old value to others while it loads, and if it fails', async () => {
    await using test = await openCache()
    const options = { ttlSeconds: 60, staleSeconds: 60 }
    await test.cache.getOrSet('k', () => 'old', options)
    const loading = deferred<string>()
    const forced = test.cache.getOrSet('k', () => loading.promise, { ...options, forceFresh: true })
    await until(() => test.cache.stats().loads === 2)
    expect(await test.cache.getOrSet('k', () => 'other', options)).toBe('old')
    loading.reject(new Error('no database'))
    await expect(forced).rejects.toThrow('no database')
    expect(await test.cache.getOrSet('k', () => 'other', options)).toBe('old')
  })

  it('loads for each call while the cache is away', async () => {
    await using test = await openCache({ timeoutMs: 100 })
    await test.server.stop()
    expect(await test.cache.getOrSet('k', () => 'loaded', { forceFresh: true })).toBe('loaded')
  })
})

describe('a lifetime by the value', () => {
  it('is how long it is fresh', async () => {
    await using test = await openCache()
    const load = (seconds: number) => () => ({ expires_in: seconds })
    const ttlSeconds = (token: { expires_in: number }): number => token.expires_in
    await test.cache.getOrSet('minute', load(60), { ttlSeconds })
    await test.cache.getOrSet('year', load(31_536_000), { ttlSeconds })
    await test.cache.getOrSet('none', load(0), { ttlSeconds })
    expect(await test.cache.has('none')).toBe(false)
    test.clock.advanceSeconds(61)
    expect([await test.cache.has('minute'), await test.cache.has('year')]).toEqual([false, true])
    test.clock.advanceSeconds(31_536_000)
    expect(await test.cache.has('year')).toBe(false)
  })

  it('that is invalid does not lose the value, and is logged once', async () => {
    const logged: string[] = []
    await using test = await openCache({ logger: { info: () => {}, warn: (message) => void logged.push(message) } })
    const find = cached(async (id: number) => id, { name: 'f', cache: test.cache, ttlSeconds: () => NaN })
    expect([await find(1), await find(1), await find(2)]).toEqual([1, 1, 2])
    expect(logged).toHaveLength(1)
    expect(test.cache.stats().cacheErrors).toBe(3)
  })

  it('counts for set of a cached function too', async () => {
    await using test = await openCache()
    const find = cached(async (id: number) => ({ id, lives: 10 }), {
      name: 'f',
      cache: test.cache,
      ttlSeconds: (value: { lives: number }) => value.lives,
    })
    await find.cache.set([1], { id: 1, lives: 100 })
    test.clock.advanceSeconds(50)
    expect(await find.cache.get([1])).toEqual({ id: 1, lives: 100 })
  })
})

describe('notModified', () => {
  it('stores the old value with a new lifetime', async () => {
    await using test = await openCache()
    const options = { ttlSeconds: 60, staleSeconds: 600 }
    let asked = 0
    const load = ({ stale, notModified }: { stale: unknown; notModified(): never }) => {
      asked++
      return (stale as { etag: string } | undefined)?.etag === 'a' ? notModified() : { etag: 'a', list: [1] }
    }
    await test.cache.getOrSet('k', load, options)
    test.clock.advanceSeconds(61)
    expect(await test.cache.getOrSet('k', load, options)).toEqual({ etag: 'a', list: [1] })
    await until(() => test.cache.stats().sets === 2)
    test.clock.advanceSeconds(50)
    expect(await test.cache.getOrSet('k', load, options)).toEqual({ etag: 'a', list: [1] })
    expect(asked).toBe(2)
  })

  it('is refused if there is no old value', async () => {
    await using test = await openCache()
    await expect(test.cache.getOrSet('k', ({ notModified }) => notModified())).rejects.toThrow(MemcacheOptionError)
  })
})

it('an invalid loader or list is refused, even if the value is stored', async () => {
  await using test = await openCache()
  await test.cache.set('k', 1)
  const { cache } = test
  await expect(cache.getOrSet('k', 5 as never)).rejects.toThrow('getOrSet needs a loader, () => …, got a number')
  await expect(cache.getOrSetMany(['k'], undefined as never)).rejects.toThrow('getOrSetMany needs a loader')
  await expect(cache.getOrSetMany('k' as never, () => [])).rejects.toThrow("getOrSetMany takes an array, got 'k'")
  await expect(cache.getMany('k' as never)).rejects.toThrow("getMany takes an array, got 'k'")
})

describe('options of memcache', () => {
  it('loading has the options of calls that do not set them', async () => {
    await using test = await openCache({ loading: { staleSeconds: 600, hardTimeoutMs: 20 } })
    await test.cache.getOrSet('k', () => 'old', 60)
    test.clock.advanceSeconds(61)
    expect(await test.cache.getOrSet('k', () => 'new', 60)).toBe('old')
    const never = new Promise<never>(() => {})
    await expect(test.cache.getOrSet('other', () => never)).rejects.toMatchObject({
      code: 'ERR_MEMCACHE_LOADER_TIMEOUT',
    })
  })

  it.each([
    [{ timeoutMs: '1000' }, 'timeoutMs must be a number greater than 0, got text: convert it with Number(…)'],
    [{ timeoutMs: NaN }, 'timeoutMs must be'],
    [{ l1: 'false' }, "l1 must be true or false, got text: compare it with 'true'"],
    [{ l1: { maxItems: '5' } }, 'maxItems'],
    [{ compression: 'zip' }, 'compression must be'],
    [{ compression: { algorithm: 'zip' } }, 'zip'],
    [{ leaseSeconds: 1 }, 'leaseSeconds must be from 3 to 3600'],
    [{ leaseSeconds: Infinity }, 'leaseSeconds must be from 3 to 3600'],
    [{ leaseSeconds: '5' }, 'leaseSeconds must be a number'],
    [{ ttlSeconds: '300' }, 'ttlSeconds must be'],
    [{ prefix: 5 }, 'prefix must be text, got a number'],
    [{ prefix: 'My App' }, 'prefix must not contain spaces'],
    [{ prefix: 'p'.repeat(101) }, 'prefix must have at most 100 bytes'],
    [{ logger: {} }, 'logger must have the methods info() and warn()'],
    [{ logger: true }, 'logger must have the methods info() and warn()'],
    [{ clock: Date }, 'clock must have nowMs()'],
    [{ clock: { nowMs: () => Number.NaN } }, 'must return milliseconds since 1970, a finite number, got NaN'],
    [{ clock: { nowMs: () => new Date() } }, 'must return milliseconds since 1970, a finite number, got an object'],
    [{ clock: { nowMs: () => '1' } }, 'must return milliseconds since 1970, a finite number'],
    [{ clock: { nowMs: () => JSON.parse('{') } }, 'must return milliseconds since 1970, and it throws'],
    [{ loading: 5 }, 'loading must be an object'],
    [{ loading: { jiter: 0 } }, '`jiter` is `jitter` here'],
    [{ loading: { ttlSeconds: 5 } }, "no option 'ttlSeconds'"],
    [{ loading: { jitter: '0' } }, 'jitter must be at least 0 and less than 1'],
    [{ loading: { staleSeconds: -1 } }, 'staleSeconds must be greater than 0'],
    [{ staleSeconds: 60 }, '`staleSeconds` is `loading: { staleSeconds }` here'],
    [5, 'memcache takes its servers as a string, or its options as an object'],
    [null, 'memcache takes its servers as a string, or its options as an object'],
  ])('are refused when they are given: %o', (options, message) => {
    expect(() => memcache(options as never)).toThrow(message)
    expect(() => memcache(options as never)).toThrow(MemcacheOptionError)
  })

  it('staleSeconds may be for ever, and a lifetime of any length', async () => {
    await using test = await openCache()
    for (const ttlSeconds of [60, '40d', '9999999d', Infinity] as const) {
      const key = `k${ttlSeconds}`
      const options = { ttlSeconds, staleSeconds: Infinity }
      expect(await test.cache.getOrSet(key, () => 'old', options)).toBe('old')
      expect(await test.cache.getOrSet(key, () => 'new', options)).toBe('old')
    }
    test.clock.advanceSeconds(40 * 86_400 + 1)
    const options = { ttlSeconds: 60, staleSeconds: Infinity }
    expect(await test.cache.getOrSet('k60', () => 'new', options)).toBe('old')
    await until(() => test.cache.stats().loads === 5)
  })

  it('a long tag under a long prefix is a tag as any other', async () => {
    await using test = await openCache({ prefix: 'p'.repeat(100) })
    const tags = ['t'.repeat(300), 'ü'.repeat(300)]
    await test.cache.getOrSet('k', () => 'old', { tags })
    expect(await test.cache.get('k')).toBe('old')
    expect(await test.cache.invalidateTags(tags[1]!)).toBe(true)
    expect(await test.cache.get('k')).toBeUndefined()
  })
})

describe('away and back', () => {
  it('are emitted once each, with any number of failed calls', async () => {
    await using test = await openCache({ timeoutMs: 100 })
    const told: string[] = []
    test.cache.on('away', () => told.push('away'))
    test.cache.on('back', () => told.push('back'))
    await test.cache.set('k', 1)
    for (const _ of [1, 2]) {
      await test.server.stop()
      for (let call = 0; call < 3; call++) await test.cache.get('k')
      expect(test.cache.isAway).toBe(true)
      await test.server.start()
      await until(() => !test.cache.isAway)
    }
    expect(told).toEqual(['away', 'back', 'away', 'back'])
  })

  it('are not emitted for one server of several', async () => {
    const [up, down] = [new MemcachedServer({ port: 0 }), new MemcachedServer({ port: 0 })]
    const ports = [(await up.listen()).port, (await down.listen()).port]
    await using cache = memcache({ servers: ports.map((port) => `127.0.0.1:${port}`), timeoutMs: 1000, logger: false })
    const told: string[] = []
    for (const event of ['away', 'back', 'degraded'] as const) cache.on(event, () => told.push(event))
    const keys = Array.from({ length: 50 }, (_, index) => `k${index}`)
    await Promise.all(keys.map((key) => cache.set(key, 1)))
    await down.close()
    await Promise.all(keys.map((key) => cache.get(key)))
    expect(new Set(told)).toEqual(new Set(['degraded']))
    await up.close()
    await Promise.all(keys.map((key) => cache.get(key)))
    expect(told).toContain('away')
  })
})

it('one old server among new ones is used without meta commands, and the others with them', async () => {
  const [young, old] = [new MemcachedServer({ port: 0 }), new MemcachedServer()]
  const { port } = await young.listen()
  const { address, close } = await listenAsOldServer(old)
  const logged: string[] = []
  const logger = { info: () => {}, warn: (message: string) => void logged.push(message) }
  await using cache = memcache({ servers: [`127.0.0.1:${port}`, address], timeoutMs: 5000, logger })
  const keys = Array.from({ length: 60 }, (_, index) => `k${index}`)
  const options = { ttlSeconds: 60, staleSeconds: 60 }
  await Promise.all(keys.map((key) => cache.getOrSet(key, () => key, options)))
  for (const key of keys) expect(await cache.getOrSet(key, () => 'again', options)).toBe(key)
  expect(logged).toEqual([expect.stringContaining(`${address} has no meta commands`)])
  // On servers with meta commands what is expired is stale, on others it is gone.
  await Promise.all(keys.map((key) => cache.markStale(key)))
  const left = await Promise.all(keys.map((key) => cache.get(key)))
  for (const [index, key] of keys.entries()) {
    expect(left[index]).toBe(cache.client.serverOf(key) === address ? undefined : key)
  }
  expect(left).toContain(undefined)
  expect(left.filter((value) => value !== undefined).length).toBeGreaterThan(0)
  await cache.close()
  close()
  await Promise.all([young.close(), old.close()])
})

describe('loads within loads', () => {
  it('may load one key again, as an override does that calls its super method', async () => {
    await using test = await openCache()
    const level = (depth: number): Promise<string> =>
      test.cache.getOrSet('k', async () => (depth === 0 ? 'base' : `${await level(depth - 1)} ${depth}`))
    expect(await level(4)).toBe('base 1 2 3 4')
    expect(await test.cache.get('k')).toBe('base 1 2 3 4')
  })

  it.each([false, true])('do not get the value that they replace, with values in memory: %s', async (l1) => {
    await using test = await openCache({ l1 })
    const options = { ttlSeconds: 60, staleSeconds: 600 }
    let version = 1
    const base = () => test.cache.getOrSet('k', () => `base ${version}`, options)
    const override = () => test.cache.getOrSet('k', async () => `override of ${await base()}`, options)
    expect(await override()).toBe('override of base 1')
    version = 2
    await test.cache.markStale('k')
    expect(await override()).toBe('override of base 1')
    await until(() => test.cache.stats().sets === 2)
    expect(await test.cache.get('k')).toBe('override of base 2')
  })

  it('are seen through getOrSetMany', async () => {
    await using test = await openCache()
    const key = (id: string): string[] => [id]
    const many = (ids: string[], inner: boolean): Promise<Map<string, string>> =>
      test.cache.getOrSetMany(
        ids,
        async (missing) => (inner ? [...(await many([...missing], false)).values()] : missing.map((id) => `v${id}`)),
        { key },
      )
    expect([...(await many(['a', 'b'], true)).values()]).toEqual(['va', 'vb'])
    const single = test.cache.getOrSet(['c'], async () => (await many(['c'], false)).get('c'))
    expect(await single).toBe('vc')
  })

  it('leave no context behind: a background reload does not see the request’s context, and joins running loads', async () => {
    await using test = await openCache()
    const request = new AsyncLocalStorage<string>()
    const options = { ttlSeconds: 60, staleSeconds: 600 }
    const seen: unknown[] = []
    const load = (): string => {
      seen.push(request.getStore())
      return 'value'
    }
    await request.run('first', () => test.cache.getOrSet('k', load, options))
    test.clock.advanceSeconds(61)
    await request.run('second', () => test.cache.getOrSet('k', load, options))
    await until(() => seen.length === 2)
    expect(seen).toEqual(['first', undefined])
  })
})
