import { inspect, isDeepStrictEqual } from 'node:util'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MemcacheDecodeError, MemcacheOptionError } from '../src/index.ts'
import { createCodec } from '../src/values/create-codec.ts'
import type { PresetName } from '../src/compat/presets/preset-codec.ts'
import type { CompressionOptions } from '../src/values/compression.ts'

type Values = 'typed' | PresetName

const PRESETS: readonly PresetName[] = [
  'pymemcache',
  'pylibmc',
  'dalli',
  'php-memcached',
  'spymemcached',
  'xmemcached',
  'memcached',
]
const REFUSED = Symbol('refused')

/** Returns a value after a round trip, or `REFUSED`. Any error other than a refusal that names the value fails the test. */
function roundTrip(values: Values, value: unknown, compression?: CompressionOptions): unknown {
  const codec = createCodec(values, compression)
  let encoded
  try {
    encoded = codec.encode(value)
  } catch (error) {
    expect(error).toBeInstanceOf(MemcacheOptionError)
    return REFUSED
  }
  const { bytes, clientFlags } = encoded
  return codec.decode(typeof bytes === 'string' ? Buffer.from(bytes) : Buffer.from(bytes), clientFlags)
}

const allOf = (value: unknown): string => inspect(value, { depth: null, maxArrayLength: null, maxStringLength: null })

/** Whether two values hold the same; `isDeepStrictEqual` takes two invalid dates for different ones. */
function isSame(one: unknown, two: unknown): boolean {
  // Not by their serialized bytes: NaN has several.
  return isDeepStrictEqual(one, two) || (typeof one === typeof two && allOf(one) === allOf(two))
}

const typedArrays = [Int8Array, Uint8ClampedArray, Uint16Array, Int32Array, Float32Array, Float64Array, BigUint64Array]
const withProperty = Object.assign(new Error('with a property'), { statusCode: 404, undefined })

/** Kinds of values that typed JSON holds, with values near those that it could mistake. */
const exact: fc.Arbitrary<unknown> = fc.oneof(
  fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withNullPrototype: true,
    withUnicodeString: true,
    key: fc.oneof(fc.string(), fc.constantFrom('$', '__proto__', 'constructor', 'toString', 'length')),
  } as fc.ObjectConstraints),
  fc.dictionary(fc.constantFrom('$', 'a', '__proto__'), fc.oneof(fc.constant(['bigint', '1']), fc.anything())),
  fc.array(fc.integer({ min: 0, max: 0xffff })).map((codes) => String.fromCharCode(...codes)),
  fc.date({ noInvalidDate: false }),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  fc.uint8Array().map((bytes) => bytes.slice().buffer),
  fc.webUrl().map((url) => new URL(url)),
)

