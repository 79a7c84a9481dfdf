import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { MemcachedServer } from 'memcache-ts-server'
import { describe, expect, it } from 'vitest'
import { MemcachedClient, MemcacheDecodeError, MemcacheError, MemcacheOptionError } from '../src/index.ts'
import { createCodec } from '../src/values/create-codec.ts'
import type { PresetName } from '../src/compat/presets/preset-codec.ts'
import type { ValueCodec } from '../src/values/value-codec.ts'

/**
 * Bytes that any program may have stored: under no client flags do they end the process, stall it, or grow without
 * limit.
 */

const ALL = [
  'typed',
  'pymemcache',
  'pylibmc',
  'dalli',
  'php-memcached',
  'spymemcached',
  'memcached',
  'memjs',
] as const satisfies readonly ('typed' | PresetName)[]
const SEED = 20_261_128
const LIMIT = 64 * 1024

function withLength(length: number, bytes: Buffer): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt32LE(length)
  return Buffer.concat([header, bytes])
}

const zeros = Buffer.alloc(64 * 1024 * 1024)
const bombs = {
  gzip: gzipSync(zeros),
  deflate: deflateSync(zeros),
  brotli: brotliCompressSync(zeros),
  /** FastLZ level 2: one zero, and a copy of it as long as the bytes reach. */
  fastlz: Buffer.concat([Buffer.from([0x20, 0, 0xe0]), Buffer.alloc(250_000, 255), Buffer.from([0, 0])]),
}

/** Bytes that become one more than the limit. */
const justTooMany = {
  gzip: gzipSync(zeros.subarray(0, LIMIT + 1)),
  deflate: deflateSync(zeros.subarray(0, LIMIT + 1)),
  brotli: brotliCompressSync(zeros.subarray(0, LIMIT + 1)),
}

/** Client flags that some reader takes for a compression, and those of kinds. */
const flags = fc.oneof(
  fc.integer({ min: 0, max: 255 }),
  fc.integer({ min: 0, max: 9 }).map((kind) => kind * 256),
  fc.integer({ min: 0, max: 9 }).map((kind) => kind * 256 + 2),
  fc.nat({ max: 2 ** 32 - 1 }),
)

/** Texts that readers look at, with something wrong in most of them. */
const text = fc.oneof(
  fc.json(),
  fc.string({ unit: fc.constantFrom('[', ']', '{', '}', '"', '$', ':', ',', '1', '-', 'e', '\\', 'u', 'd', '8', ' ') }),
  fc
    .tuple(
      fc.constantFrom(
        'bigint',
        'map',
        'set',
        'date',
        'error',
        'regexp',
        'url',
        'object',
        'Float64Array',
        'buffer',
        'DataView',
      ),
      fc.jsonValue(),
    )
    .map(([kind, data]) => JSON.stringify({ $: [kind, data] })),
  fc.constantFrom('[', '{"a":', '{"$":["set",[').map((open) => open.repeat(5000)),
  fc.nat(100_000).map((digits) => '7'.repeat(digits)),
  fc.constantFrom('9 ', '', ' ', '-', 'N;', 'a:1:{i:0;R:1;}', '0x1F', '1e400'),
)

const plain = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  text.map((value) => Buffer.from(value)),
)

/** Bytes as compressors make them, whole, and with a byte changed or cut off. */
const stored = fc
  .tuple(
    fc.oneof(
      plain,
      plain.map((bytes) => gzipSync(bytes)),
      plain.map((bytes) => deflateSync(bytes)),
      plain.map((bytes) => brotliCompressSync(bytes)),
      plain.map((bytes) => withLength(bytes.length, deflateSync(bytes))),
      fc.tuple(fc.nat(2 ** 20), plain).map(([length, bytes]) => withLength(length, bytes)),
      fc.constantFrom(...Object.values(bombs)),
      fc.constantFrom(...Object.values(bombs)).map((bomb) => withLength(LIMIT, bomb)),
    ),
    fc.option(fc.tuple(fc.nat(), fc.nat(255))),
    fc.option(fc.nat()),
  )
  .map(([bytes, change, cut]) => {
    if (bytes.length === 0) return bytes
    const changed = Buffer.from(bytes)
    if (change !== null) changed[change[0] % bytes.length] = change[1]
    return cut === null ? changed : changed.subarray(0, cut % bytes.length)
  })

/** The most bytes that a value holds, wherever in it. */
function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length
  return ArrayBuffer.isView(value) ? value.byteLength : 0
}

/** Checks that bytes are decoded to a value that is not too large, or refused. */
function checkDecoded(codec: ValueCodec, bytes: Buffer, clientFlags: number): void {
  let value: unknown
  try {
    value = codec.decode(bytes, clientFlags)
  } catch (error) {
    expect(error).toBeInstanceOf(MemcacheDecodeError)
    return
  }
  expect(sizeOf(value)).toBeLessThanOrEqual(Math.max(LIMIT, bytes.length))
}

describe.each(ALL.map((values) => [values]))('stored bytes read as %s', (values) => {
  const codec = createCodec(values, undefined, LIMIT)

  it('are a value, or a MemcacheDecodeError', () => {
    fc.assert(
      fc.property(stored, flags, (bytes, clientFlags) => {
        checkDecoded(codec, Buffer.from(bytes), clientFlags)
      }),
      { numRuns: 1500, seed: SEED },
    )
  })

  it('that would become too many are refused, for each algorithm', () => {
    for (const bomb of [...Object.values(bombs), ...Object.values(justTooMany)]) {
      for (const bytes of [bomb, withLength(LIMIT, bomb), withLength(2 ** 32 - 1, bomb)]) {
        for (let clientFlags = 0; clientFlags < 256; clientFlags++) {
          checkDecoded(codec, bytes, clientFlags)
        }
      }
    }
  })
})

