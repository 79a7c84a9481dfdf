import dns from 'node:dns'
import { once } from 'node:events'
import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import { MemcachedServer } from 'memcache-ts-server'
import { describeWithMemcached, freePort, launchMemcached, until } from 'memcache-ts-testing'
import type { Fault } from 'memcache-ts-testing'
import { describe, expect, it, vi } from 'vitest'
import {
  MemcacheClosedError,
  MemcacheConnectionError,
  MemcachedClient,
  MemcacheError,
  MemcacheProtocolError,
  MemcacheQueueError,
  MemcacheServerError,
  MemcacheTimeoutError,
} from '../src/index.ts'
import { behindProxy, TIMEOUT_MS } from './behind-proxy.ts'

/** Waits until an ejected server is used again. */
async function recovered(client: MemcachedClient): Promise<void> {
  await until(() =>
    client.get('probe').then(
      () => true,
      (error: unknown) => {
        expect(error).toBeInstanceOf(MemcacheError)
        return false
      },
    ),
  )
}

describe('a server that cannot be reached', () => {
  it('rejects at once, again and again', async () => {
    await using client = new MemcachedClient(`127.0.0.1:${await freePort()}`)
    for (const call of [client.get('a'), client.set('a', 1), client.delete('a')]) {
      await expect(call).rejects.toThrow(MemcacheConnectionError)
    }
    for (const call of [client.get(['a', 1]), client.gets(['a', 1])]) {
      await expect(call).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION', retryable: true, key: 'a:1' })
    }
    await expect(client.getMulti(['a', 'b'])).rejects.toThrow(MemcacheConnectionError)
  })

  it('reports the key, the server, and whether a write may have been carried out', async () => {
    await using test = await behindProxy()
    await test.client.get('r')
    test.proxy.fault = { kind: 'silent' }
    const [read, write] = await Promise.allSettled([test.client.get('r'), test.client.set('w', 1)])
    expect(read).toMatchObject({ reason: { key: 'r', server: test.proxy.address, ambiguous: false } })
    expect(write).toMatchObject({ reason: { key: 'w', ambiguous: true } })
  })
})

describe('a server that accepts connections and sends nothing', () => {
  it('settles every call: those that ended before the connection was closed, and later ones', async () => {
    await using test = await behindProxy({ poolSize: 1, connectTimeoutMs: TIMEOUT_MS, timeoutMs: 60_000 })
    test.proxy.fault = { kind: 'silent' }
    await expect(test.client.get('k', { timeoutMs: 10 })).rejects.toThrow(MemcacheTimeoutError)
    await expect(test.client.get('k')).rejects.toThrow(`took over ${TIMEOUT_MS} ms to connect`)
  })
})

