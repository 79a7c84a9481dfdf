import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { MemcacheError, MemcacheOptionError } from 'memcache-ts-protocol'
import { describe, expect, it } from 'vitest'
import { argumentParts } from '../src/declare/argument-key.ts'
import { KeyPrefix, keyText, ownKeyText, prefixText, writtenKey } from '../src/engine/cache-key.ts'
import type { KeySpace } from '../src/engine/cache-key.ts'
import { defineCache } from '../src/declare/define-cache.ts'
import { openCache } from './open-cache.ts'

/** Pairs of values a run: `npm run judge -- keys` has a million of them. */
const RUNS = Number(process.env['KEY_RUNS'] ?? 3000)
const TIMEOUT_MS = Math.max(300_000, 3 * RUNS)

const keyOf = (...args: unknown[]): string => keyText(argumentParts(args, 'Cities.search'))

class Dto {
  readonly name: unknown
  constructor(name: unknown) {
    this.name = name
  }
}
class OtherDto extends Dto {}

/** Values of which each is another than all others. */
const DISTINCT: readonly unknown[] = [
  '',
  'a',
  '1.5',
  '1n',
  'true',
  'null',
  'undefined',
  'NaN',
  '[object Object]',
  '%3dtrue',
  '%7b',
  '%3dnone',
  '~session',
  1,
  1.5,
  1n,
  NaN,
  Infinity,
  -Infinity,
  2 ** 53,
  2n,
  true,
  false,
  null,
  undefined,
  [],
  [[]],
  [undefined],
  [undefined, 1],
  [1, undefined],
  [null],
  // oxlint-disable-next-line no-sparse-arrays -- a hole is what it is about
  [,],
  [1],
  ['1'],
  ['a', 'b'],
  ['a,b'],
  {},
  { a: 1 },
  { b: 1 },
  { a: {}, b: 1 },
  { a: { b: 1 } },
  Object.assign(Array(2), { 0: 1 }),
  Object.assign(Array(2), { 1: 1 }),
  { a: '1' },
  { a: 1n },
  { a: '1n' },
  { a: NaN },
  { a: null },
  { a: undefined },
  { a: { undefined: true } },
  { a: Infinity },
  { map: [[1, 2]] },
  new Map([[1, 2]]),
  new Map([['1', 2]]),
  new Map(),
  new Set(),
  new Set([1, 2]),
  new Set([[1, 2]]),
  new Date(0),
  new Date(1),
  new Date(NaN),
  new Date(0).toISOString(),
  new Uint8Array([1]),
  new Int8Array([1]),
  new Uint8Array([1]).buffer,
  Buffer.from([1]),
  [Buffer.from('aB6:Bufferb'), Buffer.from('c')],
  [Buffer.from('a'), Buffer.from('bB6:Bufferc')],
  ['as1:b', 'c'],
  ['a', 'bs1:c'],
  new DataView(new Uint8Array([1]).buffer),
  /a/,
  /a/g,
  Object.assign(/a/g, { lastIndex: 1 }),
  new URL('http://a/'),
  'http://a/',
  new URLSearchParams('a=1'),
  'a=1',
  new Dto('a'),
  new Dto('b'),
  new OtherDto('a'),
  { name: 'a' },
]

const VALUE = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withSparseArray: true,
  withNullPrototype: true,
  withUnicodeString: true,
  maxDepth: 3,
})