describe('the most bytes that a compressed value becomes', () => {
  it('are 8 MiB by default', async () => {
    await using server = new MemcachedServer({ port: 0 })
    const servers = `127.0.0.1:${(await server.listen()).port}`
    const anyFlags = { encode: () => ({ bytes: bombs.brotli, clientFlags: 0x21 }), decode: () => undefined }
    await using writer = new MemcachedClient({ servers, values: anyFlags, timeoutMs: 20_000 })
    await writer.set('bomb', undefined)
    await using reader = new MemcachedClient({ servers, timeoutMs: 20_000 })
    await expect(reader.get('bomb')).rejects.toThrow(
      'bomb: a compressed value has more than 8388608 bytes after decompression: raise maxDecompressedBytes',
    )
    await using larger = new MemcachedClient({ servers, maxDecompressedBytes: 128 * 1024 * 1024, timeoutMs: 20_000 })
    expect(await larger.get<string>('bomb')).toHaveLength(zeros.length)
    for (const maxDecompressedBytes of [0, -1, 1.5, NaN, '5' as never]) {
      expect(() => new MemcachedClient({ servers, maxDecompressedBytes, timeoutMs: 20_000 })).toThrow(
        MemcacheOptionError,
      )
    }
  })

  it.each(ALL.filter((values) => values !== 'memcached' && values !== 'memjs').map((values) => [values]))(
    'decide what %s compresses, so that what is written can be read',
    (values) => {
      const codec = createCodec(values, { overBytes: 100 }, 5000)
      for (const length of [4000, 5000, 5001, 20_000]) {
        const { bytes, clientFlags } = codec.encode('x'.repeat(length))
        expect(bytes.length < 1000).toBe(length < (values === 'dalli' ? 4999 : 5001))
        expect(codec.decode(Buffer.from(bytes as Buffer), clientFlags)).toBe('x'.repeat(length))
      }
    },
  )
})

describe('a codec of the user’s', () => {
  const mine = new Error('mine')
  const throwing = {
    encode: (value: unknown) => {
      if (value === 'throw') throw mine
      if (value === 'throw nothing') throw undefined
      return value as never
    },
    decode: (bytes: Buffer) => {
      if (bytes.toString() === 'ours') throw new MemcacheDecodeError('ours')
      throw mine
    },
  }

  it('may throw at any point: that call rejects, and nothing else', async () => {
    await using server = new MemcachedServer({ port: 0 })
    const servers = `127.0.0.1:${(await server.listen()).port}`
    await using client = new MemcachedClient({ servers, values: throwing, poolSize: 1, timeoutMs: 20_000 })
    let lost = 0
    client.on('disconnect', () => lost++)
    const stored = { bytes: 'stored', clientFlags: 5 } as const
    await client.set('k', stored)
    for (const method of ['set', 'add', 'replace'] as const) {
      const error: unknown = await client[method]('k', 'throw').catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(MemcacheError)
      expect(error).toMatchObject({ code: 'ERR_MEMCACHE_OPTION', cause: mine, server: undefined })
      await expect(client[method]('k', 'throw nothing')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_OPTION' })
    }
    for (const read of [
      () => client.get('k'),
      () => client.gets('k'),
      () => client.gat('k', 60),
      () => client.meta.get('k'),
    ]) {
      const error: unknown = await read().catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(MemcacheDecodeError)
      expect(error).toMatchObject({ key: 'k', cause: mine })
    }
    await client.set('k', { bytes: 'ours', clientFlags: 5 })
    await expect(client.get('k')).rejects.toThrow('ours')
    expect(lost).toBe(0)
  })

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['text', 'text'],
    ['a promise', Promise.resolve({ bytes: 'x', clientFlags: 0 })],
    ['bytes that are a number', { bytes: 5, clientFlags: 0 }],
    ['bytes that are no Buffer', { bytes: new Uint8Array(1), clientFlags: 0 }],
    ['no client flags', { bytes: 'x' }],
    ['negative client flags', { bytes: 'x', clientFlags: -1 }],
    ['client flags of 33 bits', { bytes: 'x', clientFlags: 2 ** 32 }],
    ['client flags that are NaN', { bytes: 'x', clientFlags: NaN }],
  ])('that returns %s is refused', (_, encoded) => {
    const codec = createCodec({ encode: () => encoded as never, decode: () => 0 }, undefined)
    expect(() => codec.encode('x')).toThrow(MemcacheOptionError)
  })
})

it('counters that decr made shorter are read by all presets with numbers', async () => {
  await using server = new MemcachedServer({ port: 0 })
  const servers = `127.0.0.1:${(await server.listen()).port}`
  for (const values of ['typed', 'memcached', 'pymemcache', 'pylibmc', 'php-memcached', 'dalli'] as const) {
    await using client = new MemcachedClient({ servers, values, prefix: values, timeoutMs: 20_000 })
    await client.set('n', 1000)
    await client.decr('n', 991)
    expect(await client.get('n')).toBe(9)
  }
})
