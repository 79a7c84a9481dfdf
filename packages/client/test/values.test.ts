import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import * as zlib from 'node:zlib'
import { MemcachedServer } from 'memcache-ts-server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemcacheDecodeError, MemcachedClient, MemcacheKeyError, MemcacheOptionError } from '../src/index.ts'
import type { CompressionAlgorithm, MemcachedClientOptions } from '../src/index.ts'

const server = new MemcachedServer({ port: 0 })
let servers: string
beforeAll(async () => {
  servers = `127.0.0.1:${(await server.listen()).port}`
})
afterAll(() => server.close())

function open(options: MemcachedClientOptions = {}): MemcachedClient {
  return new MemcachedClient({ servers, timeoutMs: 5000, ...options })
}

/** Returns the server's response to a request, up to its END. */
async function ask(request: string): Promise<string> {
  const socket = connect(Number(servers.split(':')[1]), '127.0.0.1')
  socket.write(request)
  let answer = ''
  for await (const chunk of socket) {
    answer += String(chunk)
    if (answer.endsWith('END\r\n')) break
  }
  return answer
}

const hasZstd = 'zstdCompressSync' in zlib
const text = 'Zürich ☂ '.repeat(2000)

describe('compression', () => {
  it.each<[CompressionAlgorithm]>([['gzip'], ['brotli'], ...(hasZstd ? [['zstd'] as [CompressionAlgorithm]] : [])])(
    '%s: every kind of value comes back, read by whom it was not turned on for',
    async (algorithm) => {
      await using writer = open({ compression: { algorithm, overBytes: 100 } })
      await using reader = open()
      const values = [text, { text }, new Map([[text, 1n]]), Buffer.from(text), 'short', randomBytes(500)]
      for (const value of values) {
        await writer.set('k', value, 60)
        expect(await reader.get('k')).toStrictEqual(value)
        expect((await reader.getMulti(['k'])).get('k')).toStrictEqual(value)
      }
      await writer.set('k', text)
      expect((await reader.meta.get('k'))!.size).toBeLessThan(1000)
      await writer.set('k', 'short')
      expect((await reader.gets('k'))!.clientFlags).toBe(1)
    },
  )

  it('reports invalid input', async () => {
    expect(() => open({ compression: 'lz4' as never })).toThrow("compression must be 'gzip', 'brotli' or 'zstd'")
    if (!hasZstd) expect(() => open({ compression: 'zstd' })).toThrow('has no zstd')
    await using raw = open({ values: { encode: () => ({ bytes: 'no gzip', clientFlags: 0x11 }), decode: () => 0 } })
    await raw.set('k', 0)
    await using client = open()
    await expect(client.get('k')).rejects.toThrow(MemcacheDecodeError)
    await expect(client.get('k')).rejects.toThrow('k: a compressed value cannot be read')
  })
})

