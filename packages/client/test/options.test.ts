import { MemcachedServer } from 'memcache-ts-server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Memcached } from '../src/compat/memcached.ts'
import type { MemcachedOptions } from '../src/compat/memcached.ts'
import { Client as MemjsClient } from '../src/compat/memjs.ts'
import type { MemjsOptions } from '../src/compat/memjs.ts'
import { MemcachedClient, MemcacheOptionError } from '../src/index.ts'
import type { MemcachedClientOptions, MemcacheError } from '../src/index.ts'

/** Values of every type that some option might be given by mistake. */
const { proxy: revoked, revoke } = Proxy.revocable({}, {})
revoke()
const unreadable = {
  valueOf() {
    throw new Error('mine')
  },
  toString() {
    throw new Error('mine')
  },
}
const VALUES: readonly unknown[] = [
  '1000',
  'true',
  'false',
  '',
  'nonsense',
  0,
  -1,
  1.5,
  NaN,
  1000,
  Infinity,
  2 ** 31,
  10n,
  true,
  false,
  null,
  [],
  {},
  [5],
  Symbol('s'),
  () => 1,
  new Date(0),
  new Number(5),
  Object.create(null),
  revoked,
  unreadable,
]

const TIMES = ['timeoutMs', 'connectTimeoutMs', 'idleTimeoutMs', 'discoveryIntervalMs'] as const
const OPTIONS = [
  ...TIMES,
  'servers',
  'poolSize',
  'maxQueue',
  'profile',
  'hash',
  'hashWithPrefix',
  'hashSocketsAs',
  'failover',
  'tls',
  'protocol',
  'discovery',
  'prefix',
  'longKeys',
  'maxDecompressedBytes',
  'chunkBytes',
  'clock',
  'values',
  'compression',
  'itemMaxBytes',
  'unreadable',
  'username',
  'password',
] as const satisfies readonly (keyof MemcachedClientOptions)[]

function outcome(options: unknown): unknown {
  try {
    return new MemcachedClient(options as MemcachedClientOptions)
  } catch (error) {
    return error
  }
}

const server = new MemcachedServer({ port: 0 })
let address: string
beforeAll(async () => {
  address = `127.0.0.1:${(await server.listen()).port}`
})
afterAll(() => server.close())

/** Stores a value that compression and chunks would change, and reads it. */
async function storesAndReads(client: MemcachedClient): Promise<unknown> {
  const text = 'x'.repeat(3000)
  try {
    await client.set('k', text, 60)
    return (await client.get('k')) === text
  } catch (error) {
    return error
  } finally {
    await client.close()
  }
}

/** Errors of a client whose options are valid, but are not of use: times that are too short, sizes that are too small. */
const TOO_SMALL = ['ERR_MEMCACHE_TIMEOUT', 'ERR_MEMCACHE_QUEUE', 'ERR_MEMCACHE_TOO_LARGE', 'ERR_MEMCACHE_CONNECTION']

it.each(OPTIONS)('the option %s works, or is refused by an option error that names it', async (name) => {
  for (const value of VALUES) {
    const own = name === 'servers' ? {} : { servers: address }
    const got = outcome({ timeoutMs: 60_000, ...own, [name]: value })
    if (!(got instanceof MemcachedClient)) {
      expect(got).toBeInstanceOf(MemcacheOptionError)
      expect((got as Error).message).toMatch(new RegExp(`${name}|server|username|password|cannot be read`))
      continue
    }
    // Without a server of the test, or with one for another purpose, it cannot store.
    if (['servers', 'tls', 'discovery', 'protocol'].includes(name)) {
      await got.close()
      continue
    }
    const result = await storesAndReads(got)
    if (result !== true) expect(TOO_SMALL).toContain((result as MemcacheError).code)
  }
})

