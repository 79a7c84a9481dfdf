import { describe, expect, it } from 'vitest'
import { Cached, CacheConfig, CacheEvict, cacheOf, CachePut } from '../src/index.ts'
import { openCache } from './open-cache.ts'

interface City {
  id: number
  name: string
}

describe('@CacheConfig', () => {
  it('names the namespace, with a version, for subclasses too', async () => {
    await using test = await openCache({ asDefault: true })
    @CacheConfig({ name: 'cities', version: 2 })
    class Cities {
      @Cached(60)
      async find(id: number): Promise<City> {
        return { id, name: `city ${id}` }
      }
    }
    class Towns extends Cities {}
    @CacheConfig({ name: 'villages' })
    class Villages extends Cities {}
    await new Cities().find(1)
    expect(await test.cache.get(['cities', 'v2', 'find', 1])).toEqual({ id: 1, name: 'city 1' })
    await new Towns().find(1)
    expect(test.cache.stats().loads).toBe(1)
    await new Villages().find(1)
    expect(await test.cache.get(['villages', 'find', 1])).toEqual({ id: 1, name: 'city 1' })
    expect(() => CacheConfig({ name: '' })).toThrow('must not be empty')
    expect(() => CacheConfig({ prefix: 'x' } as never)).toThrow('has no option')
  })

  it('selects the cache', async () => {
    await using test = await openCache()
    @CacheConfig({ cache: test.cache })
    class Cities {
      @Cached(60)
      async find(id: number): Promise<number> {
        return id
      }
      @CacheEvict({ tags: ['all'] })
      async reload(): Promise<void> {}
    }
    await new Cities().find(1)
    await new Cities().reload()
    expect(await test.cache.get(['Cities', 'find', 1])).toBe(1)
  })
})

describe('@CachePut and @CacheEvict', () => {
  class Cities {
    names = new Map([[1, 'Oslo']])
    finds = 0

    @Cached({ ttlSeconds: 60, tags: (id: number) => [`city:${id}`] })
    async find(id: number): Promise<City | null> {
      this.finds++
      const name = this.names.get(id)
      return name === undefined ? null : { id, name }
    }
    @Cached({ ttlSeconds: 60, key: (query: string) => ['q', query], tags: ['search'] })
    async search(query: string, _limit = 10): Promise<string[]> {
      this.finds++
      return [...this.names.values()].filter((name) => name.includes(query))
    }
    @CachePut({ key: (city: City) => ['find', city.id], unless: (city: City) => city.name === 'secret' })
    async save(city: City): Promise<City> {
      this.names.set(city.id, city.name)
      return city
    }
    @CacheEvict({ key: (id: number) => ['find', id] })
    async removeOne(id: number): Promise<boolean> {
      return this.names.delete(id)
    }
    @CacheEvict({ tags: (id: number) => [`city:${id}`, 'search'], condition: (id) => id > 0 })
    async remove(id: number): Promise<void> {
      this.names.delete(id)
      if (id === 99) throw new Error('no such city')
    }
    @CacheEvict({ all: true, when: 'before' })
    async rebuild(): Promise<never> {
      throw new Error('no database')
    }
    @CacheEvict({ tags: ['search'], soft: true })
    async shuffle(): Promise<void> {}
  }

  it('stores the result of a method under the key of @Cached', async () => {
    await using test = await openCache({ asDefault: true })
    const cities = new Cities()
    expect(await cities.save({ id: 2, name: 'Bergen' })).toEqual({ id: 2, name: 'Bergen' })
    expect(await cities.find(2)).toEqual({ id: 2, name: 'Bergen' })
    expect(cities.finds).toBe(0)
    await cities.save({ id: 2, name: 'secret' })
    expect(await cacheOf(cities, 'find').get([2])).toBeUndefined()
    expect(test.cache.stats().sets).toBe(1)
  })

  it('returns a result that cannot be stored, and deletes the old value', async () => {
    await using test = await openCache({ asDefault: true })
    class Rows {
      @CachePut({ key: () => ['row'] })
      async save(row: object): Promise<object> {
        return row
      }
    }
    const rows = new Rows()
    await rows.save({ id: 1 })
    const circular: { self?: object } = {}
    circular.self = circular
    expect(await rows.save(circular)).toBe(circular)
    expect(await test.cache.get(['Rows', 'row'])).toBeUndefined()
    expect(test.cache.stats().cacheErrors).toBe(1)
  })

  it('evicts one key, tags, or all of the class', async () => {
    await using test = await openCache({ asDefault: true })
    const cities = new Cities()
    const fill = async () => {
      await cities.find(1)
      await cities.search('s')
    }
    await fill()
    expect(cities.finds).toBe(2)
    await cities.removeOne(1)
    expect(await cities.find(1)).toBeNull()
    await fill()
    expect(cities.finds).toBe(3)
    await cities.remove(1)
    await fill()
    expect(cities.finds).toBe(5)
    await cities.remove(-1)
    await fill()
    expect(cities.finds).toBe(5)
    await expect(cities.rebuild()).rejects.toThrow('no database')
    await fill()
    expect(cities.finds).toBe(7)
    expect(test.cache.stats().invalidations).toBe(3)
  })

  it('evicts after the method has succeeded, not when it failed', async () => {
    await using test = await openCache({ asDefault: true })
    const cities = new Cities()
    await cities.search('s')
    await expect(cities.remove(99)).rejects.toThrow('no such city')
    await cities.search('s')
    expect(cities.finds).toBe(1)
    expect(test.cache.stats().invalidations).toBe(0)
  })

  it('makes stale with soft', async () => {
    await using test = await openCache({ asDefault: true })
    const cities = new Cities()
    await cities.search('s')
    cities.names.set(3, 'Stavanger')
    await cities.shuffle()
    expect(await cities.search('s')).toEqual(['Oslo'])
    expect(test.cache.stats().stale).toBe(1)
  })

  it('keeps names and lengths', async () => {
    const cities = new Cities()
    expect([cities.save.name, cities.save.length, cities.remove.name]).toEqual(['save', 1, 'remove'])
  })

  it('refuses invalid options', () => {
    expect(() => CacheEvict({})).toThrow('nothing to evict')
    expect(() => CacheEvict({ all: true, soft: true })).toThrow('all and soft cannot be combined')
    expect(() => CacheEvict({ all: true, when: 'during' as never })).toThrow(`'after' or 'before'`)
    expect(() => CacheEvict({ allEntries: true } as never)).toThrow('`allEntries` is `all` here')
    // @ts-expect-error it has to be known where it is stored
    expect(() => CachePut({})).toThrow('@CachePut needs a key')
  })
})

it('finds the class of an object behind a Proxy that wraps every function, as tracing libraries do', async () => {
  class Traced {
    loads = 0
    @Cached(60) async find(id: number): Promise<number> {
      return id + ++this.loads
    }
  }
  await using test = await openCache({ asDefault: true })
  const traced = new Proxy(new Traced(), {
    get(target, key, receiver) {
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]): unknown => Reflect.apply(value, receiver, args)
    },
  })
  expect([await traced.find(1), await traced.find(1)]).toEqual([2, 2])
  expect(await test.cache.namespace('Traced').get(['find', 1])).toBe(2)
  expect(await cacheOf(new Traced(), 'find').get([1])).toBe(2)
})
