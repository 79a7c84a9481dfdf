import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cached, CacheConfig, cacheOf, cached, CachePut, defineCache } from '../src/index.ts'
import { openCache } from './open-cache.ts'
import type { TestCaches } from './open-cache.ts'

/** Tags that only show at run time to be none. */
const BAD_TAGS: readonly unknown[] = [[undefined], [''], [5], ['a\uD800'], {}, 7, true]
/** Lifetimes that a response may bring. */
const LONG_SECONDS = [2_592_001, 31_536_000, 1e9, 1e21, Number.MAX_VALUE, Infinity]

let test: TestCaches
let round = 0
const warnings: string[] = []
const logger = { info: (): void => {}, warn: (message: string): void => void warnings.push(message) }

beforeAll(async () => {
  test = await openCache({ logger, asDefault: true })
})
afterAll(() => test.close())

/** Every way in whose tags a function makes: the value of an id, and what is stored of it. */
type Way = (tags: unknown) => { load: () => Promise<unknown>; stored: () => Promise<unknown> }

const WAYS: Readonly<Record<string, Way>> = {
  cached: (tags) => {
    const find = cached(async (id: number) => `value ${id}`, {
      name: `cached ${round++}`,
      tags: () => tags as string[],
    })
    return { load: () => find(1), stored: () => find.cache.get([1]) }
  },
  defineCache: (tags) => {
    const load = async (id: number): Promise<string> => `value ${id}`
    const values = defineCache({ name: `declared ${round++}`, load, tags: () => tags as string[] })
    return { load: () => values.getOrSet(1), stored: () => values.get(1) }
  },
  'defineCache without a loader': (tags) => {
    const values = defineCache<string, number>({ name: `passive ${round++}`, tags: () => tags as string[] })
    return { load: () => values.getOrSet(1, () => 'value 1'), stored: () => values.get(1) }
  },
  'getOrSetMany of defineCache': (tags) => {
    const load = async (id: number): Promise<string> => `value ${id}`
    const loadMany = async (ids: readonly number[]): Promise<string[]> => ids.map((id) => `value ${id}`)
    const values = defineCache({ name: `many ${round++}`, load, loadMany, tags: () => tags as string[] })
    return { load: async () => (await values.getOrSetMany([1])).get(1), stored: () => values.get(1) }
  },
  getOrSetMany: (tags) => {
    const key = `key ${round++}`
    const options = { tags: () => tags as string[] }
    return {
      load: async () => (await test.cache.getOrSetMany([key], () => ['value 1'], options)).get(key),
      stored: () => test.cache.get([key]),
    }
  },
  '@Cached': (tags) => {
    @CacheConfig({ name: `rows ${round++}` })
    class Rows {
      @Cached({ tags: () => tags as string[] })
      async find(id: number): Promise<string> {
        return `value ${id}`
      }
    }
    const rows = new Rows()
    return { load: () => rows.find(1), stored: () => cacheOf(rows, 'find').get([1]) }
  },
}

describe.each(Object.entries(WAYS))('tags that are known at the call of %s', (_, way) => {
  it.each(BAD_TAGS)('and cannot be used, %j, keep the value from being stored, not from its caller', async (tags) => {
    const errors = test.cache.stats().cacheErrors
    const logged = warnings.length
    const { load, stored } = way(tags)
    expect(await load()).toBe('value 1')
    expect(await stored()).toBeUndefined()
    expect(test.cache.stats().cacheErrors).toBe(errors + 1)
    // A reason is logged once.
    expect(warnings.slice(logged).every((warning) => warning.includes('loaded but not stored'))).toBe(true)
  })

  it('and are a text are one tag', async () => {
    const { load, stored } = way('news')
    await load()
    expect(await stored()).toBe('value 1')
    await test.cache.invalidateTags('news')
    expect(await stored()).toBeUndefined()
  })

  it.each([undefined, null])('and are %s count as no tags', async (tags) => {
    const { load, stored } = way(tags)
    await load()
    expect(await stored()).toBe('value 1')
  })
})

it('@CachePut with invalid tags deletes the old result, and its method succeeds', async () => {
  @CacheConfig({ name: 'put' })
  class Rows {
    @CachePut({ key: (id: number) => ['find', id], tags: () => [5] as never })
    async save(id: number): Promise<string> {
      return `saved ${id}`
    }
  }
  const values = test.cache.namespace('put')
  await values.set(['find', 1], 'old')
  expect(await new Rows().save(1)).toBe('saved 1')
  expect(await values.get(['find', 1])).toBeUndefined()
})

describe('a lifetime that comes with a value', () => {
  const declared = (ttlSeconds: () => never) =>
    defineCache({ name: `tokens ${round++}`, load: async () => 'token', ttlSeconds })

  it.each(LONG_SECONDS)('may be %d seconds, for values that are loaded, set and warmed', async (seconds) => {
    const tokens = declared((() => seconds) as never)
    const find = cached(async () => 'token', { name: `tokens ${round++}`, ttlSeconds: () => seconds })
    expect(await tokens.getOrSet(1)).toBe('token')
    expect(await tokens.set(2, 'token')).toBe(true)
    expect(await find.cache.set([], 'token')).toBe(true)
    expect(await tokens.warm([3])).toMatchObject({ loaded: 1 })
    expect([...(await tokens.getMany([1, 2, 3])).keys()]).toEqual([1, 2, 3])
  })

  it.each([0, -5])('of %d seconds stores nothing, and deletes an older value', async (seconds) => {
    const tokens = declared((() => seconds) as never)
    expect(await tokens.getOrSet(1)).toBe('token')
    expect(await tokens.get(1)).toBeUndefined()
    expect(await tokens.warm([2])).toEqual({ loaded: 0, skipped: 0, failed: 1 })
    let isOld = true
    const changing = declared((() => (isOld ? 60 : seconds)) as never)
    await changing.set(1, 'old')
    isOld = false
    expect(await changing.set(1, 'new')).toBe(false)
    expect(await changing.get(1)).toBeUndefined()
  })

  it('that is missing is replaced by the cache’s lifetime', async () => {
    const tokens = declared((() => undefined) as never)
    await tokens.getOrSet(1)
    await tokens.set(2, 'token')
    expect((await tokens.getMany([1, 2])).size).toBe(2)
  })
})

it('more tags than a value can have keep it from being stored, not from its caller, in every way in', async () => {
  const tags = Array.from({ length: 1001 }, (_, index) => `tag ${index}`)
  const calls: (() => Promise<unknown>)[] = [
    () => test.cache.getOrSet('many tags', () => 'value', { tags }),
    () => test.cache.getOrSet('more tags', ({ setTags }) => (setTags(tags), 'value')),
    async () => (await test.cache.getOrSetMany(['batch'], () => ['value'], { tags: () => tags })).get('batch'),
    cached(async () => 'value', { name: 'many tags', tags: () => tags }),
  ]
  for (const call of calls) expect(await call()).toBe('value')
  expect(await test.cache.getMany(['many tags', 'more tags', ['batch']])).toEqual(new Map())
})
