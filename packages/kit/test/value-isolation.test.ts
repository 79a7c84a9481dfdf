import { createSecretKey } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { typedCodec } from 'memcache-ts-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Tags } from '../src/engine/invalidate/tags.ts'
import { copyValue } from '../src/engine/values/copy-value.ts'
import { toPlainData } from '../src/engine/values/plain-data.ts'
import { Cookie } from '../src/session/cookie.ts'
import { Session } from '../src/session/session.ts'
import { deferred } from './deferred.ts'
import { openCache } from './open-cache.ts'
import type { TestCaches } from './open-cache.ts'

const RUNS = Number(process.env['VALUE_RUNS'] ?? 60)

/** Values of all kinds that a cache keeps. */
const { value: VALUES } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: 'small', withCrossShrink: true },
    fc.string({ unit: 'grapheme' }),
    fc.double(),
    fc.bigInt(),
    fc.boolean(),
    fc.constant(null),
    fc.date({ noInvalidDate: false }),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.float64Array(),
    fc.uint8Array().map((bytes) => new Uint8Array(bytes).buffer),
    fc.string({ unit: 'binary-ascii' }).map((text) => new RegExp(text.replaceAll(/\W/g, ''), 'gi')),
    fc.webUrl().map((url) => new URL(url)),
    fc.string().map((message) => new RangeError(message)),
    fc.array(tie('value')),
    fc.dictionary(fc.string(), fc.oneof(tie('value'), fc.constant(undefined)), { noNullPrototype: false }),
    fc.array(fc.tuple(tie('value'), tie('value'))).map((pairs) => new Map(pairs)),
    fc.array(tie('value')).map((items) => new Set(items)),
  ),
}))

/** Every object in a value. */
function objectsIn(value: unknown, found = new Set<object>()): Set<object> {
  if (typeof value !== 'object' || value === null || found.has(value)) return found
  found.add(value)
  if (value instanceof Map) for (const pair of value) for (const item of pair) objectsIn(item, found)
  else if (value instanceof Set || Array.isArray(value)) for (const item of value) objectsIn(item, found)
  else if (Object.prototype.toString.call(value) === '[object Object]') {
    for (const item of Object.values(value)) objectsIn(item, found)
  }
  return found
}

describe.each(['copied', 'frozen', undefined] as const)('with values in memory: %s', (values) => {
  let test: TestCaches
  beforeAll(async () => {
    test = await openCache({ l1: values === undefined ? false : { values } })
  })
  afterAll(() => test.close())

  it('every caller gets the same of a value, on a miss, a joined load, a hit and from memory, and no object of another', async () => {
    let round = 0
    const other = test.another()
    await fc.assert(
      fc.asyncProperty(VALUES, async (given) => {
        const key = [`k${round++}`]
        const loading = deferred<unknown>()
        const load = (): Promise<unknown> => loading.promise
        const callers = [
          test.cache.getOrSet(key, load),
          test.cache.getOrSet(key, load, { signal: new AbortController().signal }),
          test.cache.getOrSetMany(['id'], async () => [await load()], { key: () => key }).then((map) => map.get('id')),
          other.getOrSet(key, load),
        ]
        loading.resolve(given)
        const got = await Promise.all(callers)
        got.push(await test.cache.getOrSet(key, load), await test.cache.get(key), await other.get(key))
        for (const one of got) expect(one).toStrictEqual(given)
        const seen = objectsIn(given)
        for (const one of got) {
          for (const object of objectsIn(one)) {
            // Frozen plain data may be shared: it cannot be changed.
            if (values === 'frozen' && Object.isFrozen(object)) continue
            expect(seen.has(object)).toBe(false)
            seen.add(object)
          }
        }
      }),
      { numRuns: RUNS },
    )
  })
})

it('callers get no reference to a value that the loader keeps', async () => {
  await using test = await openCache()
  const kept = { list: [1], at: new Date(0) }
  const got = await test.cache.getOrSet('a', () => kept)
  got.list.push(2)
  expect(kept.list).toEqual([1])
  const many = await test.cache.getOrSetMany(['b', 'c'], () => [kept, kept])
  expect(many.get('b')).not.toBe(many.get('c'))
  expect(many.get('b')).toEqual(kept)
})

