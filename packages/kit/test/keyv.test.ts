import keyvTestSuite from '@keyv/test-suite'
import { createCache } from 'cache-manager'
import { Cacheable } from 'cacheable'
import { Keyv } from 'keyv'
import { describeWithMemcached, launchMemcached } from 'memcache-ts-testing'
import type { LaunchedServer } from 'memcache-ts-testing'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import * as vitest from 'vitest'
import { memcache } from '../src/index.ts'
import type { Memcache } from '../src/index.ts'
import { KeyvMemcache } from '../src/keyv.ts'
import { testMemcache } from '../src/testing/index.ts'

describe('@keyv/test-suite', () => {
  const cache = memcache({ servers: 'embedded', logger: false, timeoutMs: 20_000 })
  afterAll(() => cache.close())
  keyvTestSuite(vitest as never, Keyv, () => new KeyvMemcache(cache))
})

describeWithMemcached('@keyv/test-suite, on memcached', () => {
  let server: LaunchedServer
  let cache: Memcache
  beforeAll(async () => {
    server = await launchMemcached()
    cache = memcache({ servers: `${server.host}:${server.port}`, timeoutMs: 5000, logger: false })
  })
  afterAll(async () => {
    await cache.close()
    await server[Symbol.asyncDispose]()
  })
  keyvTestSuite(vitest as never, Keyv, () => new KeyvMemcache(cache))
})

describe('KeyvMemcache', () => {
  afterEach(() => vi.useRealTimers())

  it('is a store for Keyv, and keeps namespaces apart', async () => {
    await using test = await testMemcache()
    const cities = new Keyv({ store: new KeyvMemcache(test.cache), namespace: 'cities' })
    const rivers = new Keyv({ store: new KeyvMemcache(test.cache), namespace: 'rivers' })
    await Promise.all([cities.set('1', 'Oslo'), rivers.set('1', 'Rhine')])
    expect(await test.cache.client.get('~keyv:cities:cities%3A1')).toMatchObject({ value: '{"value":"Oslo"}' })
    await cities.clear()
    expect([await cities.get('1'), await rivers.get('1')]).toEqual([undefined, 'Rhine'])
    await new KeyvMemcache(test.cache).clear()
    expect(await rivers.get('1')).toBeUndefined()
  })

  it('has lifetimes in milliseconds; those in memcached are never shorter', async () => {
    await using test = await testMemcache()
    const store = new KeyvMemcache(test.cache)
    await store.set('short', 'v', 1)
    await store.set('odd', 'v', 1001)
    await store.set('month', 'v', 31 * 86_400_000)
    await store.set('for ever', 'v')
    expect(await store.getMany(['short', 'odd'])).toEqual(['v', 'v'])
    test.clock.advanceSeconds(3)
    expect(await store.getMany(['short', 'odd', 'month'])).toEqual([undefined, undefined, 'v'])
    test.clock.advanceSeconds(29 * 86_400)
    expect(await store.getMany(['month', 'for ever'])).toEqual(['v', 'v'])
  })

  it('has() and hasMany() respect Keyv’s milliseconds', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    await using test = await testMemcache()
    const keyv = new Keyv({ store: new KeyvMemcache(test.cache) })
    await keyv.set('a', 1, 300)
    await keyv.set('b', 2)
    expect(await keyv.has(['a', 'b', 'c'])).toEqual([true, true, false])
    vi.advanceTimersByTime(301)
    expect(await keyv.has(['a', 'b', 'c'])).toEqual([false, true, false])
    expect(await keyv.has('a')).toBe(false)
  })

  it('objects that Keyv does not serialize are restored unchanged', async () => {
    await using test = await testMemcache()
    const keyv = new Keyv({ store: new KeyvMemcache(test.cache) })
    keyv.serialize = undefined as never
    keyv.deserialize = undefined as never
    const value = { at: new Date(0), ids: new Set([1]) }
    await keyv.set('k', value)
    expect(await keyv.get('k')).toEqual(value)
  })

  it('many are one call, in their order', async () => {
    await using test = await testMemcache()
    const keyv = new Keyv({ store: new KeyvMemcache(test.cache) })
    expect(
      await keyv.setMany([
        { key: 'a', value: 1 },
        { key: 'b', value: 2 },
      ]),
    ).toEqual([true, true])
    expect(await keyv.getMany(['b', 'none', 'a', 'b'])).toEqual([2, undefined, 1, 2])
    expect(await keyv.deleteMany(['a', 'b'])).toBe(true)
    expect(await keyv.deleteMany(['a', 'b'])).toBe(false)
  })

  it('without memcached there are misses, and nothing is thrown', async () => {
    await using test = await testMemcache({ timeoutMs: 100 })
    const keyv = new Keyv({ store: new KeyvMemcache(test.cache) })
    keyv.on('error', (error) => expect.unreachable(String(error)))
    await test.server.stop()
    expect(await keyv.get('k')).toBeUndefined()
    expect(await keyv.set('k', 1)).toBe(false)
    expect(await keyv.delete('k')).toBe(false)
    await keyv.clear()
  })

  it('closes a cache that it opened, and does not close a given cache', async () => {
    await using test = await testMemcache({ asDefault: true })
    for (const store of [new KeyvMemcache(test.cache), new KeyvMemcache()]) {
      const keyv = new Keyv({ store })
      await keyv.set('k', 1)
      await keyv.disconnect()
      expect(await keyv.get('k')).toBe(1)
    }
    const own = new KeyvMemcache({ servers: test.server.servers, logger: false })
    await own.set('k', 1)
    await own.disconnect()
    expect(await own.set('k', 1)).toBe(false)
  })

  it('runs cache-manager and cacheable', async () => {
    await using test = await testMemcache()
    const manager = createCache({ stores: [new Keyv({ store: new KeyvMemcache(test.cache), namespace: 'manager' })] })
    let loads = 0
    for (const _ of [1, 2]) expect(await manager.wrap('k', async () => ++loads, 60_000)).toBe(1)
    expect(await manager.mget(['k', 'none'])).toEqual([1, undefined])
    await manager.clear()
    expect(await manager.get('k')).toBeUndefined()

    const cacheable = new Cacheable({
      secondary: new Keyv({ store: new KeyvMemcache(test.cache), namespace: 'second' }),
    })
    await cacheable.set('k', { a: 1 }, '1h')
    const another = new Cacheable({ secondary: new Keyv({ store: new KeyvMemcache(test.cache), namespace: 'second' }) })
    expect(await another.get('k')).toEqual({ a: 1 })
  })
})
