import { connect } from 'node:net'
import { MemcachedServer } from 'memcache-ts-server'
import { describeWithMemcached, launchMemcached, listenAsOldServer, readUntil } from 'memcache-ts-testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemcachedClient } from '../src/index.ts'
import type { MemcachedClientOptions, PresetName } from '../src/index.ts'

/** Every way to read a value, each with the result for its caller: no value is `undefined`. */
const reads: [name: string, read: (client: MemcachedClient, key: string) => Promise<unknown>][] = [
  ['get', (client, key) => client.get(key)],
  ['gets', async (client, key) => (await client.gets(key))?.value],
  ['gat', (client, key) => client.gat(key, 60)],
  ['gats', async (client, key) => (await client.gats(key, 60))?.value],
  ['getMulti', async (client, key) => (await client.getMulti([key, 'other'])).get(key)],
  ['getsMulti', async (client, key) => (await client.getsMulti(['other', key])).get(key)?.value],
]

function describeLeases(name: string, start: () => Promise<{ address: string; stop: () => Promise<void> }>): void {
  describe.each(['meta', 'text', 'binary'] as const)(`on ${name}, by the %s protocol`, (protocol) => {
    let server: Awaited<ReturnType<typeof start>>
    let other: MemcachedClient
    beforeAll(async () => {
      server = await start()
      other = new MemcachedClient({ servers: server.address, protocol: 'meta', timeoutMs: 20_000 })
    })
    afterAll(async () => {
      await other.close()
      await server.stop()
    })
    const open = (values: PresetName | 'typed' = 'typed'): MemcachedClient =>
      new MemcachedClient({
        servers: server.address,
        protocol,
        values,
        timeoutMs: 20_000,
      } satisfies MemcachedClientOptions)

    it.each(reads)('%s takes no lease of another client for a value', async (_, read) => {
      await using client = open()
      await other.delete('lease')
      await other.meta.get('lease', { vivifySeconds: 60 })
      expect(await read(client, 'lease')).toBeUndefined()
    })

    it.each(reads)('%s returns a value of no bytes that was stored', async (_, read) => {
      await using client = open()
      await client.set('empty', Buffer.alloc(0), 60)
      expect(await read(client, 'empty')).toEqual(Buffer.alloc(0))
      expect(await other.get('empty')).toEqual(Buffer.alloc(0))
    })

    it.each(reads)('%s returns an empty text of a codec that stores it as a lease is', async (_, read) => {
      await using client = open('dalli')
      await client.set('empty', '', 60)
      expect(await read(client, 'empty')).toBe('')
    })

    it('append joins nothing to a lease', async () => {
      await using client = open()
      await other.delete('lease')
      await other.meta.get('lease', { vivifySeconds: 60 })
      expect(await client.append('lease', 'x')).toBe(false)
      expect(await client.get('lease')).toBeUndefined()
    })

    it('append joins bytes to no bytes', async () => {
      await using client = open()
      await client.set('log', Buffer.alloc(0), 60)
      expect(await client.append('log', Buffer.from('x'))).toBe(true)
      expect(await client.get('log')).toEqual(Buffer.from('x'))
    })
  })
}

describeLeases('our server', async () => {
  const server = new MemcachedServer({ port: 0 })
  const { port } = await server.listen()
  return { address: `127.0.0.1:${port}`, stop: () => server.close() }
})

describeWithMemcached('on memcached itself', () => {
  describeLeases('memcached', async () => {
    const server = await launchMemcached()
    return { address: `${server.host}:${server.port}`, stop: async () => server[Symbol.asyncDispose]() }
  })
})

it('a server without leases: an empty value that another program stored is returned', async () => {
  const server = new MemcachedServer()
  const { address, close } = await listenAsOldServer(server)
  const [host, port] = address.split(':')
  const socket = connect(Number(port), host)
  socket.write('set empty 0 60 0\r\n\r\n')
  expect(await readUntil(socket, '\r\n')).toBe('STORED\r\n')
  await using client = new MemcachedClient({ servers: address, timeoutMs: 20_000 })
  for (const [, read] of reads) expect(await read(client, 'empty')).toEqual(Buffer.alloc(0))
  socket.destroy()
  await client.close()
  close()
  await server.close()
})