describe('values over the item limit', () => {
  const large = randomBytes(5_000_000)

  it('are stored in chunks, and read completely by every command', async () => {
    await using client = open({ chunkBytes: 900_000, compression: true })
    await client.set('large', large, 60)
    await client.set('large-text', 'ü'.repeat(700_000))
    expect(large.equals((await client.get<Buffer>('large'))!)).toBe(true)
    expect(large.equals((await client.gat<Buffer>('large', 60))!)).toBe(true)
    expect(large.equals((await client.getMulti<Buffer>(['large', 'none'])).get('large')!)).toBe(true)
    const item = await client.gets<Buffer>('large')
    expect(large.equals(item!.value)).toBe(true)
    expect(await client.cas('large', 'small now', item!.casUnique)).toBe('stored')
    expect(await client.get('large')).toBe('small now')
    expect(await client.add('large', large)).toBe(false)
    expect(await client.get('large-text')).toBe('ü'.repeat(700_000))
  })

  it('live as long as their list when it is touched', async () => {
    await using client = open({ chunkBytes: 500_000, prefix: 'touched' })
    const value = 'x'.repeat(1_200_000)
    await client.set('k', value, 10)
    await client.set('small', 'v', 10)
    expect(await client.touch('k', 1000)).toBe(true)
    expect(await client.touch('small', 1000)).toBe(true)
    expect(await client.touch('missing', 1000)).toBe(false)
    const [, manifest = ''] = (await ask('get touched:k\r\n')).split('\r\n')
    const [id, count] = JSON.parse(manifest) as [string, number]
    for (let index = 0; index < count; index++) {
      const chunk = await client.meta.get(`chunk:${id}:${index}`, { value: false })
      expect(chunk?.ttlSeconds).toBeGreaterThan(900)
    }
    expect((await client.meta.get('small'))?.ttlSeconds).toBeGreaterThan(900)
  })

  it('are read by a client that has chunks turned off', async () => {
    await using writer = open({ chunkBytes: 500_000 })
    await using reader = open()
    await writer.set('large', large)
    expect(large.equals((await reader.get<Buffer>('large'))!)).toBe(true)
  })

  it('are a miss when a chunk has gone, never a torn value', async () => {
    const keys: string[] = []
    await using client = open({ chunkBytes: 500_000, prefix: 'torn' })
    await client.set('large', large)
    await using raw = open()
    const [, manifest = ''] = (await ask('get torn:large\r\n')).split('\r\n')
    const [id, count] = JSON.parse(manifest) as [string, number]
    for (let index = 0; index < count; index++) keys.push(`torn:chunk:${id}:${index}`)
    expect((await raw.getMulti(keys)).size).toBe(10)
    await raw.delete(keys[3]!)
    expect(await client.get('large')).toBeUndefined()
    expect(await client.gets('large')).toBeUndefined()
    expect((await client.getMulti(['large'])).size).toBe(0)
    // One that is there but shorter is no part of the value either.
    await raw.set(keys[3]!, 'x')
    expect(await client.get('large')).toBeUndefined()
    await client.set('large', large)
    expect(large.equals((await client.get<Buffer>('large'))!)).toBe(true)
  })

  it('of two writers never mix', async () => {
    await using client = open({ chunkBytes: 50_000 })
    const values = Array.from({ length: 8 }, (_, index) => Buffer.alloc(400_000, index))
    const reads: Promise<Buffer | undefined>[] = []
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        values.map(async (value) => {
          await client.set('contended', value)
          reads.push(client.get<Buffer>('contended'))
        }),
      )
    }
    for (const read of await Promise.all(reads)) {
      if (read !== undefined) expect(values.some((value) => value.equals(read))).toBe(true)
    }
  })

  it('that claim to be chunks and are not are refused', async () => {
    await using client = open()
    await ask(`set k 1296236549 0 5\r\n["x"]\r\nget k\r\n`)
    await expect(client.get('k')).rejects.toThrow(MemcacheDecodeError)
  })
})

describe('long keys', () => {
  it('are hashed on request, and differ when the keys do', async () => {
    await using client = open({ longKeys: 'hash', prefix: 'p' })
    const [one, two] = [`${'k'.repeat(300)}1`, `${'k'.repeat(300)}2`]
    await client.set(one, 1)
    await client.set(two, 2)
    expect([await client.get(one), await client.get(two)]).toEqual([1, 2])
    expect((await client.getMulti([one, two])).get(two)).toBe(2)
    await expect(client.get(`${'k'.repeat(10)} ${'k'.repeat(300)}`)).rejects.toThrow(MemcacheKeyError)
    await expect(client.get('a key')).rejects.toThrow(MemcacheKeyError)
    await using refusing = open()
    await expect(refusing.get(one)).rejects.toThrow('must not be over 250 bytes')
  })
})

it('a codec of one’s own is used both ways', async () => {
  const codec = {
    encode: (value: unknown) => ({ bytes: Buffer.from(`<${String(value)}>`), clientFlags: 77 }),
    decode: (bytes: Buffer, clientFlags: number) => [bytes.toString(), clientFlags],
  }
  await using client = open({ values: codec })
  await client.set('k', 'v')
  expect(await client.get('k')).toEqual(['<v>', 77])
  expect(() => open({ values: codec, compression: true })).toThrow(MemcacheOptionError)
})
