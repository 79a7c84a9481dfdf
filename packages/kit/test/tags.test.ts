import { duplexPair } from 'node:stream'
import { until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { memcache } from '../src/index.ts'
import type { Memcache } from '../src/index.ts'
import { deferred } from './deferred.ts'
import { openCache } from './open-cache.ts'

describe('calls of one tick on one key', () => {
  const calls: Readonly<Record<string, (cache: Memcache, tags: readonly string[]) => Promise<unknown>>> = {
    getOrSet: (cache, tags) => cache.getOrSet('k', () => tags, { tags }),
    'getOrSet with forceFresh': (cache, tags) => cache.getOrSet('k', () => tags, { tags, forceFresh: true }),
    getOrSetMany: (cache, tags) => cache.getOrSetMany(['k'], (ids) => ids.map(() => tags), { tags }),
    add: (cache, tags) => cache.add('k', tags, { tags }),
    has: (cache) => cache.has('k'),
  }

  it('store a value with all tags of the call that has loaded it, whatever the others’ are', async () => {
    for (const one of Object.values(calls)) {
      for (const other of Object.values(calls)) {
        for (const tags of [[], ['a'], ['a', 'b']]) {
          for (const at of [0, -1]) {
            await using test = await openCache()
            await Promise.all([one(test.cache, tags), other(test.cache, ['b', 'c'])])
            const tag = (await test.cache.get<string[]>('k'))?.at(at)
            if (tag === undefined) continue
            await test.cache.invalidateTags(tag)
            expect(await test.cache.get('k')).toBeUndefined()
          }
        }
      }
    }
  })
})

describe('invalidateTags', () => {
  it('makes all that carries a tag invalid, in one operation and for all processes', async () => {
    await using test = await openCache()
    const other = test.another()
    for (let id = 0; id < 50; id++)
      await test.cache.getOrSet(['city', id], () => 'old', { tags: ['country:fr', `city:${id}`] })
    await test.cache.set('other', 'stays', { tags: ['country:de'] })
    await test.cache.set('bare', 'stays')
    const before = operations(test.server.memcached.stats())
    expect(await other.invalidateTags(['country:fr'])).toBe(true)
    expect(operations(test.server.memcached.stats()) - before).toBe(1)
    for (const cache of [test.cache, other]) {
      expect(await cache.get(['city', 7])).toBeUndefined()
      expect(await cache.get('other')).toBe('stays')
      expect(await cache.get('bare')).toBe('stays')
    }
    expect(await test.cache.getOrSet(['city', 7], () => 'new', { tags: ['country:fr', 'city:7'] })).toBe('new')
    expect(
      (
        await other.getMany([
          ['city', 7],
          ['city', 8],
        ])
      ).size,
    ).toBe(1)
    await test.cache.invalidateTags('city:7')
    expect(await other.get(['city', 7])).toBeUndefined()
  })

  it('costs reads no round trip when the tags are known', async () => {
    await using test = await openCache()
    const options = { tags: ['a', 'b'] }
    await test.cache.getOrSet('k', () => 'v', options)
    const [server] = test.server.servers
    const sent: string[] = []
    let answer = (): void => {}
    const connect = () => {
      const [ours, theirs] = duplexPair()
      const served = server!.connect()
      theirs.on('data', (chunk: Buffer) => {
        sent.push(chunk.toString())
        served.write(Buffer.from(chunk))
      })
      const held: Buffer[] = []
      served.on('data', (chunk: Buffer) => held.push(Buffer.from(chunk)))
      const responds = answer
      answer = () => {
        responds()
        for (const chunk of held.splice(0)) theirs.write(chunk)
      }
      served.on('error', () => {})
      theirs.on('end', () => served.end())
      return ours
    }
    await using cache = memcache({
      servers: [{ name: 'held', connect }],
      logger: false,
      timeoutMs: 5000,
      clock: test.clock,
    })
    let isOpen = false
    void cache.get('another').then(() => (isOpen = true))
    await until(() => (answer(), isOpen))
    const reading = cache.getOrSet('k', () => 'w', options)
    // Both connections have done their handshakes; all requests must be sent before the first response.
    await until(() => (answer(), ['ma ~tag:a', 'ma ~tag:b', 'mg k'].every((text) => sent.join('').includes(text))))
    const asked = sent.join('')
    expect(asked).toMatch(/mg k /)
    expect(asked).toMatch(/ma ~tag:a /)
    expect(asked).toMatch(/ma ~tag:b /)
    await until(() => (answer(), cache.stats().hits === 1))
    expect(await reading).toBe('v')
    expect(sent.join('')).toBe(asked)
  })

  it('invalidates the value of a load that began before', async () => {
    await using test = await openCache()
    const other = test.another()
    const old = deferred<string>()
    const started = deferred()
    const load = () => (started.resolve(), old.promise)
    const before = test.cache.getOrSet('k', load, { tags: ['t'] })
    await started.promise
    await other.invalidateTags(['t'])
    // A call after the invalidation, which joins the load that began before it.
    const after = test.cache.getOrSet('k', () => 'new', { tags: ['t'] })
    old.resolve('old')
    expect(await before).toBe('old')
    expect(await after).toBe('new')
    expect(await other.get('k')).toBe('new')
  })

  it('with soft, serves the old value while one caller loads it again', async () => {
    await using test = await openCache()
    const caches = [test.cache, test.another()]
    await test.cache.getOrSet('k', () => 'old', { tags: ['t'] })
    await test.cache.invalidateTags(['t'], { soft: true })
    const fresh = deferred<string>()
    let loads = 0
    const load = () => (loads++, fresh.promise)
    for (let round = 0; round < 10; round++) {
      for (const cache of caches) expect(await cache.getOrSet('k', load, { tags: ['t'] })).toBe('old')
    }
    await until(() => loads > 0)
    fresh.resolve('new')
    await until(async () => (await test.cache.get('k')) === 'new')
    expect(loads).toBe(1)
    expect(await caches[1]!.getOrSet('k', load, { tags: ['t'] })).toBe('new')
  })

  it('does not make values valid again when the tag itself is evicted', async () => {
    await using test = await openCache()
    await test.cache.getOrSet('k', () => 'old', { tags: ['t'] })
    await test.cache.invalidateTags(['t'])
    await test.cache.client.delete('~tag:t')
    expect(await test.cache.get('k')).toBeUndefined()
    expect(await test.cache.getOrSet('k', () => 'new', { tags: ['t'] })).toBe('new')
    await test.cache.client.delete('~tag:t')
    expect(await test.cache.get('k')).toBeUndefined()
  })

  it('accepts tags from the loader, and does not store a value whose tag was invalidated during the load', async () => {
    await using test = await openCache()
    const other = test.another()
    const load = (value: string) => (context: { setTags(tags: string[]): void }) => (context.setTags(['t']), value)
    await test.cache.getOrSet('k', load('first'))
    expect(await test.cache.get('k')).toBe('first')
    await test.cache.invalidateTags(['t'])
    expect(await test.cache.get('k')).toBeUndefined()
    // Just invalidated, and known to be so: what is loaded from now on is up to date.
    await test.cache.getOrSet('k', load('second'))
    expect(await test.cache.getOrSet('k', load('third'))).toBe('second')

    const value = await test.cache.getOrSet('raced', async (context) => {
      await other.invalidateTags(['t'])
      context.setTags(['t'])
      return 'old'
    })
    expect(value).toBe('old')
    expect(await test.cache.get('raced')).toBeUndefined()
  })

  it('refuses invalid tags', async () => {
    await using test = await openCache()
    await expect(test.cache.invalidateTags([''])).rejects.toThrow('a tag must not be empty')
    await expect(test.cache.invalidateTags(['a'], { hard: true } as never)).rejects.toThrow(
      '`hard` is `soft: false` here',
    )
  })
})

describe('namespace', () => {
  it('clears all its values in one operation, and no others', async () => {
    await using test = await openCache({ prefix: 'shop' })
    const imports = test.cache.namespace('import')
    const inner = imports.namespace('run')
    for (let id = 0; id < 20; id++) await imports.set(['row', id], id)
    await inner.set('x', 'inner')
    await test.cache.set('importer', 'stays')
    expect(await test.another().namespace('import').get(['row', 3])).toBe(3)
    expect(await test.cache.get(['import', 'row', 3])).toBe(3)
    expect(await inner.clear()).toBe(true)
    expect(await inner.get('x')).toBeUndefined()
    expect(await imports.get(['row', 3])).toBe(3)
    await inner.set('x', 'inner')
    expect(await test.another().namespace('import').clear()).toBe(true)
    expect(await imports.get(['row', 3])).toBeUndefined()
    expect(await test.cache.get(['import', 'row', 3])).toBeUndefined()
    expect(
      (
        await imports.getMany([
          ['row', 1],
          ['row', 2],
        ])
      ).size,
    ).toBe(0)
    expect(await inner.get('x')).toBeUndefined()
    expect(await test.cache.get('importer')).toBe('stays')
    expect(await imports.getOrSet(['row', 3], () => 'again')).toBe('again')
    expect(await imports.get(['row', 3])).toBe('again')
  })

  it('ignores a value that was stored without the namespace’s tag', async () => {
    await using test = await openCache()
    await test.cache.set(['import', 1], 'past')
    const imports = test.cache.namespace('import')
    expect(await imports.get([1])).toBeUndefined()
    expect(await imports.getOrSet([1], () => 'loaded')).toBe('loaded')
    expect(() => test.cache.namespace('')).toThrow('a namespace needs a name')
  })

  it('is no tag that a user could have', async () => {
    await using test = await openCache()
    await test.cache.namespace('a').set('k', 1)
    await test.cache.invalidateTags([':a', 'a', ':', '::a'])
    expect(await test.cache.namespace('a').get('k')).toBe(1)
  })
})

/** Returns the number of operations that a server has counted. */
function operations(statistics: Readonly<Record<string, unknown>>): number {
  const counted = [
    'get_hits',
    'get_misses',
    'cmd_set',
    'incr_hits',
    'incr_misses',
    'delete_hits',
    'delete_misses',
    'touch_hits',
  ]
  return counted.reduce((sum, name) => sum + Number(statistics[name]), 0)
}
