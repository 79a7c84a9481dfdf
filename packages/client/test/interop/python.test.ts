import { describeWithCommand, launchMemcached } from 'memcache-ts-testing'
import { expect, it } from 'vitest'
import { MemcacheDecodeError, MemcachedClient } from '../../src/index.ts'
import type { MemcachedClientOptions } from '../../src/index.ts'
import { runForeign } from './foreign-program.ts'

const PYTHON = '/usr/bin/python3'
const LONG = 'Zürich ☂ '.repeat(10_000)

/** Writes its values, and prints those that Node wrote. */
const program = (open: string) => `
import sys, json
port = int(sys.argv[1])
long = 'Zürich ☂ ' * 10000
${open}
c.set('py-text', 'Zürich ☂'); c.set('py-long', long); c.set('py-int', -42); c.set('py-big', 2**70)
c.set('py-bytes', b'\\x00\\xff'); c.set('py-object', {'a': 1})
print(json.dumps([c.get('js-text'), c.get('js-long') == long, c.get('js-int'), str(c.get('js-big')), c.get('js-bytes').hex()]))
`

const PYMEMCACHE = `
from pymemcache.client.base import Client
from pymemcache import serde
c = Client(('127.0.0.1', port), serde=serde.pickle_serde)`
const PYLIBMC = `
import pylibmc
c = pylibmc.Client(['127.0.0.1:%d' % port], binary=False)`

interface Case {
  readonly name: string
  readonly open: string
  readonly options: MemcachedClientOptions
}

const cases: readonly Case[] = [
  { name: 'pymemcache', open: PYMEMCACHE, options: { values: 'pymemcache' } },
  { name: 'pylibmc', open: PYLIBMC, options: { values: 'pylibmc' } },
  { name: 'pylibmc, compressed', open: PYLIBMC, options: { values: 'pylibmc', compression: true } },
]

describeWithCommand(
  { command: [PYTHON, '-c', 'import pymemcache, pylibmc'], debianPackage: 'python3-pymemcache python3-pylibmc' },
  'Python’s clients',
  () => {
    it.each(cases)('$name and ours read each other', async ({ open, options }) => {
      await using server = await launchMemcached()
      await using client = new MemcachedClient({ servers: server.address, timeoutMs: 5000, ...options })
      await client.set('js-text', 'Zürich ☂')
      await client.set('js-long', LONG)
      await client.set('js-int', -42)
      await client.set('js-big', 2n ** 70n)
      await client.set('js-bytes', Buffer.from([0, 255]))
      expect(await runForeign([PYTHON, '-c'], program(open), server.port)).toEqual([
        'Zürich ☂',
        true,
        -42,
        String(2n ** 70n),
        '00ff',
      ])
      expect(await client.get('py-text')).toBe('Zürich ☂')
      expect(await client.get('py-long')).toBe(LONG)
      expect(await client.get('py-int')).toBe(-42)
      expect(await client.get('py-big')).toBe(2n ** 70n)
      expect(await client.get('py-bytes')).toEqual(Buffer.from([0, 255]))
      await expect(client.get('py-object')).rejects.toThrow(MemcacheDecodeError)
    })

    it("reads pylibmc's compressed values and booleans", async () => {
      await using server = await launchMemcached()
      await using client = new MemcachedClient({ servers: server.address, timeoutMs: 5000, values: 'pylibmc' })
      const writes = `
import sys
port = int(sys.argv[1])${PYLIBMC}
c.set('z', 'Zürich ☂ ' * 10000, min_compress_len=1000); c.set('zb', b'x' * 5000, min_compress_len=1000)
c.set('yes', True); c.set('no', False)
print('null')`
      await runForeign([PYTHON, '-c'], writes, server.port)
      expect((await client.gets('z'))?.clientFlags).toBe(24)
      expect(await client.get('z')).toBe(LONG)
      expect(await client.get('zb')).toEqual(Buffer.alloc(5000, 'x'))
      expect(await client.get('yes')).toBe(true)
      expect(await client.get('no')).toBe(false)
    })

    it('the common json_serializer reads strings and JSON as they are stored without a preset', async () => {
      await using server = await launchMemcached()
      await using client = new MemcachedClient({ servers: server.address, timeoutMs: 5000 })
      await client.set('js-text', 'Zürich ☂')
      await client.set('js-object', { a: [1, 'two', null], b: true })
      const program = `
import sys, json
from pymemcache.client.base import Client
def ser(key, value): return (value, 1) if isinstance(value, str) else (json.dumps(value), 2)
def de(key, value, flags): return value.decode('utf-8') if flags == 1 else json.loads(value.decode('utf-8'))
c = Client(('127.0.0.1', int(sys.argv[1])), serializer=ser, deserializer=de)
c.set('py-text', 'from Python'); c.set('py-object', {'x': [1.5, None]})
print(json.dumps([c.get('js-text'), c.get('js-object')]))`
      expect(await runForeign([PYTHON, '-c'], program, server.port)).toEqual([
        'Zürich ☂',
        { a: [1, 'two', null], b: true },
      ])
      expect(await client.get('py-text')).toBe('from Python')
      expect(await client.get('py-object')).toEqual({ x: [1.5, null] })
    })
  },
)
