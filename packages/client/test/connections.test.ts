import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { describeWithMemcached, launchMemcached } from 'memcache-ts-testing'
import type { Fault } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcachedClient, MemcacheTimeoutError } from '../src/index.ts'
import type { MemcacheError } from '../src/index.ts'
import { behindProxy } from './behind-proxy.ts'

const NONE: Fault = { kind: 'none' }
const keys = Array.from({ length: 50 }, (_, index) => `key:${index}`)

async function rejections(calls: readonly Promise<unknown>[]): Promise<unknown[]> {
  const outcomes = await Promise.allSettled(calls)
  return outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
}

describe.each<[string, Fault]>([
  ['refused, since the server has no more', { kind: 'refuse' }],
  ['closed at once', { kind: 'closeOnConnect' }],
  ['reset at once', { kind: 'reset' }],
  ['closed at its first request', { kind: 'closeOnRequest' }],
  ['met by silence', { kind: 'silent' }],
  ['answered nonsense', { kind: 'respond', bytes: 'HELLO\r\nWORLD\r\n' }],
])('a second connection that is %s', (_, fault) => {
  it('costs no call, does not eject the server, and is made when it can be', async () => {
    // The first connection is made in this time, too, on a busy machine.
    const connectTimeoutMs = fault.kind === 'silent' ? 1500 : 15_000
    await using test = await behindProxy({ connectTimeoutMs, timeoutMs: 20_000 })
    const { client, proxy, events } = test
    await client.set('aaaa', 1)
    proxy.faultOf = (connection) => (connection > 1 ? fault : undefined)
    for (let round = 0; round < 3; round++) {
      expect(await rejections(keys.map((key) => client.set(key, round)))).toEqual([])
      expect(await Promise.all(keys.map((key) => client.get(key)))).toEqual(keys.map(() => round))
    }
    expect(events).not.toContain('eject')
    const connected = once(client, 'connect')
    proxy.faultOf = () => undefined
    await connected
    expect(await Promise.all(keys.map((key) => client.get(key)))).toEqual(keys.map(() => 2))
    expect(proxy.openConnections).toBe(2)
    expect(events).not.toContain('eject')
  })
})

describe('one connection of two', () => {
  it('that no longer responds costs only the calls that wait for it', async () => {
    await using test = await behindProxy()
    const { client, proxy, events } = test
    await Promise.all(keys.map((key) => client.set(key, 'v')))
    proxy.faultOf = (connection) => (connection === 1 ? { kind: 'silent' } : undefined)
    const lost = await rejections(keys.map((key) => client.get(key)))
    expect(lost.length).toBeGreaterThan(0)
    expect(lost.length).toBeLessThan(keys.length)
    expect(await rejections(keys.map((key) => client.get(key)))).toEqual([])
    expect(events).not.toContain('eject')
  })

  it('keeps the order of a key across its way to the other connection and back', async () => {
    await using test = await behindProxy({ timeoutMs: 5000 })
    const { client, proxy } = test
    await client.set('aaaa', 1)
    proxy.faultOf = (connection) => (connection > 1 ? { kind: 'refuse' } : undefined)
    let connected = false
    let last = 0
    for (let round = 0; !connected || round < 200; round++) {
      if (round === 50) {
        proxy.faultOf = () => undefined
        client.once('connect', () => (connected = true))
      }
      const asked: Promise<unknown>[] = []
      for (const key of keys.slice(0, 8)) asked.push(client.set(key, round), client.get(key))
      const got = await Promise.all(asked)
      for (let index = 1; index < got.length; index += 2) expect(got[index]).toBe(round)
      last = round
    }
    expect(await client.get(keys[0]!)).toBe(last)
  })

  it('is down with the other one when the server is: the server is ejected once, and rejoins once', async () => {
    await using test = await behindProxy()
    const { client, proxy, events } = test
    await Promise.all(keys.map((key) => client.set(key, 'v')))
    const rejoined = once(client, 'rejoin')
    proxy.fault = { kind: 'silent' }
    await rejections(keys.map((key) => client.get(key)))
    await rejections(keys.map((key) => client.get(key)))
    expect(events.filter((event) => event === 'eject')).toHaveLength(1)
    proxy.fault = NONE
    proxy.cutAll()
    await rejoined
    expect(events.filter((event) => event === 'rejoin')).toHaveLength(1)
  })
})

