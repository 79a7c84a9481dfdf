import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { MemcachedServer } from 'memcache-ts-server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemcachedClient } from '../src/index.ts'
import type { MemcachedClientOptions } from '../src/index.ts'

/** Enough of them that each of two connections has some. */
const KEYS = Array.from({ length: 12 }, (_, index) => `key:${index}`)

let port: number
const server = new MemcachedServer({ port: 0 })

beforeAll(async () => {
  ;({ port } = await server.listen())
})
afterAll(() => server.close())

/** A client with two open connections, and their sockets: what is written to a corked one waits. */
async function withTwoConnections(options: MemcachedClientOptions = {}) {
  const sockets: Socket[] = []
  const open = (): Socket => {
    const socket = connect(port, '127.0.0.1')
    sockets.push(socket)
    return socket
  }
  const client = new MemcachedClient({
    servers: [{ name: 'slow', connect: open }],
    poolSize: 2,
    timeoutMs: 20_000,
    ...options,
  })
  await Promise.all(KEYS.map((key) => client.set(key, '1', 60)))
  expect(sockets).toHaveLength(2)
  return { client, sockets }
}

async function turns(): Promise<void> {
  for (let count = 0; count < 20; count++) await turn()
}

type Write = (client: MemcachedClient, key: string) => Promise<unknown>

const writes: [name: string, write: Write, left: unknown][] = [
  ['set', (client, key) => client.set(key, 'new', 60), 'new'],
  ['set in chunks', (client, key) => client.set(key, 'n'.repeat(1000), 60), 'n'.repeat(1000)],
  ['replace', (client, key) => client.replace(key, 'new', 60), 'new'],
  ['append', (client, key) => client.append(key, '!'), '1!'],
  ['incr', (client, key) => client.incr(key), '2'],
  ['delete', (client, key) => client.delete(key), undefined],
  ['meta.set', (client, key) => client.meta.set(key, 'new'), 'new'],
  ['meta.delete', (client, key) => client.meta.delete(key), undefined],
]

describe.each([0, 1])('with connection %i slow', (slow) => {
  describe.each(writes)('a batch read and a %s that are not awaited', (_, write, left) => {
    it('take effect in the order of the calls, the read first', async () => {
      const { client, sockets } = await withTwoConnections({ chunkBytes: 300 })
      sockets[slow]!.cork()
      const read = client.getMulti(KEYS)
      const written = Promise.all(KEYS.map((key) => write(client, key)))
      const readAgain = client.getMulti(KEYS)
      await turns()
      sockets[slow]!.uncork()
      expect(new Set((await read).values())).toEqual(new Set(['1']))
      await written
      const expected = left === undefined ? [] : KEYS.map((key): [string, unknown] => [key, left])
      expect(new Map(await readAgain)).toEqual(new Map(expected))
      await client.close()
    })

    it('take effect in the order of the calls, the write first', async () => {
      const { client, sockets } = await withTwoConnections({ chunkBytes: 300 })
      sockets[slow]!.cork()
      const key = KEYS[5]!
      const written = write(client, key)
      const read = client.getMulti(KEYS)
      await turns()
      sockets[slow]!.uncork()
      await written
      expect((await read).get(key)).toBe(left)
      await client.close()
    })
  })

  it('a write waits for a batch on its key alone', async () => {
    const { client, sockets } = await withTwoConnections()
    sockets[slow]!.cork()
    const read = client.getMulti(KEYS.slice(0, 6))
    const written = KEYS.slice(6).map((key) => client.set(key, 'new', 60))
    // Those on the other connection need nothing of the slow one.
    const first = await Promise.race([read.then(() => 'the batch'), Promise.any(written).then(() => 'a write')])
    expect(first).toBe('a write')
    sockets[slow]!.uncork()
    await Promise.all([read, ...written])
    await client.close()
  })
})

it('a batch goes in one request while nothing is written', async () => {
  const { client, sockets } = await withTwoConnections()
  const before = sockets.map((socket) => socket.bytesWritten)
  await client.getMulti(KEYS)
  expect(sockets.filter((socket, index) => socket.bytesWritten > before[index]!)).toHaveLength(1)
  await client.close()
})
