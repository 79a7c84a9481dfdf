import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cacheFetch } from '../src/http/index.ts'
import { cached, defineCache, memcache, rateLimiter } from '../src/index.ts'
import { concurrency, limited } from '../src/rate-limit/index.ts'
import { fetchSession, MemcacheStore } from '../src/session/index.ts'
import { testMemcache } from '../src/testing/index.ts'
import { openCache } from './open-cache.ts'
import type { TestCaches } from './open-cache.ts'

// oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-return, typescript/no-unsafe-call, typescript/no-unsafe-member-access -- what no type allows is what these tests are about

let test: TestCaches
let round = 0
beforeAll(async () => {
  test = await openCache({ asDefault: true })
})
afterAll(() => test.close())

const load = async (): Promise<number> => 1
const declared = (): any => defineCache({ name: `declared ${round++}`, load, loadMany: (ids) => ids.map(() => 1) })
const passive = (): any => defineCache({ name: `passive ${round++}` })
const called = (): any => cached(load, { name: `cached ${round++}` })
const open = (): any => test.cache

/** Every call that takes options, with these. */
const CALLS: Readonly<Record<string, (options: any) => unknown>> = {
  getOrSet: (options) => open().getOrSet(`k${round++}`, load, options),
  getOrSetMany: (options) => open().getOrSetMany([`k${round++}`], () => [1], options),
  set: (options) => open().set('k', 1, options),
  add: (options) => open().add('k', 1, options),
  increment: (options) => open().increment(`n${round++}`, 1, options),
  get: (options) => open().get('k', options),
  getMany: (options) => open().getMany(['k'], options),
  lock: (options) => open().lock('k', options),
  invalidateTags: (options) => open().invalidateTags('tag', options),
  'getOrSet of a declared cache': (options) => declared().getOrSet(1, options),
  'getOrSetMany of a declared cache': (options) => declared().getOrSetMany([1], options),
  'getOrSet with its loader': (options) => passive().getOrSet(1, load, options),
  'getOrSetMany with its loader': (options) => passive().getOrSetMany([1], () => [1], options),
  warm: (options) => declared().warm([1], options),
  'warm of a function': (options) => called().cache.warm([[]], options),
  consume: (options) => rateLimiter({ name: `l${round++}`, perMinute: 9 }).consume('id', options),
  penalty: (options) => rateLimiter({ name: `l${round++}`, perMinute: 9 }).penalty('id', options),
  acquire: (options) => concurrency({ name: `l${round++}`, max: 9 }).acquire('id', options),
  run: (options) => concurrency({ name: `l${round++}`, max: 9 }).run('id', load, options),
  'lock of a session': (options) => new MemcacheStore().lock(`s${round++}`, options),
  destroySessionsOf: (options) => new MemcacheStore({ userId: () => 'ann' }).destroySessionsOf('ann', options),
  MemcacheStore: (options) => new MemcacheStore(options),
  fetchSession: (options) => fetchSession(options),
}

/** Objects that have no options, such as a promise that was not awaited. */
const OBJECTS = [new Map(), new Date(0), Promise.resolve({}), /x/, new Number(5), new String('5m')]

/** Whatever a call makes of it: its error. */
async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    return await call()
  } catch (error) {
    return error
  }
}
const refused = expect.objectContaining({ code: 'ERR_MEMCACHE_OPTION' })

describe.each(Object.entries(CALLS))('%s', (_, call) => {
  it.each([null, [], true, { tll: 60 }])('refuses %j as its options', async (options) => {
    expect(await errorOf(() => call(options))).toEqual(refused)
  })

  it('refuses objects that are no records of options', async () => {
    for (const options of OBJECTS) expect(await errorOf(() => call(options))).toEqual(refused)
  })
})

describe('ids and arguments', () => {
  it.each([null, undefined, 5, 'abc', {}])('%j are refused in place of a list', async (ids: any) => {
    for (const call of [
      () => open().getMany(ids),
      () => open().getOrSetMany(ids, () => []),
      () => declared().getMany(ids),
      () => declared().getOrSetMany(ids),
      () => passive().getOrSetMany(ids, () => []),
      () => declared().warm(ids),
      () => called().cache.warm(ids),
      () => called().cache.get(ids),
      () => called().cache.set(ids, 1),
      () => called().cache.delete(ids),
      () => called().cache.markStale(ids),
      () => called().cache.warm([ids]),
    ]) {
      expect(await errorOf(call), String(call)).toEqual(refused)
    }
  })

  it('in cacheOf and cached that are wrong cause an error that shows the right form', async () => {
    await expect(called().cache.get(42)).rejects.toThrow(
      'get takes the arguments of a call as an array, such as get([42]), got 42',
    )
  })
})

