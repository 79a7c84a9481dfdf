import { duplexPair } from 'node:stream'
import { MemcachedServer } from 'memcache-ts-server'
import { describeWithMemcached, launchMemcached } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcachedClient, MemcacheOptionError } from '../src/index.ts'
import { describeClient } from './client-contract.ts'

describe('on our server over TCP', () => {
  describeClient(async () => {
    const server = new MemcachedServer({ port: 0 })
    const { port } = await server.listen()
    return { servers: `127.0.0.1:${port}`, stop: () => server.close() }
  })
})

describe('on our server over a stream', () => {
  describeClient(async () => {
    const server = new MemcachedServer()
    const connect = () => {
      const [ours, theirs] = duplexPair()
      server.handle(theirs)
      return ours
    }
    return { servers: [{ name: 'embedded', connect }], stop: () => server.close() }
  })
})

describeWithMemcached('on the real memcached', () => {
  describeClient(async () => {
    const server = await launchMemcached()
    return { servers: server.address, stop: () => server.kill() }
  })
})

describe('options of a client', () => {
  it.each([
    [{ timeout: 5 }, '`timeout` is `timeoutMs` here'],
    [{ pollSize: 5 }, '`pollSize` is `poolSize` here'],
    [{ timeoutMs: 0 }, 'timeoutMs must be a number over 0'],
    [{ poolSize: 1.5 }, 'poolSize must be a whole number over 0'],
    [{ hash: 'crc' }, "hash must be 'ketama', 'ketama-spy', 'rendezvous', 'jump' or 'modula'"],
    [{ servers: [] }, 'the list of servers is empty'],
    [{ servers: 'a,a' }, 'the server a:11211 is listed twice'],
    [{ servers: 'redis://a' }, 'are not memcached'],
  ])('%j is refused: %s', (options, message) => {
    expect(() => new MemcachedClient(options as never)).toThrow(MemcacheOptionError)
    expect(() => new MemcachedClient(options as never)).toThrow(message)
  })

  it('puts the prefix before every key', async () => {
    await using server = new MemcachedServer({ port: 0 })
    const { port } = await server.listen()
    await using shop = new MemcachedClient({ servers: `127.0.0.1:${port}`, prefix: 'shop' })
    await using plain = new MemcachedClient(`127.0.0.1:${port}`)
    await shop.set(['city', 1], 'v')
    expect(await plain.get('shop:city:1')).toBe('v')
    expect([...(await shop.getMulti([['city', 1]])).values()]).toEqual(['v'])
  })
})
