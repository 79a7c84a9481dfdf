import { describe, expect, it, vi } from 'vitest'
import * as kit from '../src/index.ts'
import { openCache } from './open-cache.ts'

vi.resetModules()
/** The package a second time in this process, as by two versions of it, or an adapter with its own dependency. */
const copy = await import('../src/index.ts')
const { engineOf, UNAVAILABLE } = await import('../src/engine/engine.ts')

const argumentLists = [[{ a: 1 }], [{ a: 2 }], [null], [undefined], [[1]], [1, new Date(5)], ['text'], []]

describe('two copies of the package', () => {
  it('are two', () => {
    expect(copy.memcache).not.toBe(kit.memcache)
  })

  it.each([
    ['its own', copy],
    ['the other', kit],
  ])('encode the arguments of a function for a cache of %s copy alike', async (_, { cached }) => {
    await using test = await openCache()
    let loads = 0
    const find = cached(async (...args: unknown[]) => [args.length, ++loads], { name: 'find', cache: test.cache })
    for (const args of argumentLists) expect(await find(...args)).toEqual(await find(...args))
    expect(loads).toBe(argumentLists.length)
    expect(await find({ b: [1], a: 1n })).toEqual(await find({ a: 1n, b: [1] }))
  })

  it('share the keys of one function', async () => {
    await using test = await openCache({ logger: { info: () => {}, warn: () => {} } })
    const [one, other] = [kit, copy].map(({ cached }) =>
      cached(async (...args: unknown[]) => args.length, { name: 'find', cache: test.cache }),
    )
    for (const args of argumentLists) {
      await one!(...args)
      await other!(...args)
    }
    expect(test.cache.stats().loads).toBe(argumentLists.length)
  })

  it('share the owner of a name in a cache, and warn of a second owner from either copy', async () => {
    const logged: string[] = []
    await using test = await openCache({ logger: { info: () => {}, warn: (message) => logged.push(message) } })
    const load = async (id: number): Promise<number> => id
    const one = kit.defineCache({ name: 'cities', cache: test.cache, load })
    const other = copy.defineCache({ name: 'cities', cache: test.cache, load })
    await one.getOrSet(1)
    await other.getOrSet(1)
    expect(logged).toEqual([expect.stringMatching(/both store their values under the name 'cities'/)])
  })

  it('know that a server is away from each other’s caches', async () => {
    await using test = await openCache()
    const { tags, tagKey } = { tags: engineOf(test.cache).tags, tagKey: engineOf(test.cache).tagKey('t') }
    expect(await tags.read([tagKey])).not.toBe(UNAVAILABLE)
    await test.server.stop()
    expect(await tags.read([tagKey])).toBe(UNAVAILABLE)
    await test.server.start()
  })
})