describe.each([
  ['gzip', {}],
  ['brotli', {}],
  ['dalli', { values: 'dalli' }],
  ['spymemcached', { values: 'spymemcached' }],
] as const)('the options of compression by %s', (algorithm, rest) => {
  it.each(['algorithm', 'overBytes', 'level', 'unknown'])('have a %s that works, or are refused', async (name) => {
    for (const value of [...VALUES, 9, 10, 11, 12, 22, 23]) {
      const own = algorithm === 'gzip' || algorithm === 'brotli' ? { algorithm } : {}
      const compression = { ...own, [name]: value }
      const got = outcome({ timeoutMs: 60_000, servers: address, ...rest, compression })
      if (got instanceof MemcachedClient) expect(await storesAndReads(got)).toBe(true)
      else expect(got).toBeInstanceOf(MemcacheOptionError)
    }
  })
})

const NPM_OPTIONS = [
  'poolSize',
  'timeout',
  'idle',
  'namespace',
  'maxKeySize',
  'keyCompression',
  'maxValue',
  'maxQueueSize',
  'remove',
  'algorithm',
  'compatibility',
] as const satisfies readonly (keyof MemcachedOptions)[]

it.each(NPM_OPTIONS)('compat/memcached works with %s, or refuses it by its own name', async (name) => {
  for (const value of VALUES) {
    let memcached: Memcached
    try {
      memcached = new Memcached(address, { timeout: 60_000, [name]: value })
    } catch (error) {
      expect(error).toBeInstanceOf(MemcacheOptionError)
      if (value !== revoked) expect((error as Error).message).toMatch(new RegExp(`\\b${name}\\b`))
      continue
    }
    expect([true, ...TOO_SMALL, 'ERR_MEMCACHE_KEY']).toContain(
      await memcached.set('k', 'v', 60).catch((error: MemcacheError) => error.code),
    )
    memcached.end()
  }
})

const MEMJS_OPTIONS = [
  'timeout',
  'conntimeout',
  'expires',
  'failover',
  'serializer',
  'logger',
  'username',
  'password',
] as const satisfies readonly (keyof MemjsOptions)[]

it.each(MEMJS_OPTIONS)('compat/memjs works with %s, or refuses it by its own name', async (name) => {
  for (const value of VALUES) {
    let memjs: MemjsClient
    try {
      memjs = MemjsClient.create(address, { timeout: 60, [name]: value } as MemjsOptions)
    } catch (error) {
      expect(error).toBeInstanceOf(MemcacheOptionError)
      if (value !== revoked) expect((error as Error).message).toMatch(new RegExp(`\\b${name}\\b`))
      continue
    }
    expect([true, ...TOO_SMALL]).toContain(await memjs.set('k', 'v').catch((error: MemcacheError) => error.code))
    memjs.close()
  }
})

it.each([...TIMES, 'poolSize', 'maxQueue', 'chunkBytes', 'maxDecompressedBytes'])(
  'tells the type of text given for %s, and what to do',
  (name) => {
    expect(() => new MemcachedClient({ [name]: '1000' })).toThrow(/got text: convert it with Number/)
  },
)

it.each(['discovery', 'hashWithPrefix'])("does not take the text 'false' for true in %s", (name) => {
  expect(() => new MemcachedClient({ [name]: 'false' })).toThrow(`${name} must be true or false, got text`)
})

it.each(TIMES)('takes a time of any length for %s', async (name) => {
  for (const value of [Infinity, 2 ** 31, 30 * 86_400_000, Number.MAX_VALUE]) {
    const client = outcome({ [name]: value })
    expect(client, String(value)).toBeInstanceOf(MemcachedClient)
    await (client as MemcachedClient).close()
  }
})

it.each([null, 5, true, () => {}, Symbol('s')])('refuses %s in place of the options', (options) => {
  expect(outcome(options)).toBeInstanceOf(MemcacheOptionError)
})

it('never shows a password of the wrong type', () => {
  const got = outcome({ username: 'ann', password: 12_345_678 }) as Error
  expect(got.message).toBe('password must be text, got a number')
})
