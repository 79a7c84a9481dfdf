import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CacheConfig, Cached, cached, CacheEvict, defineCache } from '../src/index.ts'
import { bindCache } from '../src/adapter/index.ts'
import type { Memcache } from '../src/index.ts'
import type * as Declared from './fixtures/declared-again.ts'
import { openCache } from './open-cache.ts'
import type { TestCaches } from './open-cache.ts'

let test: TestCaches
let logged: string[]

beforeEach(async () => {
  logged = []
  test = await openCache({ asDefault: true, logger: { info: () => {}, warn: (message) => logged.push(message) } })
})
afterEach(() => test.close())

const FIXTURE = new URL('fixtures/declared-again.ts', import.meta.url).pathname
const load = async (id: number): Promise<string> => `value ${id}`

/** Each way to have a namespace of that name; returns a call that uses it. */
const WAYS = {
  cached: (name: string, cache?: Memcache) => {
    const find = cached(load, { name, cache })
    return () => find(1)
  },
  defineCache: (name: string, cache?: Memcache) => {
    const declared = defineCache({ name, load, cache })
    return () => declared.getOrSet(1)
  },
  'defineCache without a loader': (name: string, cache?: Memcache) => {
    const declared = defineCache<string, number>({ name, cache })
    return () => declared.get(1)
  },
  '@CacheConfig': (name: string, cache?: Memcache) => {
    @CacheConfig({ name, cache })
    class Named {
      @Cached(60)
      async find(id: number): Promise<string> {
        return load(id)
      }
    }
    const named = new Named()
    return () => named.find(1)
  },
}
type Way = keyof typeof WAYS
const ways = Object.keys(WAYS) as Way[]

describe('a name that was written down', () => {
  it.each(ways.flatMap((first) => ways.map((second) => [first, second] as const)))(
    'is told once with both places: %s, then %s',
    async (first, second) => {
      const one = WAYS[first]('towns')
      const other = WAYS[second]('towns')
      await one()
      await one()
      expect(logged).toEqual([])
      for (const call of [other, one, other]) await call()
      expect(logged).toHaveLength(1)
      expect(logged[0]).toMatch(/both store their values under the name 'towns'.*: (write|give)/)
      expect(logged[0]?.match(/namespace-owners\.test\.ts:\d+/g)).toHaveLength(2)
    },
  )

  it('may be the same in another version, and in another cache', async () => {
    const other = test.another()
    await WAYS.cached('towns')()
    await WAYS.cached('towns', other)()
    await cached(load, { name: 'towns', version: 2 })(1)
    expect(logged).toEqual([])
  })

  it('of one declaration may be bound to a cache', async () => {
    const declared = defineCache({ name: 'towns', load })
    await declared.getOrSet(1)
    await bindCache(declared, test.cache).getOrSet(1)
    await bindCache(declared, test.cache).getOrSet(2)
    expect(logged).toEqual([])
  })

  it('has no owner if it is used with namespace()', async () => {
    await WAYS.cached('towns')()
    await test.cache.namespace('towns').get(['1'])
    await test.cache.namespace('towns').clear()
    expect(logged).toEqual([])
  })

  it('causes a warning if one function declares it at each call, in a loop as well', async () => {
    const repository = (table: string) => cached(async (id: number) => `${table} ${id}`, { name: 'row' })
    await repository('user')(1)
    await repository('order')(1)
    expect(logged[0]).toContain("under the name 'row'")
    const loop: ((id: number) => Promise<string>)[] = []
    for (const table of ['user', 'order']) {
      loop.push(cached(async (id: number) => `${table} ${id}`, { name: 'looped' }))
    }
    for (const find of loop) await find(1)
    expect(logged[1]).toContain("under the name 'looped'")
  })
})

describe('a cache that each object of a class declares', () => {
  it('causes one warning, with any number of objects', async () => {
    class Service {
      readonly find = cached(load, { name: 'field' })
    }
    for (let made = 0; made < 5; made++) await new Service().find(1)
    expect(logged).toEqual([expect.stringContaining("under the name 'field'")])
  })
})

describe('a class’s own name', () => {
  function users() {
    class Repository {
      @Cached(60)
      async find(id: number): Promise<string> {
        return `user ${id}`
      }
    }
    return Repository
  }
  function orders() {
    class Repository {
      @Cached(60)
      async find(id: number): Promise<string> {
        return `order ${id}`
      }
    }
    return Repository
  }

  it('is refused to a second class, which would be given the values of the first', async () => {
    const [Users, Orders] = [users(), orders()]
    expect(await new Users().find(1)).toBe('user 1')
    for (const _ of [1, 2]) {
      await expect(new Orders().find(1)).rejects.toThrow(
        /^class Repository \(.*namespace-owners\.test\.ts:\d+\) and class Repository \(.*\) both store their values under the name 'Repository', and would get each other's values: write @CacheConfig/,
      )
    }
    expect(await new Users().find(2)).toBe('user 2')
  })

  it('is refused to the second class of a mixin', async () => {
    const [One, Other] = [users(), users()]
    await new One().find(1)
    await expect(new Other().find(1)).rejects.toMatchObject({ code: 'ERR_MEMCACHE_OPTION' })
  })

  it('may be set on another class that only evicts its values', async () => {
    const Users = users()
    @CacheConfig({ name: 'Repository' })
    class Writer {
      @CacheEvict({ key: (id: number) => ['find', id] })
      async remove(_id: number): Promise<void> {}
    }
    await new Users().find(1)
    await new Writer().remove(1)
    expect(await test.cache.get(['Repository', 'find', 1])).toBeUndefined()
    expect(logged).toEqual([])
  })

  it('causes a warning for the subclasses of a class that sets the name for them', async () => {
    @CacheConfig({ name: 'repository' })
    abstract class Base {
      abstract readonly table: string
      @Cached(60)
      async find(id: number): Promise<string> {
        return `${this.table} ${id}`
      }
    }
    class People extends Base {
      readonly table = 'people'
    }
    class Places extends Base {
      readonly table = 'places'
    }
    await new People().find(1)
    await new Places().find(1)
    expect(logged).toEqual([expect.stringMatching(/class People .*class Places .*under the name 'repository'/)])
  })

  it('that is empty must be replaced by @CacheConfig', async () => {
    class Nameless {
      @Cached(60)
      async find(id: number): Promise<number> {
        return id
      }
    }
    Object.defineProperty(Nameless, 'name', { value: '' })
    await expect(new Nameless().find(1)).rejects.toThrow('write @CacheConfig({ name:')
  })
})

describe('a module that is evaluated again', () => {
  const evaluate = (query: string) => import(/* @vite-ignore */ `${FIXTURE}?${query}`) as Promise<typeof Declared>

  it('declares nothing new', async () => {
    const [before, again] = [await evaluate('1'), await evaluate('2')]
    expect(again.find).not.toBe(before.find)
    for (const { find, declared, Again } of [before, again, again]) {
      expect(await find(1)).toBe('found 1')
      expect(await declared.getOrSet(1)).toBe('loaded 1')
      expect(await new Again().find(1)).toBe('class 1')
    }
    expect(logged).toEqual([])
  })

  it('causes a warning if both copies are in use', async () => {
    const [before, again] = [await evaluate('3'), await evaluate('4')]
    for (const { find } of [before, again, before, again]) await find(1)
    expect(logged).toEqual([expect.stringContaining("under the name 'again'")])
  })
})
