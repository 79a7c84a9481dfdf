import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describeWithCommand, describeWithMemcached, launchMemcached, readUntil } from 'memcache-ts-testing'
import { MemcachedClient } from 'memcache-ts-client'
import { describe, expect, it } from 'vitest'
import { memcache } from '../src/index.ts'
import type { Memcache } from '../src/index.ts'
import { openCache } from './open-cache.ts'
import type { TestCaches } from './open-cache.ts'

const VALUES: Record<string, unknown> = {
  string: 'text, ü, ☂',
  'empty string': '',
  number: 1.5,
  'negative zero': -0,
  NaN: Number.NaN,
  Infinity: Infinity,
  boolean: false,
  null: null,
  bigint: 2n ** 70n,
  Date: new Date('2026-11-24T00:00:00Z'),
  'invalid Date': new Date(Number.NaN),
  Map: new Map<unknown, unknown>([
    ['k', new Set([1, 'two'])],
    [{ a: 1 }, undefined],
  ]),
  Set: new Set([1n, null]),
  Buffer: Buffer.from([0, 1, 255]),
  'empty Buffer': Buffer.alloc(0),
  Uint8Array: Uint8Array.of(1, 2),
  Float64Array: Float64Array.of(0.5, -1),
  BigInt64Array: BigInt64Array.of(-5n),
  DataView: new DataView(Uint8Array.of(9, 8).buffer),
  array: [1, [2, { three: 3 }]],
  'object with undefined': { a: undefined, b: [undefined] },
  'object like a tag': { $: ['date', 'x'] },
  'object with __proto__': JSON.parse('{"__proto__": {"a": 1}, "b": 2}'),
}

/** Checks that a value is read unchanged, from memcached and from memory, loaded or set, without and with tags. */
async function comesBack(cache: Memcache, name: string, value: unknown): Promise<void> {
  for (const tags of [[], ['t']]) {
    const key = ['value', name, tags.length]
    for (const l1 of [false, true]) {
      expect(await cache.getOrSet(key, () => value, { tags, l1 })).toStrictEqual(value)
      expect(await cache.getOrSet(key, () => 'never', { tags, l1 })).toStrictEqual(value)
      expect(await cache.getOrSet(key, () => 'never', { tags, l1 })).toStrictEqual(value)
    }
    expect(await cache.get(key)).toStrictEqual(value)
    await cache.set(key, value, { tags })
    expect(await cache.get(key)).toStrictEqual(value)
    expect((await cache.getMany([key])).get(key)).toStrictEqual(value)
  }
}

describe('values', () => {
  it.each(Object.entries(VALUES))(
    'come back as they went in, from memory and from memcached: %s',
    async (name, value) => {
      await using test = await openCache({ l1: true })
      await comesBack(test.cache, name, value)
      await using packed = await openCache({ compression: { overBytes: 1 }, l1: true })
      await comesBack(packed.cache, name, value)
    },
  )

  it('of 8 MB are split, and are a miss that can be loaded again if a part is missing', async () => {
    await using test = await openCache()
    const large = { text: 'x'.repeat(8_000_000) }
    let loads = 0
    const load = () => (loads++, large)
    expect((await test.cache.getOrSet('k', load)).text.length).toBe(8_000_000)
    expect((await test.another().getOrSet('k', load)).text === large.text).toBe(true)
    expect((await test.cache.get<typeof large>('k'))?.text === large.text).toBe(true)
    expect(loads).toBe(1)
    await test.cache.client.delete(`chunk:${await chunkIdOf(test)}:3`)
    expect(await test.cache.get('k')).toBeUndefined()
    expect((await test.cache.getOrSet('k', load)).text === large.text).toBe(true)
    expect((await test.another().getOrSet('k', load)).text === large.text).toBe(true)
    expect(loads).toBe(2)
  })

  it('that cannot be stored reject the call', async () => {
    await using test = await openCache()
    await expect(test.cache.set('k', () => 1)).rejects.toThrow('the value cannot be stored')
    await expect(test.cache.set('k', 1, 'soon' as never)).rejects.toThrow('ttlSeconds must be')
    await expect(test.cache.set('k', 1, { ttl: 5 } as never)).rejects.toThrow('`ttl` is `ttlSeconds` here')
  })

  it('of other programs that cannot be decoded are replaced by the loaded value', async () => {
    await using test = await openCache()
    const encode = () => ({ bytes: Buffer.from('theirs'), clientFlags: 99 })
    const decode = (bytes: Buffer) => bytes.toString()
    const { servers } = test.server
    await using theirs = new MemcachedClient({
      servers,
      values: { encode, decode },
      clock: test.clock,
      timeoutMs: 20_000,
    })
    await theirs.set('k', 'any')
    expect(await test.cache.get('k')).toBeUndefined()
    expect(await test.cache.getOrSet('k', () => 'loaded')).toBe('loaded')
    expect(await test.cache.getOrSet('k', () => 'again')).toBe('loaded')
    expect(test.cache.stats().cacheErrors).toBe(2)
  })
})

