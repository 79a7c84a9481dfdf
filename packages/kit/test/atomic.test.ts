import { MemcachedServer } from 'memcache-ts-server'
import { listenAsOldServer } from 'memcache-ts-testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { memcache, MemcacheOptionError } from '../src/index.ts'
import type { CacheMethods, Key, Memcache } from '../src/index.ts'
import { openCache } from './open-cache.ts'

interface Caches {
  readonly one: Memcache
  readonly other: Memcache
  close(): Promise<unknown>
}

async function onOurs(): Promise<Caches> {
  const test = await openCache()
  return { one: test.cache, other: test.another(), close: () => test.close() }
}

async function onOldServer(): Promise<Caches> {
  const server = new MemcachedServer()
  const { address: servers, close } = await listenAsOldServer(server)
  const open = (): Memcache => memcache({ servers, logger: false, timeoutMs: 5000 })
  const [one, other] = [open(), open()]
  return {
    one,
    other,
    async close() {
      await Promise.all([one.close(), other.close()])
      close()
      await server.close()
    },
  }
}

describe.each([
  ['meta commands', onOurs],
  ['a server without them', onOldServer],
])('by %s', (_, open) => {
  let caches: Caches
  beforeAll(async () => {
    caches = await open()
  })
  afterAll(() => caches.close())
  let keys = 0
  const both = (): { key: string[]; at: CacheMethods; elsewhere: CacheMethods }[] => {
    const key = [`k${keys++}`]
    return [
      { key, at: caches.one, elsewhere: caches.other },
      { key, at: caches.one.namespace('n'), elsewhere: caches.other.namespace('n') },
    ]
  }

  it('has() returns true for a stored value, including null', async () => {
    for (const { key, at } of both()) {
      expect(await at.has(key)).toBe(false)
      await at.set(key, null)
      expect(await at.has(key)).toBe(true)
    }
  })

  it('add stores for one caller of many', async () => {
    for (const { key, at, elsewhere } of both()) {
      const added = await Promise.all(Array.from({ length: 10 }, (__, i) => (i % 2 ? at : elsewhere).add(key, i)))
      expect(added.filter(Boolean)).toHaveLength(1)
      expect(await elsewhere.get(key)).toBe(added.indexOf(true))
    }
  })

  it('add stores again after a delete, an invalidation and a clear', async () => {
    for (const { key, at } of both()) {
      expect(await at.add(key, 1, { tags: [`t${key.join()}`] })).toBe(true)
      await at.delete(key)
      expect(await at.add(key, 2, { tags: [`t${key.join()}`] })).toBe(true)
      await caches.other.invalidateTags(`t${key.join()}`)
      expect(await at.add(key, 3)).toBe(true)
      expect(await at.get(key)).toBe(3)
    }
    const space = caches.one.namespace('cleared')
    await space.add('k', 1)
    await space.clear()
    expect(await space.add('k', 2)).toBe(true)
  })

  it('pull returns a value to one of many callers, and deletes it', async () => {
    for (const { key, at, elsewhere } of both()) {
      await at.set(key, { token: 1 })
      const pulled = await Promise.all(Array.from({ length: 10 }, (__, i) => (i % 2 ? at : elsewhere).pull(key)))
      expect(pulled.filter((value) => value !== undefined)).toEqual([{ token: 1 }])
      expect(await at.has(key)).toBe(false)
    }
  })

  it('increment counts every call', async () => {
    for (const { key, at, elsewhere } of both()) {
      const counted = await Promise.all(Array.from({ length: 40 }, (__, i) => (i % 2 ? at : elsewhere).increment(key)))
      expect(counted.toSorted((a, b) => a! - b!)).toEqual(Array.from({ length: 40 }, (__, i) => i + 1))
      expect(await at.get(key)).toBe(40)
      expect(await at.increment(key, -40)).toBe(0)
    }
  })

  it('increment starts at 0 again after a delete, and refuses a value that is not a number', async () => {
    for (const { key, at } of both()) {
      await at.increment(key, 5)
      await at.delete(key)
      expect(await at.increment(key, 2)).toBe(2)
      await at.set(key, 'text')
      await expect(at.increment(key)).rejects.toThrow('holds text: only a number can be incremented')
      await expect(at.increment(key, NaN)).rejects.toThrow(MemcacheOptionError)
    }
  })

  it('increment never returns one number to two callers: it refuses to count numbers that are not exact', async () => {
    for (const { key, at } of both()) {
      expect(await at.increment(key, Number.MAX_SAFE_INTEGER - 1)).toBe(Number.MAX_SAFE_INTEGER - 1)
      expect(await at.increment(key)).toBe(Number.MAX_SAFE_INTEGER)
      await expect(at.increment(key)).rejects.toThrow('more than a number can count exactly')
      expect(await at.get(key)).toBe(Number.MAX_SAFE_INTEGER)
      await at.set(key, Number.MAX_VALUE)
      await expect(at.increment(key, Number.MAX_VALUE)).rejects.toThrow(MemcacheOptionError)
      await at.set(key, 0.5)
      expect(await at.increment(key, 0.25)).toBe(0.75)
    }
  })

  it('increment within the loader of its own key does not wait for itself', async () => {
    for (const { key, at } of both()) {
      expect(await at.getOrSet(key, async () => (await at.increment(key)) ?? 'loaded')).toBe('loaded')
    }
  })

  it('lock is held by one caller, and given on when it is released', async () => {
    for (const { key, at, elsewhere } of both()) {
      const held = (await at.lock(key))!
      expect(await elsewhere.lock(key)).toBeUndefined()
      const waiting = elsewhere.lock(key, { waitMs: 20_000 })
      expect(await held.extend()).toBe(true)
      expect(await held.release()).toBe(true)
      const next = (await waiting)!
      expect(await held.release()).toBe(false)
      expect(await held.extend()).toBe(false)
      await next[Symbol.asyncDispose]()
      expect(await at.lock(key)).toBeDefined()
    }
  })

  it('locks have one name each, whether it is a text or parts', async () => {
    const { one, other } = caches
    const names: (readonly [Key, Key?])[] = [
      ['x:y', ['x:y']],
      [['x', 'y']],
      ['x%3Ay'],
      [['x%3Ay', 'z']],
      ['x:y:z'],
      [['x:y', 'z']],
      [['x', 'y:z']],
      [['x', 'y', 'z']],
    ]
    for (const [name, same = name] of names) {
      expect(await one.lock(name), String(name)).toBeDefined()
      expect(await other.lock(same), String(name)).toBeUndefined()
    }
    for (const name of ['', ['']]) await expect(one.lock(name)).rejects.toThrow(MemcacheOptionError)
  })

  it('locks, keys and namespaces of one name do not meet', async () => {
    const { one } = caches
    await one.set('meet', 'value')
    const [root, space] = [await one.lock('meet'), await one.namespace('n').lock('meet')]
    expect([root, space]).not.toContain(undefined)
    expect(await one.get('meet')).toBe('value')
    await one.namespace('n').clear()
    expect(await one.lock('meet')).toBeUndefined()
  })
})