describe('keys of arguments', () => {
  it('are different for all that differs', () => {
    const keys = DISTINCT.map((value) => keyOf(value))
    for (const [index, key] of keys.entries()) {
      expect(keys.indexOf(key), `${String(DISTINCT[keys.indexOf(key)])} and ${index}`).toBe(index)
    }
    const within: ((value: unknown) => unknown)[] = [
      (value) => [value],
      (value) => ({ a: value }),
      (value) => new Map([[1, value]]),
      (value) => new Map([[value, 1]]),
      (value) => new Set([value]),
      (value) => new Dto(value),
    ]
    for (const wrap of within) {
      expect(new Set(DISTINCT.map((value) => keyOf(wrap(value)))).size).toBe(DISTINCT.length)
    }
    const lists = [[], [''], [undefined], ['', ''], ['a', 'b'], ['a:b'], ['a', ['b']], [['a', 'b']]]
    expect(new Set(lists.map((list) => keyOf(...list))).size).toBe(lists.length)
  })

  it('are equal for arguments with equal content, in any order of their properties', () => {
    const pairs: [unknown, unknown][] = [
      [5, '5'],
      [0, -0],
      [
        {
          a: 1,
          b: [
            new Date(0),
            new Map<unknown, unknown>([
              ['x', 1n],
              ['y', 2],
            ]),
          ],
        },
        {
          b: [
            new Date(0),
            new Map<unknown, unknown>([
              ['y', 2],
              ['x', 1n],
            ]),
          ],
          a: 1,
        },
      ],
      [new Set([1, { a: 1, b: 2 }]), new Set([{ b: 2, a: 1 }, 1])],
      [new URL('http://a'), new URL('http://a/')],
      [Object.assign(Object.create(null) as object, { a: 1 }), { a: 1 }],
      [new Dto({ b: 1, a: 2 }), new Dto({ a: 2, b: 1 })],
    ]
    for (const [one, other] of pairs) expect(keyOf(one)).toBe(keyOf(other))
  })

  it(
    'are equal exactly for what holds the same',
    () => {
      const refusedOr = (value: unknown): string | undefined => {
        try {
          return keyOf(value)
        } catch (error) {
          expect(error).toBeInstanceOf(MemcacheError)
          return undefined
        }
      }
      fc.assert(
        fc.property(VALUE, VALUE, (one, other) => {
          const [first, second] = [refusedOr(one), refusedOr(other)]
          if (first === undefined || second === undefined) return
          const isSame = isDeepStrictEqual(normalised(one), normalised(other))
          expect(first === second).toBe(isSame)
          expect(refusedOr(structuredCloneOf(one))).toBe(first)
        }),
        { numRuns: RUNS },
      )
    },
    TIMEOUT_MS,
  )

  it(
    'are never those of text',
    () => {
      fc.assert(
        fc.property(VALUE, fc.string({ unit: 'grapheme' }), (value, text) => {
          const parts = ((): string | undefined => {
            try {
              return keyOf(value)
            } catch {
              return undefined
            }
          })()
          if (parts === undefined || typeof value === 'string' || Number.isSafeInteger(value)) return
          expect(keyOf(text)).not.toBe(parts)
          expect(keyOf(parts)).not.toBe(parts)
          expect(keyOf(decodeURIComponent(parts.replaceAll('%', '%25')))).not.toBe(parts)
        }),
        { numRuns: RUNS },
      )
    },
    TIMEOUT_MS,
  )

  class Money {
    readonly #cents: number
    constructor(cents: number) {
      this.#cents = cents
    }
    get cents(): number {
      return this.#cents
    }
  }
  const circular: unknown[] = []
  circular.push(circular)
  it.each([
    ['a function', () => 1],
    ['a symbol', Symbol('a')],
    ['a Money', new Money(1)],
    ['a FormData', new FormData()],
    ['a Headers', new Headers()],
    ['a Promise', Promise.resolve()],
    ['a Blob', new Blob([])],
    ['a ReadableStream', new ReadableStream()],
    ['an Error', new Error('a')],
    ['a WeakMap', new WeakMap()],
    ['circular', circular],
    ['a symbol as a key', { [Symbol('a')]: 1 }],
  ])('refuse %s by the name of the argument', (problem, value) => {
    expect(() => keyOf('a', value)).toThrow(MemcacheOptionError)
    expect(() => keyOf('a', value)).toThrow(/^argument 2 of Cities\.search,? /)
    expect(() => keyOf('a', value)).toThrow(problem)
    expect(() => keyOf('a', value)).toThrow('set `key`')
    expect(() => keyOf({ filter: [value] })).toThrow('argument 1 of Cities.search, at filter[0]')
  })

  it('refuse half of a surrogate pair within an argument', () => {
    expect(() => keyOf({ city: '\ud800' })).toThrow('at city, is a string with half of a surrogate pair')
    expect(() => keyOf(new Map([['\ud800', 1]]))).toThrow('is a string with half of a surrogate pair')
  })

  it('are of values that are nested up to 200 levels deep, and may occur several times', () => {
    const wraps = [(value: unknown) => [value], (a: unknown) => ({ a }), (value: unknown) => new Map([[1, value]])]
    const nested = (levels: number): unknown => (levels === 0 ? [] : wraps[levels % 3]!(nested(levels - 1)))
    expect(keyOf(nested(200))).not.toBe(keyOf(nested(199)))
    expect(() => keyOf(nested(201))).toThrow('is nested more than 200 levels deep')
    const shared = { a: 1 }
    expect(keyOf([shared, shared, new Map([[shared, shared]])])).toBe(
      keyOf([{ a: 1 }, { a: 1 }, new Map([[{ a: 1 }, { a: 1 }]])]),
    )
  })

  it('name the class of a method, and the place of a nested value', () => {
    expect(() => argumentParts([{ a: new Map([[1, [Symbol('a')]]]) }], 'find', new Dto('a'))).toThrow(
      'argument 1 of Dto.find, at a[0][0], is a symbol',
    )
    expect(() => argumentParts([new Set([() => 1])], 'find')).toThrow('argument 1 of find, at [0], is a function')
  })

  it('take data classes, whose state can be seen', () => {
    class Query {
      page = 1
      declare city?: string
    }
    expect(keyOf(new Query())).toBe(keyOf(Object.assign(new Query(), { page: 1 })))
    // oxlint-disable-next-line typescript/no-extraneous-class -- a data class whose fields are all missing
    class Empty {}
    expect(keyOf(new Empty())).not.toBe(keyOf({}))
  })
})