describe('typed values', () => {
  it('are read as they were stored', () => {
    fc.assert(
      fc.property(exact, (value) => {
        const back = roundTrip('typed', value)
        if (back === REFUSED)
          expect(inspect(value, { depth: null })).toMatch(/\[(String|Number|Boolean)|<\d+ empty item/)
        else expect(isSame(back, value), inspect([value, back], { depth: null })).toBe(true)
      }),
      { numRuns: 3000 },
    )
  })

  it.each<[string, unknown]>([
    ['half of a surrogate pair', 'a\ud800b'],
    ['an object with such text', { '\udc00': ['\ud83d'] }],
    ['an ArrayBuffer', new Uint8Array([1, 2, 3]).buffer],
    ['an empty ArrayBuffer', new ArrayBuffer(0)],
    ['an empty Buffer', Buffer.alloc(0)],
    ['a DataView', new DataView(new Uint8Array([1, 2, 3]).buffer)],
    ...typedArrays.map((type): [string, unknown] => [`a ${type.name}`, { inside: new type(3) }]),
    ['a RegExp', /a(?<b>c)/giu],
    ['a RegExp that was used', Object.assign(/a/g, { lastIndex: 3 })],
    ['an Error', new Error('x')],
    ['an Error without a message', new Error()],
    ['a RangeError with a cause', new RangeError('x', { cause: { a: new Map([[1n, undefined]]) } })],
    ['an AggregateError', new AggregateError([new TypeError('a'), 'b'], 'two')],
    ['an error with properties', withProperty],
    ['an error from another realm', runInNewContext('new TypeError("x")')],
    ['a Map from another realm', runInNewContext('new Map([[1, new Date(5)]])')],
    ['a URL', new URL('https://ü@example.org/a?b#c')],
    ['a URLSearchParams', new URLSearchParams('a=1&a=%00&b=')],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1, $: 2 })],
    ['an invalid Date', new Date(NaN)],
    ['numbers without a word', [NaN, -0, Infinity, -Infinity]],
    ['a key __proto__', JSON.parse('{"__proto__": {"a": 1}}')],
    ['objects that look tagged', [{ $: ['bigint', '1'] }, { $: { $: undefined } }, { $: 1, b: 2 }]],
    ['a value in a value', { a: new Map([[new Set([1n]), { $: new Date(0) }]]) }],
  ])('that are %s come back', (_, value) => {
    const back = roundTrip('typed', value)
    if (value instanceof Error || Object.prototype.toString.call(value) === '[object Error]') {
      const { name, message, stack, cause } = value as Error
      expect(back).toBeInstanceOf(Error)
      expect(back).toMatchObject({ name, message, stack, ...(cause === undefined ? {} : { cause }) })
      expect(Object.entries(back as object)).toEqual(Object.entries(value as object))
      if (value instanceof Error) expect(Object.getPrototypeOf(back)).toBe(Object.getPrototypeOf(value))
    } else if (value instanceof URL || value instanceof URLSearchParams) {
      expect(back).toBeInstanceOf(value.constructor)
      expect(String(back)).toBe(String(value))
    } else {
      expect(inspect(back, { depth: null })).toBe(inspect(value, { depth: null }))
    }
    expect(isSame(roundTrip('typed', [value, { $: value }]), roundTrip('typed', [back, { $: back }]))).toBe(true)
  })

  it('of a subclass are restored as their base, instances of a class as their data, and others as the result of toJSON', () => {
    class Vector extends Float32Array {}
    class User {
      readonly #secret = 1
      name = 'ann'
      born = new Date(0)
      get isAdmin(): boolean {
        return this.#secret === 1
      }
    }
    class NotFound extends TypeError {
      override name = 'NotFound'
      code = 'E_NOT_FOUND'
    }
    expect(roundTrip('typed', new Vector([1, 2]))).toStrictEqual(new Float32Array([1, 2]))
    expect(roundTrip('typed', new (class Index extends Map<number, number> {})([[1, 2]]))).toStrictEqual(
      new Map([[1, 2]]),
    )
    expect(roundTrip('typed', new User())).toStrictEqual({ name: 'ann', born: new Date(0) })
    expect(roundTrip('typed', { toJSON: () => ({ big: 1n }) })).toStrictEqual({ big: 1n })
    const error = roundTrip('typed', new NotFound('gone')) as NotFound
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toBe('NotFound: gone')
    expect(error.code).toBe('E_NOT_FOUND')
  })

  const circular: Record<string, unknown> = { list: [] }
  ;(circular.list as unknown[]).push({ circular })
  const around = new Map()
  around.set('self', new Set([around]))
  let deep: unknown = []
  for (let depth = 0; depth < 20_000; depth++) deep = depth % 2 === 0 ? [deep] : { deep }
  const transferred = new Uint8Array(8)
  structuredClone(transferred.buffer, { transfer: [transferred.buffer] })
  const transferredBuffer = Buffer.from(new ArrayBuffer(8))
  structuredClone(transferredBuffer.buffer, { transfer: [transferredBuffer.buffer as ArrayBuffer] })
  const { proxy: revoked, revoke } = Proxy.revocable({}, {})
  revoke()
  // oxlint-disable-next-line no-sparse-arrays -- it is what is tested
  const holes = [1, , 3]

  it.each<[string, unknown, string]>([
    ['a circular object', circular, 'list.0.circular is a circular reference'],
    ['a circular Map', around, 'value.item is a circular reference'],
    ['what is nested too deep', deep, 'nested more than 1000 deep'],
    ['a function', { a: [() => 1] }, 'a.0 is a function'],
    ['a symbol', Symbol('a'), 'it is a symbol'],
    ['a key that is a symbol', { [Symbol('a')]: 1 }, 'a symbol as a key'],
    ['holes', holes, 'an array with holes'],
    ['a hole and a property', Object.assign(Array(1), { name: 'a' }), 'an array with holes, or with properties'],
    ['an array with a symbol', Object.assign([1], { [Symbol('name')]: 'a' }), 'with properties besides its items'],
    ['a match with groups', 'abc'.match(/b/), 'properties besides its items'],
    ['a Promise', { p: Promise.resolve(1) }, 'p is a Promise'],
    ['a WeakMap', new WeakMap(), 'it is a WeakMap'],
    ['Headers', new Headers({ a: '1' }), 'it is a Headers'],
    ['a Blob', new Blob(['a']), 'it is a Blob'],
    ['FormData', new FormData(), 'it is a FormData'],
    ['a stream', new ReadableStream(), 'it is a ReadableStream'],
    ['a boxed text', new String('a'), 'it is a String'],
    ['a boxed number', Object(5), 'it is a Number'],
    ['a boxed bigint', Object(5n), 'it is a BigInt'],
    [
      'arguments',
      (function () {
        return arguments
      })(),
      'Arguments',
    ], // oxlint-disable-line prefer-rest-params
    ['a generator', (function* () {})(), 'Generator'],
    ['a DOMException', new DOMException('x', 'AbortError'), 'it is a DOMException'],
    ['shared memory', new SharedArrayBuffer(8), 'it is a SharedArrayBuffer'],
    ['a transferred ArrayBuffer', transferred.buffer, 'transferred'],
    ['a transferred typed array', { transferred }, 'transferred'],
    ['a transferred Buffer', transferredBuffer, 'transferred'],
    [
      'a resizable ArrayBuffer',
      new (ArrayBuffer as new (length: number, options: object) => ArrayBuffer)(8, { maxByteLength: 16 }),
      'resizable',
    ],
    ['a Map with a property', Object.assign(new Map(), { a: 1 }), 'properties of its own'],
    ['a fake Map', Object.create(Map.prototype), 'Map'],
    ['a fake Buffer', Object.create(Buffer.prototype), 'cannot be stored'],
    ['a fake Date', Object.create(Date.prototype), 'cannot be stored'],
    [
      'a getter that throws',
      {
        get a() {
          throw new Error('not loaded')
        },
      },
      'not loaded',
    ],
    [
      'a toJSON that throws',
      {
        toJSON() {
          throw new Error('not now')
        },
      },
      'not now',
    ],
    [
      'a thrower of nothing',
      {
        get a() {
          throw Object.create(null)
        },
      },
      'cannot be read',
    ],
    ['a proxy that was revoked', revoked, 'cannot be stored'],
    ['a proxy of a Map', new Proxy(new Map([[1, 2]]), {}), 'Map'],
    ['too large a bigint', 10n ** 10_001n, 'a bigint of more than'],
  ])('refuses %s, and names it', (_, value, message) => {
    const codec = createCodec('typed', undefined)
    expect(() => codec.encode(value)).toThrow(MemcacheOptionError)
    expect(() => codec.encode(value)).toThrow(message)
    expect(() => codec.encode([{ value }])).toThrow(MemcacheOptionError)
  })

  const LEVELS: Record<string, [wrap: (value: unknown) => unknown, unwrap: (value: never) => unknown]> = {
    array: [(value) => [value], ([value]: unknown[]) => value],
    object: [(value) => ({ value }), ({ value }: { value: unknown }) => value],
    'object with the tag': [($) => ({ $ }), ({ $ }: { $: unknown }) => $],
    'object without a prototype': [
      (value) => Object.assign(Object.create(null) as object, { value }),
      ({ value }: { value: unknown }) => value,
    ],
    map: [(value) => new Map([['key', value]]), (map: Map<string, unknown>) => map.get('key')],
    'key of a map': [(value) => new Map([[value, 1]]), (map: Map<unknown, number>) => [...map.keys()][0]],
    set: [(value) => new Set([value]), (set: Set<unknown>) => [...set][0]],
    error: [(value) => Object.assign(new Error('outer', { cause: value }), { stack: '' }), ({ cause }: Error) => cause],
  }
  const LEAVES = [1, 'text', null, undefined, 1n, NaN, new Date(5), Buffer.from('a'), [], {}]

  it.each(Object.entries(LEVELS))('reads all that it stores, however deep: %s', (_, [wrap, unwrap]) => {
    const codec = createCodec('typed', undefined)
    for (const leaf of LEAVES) {
      for (const depth of [998, 999, 1000, 1001]) {
        let value: unknown = leaf
        for (let level = 0; level < depth; level++) value = wrap(value)
        let encoded
        try {
          encoded = codec.encode(value)
        } catch (error) {
          expect(error).toBeInstanceOf(MemcacheOptionError)
          expect(depth).toBeGreaterThanOrEqual(1000)
          continue
        }
        let read = codec.decode(Buffer.from(encoded.bytes as string), encoded.clientFlags)
        for (let level = 0; level < depth; level++) read = unwrap(read as never)
        expect(read).toEqual(leaf)
      }
    }
  })

  it('distinguishes a circular reference from an object that occurs several times', () => {
    const shared = { a: 1n }
    expect(roundTrip('typed', [shared, { shared }, new Set([shared])])).toStrictEqual([
      shared,
      { shared },
      new Set([shared]),
    ])
    const node: Record<string, unknown> = { items: Array.from({ length: 10_000 }, (_, index) => ({ index })) }
    node.self = node
    expect(roundTrip('typed', node)).toBe(REFUSED)
  })

  it('that are plain stay JSON for other languages, at any depth', () => {
    const codec = createCodec('typed', undefined)
    let nested: unknown = 'x'
    for (let depth = 0; depth < 500; depth++) nested = [nested]
    expect(codec.encode(nested).clientFlags).toBe(2)
    expect(codec.encode({ a: [1, 'b', null, { $: 1, c: true }] }).clientFlags).toBe(2)
    expect(codec.encode('\ud800').clientFlags).toBe(2)
    expect(codec.encode({ a: 1n }).clientFlags).toBe(3)
    expect(isSame(roundTrip('typed', nested), nested)).toBe(true)
  })
})