it('waits for a lock no longer than its signal', async () => {
  await using test = await openCache()
  await test.cache.lock('k')
  const reason = new Error('gone')
  await expect(test.cache.lock('k', { waitMs: Infinity, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
})

it('a lock expires', async () => {
  await using test = await openCache()
  const held = await test.cache.lock('k', { ttlSeconds: 10 })
  test.clock.advanceSeconds(11)
  expect(await test.cache.lock('k')).toBeDefined()
  expect(await held!.release()).toBe(false)
})

it('works without the cache while it is away', async () => {
  await using test = await openCache({ timeoutMs: 100 })
  await test.cache.set('k', 1)
  await test.server.stop()
  expect(await test.cache.has('k')).toBe(false)
  expect(await test.cache.add('k', 1)).toBe(false)
  expect(await test.cache.pull('k')).toBeUndefined()
  expect(await test.cache.increment('k')).toBeUndefined()
  expect(await test.cache.lock('k')).toBeUndefined()
})

it('keeps the lifetime of an incremented value', async () => {
  await using test = await openCache()
  await test.cache.increment('k', 1, 60)
  test.clock.advanceSeconds(40)
  await test.cache.increment('k', 1, 60)
  test.clock.advanceSeconds(21)
  expect(await test.cache.get('k')).toBeUndefined()
})

it.each([
  ['add', (cache: Memcache) => cache.add('k', 1, { ttl: 5 } as never), '`ttl` is `ttlSeconds` here'],
  ['set', (cache: Memcache) => cache.set('k', 1, { staleSeconds: 5 } as never), 'it knows ttlSeconds, tags'],
  [
    'increment',
    (cache: Memcache) => cache.increment('k', 1, { tags: 'a' } as never),
    "tags must be a list of strings: ['a']",
  ],
  ['set', (cache: Memcache) => cache.set('k', 1, { tags: [1] } as never), 'a tag must be a string, got a number'],
  ['set, a list', (cache: Memcache) => cache.set('k', 1, [] as never), 'set takes a lifetime or an object of options'],
  ['lock', (cache: Memcache) => cache.lock('k', { waitms: 5 } as never), '`waitms` is `waitMs` here'],
  ['lock, text', (cache: Memcache) => cache.lock('k', { waitMs: '5' } as never), 'waitMs must be a number'],
  [
    'getOrSet',
    (cache: Memcache) => cache.getOrSet('k', () => 1, { forceFresh: 'yes' } as never),
    'forceFresh must be true or false',
  ],
  [
    'getOrSet, signal',
    (cache: Memcache) => cache.getOrSet('k', () => 1, { signal: 5 } as never),
    'signal must be an AbortSignal',
  ],
  [
    'getOrSetMany',
    (cache: Memcache) => cache.getOrSetMany([1], () => [1], { key: 'k' } as never),
    'key must be a function',
  ],
  [
    'invalidateTags',
    (cache: Memcache) => cache.invalidateTags('t', { soft: 'no' } as never),
    'soft must be true or false',
  ],
])('refuses options of a wrong type or name: %s', async (_, call, message) => {
  await using test = await openCache()
  await expect((async () => call(test.cache))()).rejects.toThrow(message)
})
