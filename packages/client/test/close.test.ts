import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { MemcachedServer } from 'memcache-ts-server'
import { FaultProxy, freePort } from 'memcache-ts-testing'
import { describe, expect, it, vi } from 'vitest'
import { MemcachedClient } from '../src/index.ts'
import type { MemcachedClientOptions } from '../src/index.ts'

/** Every call there is. */
const CALLS: Record<string, (client: MemcachedClient) => Promise<unknown>> = {
  get: (client) => client.get('k'),
  'get of bytes': (client) => client.get(Buffer.from('k')),
  gets: (client) => client.gets('k'),
  gat: (client) => client.gat('k', 60),
  getMulti: (client) => client.getMulti(['k', 'l']),
  set: (client) => client.set('k', 1),
  add: (client) => client.add('k', 1),
  append: (client) => client.append('k', '1'),
  cas: (client) => client.cas('k', 1, 1n),
  touch: (client) => client.touch('k', 60),
  delete: (client) => client.delete('k'),
  incr: (client) => client.incr('k', 1, { initial: 1 }),
  flushAll: (client) => client.flushAll(),
  version: (client) => client.version(),
  stats: (client) => client.stats(),
  verbosity: (client) => client.verbosity(1),
  metadump: (client) => client.metadump(() => {}),
  'meta.get': (client) => client.meta.get('k'),
  'meta.set': (client) => client.meta.set('k', 1),
  'meta.delete': (client) => client.meta.delete('k'),
  'meta.arithmetic': (client) => client.meta.arithmetic('k'),
  'meta.debug': (client) => client.meta.debug('k'),
  'meta.noop': (client) => client.meta.noop(),
}

/** A server that accepts and says nothing. */
async function silentServer() {
  const sockets = new Set<{ destroy(): void }>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** States that a client can be closed in; each resolves to a client in it. */
const STATES: Record<string, (proxy: FaultProxy, silent: string) => Promise<MemcachedClient>> = {
  'that has asked nothing': async (proxy) => open({ servers: proxy.address }),
  'that rests': async (proxy) => {
    const client = open({ servers: proxy.address })
    await client.set('k', 1)
    return client
  },
  'that waits for answers': async (proxy) => {
    const client = open({ servers: proxy.address })
    await client.set('k', 1)
    proxy.fault = { kind: 'silent' }
    client.get('k').catch(() => {})
    client.set('k', 1).catch(() => {})
    return client
  },
  'that is connecting': async (_proxy, silent) => {
    const client = open({ servers: silent })
    client.get('k').catch(() => {})
    return client
  },
  'whose server is down': async () => {
    const client = open({ servers: `127.0.0.1:${await freePort()}` })
    await client.get('k').catch(() => {})
    return client
  },
  'that waits for discovery': async (_proxy, silent) => {
    const client = open({ servers: silent, discovery: true })
    client.get('k').catch(() => {})
    return client
  },
  'whose discovery fails': async () => {
    const client = open({ servers: `127.0.0.1:${await freePort()}`, discovery: true })
    await client.get('k').catch(() => {})
    return client
  },
  'that waits without a limit': async (proxy) => {
    const client = open({ servers: proxy.address, timeoutMs: Infinity, connectTimeoutMs: Infinity })
    await client.set('k', 1)
    proxy.fault = { kind: 'silent' }
    client.get('k').catch(() => {})
    client.gets('k').catch(() => {})
    return client
  },
}

function open(options: MemcachedClientOptions): MemcachedClient {
  return new MemcachedClient({ timeoutMs: 200, connectTimeoutMs: 200, ...options })
}

it('ping() of a closed client resolves to CLOSED for each server', async () => {
  const client = open({ servers: 'a:1,b:2' })
  await client.close()
  const answers = [...(await client.ping())]
  expect(answers.map(([server]) => server)).toEqual(['a:1', 'b:2'])
  for (const [, error] of answers) expect(error).toMatchObject({ code: 'ERR_MEMCACHE_CLOSED' })
})

describe.each(Object.entries(STATES))('a client %s', (_, inState) => {
  it('settles every close(), in any overlap, and rejects later calls with CLOSED', async () => {
    await using server = new MemcachedServer({ port: 0 })
    await using proxy = await FaultProxy.start(await server.listen())
    await using silent = await silentServer()
    const client = await inState(proxy, silent.address)
    // A dump is on a connection of its own, and has a minute.
    const { metadump: _dump, ...shared } = CALLS
    const pending = Promise.allSettled(Object.values(shared).map((call) => call(client)))
    const closing = [client.close(), client.close(), client[Symbol.asyncDispose]()]
    await new Promise((resolve) => setImmediate(resolve))
    closing.push(client.close())
    const meanwhile = Promise.allSettled(Object.values(CALLS).map((call) => call(client)))
    await Promise.all(closing)
    await client.close()
    await pending
    const afterwards = await Promise.allSettled(Object.values(CALLS).map((call) => call(client)))
    const names = Object.keys(CALLS)
    const wrong = [...(await meanwhile), ...afterwards].flatMap((outcome, index) =>
      outcome.status === 'rejected' && outcome.reason.code === 'ERR_MEMCACHE_CLOSED'
        ? []
        : [[names[index % names.length], outcome]],
    )
    expect(wrong).toEqual([])
    await expect.poll(() => proxy.openConnections).toBe(0)
  })
})

it('a client whose calls have all ended waits for no handshake', async () => {
  await using silent = await silentServer()
  const client = open({ servers: silent.address, timeoutMs: 20, connectTimeoutMs: Infinity })
  await expect(client.get('k')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_TIMEOUT' })
  // No time passes while it closes.
  vi.useFakeTimers({ toFake: ['setTimeout', 'performance'] })
  try {
    await client.close()
  } finally {
    vi.useRealTimers()
  }
})

it('a client that waits for discovery rejects its queued calls as soon as it is closed', async () => {
  await using silent = await silentServer()
  const client = open({ servers: silent.address, discovery: true, timeoutMs: 60_000, connectTimeoutMs: 500 })
  const waiting = Object.values(CALLS).map((call) => call(client))
  const closed = client.close()
  for (const outcome of await Promise.allSettled(waiting)) {
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ERR_MEMCACHE_CLOSED' } })
  }
  await closed
})