describe('the parts of a key', () => {
  it.each([[{}], [null], [undefined], [Symbol('a')], [() => 1], [['a']], [new Date(0)]])(
    'that are no text, number, bigint or boolean are refused: %s',
    (part) => {
      expect(() => keyText(['city', part as never])).toThrow(/^part \d of a key is /)
    },
  )

  it('in the kit’s own keys are escaped, and do not run together', () => {
    const lists = [['a'], ['a', 'b'], ['a:b'], ['', 'a'], ['a', ''], [1], ['a', 1], ['~a']]
    const keys = (Object.keys(KeyPrefix) as KeySpace[]).flatMap((space) => {
      const own = lists.map((parts) => ownKeyText(space, parts))
      for (const key of own) expect(key.startsWith(`${KeyPrefix[space]}:`)).toBe(true)
      return own
    })
    expect(new Set(keys).size).toBe(keys.length)
  })

  it('behind a prefix stay readable, and no prefix reads as a key of another', () => {
    expect(['shop', 'a:b', 'a%3Ab', '', 'sessions'].map(prefixText)).toEqual([
      'shop',
      'a%3Ab',
      'a%253Ab',
      '',
      'sessions',
    ])
    expect(prefixText('session')).not.toMatch(/^session/)
  })
})

describe('keys that users write as one text', () => {
  it('are as they are, unless they could be taken for keys of the kit', () => {
    for (const text of ['city:42', 'a~b', 'a%3Ab', '100%25']) expect(writtenKey(text, '')).toBe(text)
    const hash = writtenKey('x'.repeat(300), '')
    for (const text of ['~session:a', '%3dtrue', 'a:%7b123', '100%', 'a%3ab', hash]) {
      const stored = writtenKey(text, '')
      expect(stored).not.toBe(text)
      expect(stored).not.toMatch(/^~/)
    }
  })

  it('never equal a key of a session or another key of the kit', async () => {
    await using test = await openCache()
    const [cache, prefixed] = [test.another(), test.another({ prefix: 'session' })]
    const keys = [
      cache.key('session:a'),
      cache.key(['session', 'a']),
      cache.key('session'),
      cache.namespace('session').key('a'),
      cache.namespace(['session']).namespace('x').key(['a']),
      prefixed.client.prefix + prefixed.key('a'),
      ...['tag', 'rate', 'lock', 'hot', 'keyv', 'http'].map((space) => cache.key([`~${space}`, 'a'])),
    ]
    for (const key of keys) expect(key).not.toMatch(/^(?:session(?::|$)|~)/)
    expect(cache.key(['session', 'a'])).toBe(cache.key('session:a'))
    expect(cache.key(['sessions', 'a'])).toBe('sessions:a')
    const names = defineCache({ name: 'session', ttlSeconds: 60, cache, load: async (id: string) => id })
    await cache.client.set('session:ann', { user: 'ann' }, 60)
    await names.getOrSet('ann')
    await names.clear()
    expect(await cache.client.get('session:ann')).toEqual({ user: 'ann' })
  })

  it(
    'are different where the texts differ',
    () => {
      const TEXT = fc.string({ unit: fc.constantFrom('a', '~', '%', '2', '5', ':', 'é', ' '), maxLength: 12 })
      fc.assert(
        fc.property(TEXT, TEXT, (one, other) => {
          fc.pre(one !== '' && other !== '')
          expect(writtenKey(one, '') === writtenKey(other, '')).toBe(one === other)
        }),
        { numRuns: RUNS },
      )
    },
    TIMEOUT_MS,
  )
})

