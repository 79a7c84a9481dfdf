import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { duplexPair } from 'node:stream'
import { createServer } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { MemcachedServer } from 'memcache-ts-server'
import { describeWithMemcached, launchMemcached } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcachedClient, MemcacheOptionError } from '../src/index.ts'
import type { MemcachedClientOptions } from '../src/index.ts'
import { describeClient, describeKeysOfBytes, describeMetaCommands } from './client-contract.ts'
import type { OpenedServer } from './client-contract.ts'

const FIXTURES = new URL('fixtures/', import.meta.url)
const cert = readFileSync(new URL('localhost.cert.pem', FIXTURES))
const key = readFileSync(new URL('localhost.key.pem', FIXTURES))

async function ourServer(options: MemcachedClientOptions = {}): Promise<OpenedServer> {
  const server = new MemcachedServer({ port: 0 })
  const { port } = await server.listen()
  return { options: { servers: `127.0.0.1:${port}`, ...options }, stop: () => server.close() }
}

async function embeddedServer(): Promise<OpenedServer> {
  const server = new MemcachedServer()
  const connect = () => {
    const [ours, theirs] = duplexPair()
    server.handle(theirs)
    return ours
  }
  return { options: { servers: [{ name: 'embedded', connect }] }, stop: () => server.close() }
}

/** Our server behind TLS. */
async function tlsServer(): Promise<OpenedServer> {
  const server = new MemcachedServer()
  const listener = createServer({ cert, key }, (socket) => server.handle(socket)).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  const stop = async (): Promise<void> => {
    listener.close()
    await server.close()
  }
  return { options: { servers: `localhost:${port}`, tls: { ca: cert } }, stop }
}

async function realServer(options: MemcachedClientOptions = {}): Promise<OpenedServer> {
  const server = await launchMemcached()
  return { options: { servers: server.address, ...options }, stop: () => server.kill() }
}

describe('on our server over TCP', () => {
  describeClient(ourServer)
  describeMetaCommands(ourServer)
  describeKeysOfBytes(ourServer)

  // Debian's memcached is older than this flag.
  it('creates an item on append, if requested', async () => {
    const { options, stop } = await ourServer()
    await using client = new MemcachedClient({ timeoutMs: 20_000, ...options })
    expect((await client.meta.set('list', 'a', { mode: 'append' })).status).toBe('notStored')
    expect((await client.meta.set('list', 'a', { mode: 'append', vivifyTtl: 60 })).status).toBe('stored')
    expect((await client.meta.set('list', 'b', { mode: 'append', vivifyTtl: 60 })).status).toBe('stored')
    expect(String(await client.get('list'))).toBe('ab')
    await client.close()
    await stop()
  })
})

describe('on our server over a stream', () => {
  describeClient(embeddedServer)
  describeMetaCommands(embeddedServer)
  describeKeysOfBytes(embeddedServer)
})

describe('on our server over TLS', () => {
  describeClient(tlsServer)

  it('refuses a server whose certificate it has no reason to trust', async () => {
    const { options, stop } = await tlsServer()
    await using client = new MemcachedClient({ ...options, tls: true })
    await expect(client.get('k')).rejects.toThrow(/self[- ]signed certificate/)
    await stop()
  })

  it('reads the authorities of a URL from a file', async () => {
    const { options, stop } = await tlsServer()
    const caFile = fileURLToPath(new URL('localhost.cert.pem', FIXTURES))
    await using client = new MemcachedClient({
      servers: `memcaches://${options.servers as string}?tlsCaFile=${caFile}`,
      timeoutMs: 20_000,
    })
    await client.set('k', 'v')
    expect(await client.get('k')).toBe('v')
    expect(() => new MemcachedClient('memcaches://a?tlsCaFile=/nowhere.pem')).toThrow('tlsCaFile: ENOENT')
    await client.close()
    await stop()
  })
})

describe('on our server in the classic protocol', () => {
  describeClient(() => ourServer({ protocol: 'text' }))
})

describeWithMemcached('on the real memcached', () => {
  describeClient(realServer)
  describeMetaCommands(realServer)
  describeKeysOfBytes(realServer)
})

describeWithMemcached('on the real memcached in the classic protocol', () => {
  describeClient(() => realServer({ protocol: 'text' }))
})

describeWithMemcached('on the real memcached in the binary protocol', () => {
  describeClient(() => realServer({ protocol: 'binary' }))
  describeKeysOfBytes(() => realServer({ protocol: 'binary' }))
})

describe('options of a client', () => {
  it.each([
    [{ timeout: 5 }, '`timeout` is `timeoutMs` here'],
    [{ pollSize: 5 }, '`pollSize` is `poolSize` here'],
    [{ timeoutMs: 0 }, 'timeoutMs must be a number greater than 0'],
    [{ poolSize: 1.5 }, 'poolSize must be a whole number greater than 0'],
    [{ hash: 'crc' }, "hash must be 'ketama', 'ketama-spy', 'rendezvous', 'jump' or 'modula'"],
    [{ servers: [] }, 'the list of servers is empty'],
    [{ servers: 'a,a' }, 'the server a:11211 is listed twice'],
    [{ servers: 'redis://a' }, 'is not a URL of memcached servers'],
  ])('%j is refused: %s', (options, message) => {
    expect(() => new MemcachedClient(options as never)).toThrow(MemcacheOptionError)
    expect(() => new MemcachedClient(options as never)).toThrow(message)
  })

  it('puts the prefix before every key', async () => {
    await using server = new MemcachedServer({ port: 0 })
    const { port } = await server.listen()
    await using shop = new MemcachedClient({ servers: `127.0.0.1:${port}`, prefix: 'shop', timeoutMs: 20_000 })
    await using plain = new MemcachedClient({ servers: `127.0.0.1:${port}`, timeoutMs: 20_000 })
    await shop.set(['city', 1], 'v')
    expect(await plain.get('shop:city:1')).toBe('v')
    expect([...(await shop.getMulti([['city', 1]])).values()]).toEqual(['v'])
  })
})
