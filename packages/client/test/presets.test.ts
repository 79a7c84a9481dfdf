import { gzipSync, deflateSync } from 'node:zlib'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { MemcacheDecodeError, MemcachedClient, MemcacheOptionError } from '../src/index.ts'
import type { MemcachedClientOptions } from '../src/index.ts'
import { createCodec } from '../src/values/create-codec.ts'
import { decompressFastlz } from '../src/compat/presets/php-memcached.ts'

type Preset = Exclude<NonNullable<MemcachedClientOptions['values']>, object>

function roundTrip(preset: Preset, value: unknown, overBytes?: number): unknown {
  const codec = createCodec(preset, overBytes === undefined ? undefined : { overBytes })
  const { bytes, clientFlags } = codec.encode(value)
  return codec.decode(typeof bytes === 'string' ? Buffer.from(bytes) : bytes, clientFlags)
}

const text = 'Zürich ☂ '.repeat(500)

describe.each<[Preset, readonly unknown[]]>([
  ['pymemcache', ['', text, 5, -3, 2n ** 70n, Buffer.from([0, 255])]],
  ['pylibmc', ['', text, 5, -3, 2n ** 70n, true, false, Buffer.from([0, 255])]],
  ['dalli', ['', text, 5, 1.5, true, null, { a: [1, 'two'] }, Buffer.from([0, 255])]],
  ['php-memcached', ['', text, 5, -3, 1.5, Infinity, NaN, true, false, { a: [1, 'two'] }]],
  [
    'spymemcached',
    ['', text, 0, 5, -3, 2 ** 40, -(2 ** 40), 1.5, -0, 2n ** 60n, true, false, new Date(1e12), Buffer.from('b')],
  ],
  ['xmemcached', [text, 5, true]],
  ['memcached', ['', text, 'a\r\nb\\\n', 5, 1.5, { a: 'x\ny' }, null, Buffer.from([0, 13, 10, 92, 200, 255])]],
])('values as %s has them', (preset, values) => {
  it.each(values.map((value) => ({ name: inspect(value).slice(0, 40), value })))('$name comes back', ({ value }) => {
    expect(roundTrip(preset, value)).toStrictEqual(value)
    if (preset !== 'memcached') expect(roundTrip(preset, value, 100)).toStrictEqual(value)
  })
})

describe('values as other clients have them', () => {
  it.each<[Preset, Buffer, number, string]>([
    ['pymemcache', Buffer.from('80055d2e', 'hex'), 1, "Python's pickle"],
    ['pylibmc', Buffer.from('80055d2e', 'hex'), 1, "Python's pickle"],
    ['dalli', Buffer.from('0408690a', 'hex'), 1, "Ruby's Marshal"],
    ['php-memcached', Buffer.from('N;'), 4, "PHP's serialize"],
    ['php-memcached', Buffer.from([0]), 5, 'igbinary'],
    ['php-memcached', Buffer.from([0]), 7, 'msgpack'],
    ['php-memcached', Buffer.from([1]), 48, 'cut off'],
    ['php-memcached', Buffer.from('ffffffff00', 'hex'), 80, 'has more than 8388608 bytes after decompression'],
    ['spymemcached', Buffer.from('aced', 'hex'), 1, "Java's serialization"],
    ['pymemcache', Buffer.from('x'), 32, 'client flags 32, which pymemcache does not write'],
    ['pymemcache', Buffer.from('no zlib'), 8, 'a compressed value cannot be read'],
    ['pymemcache', Buffer.from('5x'), 2, 'a stored number is "5x"'],
    ['dalli', Buffer.from('{'), 1, 'is not JSON, although its client flags say so'],
  ])('%s: refuses %j with flags %d: %s', (preset, bytes, clientFlags, message) => {
    const codec = createCodec(preset, undefined)
    expect(() => codec.decode(bytes, clientFlags)).toThrow(MemcacheDecodeError)
    expect(() => codec.decode(bytes, clientFlags)).toThrow(message)
  })

  it('refuses to write values that the other client could not read', () => {
    expect(() => roundTrip('pymemcache', { a: 1 })).toThrow('an object cannot be written so that pymemcache reads it')
    expect(() => roundTrip('pylibmc', 1.5)).toThrow(MemcacheOptionError)
    expect(() => roundTrip('memjs', 5)).toThrow('give it a string or a Buffer')
    expect(() => roundTrip('spymemcached', { a: 1 })).toThrow('JSON.stringify')
  })

  it('reads both of Java’s compressions, and no bomb', () => {
    const codec = createCodec('xmemcached', undefined)
    expect(codec.decode(gzipSync('text'), 2)).toBe('text')
    expect(codec.decode(deflateSync('text'), 2)).toBe('text')
    const bomb = gzipSync(Buffer.alloc(9 * 1024 * 1024), { level: 1 })
    expect(() => codec.decode(bomb, 2)).toThrow(MemcacheDecodeError)
  })

  it('refuses options that a format does not have', () => {
    expect(() => new MemcachedClient({ values: 'redis' as never })).toThrow("values must be a codec or one of 'typed'")
    expect(() => new MemcachedClient({ values: 'memjs', compression: true })).toThrow('memjs does not compress')
    expect(() => new MemcachedClient({ values: 'dalli', compression: 'brotli' })).toThrow('its own compression')
    expect(() => new MemcachedClient({ values: {} as never })).toThrow('encode and decode')
  })
})

describe('FastLZ', () => {
  it.each([
    ['01', 5],
    ['1f41', 100],
    ['0041e0', 50],
    ['004120ff', 3],
    ['e041', 10],
    ['', 4],
  ])('refuses %s, which is none', (hex, length) => {
    expect(() => decompressFastlz(Buffer.from(hex, 'hex'), length)).toThrow(MemcacheDecodeError)
  })
})