/** The id that the chunks of `k` carry, from the list that lies under the key. */
async function chunkIdOf(test: TestCaches): Promise<string> {
  const connection = test.server.servers[0]!.connect()
  connection.write('get k\r\n')
  const [, id] = /\["([\w-]+)"/.exec(await readUntil(connection, 'END\r\n'))!
  connection.end()
  return id!
}

const run = promisify(execFile)

/** A Python program with the common `json_serializer` for pymemcache. */
const PYTHON_PROGRAM = `
import json, sys
from pymemcache.client.base import Client

def json_serializer(key, value):
    if isinstance(value, str):
        return value, 1
    return json.dumps(value), 2

def json_deserializer(key, value, flags):
    if flags == 1:
        return value.decode('utf-8')
    if flags == 2:
        return json.loads(value.decode('utf-8'))
    raise Exception("Unknown serialization format")

client = Client(('127.0.0.1', int(sys.argv[1])), serializer=json_serializer, deserializer=json_deserializer)
client.set('from-python', {'list': [1, 2.5, None, 'ü']}, expire=60)
client.set('text-from-python', 'text', expire=60)

def get(key):
    try:
        return client.get(key)
    except Exception as error:
        return str(error)

print(json.dumps([get(key) for key in sys.argv[2:]]))
`

describeWithCommand(
  { command: ['/usr/bin/python3', '-c', 'import pymemcache'], debianPackage: 'python3-pymemcache' },
  'values and a Python program with the common json_serializer',
  () => {
    describeWithMemcached('on one memcached', () => {
      it('read each other’s strings and JSON', async () => {
        await using server = await launchMemcached()
        await using cache = memcache({ servers: server.address, logger: false, timeoutMs: 5000 })
        const data = { list: [1, 2.5, null, 'ü'] }
        // Each way to store a value at the root, with all options that do not need more than the value.
        const options = { ttlSeconds: 60, jitter: 0.5, nullTtlSeconds: 5, hardTimeoutMs: 5000, softTimeoutMs: 5 }
        const ways: Readonly<Record<string, readonly [store: () => Promise<unknown>, value: unknown]>> = {
          set: [() => cache.set('set', 'grüße'), 'grüße'],
          loaded: [() => cache.getOrSet('loaded', () => data, 60), data],
          number: [() => cache.getOrSet('number', () => 42), 42],
          null: [() => cache.getOrSet('null', () => null, options), null],
          options: [() => cache.getOrSet('options', () => data, { ...options, forceFresh: true, l1: false }), data],
          'by:parts': [() => cache.set(['by', 'parts'], [true], '1h'), [true]],
          many: [() => cache.getOrSetMany(['many'], () => ['value'], options), 'value'],
          added: [() => cache.add('added', data, 60), data],
          counted: [() => cache.increment('counted', 5, 60), 5],
          revived: [() => cache.getOrSet('revived', () => data, { ttlSeconds: 60, revive: () => 'revived' }), data],
          ever: [() => cache.set('ever', 'text', Infinity), 'text'],
        }
        for (const [store] of Object.values(ways)) await store()
        // An entry has more than the value, so that the program refuses it.
        const stale = { ttlSeconds: 60, staleSeconds: 60 }
        await cache.getOrSet('stale', () => 'value', stale)
        await cache.getOrSet('early', () => 'value', { earlyRefresh: true })
        await cache.set('tagged', 'value', { tags: ['t'] })
        await cache.set('short', 'value', 0.5)
        // Its lifetime would be over before a program has started.
        expect((await cache.client.meta.get('short', { value: false }))?.clientFlags).toBe(8)
        await cache.namespace('n').set('k', 'value')
        const python = async (keys: readonly string[]): Promise<unknown> => {
          const { stdout } = await run('/usr/bin/python3', ['-c', PYTHON_PROGRAM, String(server.port), ...keys])
          return JSON.parse(stdout)
        }
        expect(await python(Object.keys(ways))).toEqual(Object.values(ways).map(([, value]) => value))
        const entries = ['stale', 'early', 'tagged', 'n:k']
        expect(await python(entries)).toEqual(entries.map(() => 'Unknown serialization format'))
        expect(await cache.get('from-python')).toEqual({ list: [1, 2.5, null, 'ü'] })
        expect(await cache.getOrSet('text-from-python', () => 'never')).toBe('text')
      })
    })
  },
)
