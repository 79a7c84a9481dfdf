import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Cached, CacheConfig, cached, CacheEvict, cacheOf, CachePut, defineCache } from '../src/index.ts'
import { openCache } from './open-cache.ts'
import type { TestCaches } from './open-cache.ts'

let test: TestCaches
let round = 0
const warnings: string[] = []
const logger = { info: (): void => {}, warn: (message: string): void => void warnings.push(message) }
beforeAll(async () => {
  test = await openCache({ logger, asDefault: true })
})
afterAll(() => test.close())
beforeEach(() => void round++)

/** Functions of an application that violate the contract of a decorator's option. */
const FAULTS: Readonly<Record<string, () => never>> = {
  throws: () => {
    throw new Error(`a bug ${round}`)
  },
  'throws what is no Error': () => {
    // oxlint-disable-next-line typescript/only-throw-error -- as libraries do
    throw `a bug ${round}`
  },
  'returns a promise': () => Promise.resolve(true) as never,
  'returns a promise that rejects': () => Promise.reject(new Error(`a bug ${round}`)) as never,
  'returns a promise that never settles': () => new Promise(() => {}) as never,
  'returns a value of a wrong type': () => ({ id: Symbol('none') }) as never,
}
/** A condition of any other type counts as true or false. */
const CONDITION_FAULTS = Object.entries(FAULTS).filter(([name]) => !name.includes('wrong type'))

type Option = 'key' | 'tags' | 'condition' | 'unless'
const faultsOf = (options: readonly Option[]): [string, Option, () => never][] =>
  options.flatMap((option) =>
    (option === 'condition' || option === 'unless' ? CONDITION_FAULTS : Object.entries(FAULTS)).map(
      ([name, fault]): [string, Option, () => never] => [`${option} ${name}`, option, fault],
    ),
  )

/** The state before a call, and what is expected of it after a fault. */
async function expectReported(call: () => Promise<unknown>, result: unknown): Promise<void> {
  const errors = test.cache.stats().cacheErrors
  const logged = warnings.length
  expect(await call()).toEqual(result)
  expect(test.cache.stats().cacheErrors).toBe(errors + 1)
  // A reason is logged once.
  expect(warnings.length).toBeLessThanOrEqual(logged + 1)
}

describe('the result of a method that has succeeded is returned, and no older one is left, if', () => {
  it.each(faultsOf(['key', 'tags', 'condition', 'unless']))('@CachePut: %s', async (_, option, fault) => {
    const name = `puts ${round}`
    const options = { key: (id: number) => ['find', id], tags: () => ['all'], [option]: fault }
    @CacheConfig({ name })
    class Rows {
      @CachePut(options)
      async save(id: number): Promise<string> {
        return `saved ${id}`
      }
    }
    const stored = test.cache.namespace(name)
    await stored.set(['find', 1], 'old')
    await expectReported(() => new Rows().save(1), 'saved 1')
    expect(await stored.get(['find', 1])).toBeUndefined()
  })

  it.each(faultsOf(['key', 'tags', 'condition']))('@CacheEvict: %s', async (_, option, fault) => {
    const name = `evicts ${round}`
    const options = { key: (id: number) => ['find', id], tags: () => ['all'], [option]: fault }
    let saves = 0
    @CacheConfig({ name })
    class Rows {
      @CacheEvict(options)
      async save(id: number): Promise<string> {
        saves++
        return `saved ${id}`
      }
      @CacheEvict({ ...options, when: 'before' })
      async saveLater(id: number): Promise<string> {
        saves++
        return `saved ${id}`
      }
    }
    const stored = test.cache.namespace(name)
    await stored.set(['find', 1], 'old')
    await test.cache.set(['tagged', round], 'old', { tags: ['all'] })
    await expectReported(() => new Rows().save(1), 'saved 1')
    expect(await stored.get(['find', 1])).toBeUndefined()
    // A fault of the key does not keep the tags from being invalidated.
    if (option === 'key') expect(await test.cache.get(['tagged', round])).toBeUndefined()
    // Before the method nothing is lost by an error.
    await expect(new Rows().saveLater(1)).rejects.toBeDefined()
    expect(saves).toBe(1)
  })

  it.each(faultsOf(['unless']))('@Cached: %s', async (_, option, fault) => {
    @CacheConfig({ name: `reads ${round}` })
    class Rows {
      @Cached({ ttlSeconds: 60, [option]: fault })
      async find(id: number): Promise<string> {
        return `row ${id}`
      }
    }
    const rows = new Rows()
    await expectReported(() => rows.find(1), 'row 1')
    await expectReported(() => cacheOf(rows, 'find').warm([[2]]), { loaded: 0, skipped: 0, failed: 1 })
    expect(await cacheOf(rows, 'find').get([1])).toBeUndefined()
  })

  it.each(Object.entries(FAULTS))('the lifetime of a loaded value: it %s', async (_, fault) => {
    const ttlSeconds = (): never => fault()
    const values = defineCache({ name: `declared ${round}`, load: async () => 'value', ttlSeconds })
    const find = cached(async () => 'value', { name: `cached ${round}`, ttlSeconds })
    const key = ['alone', round]
    await expectReported(() => values.getOrSet(1), 'value')
    await expectReported(() => find(), 'value')
    await expectReported(() => test.cache.getOrSet(key, () => 'value', { ttlSeconds }), 'value')
    const many = test.cache.getOrSetMany(['batch'], () => ['value'], { ttlSeconds, key: (id) => [round, id] })
    await expectReported(() => many, new Map([['batch', 'value']]))
    expect(await test.cache.get(key)).toBeUndefined()
    expect(await find.cache.get([])).toBeUndefined()
  })
})

describe('a method does not run, and its call rejects, if', () => {
  it.each(faultsOf(['key', 'condition']))('@Cached: %s', async (_, option, fault) => {
    let runs = 0
    @CacheConfig({ name: `refused ${round}` })
    class Rows {
      @Cached({ ttlSeconds: 60, [option]: fault })
      async find(id: number): Promise<string> {
        runs++
        return `row ${id}`
      }
    }
    await expect(new Rows().find(1)).rejects.toBeDefined()
    expect(runs).toBe(0)
  })

  it.each(Object.entries(FAULTS))('the key of a declared cache, a cached function or a batch %s', async (_, fault) => {
    let runs = 0
    const load = async (): Promise<number> => ++runs
    const values = defineCache({ name: `declared ${round}`, load, key: fault })
    const find = cached(load, { name: `cached ${round}`, key: fault })
    await expect(values.getOrSet(1)).rejects.toBeDefined()
    await expect(find()).rejects.toBeDefined()
    await expect(test.cache.getOrSetMany([1], load as never, { key: fault })).rejects.toBeDefined()
    expect(runs).toBe(0)
  })

  it.each(['put', 'evict'] as const)('its class has the name of another one: %s', async (way) => {
    let runs = 0
    const classes = [1, 2].map(() => {
      class Rows {
        @CachePut({ key: () => ['row'] })
        async put(): Promise<number> {
          return ++runs
        }
        @CacheEvict({ all: true })
        async evict(): Promise<number> {
          return ++runs
        }
      }
      Object.defineProperty(Rows, 'name', { value: `Rows${round}` })
      return Rows
    })
    await new classes[0]!()[way]()
    await expect(new classes[1]!()[way]()).rejects.toThrow(`Rows${round}`)
    expect(runs).toBe(1)
  })
})
