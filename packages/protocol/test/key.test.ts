import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  checkKey,
  checkKeyPrefix,
  hasKeyTag,
  isKeyPart,
  joinKey,
  keyProblem,
  MemcacheKeyError,
  MemcacheOptionError,
} from '../src/index.ts'
import type { KeyPart } from '../src/index.ts'

/** Parts near those that could be mistaken for each other. */
const part: fc.Arbitrary<KeyPart> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.string({
    unit: fc.constantFrom('%', '~', ':', '7', 'E', 'e', '3', 'd', '2', '5', 'n', 'd', '1', ' ', 'é', '😀'),
    maxLength: 5,
  }),
  fc.constantFrom(
    'true',
    'false',
    '%3dtrue',
    '%3dnone',
    '%3d1n',
    'NaN',
    '%3dNaN',
    '%7e',
    '-0',
    '0',
    '',
    'undefined',
    'null',
    '1e21',
  ),
  fc.integer({ min: -3, max: 3 }),
  fc.maxSafeInteger(),
  fc.double(),
  fc.bigInt({ min: -3n, max: 3n }),
  fc.boolean(),
)

/** Returns the identity of a key part: safe integers are their text, and the two zeros are one number. */
function identity(value: KeyPart): string {
  if (typeof value === 'string') return `text ${value}`
  if (Number.isSafeInteger(value)) return `text ${String(value)}`
  return `${typeof value} ${String(value)}`
}

function identityOf(parts: readonly KeyPart[]): string {
  return JSON.stringify(parts.map(identity))
}

describe('joinKey', () => {
  it('gives lists of parts that differ different keys, and no other ones', () => {
    const parts = fc.array(part, { maxLength: 3 })
    fc.assert(
      fc.property(parts, parts, (one, two) => {
        expect(joinKey(one) === joinKey(two)).toBe(identityOf(one) === identityOf(two))
      }),
      { numRuns: 20_000 },
    )
  })

  it('gives each of many parts a separate key', () => {
    const values: KeyPart[] = [0, 1n, '1.5', 1.5, true, 'true', NaN, 'NaN', Infinity, -Infinity, 2 ** 53, 2n ** 53n]
    values.push(
      '',
      '~',
      '%7E',
      '%',
      ':',
      '%3A',
      ' ',
      '%20',
      '%3dnone',
      '%3d1n',
      '%3d1.5',
      '%3dtrue',
      '%7e',
      '%3D',
      '=',
      '1n',
      '=1n',
    )
    const keys = new Set([
      joinKey([]),
      ...values.map((value) => joinKey([value])),
      ...values.map((value) => joinKey([value, ''])),
      joinKey(['', '']),
    ])
    // ['', ''] is among the pairs.
    expect(keys.size).toBe(1 + values.length * 2)
  })

  it('keeps readable parts readable', () => {
    expect(joinKey(['city', 42])).toBe('city:42')
    expect(joinKey(['city', '42'])).toBe('city:42')
    expect(joinKey(['a:b', '~c~', 'ü', '50%'])).toBe('a%3Ab:%7Ec~:ü:50%25')
    expect(joinKey([-0])).toBe('0')
    expect(joinKey([1.5, 42n, true, NaN])).toBe('%3d1.5:%3d42n:%3dtrue:%3dNaN')
    expect(joinKey([])).toBe('%3dnone')
    expect(joinKey('a raw:key%')).toBe('a raw:key%')
  })

  it('makes keys that memcached accepts, that do not begin with ~, and have a tag only for parts that are not text', () => {
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 3 }), (parts) => {
        const key = joinKey(parts)
        expect(key === '' ? undefined : keyProblem(key)).toBeUndefined()
        expect(key.startsWith('~')).toBe(false)
        expect(key).not.toContain('%7e')
        decodeURIComponent(key)
        expect(hasKeyTag(key)).toBe(parts.some((item) => typeof item !== 'string' && !Number.isSafeInteger(item)))
      }),
    )
  })

  it.each<[string, unknown]>([
    ['null', null],
    ['undefined', undefined],
    ['an array', ['a']],
    ['an object', {}],
    ['a String', new String('a')],
    ['a Date', new Date(0)],
    ['a function', () => 'a'],
    ['a symbol', Symbol('a')],
    [
      'an object',
      new Proxy(
        {},
        {
          get: () => {
            throw new Error('mine')
          },
        },
      ),
    ],
  ])('refuses a part that is %s, and names it', (kind, value) => {
    expect(() => joinKey(['a', value as KeyPart])).toThrow(MemcacheKeyError)
    expect(() => joinKey(['a', value as KeyPart])).toThrow(`part 1 of a key is ${kind}`)
    expect(isKeyPart(value)).toBe(false)
    expect(joinKey(['a', value], () => '%7bother')).toBe('a:%7bother')
  })

  it.each<[unknown]>([[undefined], [null], [5], [true], [{}], [() => 'a'], [Symbol('a')], [new Map()]])(
    'refuses a key that is %s',
    (key) => {
      expect(() => joinKey(key as string)).toThrow(MemcacheKeyError)
      expect(() => joinKey(key as string)).toThrow('a key must be text or an array of parts, got ')
    },
  )

  it('escapes each unsafe character at any position, and no other character', () => {
    for (let code = 0; code < 128; code++) {
      const character = String.fromCharCode(code)
      const escaped = `%${code.toString(16).toUpperCase().padStart(2, '0')}`
      const isUnsafe = code <= 32 || code === 127 || character === ':' || character === '%'
      expect(joinKey([character])).toBe(isUnsafe || character === '~' ? escaped : character)
      expect(joinKey([`a${character}b`])).toBe(isUnsafe ? `a${escaped}b` : `a${character}b`)
      expect(joinKey([`${character}b`])).toBe(isUnsafe || character === '~' ? `${escaped}b` : `${character}b`)
    }
  })

  it('refuses parts that cannot be read', () => {
    const { proxy, revoke } = Proxy.revocable([], {})
    revoke()
    expect(() => joinKey(proxy)).toThrow(MemcacheKeyError)
    const throwing = Object.defineProperty(['a'], 0, {
      get: () => {
        throw new Error('mine')
      },
    })
    expect(() => joinKey(throwing)).toThrow(
      expect.objectContaining({
        code: 'ERR_MEMCACHE_KEY',
        message: 'the parts of a key cannot be read',
        cause: new Error('mine'),
      }),
    )
  })
})