describe.each(PRESETS.map((preset) => [preset]))('%s', (preset) => {
  const value = fc.oneof(
    exact,
    fc.double(),
    fc.bigInt({ min: -(2n ** 66n), max: 2n ** 66n }),
    fc.bigInt({ min: -5n, max: 5n }),
    fc.constantFrom(-0, null, undefined, true, 2 ** 53, 2n ** 63n, -(2n ** 63n), 2n ** 80n, new Date(NaN), 'a\\\r\n\\'),
  )
  it('gives a value back as it went in, or refuses it', () => {
    fc.assert(
      fc.property(value, fc.boolean(), (given, compressed) => {
        const compression = compressed && preset !== 'memcached' ? { overBytes: 8 } : undefined
        const back = roundTrip(preset, given, compression)
        if (back !== REFUSED) expect(isSame(back, given), inspect([given, back], { depth: null })).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('stored JSON', () => {
  const codec = createCodec('typed', undefined)
  it.each<[string, string]>([
    ['an invalid tag', '{"$":5}'],
    ['an unknown kind', '{"$":["nothing","x"]}'],
    ['a bigint of letters', '{"$":["bigint","1e9"]}'],
    ['a bigint of a million digits', `{"$":["bigint","${'9'.repeat(1e6)}"]}`],
    ['a number that JSON has', '{"$":["number","5"]}'],
    ['an invalid date', '{"$":["date","soon"]}'],
    ['a map of no pairs', '{"$":["map",[5]]}'],
    ['a buffer of numbers', '{"$":["buffer",[1,2]]}'],
    ['a typed array of a part of an item', '{"$":["Float64Array","AAAA"]}'],
    ['an invalid regexp', '{"$":["regexp",["(","g",0]]}'],
    ['an invalid url', '{"$":["url","x"]}'],
    ['an invalid error', '{"$":["error",["Function",{},{}]]}'],
    ['an invalid object', '{"$":["object",null]}'],
    ['a kind of Object.prototype', '{"$":["constructor","x"]}'],
    ['what is nested too deep', `${'{"$":["set",['.repeat(1001)}1${']]}'.repeat(1001)}`],
    ['what is nested far too deep', `${'['.repeat(400_000)}${']'.repeat(400_000)}`],
  ])('that is %s is refused', (_, text) => {
    expect(() => codec.decode(Buffer.from(text), 3)).toThrow(MemcacheDecodeError)
  })

  it.each([[2], [3]])('that is nested too deep is refused, with client flags %d', (clientFlags) => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
      ['[{"b":[0],"a":', '}]'],
    ] as const) {
      const text = (depth: number): Buffer => Buffer.from(`${open.repeat(depth)}1${close.repeat(depth)}`)
      expect(() => codec.decode(text(1001), clientFlags)).toThrow('nested more than 1000 deep')
      expect(() => codec.decode(text(400), clientFlags)).not.toThrow()
    }
  })
})
