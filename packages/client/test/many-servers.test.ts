import { createServer } from 'node:net'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemcachedServer } from 'memcache-ts-server'
import { launchServer } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcacheConnectionError, MemcachedClient } from '../src/index.ts'

const keys = Array.from({ length: 300 }, (_, index) => `key:${index}`)

describe('many servers', () => {
  it('share the keys, and a multi-get sends one request to each', async () => {
    const servers = [1, 2, 3].map(() => new MemcachedServer({ port: 0 }))
    const ports = await Promise.all(servers.map(async (server) => (await server.listen()).port))
    await using client = new MemcachedClient({ servers: ports.map((port) => `127.0.0.1:${port}`), timeoutMs: 20_000 })
    await Promise.all(keys.map((key) => client.set(key, key)))
    for (const server of servers) expect(server.stats()['curr_items']).toBeGreaterThan(30)
    const found = await client.getMulti(keys)
    expect([...found].every(([key, value]) => key === value)).toBe(true)
    expect(found.size).toBe(300)
    expect((await client.version()).size).toBe(3)
    await client.flushAll()
    expect((await client.getMulti(keys)).size).toBe(0)
    await Promise.all(servers.map((server) => server.close()))
  })

  it('return the results of the others while one is away, and report which; keys go to the next one', async () => {
    await using first = await launchServer()
    await using second = await launchServer()
    await using client = new MemcachedClient({ servers: [first.address, second.address], timeoutMs: 2000 })
    await Promise.all(keys.map((key) => client.set(key, 'before')))
    await second.kill()
    const partial = await client.getMulti(keys)
    expect(partial.size).toBeGreaterThan(30)
    expect(partial.size).toBeLessThan(270)
    expect([...partial.errors.keys()]).toEqual([second.address])
    // The first request may still use the broken connection; after that, the server is known to be away.
    await Promise.allSettled(keys.map((key) => client.get(key)))
    await Promise.all(keys.map((key) => client.set(key, 'after')))
    expect((await client.getMulti(keys)).size).toBe(300)

    const rejoined = once(client, 'rejoin')
    await second.restart()
    await rejoined
    await Promise.all(keys.map((key) => client.set(key, 'back')))
    expect((await client.stats()).get(second.address)!['curr_items']).toBeGreaterThan(30)
  })

  it('are pinged one by one', async () => {
    await using first = await launchServer()
    await using second = await launchServer()
    await using client = new MemcachedClient({ servers: [first.address, second.address], timeoutMs: 2000 })
    expect([...(await client.ping())]).toEqual([
      [first.address, undefined],
      [second.address, undefined],
    ])
    await second.kill()
    const answers = await client.ping()
    expect(answers.get(first.address)).toBeUndefined()
    expect(answers.get(second.address)).toBeInstanceOf(MemcacheConnectionError)
  })

  it('fail for their own keys alone, when there is no failover', async () => {
    await using first = await launchServer()
    await using second = await launchServer()
    const servers = [first.address, second.address]
    await using client = new MemcachedClient({ servers, failover: 'none', timeoutMs: 2000 })
    await Promise.all(keys.map((key) => client.set(key, 'v')))
    await second.kill()
    await Promise.allSettled(keys.map((key) => client.get(key)))
    const outcomes = await Promise.allSettled(keys.map((key) => client.get(key)))
    const failed = outcomes.filter((outcome) => outcome.status === 'rejected')
    expect(failed.length).toBeGreaterThan(30)
    expect(failed.length).toBeLessThan(270)
    for (const outcome of failed) expect(outcome.reason).toBeInstanceOf(MemcacheConnectionError)
  })

  it('keep a group of keys together', async () => {
    const servers = [1, 2, 3].map(() => new MemcachedServer({ port: 0 }))
    const ports = await Promise.all(servers.map(async (server) => (await server.listen()).port))
    await using client = new MemcachedClient({ servers: ports.map((port) => `127.0.0.1:${port}`), timeoutMs: 20_000 })
    await Promise.all(keys.map((key) => client.set(key, 1, 60, { groupKey: 'group' })))
    expect(servers.map((server) => Number(server.stats()['curr_items'])).sort((a, b) => a - b)).toEqual([0, 0, 300])
    expect((await client.getMulti(keys, { groupKey: 'group' })).size).toBe(300)
    await Promise.all(servers.map((server) => server.close()))
  })

  it('hold a value in chunks, on any server of its key', async () => {
    const servers = [1, 2, 3].map(() => new MemcachedServer({ port: 0 }))
    const ports = await Promise.all(servers.map(async (server) => (await server.listen()).port))
    const addresses = ports.map((port) => `127.0.0.1:${port}`)
    await using client = new MemcachedClient({ servers: addresses, chunkBytes: 1000, timeoutMs: 20_000 })
    const large = 'x'.repeat(50_000)
    for (const options of [{ groupKey: 'group' }, { server: addresses[1] }]) {
      await client.set('k', large, 60, options)
      expect(await client.touch('k', 3600, options)).toBe(true)
      expect(await client.get('k', options)).toBe(large)
    }
    await Promise.all(servers.map((server) => server.close()))
  })

  it('can be unix sockets', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-'))
    const path = join(folder, 'mc.sock')
    await using server = new MemcachedServer()
    const listener = createServer((socket) => server.handle(socket)).listen(path)
    await once(listener, 'listening')
    await using client = new MemcachedClient({ servers: path, timeoutMs: 20_000 })
    await client.set('k', 'v')
    expect(await client.get('k')).toBe('v')
    await client.close()
    listener.close()
    rmSync(folder, { recursive: true })
  })
})