/** A value in a form in which two are deeply equal exactly where they hold the same for a key. */
function normalised(value: unknown, isTop = true): unknown {
  if (typeof value === 'number') return isTop && Number.isSafeInteger(value) ? String(value) : value === 0 ? 0 : value
  if (Array.isArray(value)) {
    return {
      array: Array.from({ length: value.length }, (_, index) =>
        index in value ? [normalised(value[index], false)] : 'hole',
      ),
    }
  }
  if (value instanceof Map)
    return { map: new Set([...value].map((pair) => JSON.stringify(textOf(normalised(pair, false))))) }
  if (value instanceof Set)
    return { set: new Set([...value].map((item) => JSON.stringify(textOf(normalised(item, false))))) }
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || value instanceof Date) return value
  return {
    object: new Map(
      Object.keys(value)
        .toSorted()
        .map((key) => [key, normalised((value as Record<string, unknown>)[key], false)]),
    ),
  }
}

/** A normal form that distinguishes the same values as JSON. */
function textOf(value: unknown): unknown {
  if (typeof value === 'bigint') return { bigint: String(value) }
  if (value === undefined) return { undefined: 1 }
  if (typeof value === 'number') return { number: String(value) }
  if (value instanceof Date) return { date: value.getTime() }
  if (ArrayBuffer.isView(value))
    return { [value.constructor.name]: [...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)] }
  if (value instanceof Map) return { pairs: [...value].map(([key, item]) => [key as string, textOf(item)]) }
  if (value instanceof Set)
    return {
      items: [...value]
        .map((item) => textOf(item))
        .map((item) => JSON.stringify(item))
        .toSorted(),
    }
  if (Array.isArray(value)) return value.map((item) => textOf(item))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, textOf(item)]))
  }
  return value
}

/** The same once more, as another object. */
function structuredCloneOf(value: unknown): unknown {
  if (value instanceof Map)
    return new Map([...value].toReversed().map(([key, item]) => [structuredCloneOf(key), structuredCloneOf(item)]))
  if (value instanceof Set) return new Set([...value].toReversed().map((item) => structuredCloneOf(item)))
  if (Array.isArray(value)) {
    const copy: unknown[] = []
    copy.length = value.length
    for (const index of Object.keys(value)) copy[Number(index)] = structuredCloneOf(value[Number(index)])
    return copy
  }
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value) && !(value instanceof Date)) {
    const copy = Object.create(Object.getPrototypeOf(value) as object | null) as Record<string, unknown>
    for (const key of Object.keys(value).toReversed()) {
      Object.defineProperty(copy, key, {
        value: structuredCloneOf((value as Record<string, unknown>)[key]),
        enumerable: true,
        configurable: true,
        writable: true,
      })
    }
    return copy
  }
  return value
}