describe('a dead server', () => {
  it('costs sequential callers one timeout and that of a probe at most, whichever connections their keys take', async () => {
    await using test = await behindProxy()
    await Promise.all(keys.map((key) => test.client.set(key, 'v')))
    test.proxy.fault = { kind: 'silent' }
    const codes: unknown[] = []
    for (const key of keys) await test.client.get(key).catch((error: MemcacheError) => codes.push(error.code))
    expect(codes).toHaveLength(keys.length)
    // The first waits, and one may wait with the probe of the other connection; the rest fails at once.
    expect(codes.filter((code) => code === 'ERR_MEMCACHE_TIMEOUT').length).toBeLessThanOrEqual(2)
    expect(codes.filter((code) => code === 'ERR_MEMCACHE_CONNECTION').length).toBeGreaterThanOrEqual(keys.length - 2)
  })
})

describe('a call with a longer limit than the others', () => {
  it('is not cut short by theirs; later calls go by a new connection', async () => {
    await using test = await behindProxy({ poolSize: 1 })
    const { client, proxy } = test
    await client.set('slow', 'came')
    proxy.faultOf = (connection) => (connection === 1 ? { kind: 'hold' } : undefined)
    const patient = client.get('slow', { timeoutMs: 60_000 })
    await expect(client.get('other')).rejects.toThrow(MemcacheTimeoutError)
    await expect.poll(() => client.get('slow').catch(() => 'not yet')).toBe('came')
    proxy.release()
    expect(await patient).toBe('came')
    await expect.poll(() => proxy.openConnections).toBe(1)
  })

  it('gets its value at any speed, while later calls time out', async () => {
    await using test = await behindProxy({ poolSize: 1, timeoutMs: 100 })
    const { client, proxy } = test
    const value = 'x'.repeat(3000)
    await client.set('big', value, 60, { timeoutMs: 5000 })
    proxy.faultOf = (connection) => (connection === 1 ? { kind: 'hold' } : undefined)
    const patient = client.get('big', { timeoutMs: 60_000 })
    await expect.poll(() => proxy.heldBytes).toBeGreaterThan(3000)
    for (let round = 0; round < 5; round++) {
      proxy.release(500)
      await client.get('other').catch(() => {})
    }
    proxy.release()
    expect(await patient).toBe(value)
  })

  it('ends by its own limit when nothing comes any more', async () => {
    await using test = await behindProxy({ poolSize: 1, timeoutMs: 50 })
    await test.client.set('k', 1, 60, { timeoutMs: 20_000 })
    test.proxy.fault = { kind: 'silent' }
    const patient = test.client.get('k', { timeoutMs: 400 })
    await expect(test.client.get('k')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_TIMEOUT' })
    await expect(patient).rejects.toThrow('did not respond in 400 ms')
  })
})

/** Reads that change nothing, and what they find of `k`. */
const READS: Record<string, [(client: MemcachedClient) => Promise<unknown>, unknown]> = {
  get: [(client) => client.get('k'), 'v'],
  'get of bytes': [(client) => client.get(Buffer.from('k')), 'v'],
  gets: [(client) => client.gets('k').then((item) => item?.value), 'v'],
  getMulti: [(client) => client.getMulti(['k', 'l']).then((hits) => hits.get('k')), 'v'],
  version: [(client) => client.version().then((versions) => versions.size), 1],
  stats: [(client) => client.stats().then((stats) => stats.size), 1],
  'meta.debug': [(client) => client.meta.debug('k').then((item) => item !== undefined), true],
}

/** Operations that may change something, or take a right that is given once. */
const WRITES: Record<string, [(client: MemcachedClient) => Promise<unknown>, ambiguous: boolean]> = {
  set: [(client) => client.set('k', 'w'), true],
  delete: [(client) => client.delete('k'), true],
  incr: [(client) => client.incr('n'), true],
  touch: [(client) => client.touch('k', 60), true],
  gat: [(client) => client.gat('k', 60), true],
  flushAll: [(client) => client.flushAll(), true],
  'meta.get': [(client) => client.meta.get('k'), false],
  'meta.get with a lease': [(client) => client.meta.get('k', { vivifySeconds: 30 }), true],
}

describe.each<Fault>([{ kind: 'reset' }, { kind: 'closeOnRequest' }])(
  'a kept-alive connection that is lost: $kind',
  (fault) => {
    it.each(Object.entries(READS))('has %s asked once more', async (_, [read, found]) => {
      await using test = await behindProxy({ poolSize: 1, timeoutMs: 5000 })
      await test.client.set('k', 'v')
      test.proxy.faultOf = (connection) => (connection === 1 ? fault : undefined)
      expect(await read(test.client)).toBe(found)
      expect(test.proxy.connections).toBe(2)
    })

    it.each(Object.entries(READS))('has %s rejected where it is lost again', async (_, [read]) => {
      await using test = await behindProxy({ poolSize: 1, timeoutMs: 5000 })
      await test.client.set('k', 'v')
      let opened = 0
      // Each connection is lost at the first request after its handshake.
      test.proxy.faultOf = (connection) => (connection === 1 || opened >= connection ? fault : undefined)
      test.client.on('connect', () => (opened = test.proxy.connections))
      await expect(read(test.client)).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
      expect(test.proxy.connections).toBeLessThanOrEqual(2)
    })

    it.each(Object.entries(WRITES))('has %s rejected, and never asked again', async (_, [write, ambiguous]) => {
      await using test = await behindProxy({ poolSize: 1, timeoutMs: 5000 })
      await test.client.set('k', 'v')
      test.proxy.faultOf = (connection) => (connection === 1 ? fault : undefined)
      await expect(write(test.client)).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION', ambiguous })
      expect(test.proxy.connections).toBe(1)
    })
  },
)

it.each(Object.entries(READS))('%s is not asked again once a byte of its answer has come', async (_, [read]) => {
  await using test = await behindProxy({ poolSize: 1, timeoutMs: 5000 })
  await test.client.set('k', 'v')
  test.proxy.fault = { kind: 'cutAfter', bytes: 1 }
  await expect(read(test.client)).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
  expect(test.proxy.connections).toBe(1)
})

it('a repeated read keeps its time limit', async () => {
  await using test = await behindProxy({ poolSize: 1, timeoutMs: 100, connectTimeoutMs: 60_000 })
  await test.client.set('k', 'v')
  test.proxy.faultOf = (connection) => ({ kind: connection === 1 ? 'closeOnRequest' : 'silent' })
  await expect(test.client.get('k')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_TIMEOUT' })
})

describeWithMemcached('a memcached at its -c', () => {
  it('serves by the connections that it has', async () => {
    await using server = await launchMemcached({ args: ['-c', '60'] })
    await using client = new MemcachedClient({ servers: server.address, timeoutMs: 5000 })
    await client.set('aaaa', 1)
    let ejected = 0
    client.on('eject', () => ejected++)
    const others = Array.from({ length: 90 }, () => connectTcp(server.port, server.host).on('error', () => {}))
    await Promise.all(others.map((socket) => once(socket, 'connect')))
    for (let round = 0; round < 3; round++) {
      expect(await rejections(keys.map((key) => client.set(key, round)))).toEqual([])
    }
    expect(ejected).toBe(0)
    for (const socket of others) socket.destroy()
  })
})
