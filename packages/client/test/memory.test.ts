import { duplexPair } from 'node:stream'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { MemcachedServer } from 'memcache-ts-server'
import { FaultProxy } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcachedClient } from '../src/index.ts'
import type { MemcachedClientOptions } from '../src/index.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/**
 * Waits until at most so many of these things are held. A promise's jobs let go a few turns later, and a connection
 * when its socket has closed.
 */
async function letGo(references: readonly WeakRef<object>[], atMost = 0): Promise<void> {
  const held = (): number => {
    collect()
    return references.filter((reference) => reference.deref() !== undefined).length
  }
  await expect.poll(held).toBeLessThanOrEqual(atMost)
}

const VALUE_BYTES = 200_000

/** All ways to read a value. */
const READS: Record<string, (client: MemcachedClient, key: string) => Promise<unknown>> = {
  get: (client, key) => client.get(key),
  'get of one key twice': async (client, key) => (await Promise.all([client.get(key), client.get(key)]))[1],
  gets: async (client, key) => (await client.gets(key))?.value,
  gat: (client, key) => client.gat(key, 60),
  getMulti: async (client, key) => (await client.getMulti([key, 'other'])).get(key),
  'meta.get': async (client, key) => (await client.meta.get(key))?.value,
}

/** Reads and lets go; in a frame of its own, which is gone afterwards. */
async function readAll(
  client: MemcachedClient,
  keys: readonly string[],
  read: (client: MemcachedClient, key: string) => Promise<unknown>,
): Promise<WeakRef<object>[]> {
  const references: WeakRef<object>[] = []
  for (const key of keys) {
    const value = await read(client, key).catch(() => undefined)
    if (value instanceof Buffer) references.push(new WeakRef(value.buffer))
  }
  return references
}

const CLIENTS: Record<string, MemcachedClientOptions> = {
  'by meta': {},
  'by text': { protocol: 'text' },
}

describe.each(Object.entries(CLIENTS))('values that were read %s', (_, options) => {
  it.each(Object.entries(READS))('by %s are let go when their reader lets them go', async (__, read) => {
    // With meta commands, gat and meta.get need those.
    await using server = new MemcachedServer()
    const connect = () => {
      const [ours, theirs] = duplexPair()
      server.handle(theirs)
      return ours
    }
    const client = new MemcachedClient({ servers: [{ name: 'memory', connect }], timeoutMs: 5000, ...options })
    const keys = Array.from({ length: 8 }, (___, index) => `key:${index}`)
    for (const key of keys) await client.set(key, Buffer.alloc(VALUE_BYTES, 1))
    const references = await readAll(client, keys, read)
    // The text protocol cannot do all of it.
    if (references.length === 0) expect(options.protocol).toBe('text')
    await letGo(references)
    await client.close()
    await letGo(references)
  })
})

/** Everything that can become of a call, and what is held of it then. */
const ENDS: Record<string, (client: MemcachedClient) => Promise<unknown>> = {
  hits: (client) => client.get('k'),
  misses: (client) => client.get('nothing'),
  stores: (client) => client.set('k', Buffer.alloc(100)),
  'refused keys': (client) => client.get('a b').catch((error: unknown) => error as object),
  'calls with a signal': (client) => client.get('k', { signal: SIGNAL }),
  'calls with a time limit': (client) => client.gets('k', { timeoutMs: 1000 }),
  'many keys': (client) => client.getMulti(['k', 'l', 'm']),
  statistics: (client) => client.version(),
}
const SIGNAL = new AbortController().signal

/** Asks, and lets go of promises and results; in a frame of its own, which is gone afterwards. */
async function askMany(ask: () => Promise<unknown>): Promise<WeakRef<object>[]> {
  const asked = Array.from({ length: 50 }, ask)
  const references = asked.map((promise) => new WeakRef<object>(promise))
  for (const outcome of await Promise.allSettled(asked)) {
    const result: unknown = outcome.status === 'fulfilled' ? outcome.value : outcome.reason
    if (typeof result === 'object' && result !== null) references.push(new WeakRef(result))
  }
  return references
}

describe.each(Object.entries(ENDS))('after 2,000 %s', (_, call) => {
  it('neither promises nor results are held', async () => {
    await using server = new MemcachedServer({ port: 0 })
    await using proxy = await FaultProxy.start(await server.listen())
    await using client = new MemcachedClient({ servers: proxy.address, timeoutMs: 5000 })
    await client.set('k', Buffer.alloc(100))
    const references: WeakRef<object>[] = []
    for (let round = 0; round < 40; round++) references.push(...(await askMany(() => call(client))))
    expect(references.length).toBeGreaterThanOrEqual(2000)
    // The last of each kind may be in a register.
    await letGo(references, 4)
  })
})

it('calls that have ended hold nothing after their connection was closed', async () => {
  await using server = new MemcachedServer({ port: 0 })
  await using proxy = await FaultProxy.start(await server.listen())
  await using client = new MemcachedClient({ servers: proxy.address, timeoutMs: 50 })
  await client.set('k', 1, 60, { timeoutMs: 5000 })
  proxy.fault = { kind: 'silent' }
  const references: WeakRef<object>[] = []
  for (let round = 0; round < 10; round++) references.push(...(await askMany(() => client.gets('k'))))
  await letGo(references, 4)
})