describe('half of a surrogate pair', () => {
  const halves = ['\ud800', '\udfff', '\ud83d', 'a\udc00b', '\udc00\ud83d', '\ud800 ', '~\ud800']
  it.each(halves.map((half) => ({ half })))('is refused wherever it stands: %j', ({ half }) => {
    expect(() => joinKey(['a', half])).toThrow(expect.objectContaining({ code: 'ERR_MEMCACHE_KEY', key: half }))
    expect(() => joinKey(['a', half])).toThrow('must be well-formed Unicode')
    expect(() => checkKey(half)).toThrow(MemcacheKeyError)
    expect(() => checkKeyPrefix(half)).toThrow(MemcacheKeyError)
    expect(() => checkKeyPrefix(half)).toThrow('prefix: a key must be well-formed Unicode')
  })

  it('is not seen in a whole one', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }), (text) => {
        expect(text.isWellFormed()).toBe(true)
        checkKey(joinKey(['a', text]))
      }),
    )
  })
})

it.each(['k', '~', 'a:%b', 'k'.repeat(250), 'é'.repeat(125), '☂'.repeat(83), '😀'.repeat(62)])(
  'memcached holds the key %j',
  (key) => {
    expect(keyProblem(key)).toBeUndefined()
    checkKey(key)
  },
)

it.each([
  ['', 'a key must not be empty'],
  ['a b', 'must not contain a space; give it as parts'],
  ['a\nb', 'must not contain a control character; give it as parts'],
  ['a\u007f', 'must not contain a control character'],
  [`${'k'.repeat(100)} `, 'must not contain a space'],
  ['k'.repeat(251), 'must not be over 250 bytes, this one has 251'],
  ['é'.repeat(126), 'must not be over 250 bytes, this one has 252'],
  ['☂'.repeat(84), 'must not be over 250 bytes, this one has 252'],
  ['😀'.repeat(63), 'must not be over 250 bytes, this one has 252'],
])('memcached does not hold the key %j', (key, problem) => {
  expect(keyProblem(key)).toContain(problem)
  expect(() => checkKey(key)).toThrow(expect.objectContaining({ code: 'ERR_MEMCACHE_KEY', key }))
})

it('the error of a prefix shows the beginning of the prefix, and the problem', () => {
  const long = ` ${'p'.repeat(40)}`
  expect(() => checkKeyPrefix(long.slice(0, 40))).toThrow(`spaces or control characters, got "${long.slice(0, 40)}"`)
  expect(() => checkKeyPrefix(long)).toThrow(`got "${long.slice(0, 40)}…"`)
  expect(() => checkKeyPrefix('p'.repeat(249))).toThrow(`in 250 bytes, "${'p'.repeat(40)}…" has 249`)
  expect(() => checkKeyPrefix(5 as never)).toThrow('prefix must be text, got a number')
})

it('a prefix is checked when it is given', () => {
  checkKeyPrefix('')
  checkKeyPrefix('app')
  checkKeyPrefix('p'.repeat(248))
  for (const prefix of ['My App', 'a\nb', 'p'.repeat(249), 'é'.repeat(125), { a: 1 }, 5, null]) {
    expect(() => checkKeyPrefix(prefix as string)).toThrow(MemcacheOptionError)
  }
})