describe.each<[string, Fault, readonly (new (...args: never[]) => Error)[]]>([
  ['never answers', { kind: 'silent' }, [MemcacheTimeoutError, MemcacheConnectionError]],
  ['closes every connection', { kind: 'closeOnConnect' }, [MemcacheConnectionError]],
  ['resets every connection', { kind: 'reset' }, [MemcacheConnectionError]],
  ['closes in the middle of a value', { kind: 'cutAfter', bytes: 500 }, [MemcacheConnectionError]],
  [
    'stalls in the middle of a value',
    { kind: 'stallAfter', bytes: 500 },
    [MemcacheTimeoutError, MemcacheConnectionError],
  ],
  ['answers nonsense', { kind: 'respond', bytes: 'HELLO WORLD\r\n' }, [MemcacheProtocolError, MemcacheConnectionError]],
  [
    'answers without end',
    { kind: 'respond', bytes: 'x'.repeat(100_000) },
    [MemcacheProtocolError, MemcacheConnectionError],
  ],
  [
    'sends a value that is longer than stated',
    { kind: 'respond', bytes: 'VA 2 f1\r\nabcdef\r\n' },
    [MemcacheProtocolError, MemcacheConnectionError],
  ],
  [
    'sends an error in the middle of an answer',
    { kind: 'errorAfter', bytes: 400 },
    [MemcacheProtocolError, MemcacheConnectionError, MemcacheServerError],
  ],
  [
    'sends an error between two values',
    { kind: 'errorAfter', bytes: 0 },
    [MemcacheProtocolError, MemcacheConnectionError, MemcacheServerError],
  ],
  ['echoes the opaque of another', { kind: 'wrongOpaque' }, [MemcacheProtocolError, MemcacheConnectionError]],
  ['loses answers', { kind: 'loseResponses' }, [MemcacheTimeoutError, MemcacheProtocolError, MemcacheConnectionError]],
  [
    'responses to no request',
    { kind: 'respond', bytes: 'EN\r\nEN\r\nEN\r\n' },
    [MemcacheProtocolError, MemcacheConnectionError],
  ],
])('a server that %s', (_, fault, errors) => {
  it('lets every operation settle, returns no broken value, and is used again when it is well', async () => {
    // Where no response may time out, a busy machine must not be what does it.
    await using test = await behindProxy({ timeoutMs: errors.includes(MemcacheTimeoutError) ? 1000 : 20_000 })
    const { client, proxy } = test
    const values = new Map(Array.from({ length: 20 }, (__, index) => [`k${index}`, `${index} `.repeat(300)]))
    await Promise.all([...values].map(([key, value]) => client.set(key, value)))
    // Both on connections that are open, and on new ones.
    for (const isOpen of fault.kind === 'closeOnConnect' ? [false] : [true, false]) {
      proxy.fault = fault
      if (!isOpen) proxy.cutAll()
      const asked = [...values.keys()].flatMap((key) => [
        { key, answer: client.get(key) },
        { key, answer: client.gets<string>(key).then((item) => item?.value) },
        { key, answer: client.getMulti([key]).then((hits) => hits.get(key)) },
        { key, answer: client.gat(key, 60) },
      ])
      const outcomes = await Promise.allSettled(asked.map(({ answer }) => answer))
      for (const [index, outcome] of outcomes.entries()) {
        if (outcome.status === 'fulfilled') expect([values.get(asked[index]!.key), undefined]).toContain(outcome.value)
        else expect(errors.some((kind) => outcome.reason instanceof kind)).toBe(true)
      }
      expect(outcomes.some((outcome) => outcome.status === 'rejected')).toBe(true)
      proxy.fault = { kind: 'none' }
      proxy.cutAll()
      await recovered(client)
      expect(await client.get('k7')).toBe(values.get('k7'))
    }
    await client.close()
    await expect.poll(() => proxy.openConnections).toBe(0)
  })
})

describe('a proxy that sends a response twice', () => {
  it('settles every call', async () => {
    await using test = await behindProxy({ timeoutMs: 5000, poolSize: 1 })
    await test.client.get('k')
    test.proxy.fault = { kind: 'respond', bytes: 'VALUE a 1 1\r\nx\r\nVALUE a 1 1\r\ny\r\nEND\r\n' }
    expect(await Promise.all(['a', 'b', 'c'].map((key) => test.client.get(key)))).toEqual(['x', undefined, undefined])
    expect([...(await test.client.getMulti(['a', 'b']))]).toEqual([['a', 'y']])
  })
})

describe('a value with client flags of over 32 bits, as memcached can be built for', () => {
  it('is one that cannot be decoded, and costs no other its connection', async () => {
    await using test = await behindProxy({ timeoutMs: 5000, poolSize: 1 })
    await test.client.get('k')
    const { connections } = test.proxy
    const flags = 2 ** 32 + 1
    test.proxy.fault = { kind: 'respond', bytes: `VALUE a ${flags} 1\r\nx\r\nVALUE b 1 1\r\ny\r\nEND\r\n` }
    const [a, b] = await Promise.allSettled([test.client.get('a'), test.client.get('b')])
    expect(a).toMatchObject({ reason: { code: 'ERR_MEMCACHE_DECODE' } })
    expect(b).toMatchObject({ value: 'y' })
    const found = await test.client.getMulti(['a', 'b'])
    expect([...found]).toEqual([['b', 'y']])
    expect(found.keyErrors.get('a')).toMatchObject({ code: 'ERR_MEMCACHE_DECODE' })
    expect(test.proxy.connections).toBe(connections)
  })
})

