import { MemcachedServer } from 'memcache-ts-server'
import { FakeClock } from 'memcache-ts-protocol'
import { FaultProxy, until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { memcache } from '../src/index.ts'
import { MemoryTier } from '../src/engine/memory/memory-tier.ts'
import { ownKey } from '../src/engine/engine.ts'
import { openCache } from './open-cache.ts'

const commands = (test: { server: { memcached: { stats(): Readonly<Record<string, unknown>> } } }): number =>
  Number(test.server.memcached.stats()['cmd_get'])

describe('l1', () => {
  it('serves from memory for a second, without a request to memcached', async () => {
    await using test = await openCache({ l1: true })
    await test.cache.getOrSet('k', () => ({ a: 1 }))
    const asked = commands(test)
    for (let call = 0; call < 10; call++) expect(await test.cache.getOrSet('k', () => 'never')).toEqual({ a: 1 })
    expect(await test.cache.get('k')).toEqual({ a: 1 })
    expect(await test.cache.getMany(['k'])).toEqual(new Map([['k', { a: 1 }]]))
    expect(commands(test)).toBe(asked)
    expect(test.cache.stats()).toMatchObject({ hits: 12, memoryHits: 12, misses: 1 })
  })

  it('sees the changes of another process within a second', async () => {
    await using test = await openCache({ l1: true })
    const other = test.another()
    for (const value of ['small', 'x'.repeat(5000)]) {
      const key = `k${value.length}`
      await test.cache.getOrSet(key, () => value)
      await other.set(key, 'new')
      expect(await test.cache.getOrSet(key, () => 'never')).toBe(value)
      test.clock.advanceMs(1000)
      expect(await test.cache.getOrSet(key, () => 'never')).toBe('new')
      await other.delete(key)
      test.clock.advanceMs(1000)
      expect(await test.cache.getOrSet(key, () => 'newest')).toBe('newest')
    }
  })

  it.each([3, 99_999, 100_001, 2 ** 32, Number.MAX_SAFE_INTEGER])('may have up to %d items', async (maxItems) => {
    await using test = await openCache()
    const cache = test.another({ l1: { maxItems, maxBytes: Number.MAX_SAFE_INTEGER } })
    for (let key = 0; key < 5; key++) await cache.set([key], 'value')
    expect(cache.stats().memoryItems).toBe(Math.min(5, maxItems))
  })

  it('keeps no more than its number of items, of any size', () => {
    const memory = new MemoryTier({ maxItems: 100_002 }, new FakeClock())
    const stamp = memory.stamp()
    const about = { facts: {}, casUnique: 1n, size: 1, freshSeconds: 60 }
    for (let key = 0; key < 100_010; key++) memory.put(`k${key}`, { ...about, value: key }, stamp)
    expect(memory.stats()).toMatchObject({ memoryItems: 100_002, memoryEvictions: 8 })
    expect([memory.fresh('k7'), memory.fresh('k8')?.value]).toEqual([undefined, 8])
  })

  it('serves nothing without a confirmation for longer if the clock is set back', async () => {
    await using test = await openCache({ l1: true })
    const other = test.another()
    for (const seconds of [-3600, -86_400, -0.7]) {
      await test.cache.set('k', 'old')
      await test.cache.set('tagged', 'old', { tags: ['t'] })
      await other.set('k', 'new')
      await other.set('tagged', 'new', { tags: ['t'] })
      test.clock.advanceSeconds(seconds)
      expect(await test.cache.getOrSet('k', () => 'never', { ttlSeconds: '1h' })).toBe('new')
      expect(await test.cache.get('tagged')).toBe('new')
    }
  })

  it('keeps no value whose response comes after the clock was set back', async () => {
    await using test = await openCache({ l1: true })
    const other = test.another()
    await test.cache.getOrSet('k', async () => {
      test.clock.advanceSeconds(-3600)
      return 'old'
    })
    const setting = test.cache.set('l', 'old')
    test.clock.advanceSeconds(-3600)
    await setting
    await other.set('k', 'new')
    await other.set('l', 'new')
    test.clock.advanceMs(1000)
    expect(await test.cache.get('k')).toBe('new')
    expect(await test.cache.get('l')).toBe('new')
  })

  it('fetches only the cas unique of a large value to confirm it', async () => {
    await using test = await openCache({ l1: { ttlSeconds: 10 } })
    const value = 'x'.repeat(100_000)
    // The first large value requests the server's limit on a new connection; until then, nothing is served from memory.
    await test.cache.set('first', value)
    await test.cache.getOrSet('k', () => value)
    const written = () => Number(test.server.memcached.stats()['bytes_written'])
    const before = written()
    for (let second = 0; second < 8; second++) {
      test.clock.advanceMs(1000)
      expect(await test.cache.getOrSet('k', () => 'never')).toBe(value)
    }
    expect(written() - before).toBeLessThan(5000)
    // It is fetched again when its own time is over.
    test.clock.advanceSeconds(3)
    expect(await test.cache.getOrSet('k', () => 'never')).toBe(value)
    expect(written() - before).toBeGreaterThan(100_000)
  })

  it('immediately drops values that this process deletes, sets or marks stale', async () => {
    await using test = await openCache({ l1: true })
    await test.cache.getOrSet('k', () => 'old')
    await test.cache.set('k', 'set')
    expect(await test.cache.get('k')).toBe('set')
    await test.cache.delete('k')
    expect(await test.cache.get('k')).toBeUndefined()
    await test.cache.getOrSet('k', () => 'old')
    await test.cache.markStale('k')
    expect(await test.cache.getOrSet('k', () => 'new')).toBe('old')
  })

  it('immediately drops values that this process invalidates by tag or namespace', async () => {
    await using test = await openCache({ l1: true })
    const space = test.cache.namespace('n')
    await test.cache.getOrSet('k', () => 'old', { tags: ['t'] })
    await space.getOrSet('k', () => 'old')
    await test.cache.getOrSet('bare', () => 'stays')
    await test.cache.invalidateTags(['t'])
    await space.clear()
    const asked = commands(test)
    expect(await test.cache.getOrSet('bare', () => 'never')).toBe('stays')
    expect(commands(test)).toBe(asked)
    expect(await test.cache.get('k')).toBeUndefined()
    expect(await space.get('k')).toBeUndefined()
  })

  it.each([10, 5000])('serves no value of %i bytes whose tag was invalidated while it is reloaded', async (size) => {
    await using test = await openCache({ l1: true })
    const old = 'o'.repeat(size)
    await test.cache.set('large', 'x'.repeat(2000)) // asks for the item limit, whose connection clears the memory
    await test.cache.getOrSet('k', () => old, { tags: ['t'] })
    await test.cache.getOrSet('k', () => 'never', { tags: ['t'] })
    await test.cache.invalidateTags(['t'])
    let finish!: (value: string) => void
    let started!: () => void
    const loading = new Promise<void>((resolve) => (started = resolve))
    const load = () => {
      started()
      return new Promise<string>((resolve) => (finish = resolve))
    }
    const reloaded = test.cache.getOrSet('k', load, { tags: ['t'] })
    await loading
    expect(await test.cache.get('k')).toBeUndefined()
    expect(await test.cache.getMany(['k'])).toEqual(new Map())
    const joined = test.cache.getOrSet('k', () => 'new', { tags: ['t'] })
    finish('new')
    expect(await Promise.all([reloaded, joined])).toEqual(['new', 'new'])
  })

  it('serves no value that was set while one of its tags was invalidated', async () => {
    await using fast = new MemcachedServer({ port: 0 })
    await using behind = new MemcachedServer({ port: 0 })
    const { port } = await fast.listen()
    await using slow = await FaultProxy.start(await behind.listen())
    const servers = [`127.0.0.1:${port}`, slow.address]
    await using cache = memcache({ servers, l1: true, logger: false, timeoutMs: 20_000 })
    const onServer = (address: string) => {
      const names = Array.from({ length: 100 }, (_, index) => `t${index}`)
      return names.find((name) => cache.client.serverOf(ownKey(cache, 'tag', [name])) === address)!
    }
    const tags = servers.map(onServer)
    await cache.set('before', 1, { tags })
    slow.fault = { kind: 'hold' }
    const setting = cache.set('k', 'old', { ttlSeconds: 60, tags })
    await until(() => slow.heldBytes > 0)
    await cache.invalidateTags([tags[0]!])
    slow.fault = { kind: 'none' }
    slow.release()
    await setting
    expect(await cache.getOrSet('k', () => 'new')).toBe('new')
  })

  it('serves no older value after a write or an invalidation by this process, at any moment', async () => {
    await using test = await openCache({ l1: true, ttlSeconds: 60 })
    const cache = test.cache
    let seed = 1
    const below = (limit: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
      return Math.floor((seed / 2 ** 31) * limit)
    }
    const turns = async (count: number): Promise<void> => {
      for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
    interface Row {
      readonly version: number
      readonly pad: string
    }
    const versions = Array.from({ length: 4 }, () => 0)
    const floors = [...versions]
    /** Writes of one row take turns, as in a database. */
    const locks = versions.map(() => Promise.resolve())
    const row = (id: number): Row => ({ version: versions[id]!, pad: 'x'.repeat(id % 2 === 0 ? 0 : 2000) })
    const load = async (id: number): Promise<Row> => {
      const loaded = row(id)
      await turns(below(6))
      return loaded
    }
    const readers: ((id: number) => Promise<Row | undefined>)[] = [
      (id) => cache.get<Row>(['row', id]),
      async (id) => (await cache.getMany<Row>([['row', id]])).values().next().value,
      (id) => cache.getOrSet(['row', id], () => load(id), { tags: [`t${id}`] }),
      async (id) => {
        const loadMany = async (ids: readonly number[]) =>
          new Map(await Promise.all(ids.map(async (each) => [each, await load(each)] as const)))
        const many = await cache.getOrSetMany([id, (id + 1) % 4], loadMany, {
          key: (each) => ['row', each],
          tags: (each) => [`t${each}`],
        })
        return many.get(id)
      },
    ]
    const writers: ((id: number) => Promise<unknown>)[] = [
      (id) => cache.set(['row', id], row(id), { tags: [`t${id}`] }),
      (id) => cache.delete(['row', id]),
      (id) => cache.invalidateTags([`t${id}`]),
    ]
    const write = async (id: number): Promise<void> => {
      const version = ++versions[id]!
      await writers[below(writers.length)]!(id)
      floors[id] = version
    }
    const worker = async (): Promise<void> => {
      for (let step = 0; step < 250; step++) {
        const id = below(4)
        if (below(4) === 0) {
          await (locks[id] = locks[id]!.then(() => write(id)))
        } else {
          const floor = floors[id]!
          const read = await readers[below(readers.length)]!(id)
          if (read !== undefined) expect(read.version).toBeGreaterThanOrEqual(floor)
        }
      }
    }
    await Promise.all(Array.from({ length: 6 }, worker))
    expect(cache.stats().memoryHits).toBeGreaterThan(0)
  })

  it('never holds a value longer than it is fresh', async () => {
    await using test = await openCache({ l1: { ttlSeconds: 60 } })
    await test.cache.getOrSet('k', () => 'old', { ttlSeconds: 1, jitter: 0 })
    test.clock.advanceMs(1001)
    expect(await test.cache.getOrSet('k', () => 'new')).toBe('new')
  })

  it.each(['copied', 'frozen'] as const)(
    'does not let a caller change the values of other callers: %s',
    async (values) => {
      await using test = await openCache({ l1: { values } })
      const load = () => ({ list: [1], nested: { a: 1 }, at: new Date(5), map: new Map([['k', [1]]]) })
      const change = (value: ReturnType<typeof load>): void => {
        value.at.setTime(9)
        value.map.set('other', [])
        value.list.push(2)
        value.nested.a = 2
      }
      change(await test.cache.getOrSet('k', load))
      for (let call = 0; call < 3; call++) {
        const value = await test.cache.getOrSet('k', load)
        expect(value).toEqual(load())
        change(value)
      }
      const plain = await test.cache.getOrSet('plain', () => ({ list: [1] }))
      plain.list.push(2)
      const again = await test.cache.getOrSet('plain', () => ({ list: [1] }))
      expect(again).toEqual({ list: [1] })
      if (values === 'frozen') expect(() => again.list.push(3)).toThrow('not extensible')
      else again.list.push(3)
      expect(await test.cache.getOrSet('plain', () => ({ list: [1] }))).toEqual({ list: [1] })
    },
  )

  it('gives each caller of a shared load its own copy', async () => {
    await using test = await openCache()
    const [a, b, c] = await Promise.all([1, 2, 3].map(() => test.cache.getOrSet('k', () => ({ list: [1] }))))
    a!.list.push(2)
    expect([b, c]).toEqual([{ list: [1] }, { list: [1] }])
    const [d, e] = await Promise.all([1, 2].map(() => test.cache.getOrSet('k', () => ({ list: [1] }))))
    d!.list.push(2)
    expect(e).toEqual({ list: [1] })
  })

  it('is bounded by values and by bytes', async () => {
    await using test = await openCache({ l1: { maxItems: 5, maxBytes: 10_000 } })
    for (let id = 0; id < 20; id++) await test.cache.getOrSet(['k', id], () => id)
    await test.cache.getOrSet('large', () => 'x'.repeat(20_000))
    for (let id = 0; id < 20; id++) await test.cache.get(['k', id])
    expect(test.cache.stats()).toMatchObject({ memoryHits: 5, memoryItems: 5 })
    // Fifteen, but for what a second connection found in memory when it was opened.
    expect(test.cache.stats().memoryEvictions).toBeGreaterThan(10)
    // Five values of a digit or two, and what an item takes besides.
    expect(test.cache.stats().memoryBytes).toBeLessThan(5 * 250)
    await test.cache.get('large')
    expect(test.cache.stats().memoryHits).toBe(5)
  })

  it('can be left out of a call', async () => {
    await using test = await openCache({ l1: true })
    await test.cache.getOrSet('k', () => 'v', { l1: false })
    await test.cache.getOrSet('k', () => 'v', { l1: false })
    expect(test.cache.stats().memoryHits).toBe(0)
  })

  it('serves from memory for a second while memcached is away, so that the database is not called', async () => {
    await using test = await openCache({ l1: true, timeoutMs: 250 })
    await test.server.stop()
    let loads = 0
    for (let call = 0; call < 10; call++) expect(await test.cache.getOrSet('k', () => ++loads)).toBe(1)
    test.clock.advanceMs(1000)
    expect(await test.cache.getOrSet('k', () => ++loads)).toBe(2)
  })

  it('refuses options that cannot be', async () => {
    await expect(openCache({ l1: { max: 5 } as never })).rejects.toThrow('`max` is `maxItems` here')
    await expect(openCache({ l1: { maxItems: 0 } })).rejects.toThrow('l1.maxItems must be')
    await expect(openCache({ l1: { maxBytes: 0.5 } })).rejects.toThrow('l1.maxBytes must be')
    await expect(openCache({ l1: { values: 'shared' as never } })).rejects.toThrow('l1.values must be')
  })
})