it('is isolated without a cache too', async () => {
  await using test = await openCache({ timeoutMs: 100 })
  await test.server.stop()
  const kept = { list: [1] }
  const [one, two] = await Promise.all([test.cache.getOrSet('a', () => kept), test.cache.getOrSet('a', () => kept)])
  expect(one).toEqual(kept)
  expect(new Set([one, two, kept]).size).toBe(3)
})

it('properties that were added to Object.prototype become part of no value, session, cookie or entry', () => {
  const polluted = Object.prototype as { added?: unknown }
  const value = { a: { b: [new Map([['k', { c: 1 }]])] } }
  const holder = { sessionID: 'id' } as ConstructorParameters<typeof Session>[0]
  polluted.added = { inherited: true }
  let results: unknown[]
  try {
    const { bytes, clientFlags } = typedCodec().encode(value)
    results = [
      Object.keys(copyValue(value)),
      toPlainData(value, () => {}) === value,
      JSON.stringify(typedCodec().decode(Buffer.from(bytes as string), clientFlags)),
      Object.keys(new Session(holder, { views: 1 })),
      Session.isWhole(new Session(holder, { views: 1 })),
      Object.hasOwn(new Cookie({ path: '/' }), 'added'),
      Object.hasOwn(Cookie.ofStored({ path: '/' }), 'added'),
      new Tags(undefined as never, undefined as never, undefined as never).compare({ tag: 1 }, { tag: 1 }),
    ]
  } finally {
    delete polluted.added
  }
  expect(results).toEqual([['a'], true, '{"a":{"b":[{}]}}', ['views'], true, false, false, 'same'])
})

describe('a value that memcached would not bring back as it is', () => {
  class Marks extends Uint8Array {}
  const odd: Readonly<Record<string, () => unknown>> = {
    'an array with a hole': () => [1, , 3], // oxlint-disable-line no-sparse-arrays -- it is what this is about
    'an array with a property': () => Object.assign([1, 2], { total: 3 }),
    'an array with a hole and a property': () => Object.assign(Array(1), { total: 3 }),
    'an array with a symbol': () => Object.assign([1], { [Symbol.for('note')]: 1 }),
    'a Date with a property': () => Object.assign(new Date(0), { zone: 'UTC' }),
    'a Map with a property': () => Object.assign(new Map([[1, 2]]), { total: 3 }),
    'a Set with a symbol': () => Object.assign(new Set([1]), { [Symbol.for('note')]: 1 }),
    'an object with a symbol as a key': () => ({ [Symbol.for('note')]: 1, a: 1 }),
    'one of those within another value': () => ({ rows: new Map([['a', Object.assign([1], { more: true })]]) }),
    arguments: () =>
      (function () {
        return arguments // oxlint-disable-line prefer-rest-params -- it is what this is about
      })(),
    'a typed array of a subclass': () => new Marks([1, 2]),
    'what toJSON makes of it': () => ({ toJSON: () => 'text' }),
    'a NaN': () => Number.NaN,
  }
  const ways = {
    getOrSet: {},
    'with tags': { tags: ['tag'] },
    'with a reviver': { revive: (stored: unknown) => stored },
    'loaded fresh': { forceFresh: true },
  }

  describe.each(Object.keys(odd))('%s', (kind) => {
    it.each(Object.keys(ways) as (keyof typeof ways)[])('is the same for every caller: %s', async (way) => {
      for (const l1 of [false, true]) {
        await using test = await openCache({ l1 })
        const make = odd[kind]!
        const get = (): Promise<unknown> => test.cache.getOrSet('key', make, ways[way])
        const together = await Promise.all([get(), get(), get()])
        const later = [await get(), await get()]
        await test.server.stop()
        const alone = await test.cache.getOrSet('another key', make)
        const [first, ...others] = [...together, ...later, alone]
        for (const other of others) {
          expect(other).toStrictEqual(first)
          if (typeof first === 'object')
            expect(Reflect.ownKeys(other as object)).toEqual(Reflect.ownKeys(first as object))
        }
      }
    })
  })
})