describe('a server that is slow', () => {
  it('is understood byte by byte', async () => {
    await using test = await behindProxy({ timeoutMs: 10_000 })
    test.proxy.fault = { kind: 'byteByByte' }
    const value = { text: 'END\r\nVALUE x 0 1\r\n', number: 1 }
    await test.client.set('k', value)
    expect(await test.client.get('k')).toEqual(value)
    expect((await test.client.getMulti(['k', 'missing', 'k2'])).get('k')).toEqual(value)
    expect(await test.client.incr('n', 1, { initial: 5 })).toBe(5)
  })

  it('reports its server error, and keeps the connection', async () => {
    await using test = await behindProxy()
    await test.client.get('k')
    test.proxy.fault = { kind: 'respond', bytes: 'SERVER_ERROR out of memory storing object\r\n' }
    await expect(test.client.get('k')).rejects.toThrow('SERVER_ERROR out of memory storing object')
    const { connections } = test.proxy
    await expect(test.client.get('k')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_SERVER' })
    expect(test.proxy.connections).toBe(connections)
  })

  it("rejects an unknown command with the server's error", async () => {
    await using test = await behindProxy()
    await test.client.get('k')
    test.proxy.fault = { kind: 'respond', bytes: 'ERROR\r\n' }
    await expect(test.client.get('k')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_UNSUPPORTED' })
  })
})

describeWithMemcached('a real server that is stopped and continued', () => {
  it('never gives a late response to the next request', async () => {
    await using server = await launchMemcached()
    await using client = new MemcachedClient({ servers: server.address, timeoutMs: TIMEOUT_MS, poolSize: 1 })
    await client.set('a', 'value of a')
    await client.set('b', 'value of b')
    await server.pause()
    await expect(client.get('a')).rejects.toThrow(MemcacheTimeoutError)
    server.resume()
    await recovered(client)
    const values = await Promise.all(['b', 'a', 'b', 'a'].map((key) => client.get(key)))
    expect(values).toEqual(['value of b', 'value of a', 'value of b', 'value of a'])
  })

  it('rejects pending requests when it is killed, and is used again when it returns', async () => {
    await using server = await launchMemcached()
    await using client = new MemcachedClient({ servers: server.address, timeoutMs: 2000 })
    await client.set('k', 'v')
    await server.kill()
    await expect(client.get('k')).rejects.toThrow(MemcacheConnectionError)
    await server.restart()
    await recovered(client)
    expect(await client.get('k')).toBeUndefined()
  })
})

describe('values that come in pieces on several connections at once', () => {
  it('are each their own key’s', async () => {
    await using test = await behindProxy({ poolSize: 4, timeoutMs: 10_000 })
    const values = new Map(Array.from({ length: 40 }, (_, index) => [`key:${index}`, `${index},`.repeat(50 + index)]))
    await Promise.all(
      [...values].map(([key, value], index) =>
        index % 2 ? test.client.set(key, value) : test.client.set(key, [value]),
      ),
    )
    test.proxy.fault = { kind: 'byteByByte' }
    const read = await Promise.all([...values.keys()].map((key) => test.client.gets(key)))
    const expected = [...values.values()].map((value, index) => (index % 2 ? value : [value]))
    expect(read.map((item) => item!.value)).toEqual(expected)
  })
})

describe('a caller that computes after its call', () => {
  it('does not lose the time that was meant for the server', async () => {
    await using test = await behindProxy({ timeoutMs: 100 })
    await test.client.set('k', 'v')
    const asked = [test.client.get('k'), test.client.gets('k')]
    const until = performance.now() + 300
    while (performance.now() < until);
    asked.push(test.client.get('k'))
    expect((await Promise.all(asked)).map((answer) => (answer as { value?: string }).value ?? answer)).toEqual([
      'v',
      'v',
      'v',
    ])
  })
})

describe('a process that is busy with itself', () => {
  it('does not take its own delay for the server’s, even before the handshake', async () => {
    await using test = await behindProxy({ timeoutMs: 100, connectTimeoutMs: 5000 })
    for (const isOpen of [false, true]) {
      const asked = [test.client.get('k'), test.client.set('k', 'v')]
      await new Promise((resolve) => setImmediate(resolve))
      const until = performance.now() + 300
      while (performance.now() < until);
      expect(await Promise.all(asked)).toEqual([isOpen ? 'v' : undefined, undefined])
    }
  })
})

describe('a process that is busy while it connects', () => {
  it('does not give the connection up for its own delay', async () => {
    await using server = new MemcachedServer({ port: 0 })
    // In memory, so that the handshake waits for nothing but the turns of this process's loop.
    const connect = (): Duplex => {
      const [ours, theirs] = duplexPair()
      const [near, far] = duplexPair()
      server.handle(far)
      theirs.on('data', (request: Buffer) => near.write(request))
      near.on('data', (response: Buffer) => setImmediate(() => theirs.write(response)))
      theirs.on('end', () => near.end())
      return ours
    }
    await using client = new MemcachedClient({
      servers: [{ name: 'here', connect }],
      connectTimeoutMs: 100,
      timeoutMs: 60_000,
    })
    const call = client.get('k')
    const until = performance.now() + 400
    while (performance.now() < until);
    expect(await call).toBeUndefined()
  })

  it('does not mistake its own delay for the server’s, in any step of connecting', async () => {
    await using server = new MemcachedServer({ port: 0 })
    const { port } = await server.listen()
    const clients: MemcachedClient[] = []
    const asked: Promise<unknown>[] = []
    for (let step = 0; step < 12; step++) {
      const client = new MemcachedClient({ servers: `127.0.0.1:${port}`, connectTimeoutMs: 1000, timeoutMs: 20_000 })
      clients.push(client)
      asked.push(client.get('k'))
      await new Promise((resolve) => setImmediate(resolve))
    }
    const until = performance.now() + 2000
    while (performance.now() < until);
    expect(await Promise.all(asked)).toEqual(asked.map(() => undefined))
    await Promise.all(clients.map((client) => client.close()))
  })
})

describe('connections', () => {
  it('are few: 500 gets at once on a cold client take two', async () => {
    await using test = await behindProxy({ timeoutMs: 5000 })
    await Promise.all(Array.from({ length: 500 }, (_, index) => test.client.get(`k${index}`)))
    expect(test.proxy.connections).toBe(2)
  })

  it('are refused more work than their queue holds', async () => {
    await using test = await behindProxy({ maxQueue: 10, poolSize: 1, timeoutMs: 5000 })
    const outcomes = await Promise.allSettled(Array.from({ length: 15 }, () => test.client.get('k')))
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(10)
    for (const outcome of outcomes.slice(10)) {
      expect((outcome as PromiseRejectedResult).reason).toBeInstanceOf(MemcacheQueueError)
    }
    expect(await test.client.get('k')).toBeUndefined()
  })

  it.each(['meta', 'text', 'binary'] as const)(
    'take the whole of a batch, whatever their queue (%s)',
    async (protocol) => {
      await using test = await behindProxy({ maxQueue: 10, poolSize: 1, timeoutMs: 20_000, chunkBytes: 100, protocol })
      const keys = Array.from({ length: 100 }, (_, index) => `k${index}`)
      const stored = await test.client.setMulti(keys.map((key, index) => [key, 'v'.repeat(index % 20 === 0 ? 300 : 3)]))
      expect(stored.size).toBe(100)
      expect((await test.client.getMulti(keys)).size).toBe(100)
      const deleted = await test.client.deleteMulti(keys)
      expect([...deleted.values()]).toEqual(keys.map(() => true))
    },
  )

  it('are closed after a time of rest, and made again', async () => {
    await using test = await behindProxy({ idleTimeoutMs: 20, poolSize: 1 })
    const gone = once(test.client, 'disconnect')
    await test.client.set('k', 'v')
    expect(await gone).toEqual([test.proxy.address, undefined])
    expect(await test.client.get('k')).toBe('v')
    expect(test.proxy.connections).toBe(2)
  })

  it('resolve names again when they are opened again', async () => {
    await using test = await behindProxy({ poolSize: 1 })
    const port = Number(test.proxy.address.split(':')[1])
    const lookup = vi.spyOn(dns, 'lookup').mockImplementation(((_: string, options: unknown, done: unknown) => {
      const answer = done as (error: null, addresses: { address: string; family: number }[]) => void
      process.nextTick(() => answer(null, [{ address: '127.0.0.1', family: 4 }]))
    }) as never)
    await using client = new MemcachedClient({ servers: `cache.invalid:${port}`, poolSize: 1, timeoutMs: 20_000 })
    await client.get('k')
    const before = lookup.mock.calls.length
    const gone = once(client, 'disconnect')
    test.proxy.cutAll()
    await gone
    await client.get('k')
    expect(before).toBe(1)
    expect(lookup.mock.calls.length).toBe(2)
    lookup.mockRestore()
  })

  it('are closed when all requests have their responses', async () => {
    await using test = await behindProxy({ timeoutMs: 5000 })
    await test.client.set('k', 'v')
    const asked = Array.from({ length: 50 }, () => test.client.get('k'))
    await test.client.close()
    expect(await Promise.all(asked)).toEqual(Array.from({ length: 50 }, () => 'v'))
    await expect(test.client.get('k')).rejects.toThrow(MemcacheClosedError)
    await test.client.close()
  })

  it('emit events when they connect, disconnect and reconnect', async () => {
    await using test = await behindProxy({ poolSize: 1 })
    const events: string[] = []
    for (const name of ['connect', 'disconnect', 'eject', 'rejoin'] as const) {
      test.client.on(name, () => events.push(name))
    }
    await test.client.get('k')
    const rejoined = once(test.client, 'rejoin')
    test.proxy.fault = { kind: 'closeOnConnect' }
    test.proxy.cutAll()
    await once(test.client, 'disconnect')
    await expect(test.client.get('k')).rejects.toThrow(MemcacheConnectionError)
    test.proxy.fault = { kind: 'none' }
    await rejoined
    expect(events).toEqual(['connect', 'disconnect', 'disconnect', 'eject', 'connect', 'rejoin'])
  })
})