it.each<[string, () => unknown]>([
  ['an invalid signal', () => declared().warm([1], { signal: {} })],
  ['progress as a text', () => declared().warm([1], { progress: 'true' })],
  ['onProgress as a text', () => declared().warm([1], { onProgress: 'log' })],
  ['a name with half of a character', () => defineCache({ name: 'a\uD800', load })],
  ['a name that is a symbol', () => defineCache({ name: Symbol('a') as never, load })],
  ['hotKeys under 0', () => defineCache({ name: 'a', load, hotKeys: -1 })],
  ['hotKeys as NaN', () => defineCache({ name: 'a', load, hotKeys: Number.NaN })],
  ['hotKeys as null', () => defineCache({ name: 'a', load, hotKeys: null as never })],
  ['no function to cache', () => cached(undefined as never, { name: 'a' })],
  ['a prefix of null', () => memcache({ prefix: null as never })],
  ['servers of null', () => memcache({ servers: null as never })],
  ['an unknown option of compression', () => memcache({ compression: { minBytes: 5 } as never })],
  ['a limit of compression as a text', () => memcache({ compression: { overBytes: '5' as never } })],
  ['a level of compression as a text', () => memcache({ compression: { level: '5' as never } })],
  ['testMemcache with servers', () => testMemcache({ servers: 'localhost' } as never)],
  ['testMemcache with a text for asDefault', () => testMemcache({ asDefault: 'true' as never })],
])('refuses %s', async (_, call) => {
  expect(await errorOf(call)).toEqual(refused)
})

it('warms with any valid number of concurrent loads', async () => {
  for (const concurrency of [2 ** 31, Number.MAX_VALUE]) {
    expect(await declared().warm([1, 2], { concurrency })).toMatchObject({ failed: 0 })
  }
})

describe('functions that take options', () => {
  const session = { secret: 'a secret of these tests' }
  /** Returns an object that is made of options; and the names of its options. */
  const made: Readonly<Record<string, [(options: any) => unknown, names: string]>> = {
    rateLimiter: [
      (options) => rateLimiter({ perMinute: 5, ...options }),
      'name perMinute algorithm burst blockMs allow deny normalize onCacheDown cache',
    ],
    concurrency: [(options) => concurrency({ max: 1, ...options }), 'max name queue waitMs leaseMs onCacheDown cache'],
    limited: [(options) => limited(load, { perMinute: 5, ...options }), 'perMinute maxConcurrent name waitMs key'],
    cacheFetch: [
      (options) => cacheFetch(() => new Response(''), options),
      'staleSeconds tags key vary hosts condition maxBytes sortQuery ignoreQuery ignoreCookies requestDirectives targetedFields languages encodings wildcards storePost l1 cache',
    ],
    fetchSession: [
      (options) => fetchSession({ ...session, ...options }),
      'secret ttlSeconds cookie maxLifetimeSeconds touchAfterSeconds skip userId store onCacheDown encryptionKeys genid name unset',
    ],
    'the cookie of fetchSession': [
      (cookie) => fetchSession({ ...session, cookie }),
      'maxAge path domain expires sameSite priority',
    ],
    defineCache: [(options) => defineCache({ name: `made ${round++}`, ...options }), 'version load key tags hotKeys'],
    'values in memory': [(l1) => memcache({ servers: 'embedded', l1 }), 'ttlSeconds maxItems maxBytes values'],
  }
  /** No option of these takes such a value. */
  const odd: readonly unknown[] = [Symbol('symbol'), 10n, Object.create(null) as object, Number.NaN, -1, '', /x/]

  it.each(Object.keys(made))('%s refuses values of other types at once, each by the error for options', (owner) => {
    const [make, names] = made[owner]!
    for (const name of names.split(' ')) {
      const kept = odd.filter((value) => {
        try {
          make({ [name]: value })
          return true
        } catch (error) {
          expect(error, `${name}: ${typeof value}`).toEqual(refused)
          return false
        }
      })
      // Some are no mistake: a version of text, or a path that is empty.
      expect(kept.length, name).toBeLessThan(odd.length)
    }
  })

  it.each(['vary', 'hosts', 'ignoreQuery', 'ignoreCookies', 'targetedFields'])(
    'a text as %s is refused: each of its characters would count as a name',
    (name) => {
      expect(() => cacheFetch(() => new Response(''), { [name]: 'utm_source' })).toThrow(`write ['utm_source']`)
    },
  )

  it.each<[string, (signal: any) => unknown]>([
    ['blockUntilReady', (signal) => rateLimiter({ perMinute: 5 }).blockUntilReady('a', { signal })],
    ['acquire', (signal) => concurrency({ max: 1 }).acquire('a', { signal })],
  ])('%s refuses an invalid signal', async (_, call) => {
    for (const signal of [{}, null, 5, new AbortController()])
      expect(await errorOf(() => call(signal))).toEqual(refused)
  })
})
