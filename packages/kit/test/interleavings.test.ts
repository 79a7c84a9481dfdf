import { describeWithMemcached, launchMemcached, randomFrom } from 'memcache-ts-testing'
import type { LaunchedServer } from 'memcache-ts-testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { memcache } from '../src/index.ts'
import type { CacheMethods, GetOrSetOptions, Memcache } from '../src/index.ts'
import { openCache } from './open-cache.ts'

const ROUNDS = Number(process.env['INTERLEAVINGS'] ?? 250)
const AT_ONCE = 50

/** How something is loaded and made invalid. */
interface Way {
  options(round: number): GetOrSetOptions
  invalidate(cache: Memcache, key: string[], round: number): Promise<boolean>
  reader(cache: Memcache, key: string[]): { at: CacheMethods; key: string[] }
}

const WAYS: Record<string, Way> = {
  forceFresh: {
    options: () => ({}),
    async invalidate(cache, key) {
      const loaded = await cache.getOrSet(key, () => 'new', { ttlSeconds: 60, forceFresh: true })
      return loaded === 'new'
    },
    reader: (cache, key) => ({ at: cache, key }),
  },
  'a pull': {
    options: () => ({}),
    invalidate: async (cache, key) => {
      const pulled = await cache.pull(key)
      // If there was nothing to take, running loads may continue.
      return pulled === undefined ? cache.delete(key) : true
    },
    reader: (cache, key) => ({ at: cache, key }),
  },
  delete: {
    options: () => ({}),
    invalidate: (cache, key) => cache.delete(key),
    reader: (cache, key) => ({ at: cache, key }),
  },
  set: {
    options: () => ({}),
    invalidate: (cache, key) => cache.set(key, 'new'),
    reader: (cache, key) => ({ at: cache, key }),
  },
  'a tag': {
    options: (round) => ({ tags: [`tag ${round}`, 'all'] }),
    invalidate: (cache, _, round) => cache.invalidateTags([`tag ${round}`]),
    reader: (cache, key) => ({ at: cache, key }),
  },
  'a namespace': {
    options: () => ({}),
    invalidate: (cache, [name]) => cache.namespace([name!]).clear(),
    reader: (cache, [name, ...rest]) => ({ at: cache.namespace([name!]), key: rest }),
  },
}

/** Lets the loop turn so many times: a moment of chance, without a clock. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Gives up after so many turns of the loop. */
async function withinTurns<Value>(count: number, call: (signal: AbortSignal) => Promise<Value>): Promise<Value> {
  const controller = new AbortController()
  void turns(count).then(() => controller.abort(new Error('given up')))
  return call(controller.signal)
}

const chance = randomFrom(Number(process.env['INTERLEAVINGS_SEED'] ?? 1))

/**
 * A value changes in the database and is then made invalid, at any moment of loads in three caches. Who asks after that
 * was confirmed, wherever, must never be given the old one.
 */
async function interleave(caches: readonly Memcache[], name: string, round: number): Promise<void> {
  const way = WAYS[name]!
  const key = [`${name} ${round}`, 'k']
  let database = 'old'
  const load = async (): Promise<string> => {
    const value = database
    await turns(chance(8))
    return value
  }
  const pick = (): Memcache => caches[chance(caches.length)]!
  const options = { ttlSeconds: 60, staleSeconds: chance(2) * 60, ...way.options(round) }
  const read = async (): Promise<string> => {
    const { at, key: own } = way.reader(pick(), key)
    switch (chance(6)) {
      case 0:
        // A caller that aborts, at any moment, and calls again.
        return withinTurns(chance(8), (signal) => at.getOrSet(own, load, { ...options, signal })).catch(read)
      case 1:
        // A loader that requests its own value.
        return at.getOrSet(own, () => at.getOrSet(own, load, options), options)
      case 2:
      case 3:
        return at.getOrSet(own, load, options)
    }
    const { tags = [], ...loading } = options
    const one = { ...loading, key: () => own, tags: () => tags }
    return (await at.getOrSetMany(['id'], async () => [await load()], one)).get('id')!
  }
  const get = async (): Promise<string> => {
    const { at, key: own } = way.reader(pick(), key)
    return (await at.get<string>(own)) ?? 'new'
  }
  const before = Array.from({ length: 1 + chance(4) }, async () => {
    await turns(chance(6))
    return read()
  })
  await turns(chance(12))
  database = 'new'
  expect(await way.invalidate(pick(), key, round)).toBe(true)
  const after = Array.from({ length: 4 }, async () => {
    await turns(chance(10))
    return chance(2) === 0 ? read() : get()
  })
  expect(new Set(await Promise.all(after)), `round ${round}`).toEqual(new Set(['new']))
  await Promise.all(before)
  expect(await get()).toBe('new')
}

function interleavings(open: () => Promise<{ caches: Memcache[]; close(): Promise<void> }>): void {
  let caches: Memcache[]
  let close: () => Promise<void>
  beforeAll(async () => ({ caches, close } = await open()))
  afterAll(() => close())

  // Much of their time is waiting for each other's leases: all ways at once take as long as one.
  it.concurrent.each(Object.keys(WAYS))(
    `never returns the old value after %s, at any of ${ROUNDS} moments of a load`,
    async (way) => {
      let next = 0
      const run = async (): Promise<void> => {
        while (next < ROUNDS) await interleave(caches, way, next++)
      }
      await Promise.all(Array.from({ length: AT_ONCE }, run))
    },
  )
}

describe('invalidations at any moment, on memcache-ts-server', () => {
  interleavings(async () => {
    const test = await openCache()
    return { caches: [test.cache, test.another(), test.another()], close: () => test.close() }
  })
})

describeWithMemcached('invalidations at any moment, on memcached', () => {
  interleavings(async () => {
    const server: LaunchedServer = await launchMemcached()
    const caches = [1, 2, 3].map(() => memcache({ servers: server.address, logger: false, timeoutMs: 5000 }))
    return {
      caches,
      async close() {
        await Promise.all(caches.map((cache) => cache.close()))
        await server.kill()
      },
    }
  })
})