it('two spellings of one key have a value each, with any number of values', async () => {
  await using test = await openCache()
  const { cache } = test
  await cache.set(['spelt', 1], { list: [1] })
  const keys = [
    ['spelt', 1],
    ['spelt', '1'],
  ]
  const taken = (value: unknown): unknown => (value as { list: number[] }).list.pop()
  const ways = [
    await cache.getMany(keys),
    await cache.getMany(keys, { revive: (value: unknown) => ({ list: [taken(value)] }) }),
    await cache.getOrSetMany(keys, () => []),
  ]
  for (const found of ways) {
    const [first, second] = [...found.values()]
    expect(first).toEqual({ list: [1] })
    expect(second).toEqual(first)
    expect(second).not.toBe(first)
  }
})

describe('an object whose content is not in its properties', () => {
  /** Returns the constructor of a subclass, which has the name of its base. */
  const subclass = <Args extends unknown[], Instance>(Base: new (...args: Args) => Instance) => {
    class Sub extends (Base as unknown as new (...args: never[]) => object) {}
    return Sub as unknown as new (...args: Args) => Instance & object
  }
  const makes: Readonly<Record<string, () => object>> = {
    generator: () =>
      (function* () {
        yield 1
      })(),
    'async generator': () =>
      (async function* () {
        yield 1
      })(),
    iterator: () => new Map([[1, 2]]).entries(),
    WeakMap: () => new (subclass(WeakMap))(),
    Headers: () => new (subclass(Headers))({ a: 'b' }),
    Request: () => new (subclass(Request))('http://localhost/'),
    Response: () => new (subclass(Response))('text'),
    Blob: () => new (subclass(Blob))(['text']),
    FormData: () => new (subclass(FormData))(),
    AbortController: () => new AbortController(),
    EventTarget: () => new (subclass(EventTarget))(),
    TextEncoder: () => new TextEncoder(),
    ReadableStream: () => new (subclass(ReadableStream))(),
    KeyObject: () => createSecretKey(Buffer.from('key')),
  }

  it.each(Object.keys(makes))(
    'is returned as it was loaded, and is not stored as an empty object: %s',
    async (kind) => {
      await using test = await openCache({ l1: true })
      const make = makes[kind]!
      for (const wrap of [(value: object) => value, (value: object) => ({ value }), (value: object) => [[value]]]) {
        const loaded: unknown[] = []
        const load = (): unknown => loaded.push(wrap(make())) && loaded.at(-1)
        const [first, second] = await Promise.all([test.cache.getOrSet('k', load), test.cache.getOrSet('k', load)])
        expect(loaded).toHaveLength(2)
        expect(first).toBe(loaded[0])
        expect(second).toBe(loaded[1])
        expect(await test.cache.get('k')).toBeUndefined()
        for (const method of ['set', 'add'] as const) {
          await expect(test.cache[method]('k', wrap(make()))).rejects.toMatchObject({ code: 'ERR_MEMCACHE_OPTION' })
        }
      }
    },
  )

  it('is refused if it is a promise that was not awaited, and its rejection does not end the process', async () => {
    await using test = await openCache()
    const unhandled: unknown[] = []
    const collect = (error: unknown): void => void unhandled.push(error)
    process.on('unhandledRejection', collect)
    for (const Made of [Promise, subclass(Promise)]) {
      const failing = (): unknown => new Made((_: unknown, reject) => reject(new Error('failed later')))
      for (const method of ['set', 'add'] as const) {
        await expect(test.cache[method]('k', failing())).rejects.toMatchObject({ code: 'ERR_MEMCACHE_OPTION' })
      }
    }
    await turn()
    process.off('unhandledRejection', collect)
    expect(unhandled).toEqual([])
  })

  it('is refused by the error for options if it is a proxy whose handler throws', async () => {
    await using test = await openCache()
    const bug = (): never => {
      throw new Error('a bug')
    }
    for (const trap of ['get', 'has', 'ownKeys', 'getPrototypeOf', 'getOwnPropertyDescriptor']) {
      const value = new Proxy({ a: 1 }, { [trap]: bug })
      const stored: unknown = await test.cache.set('k', value).catch((error: unknown) => error)
      expect(stored === true || stored).toEqual(
        stored === true || expect.objectContaining({ code: 'ERR_MEMCACHE_OPTION' }),
      )
    }
  })
})
