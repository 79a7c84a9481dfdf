import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { EventEmitter, once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { MemcachedServer } from 'memcache-ts-server'
import { describeWithMemcached, launchMemcached, until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcachedClient, MemcacheOptionError } from '../src/index.ts'
import type { DumpedItem } from '../src/index.ts'

interface Opened extends AsyncDisposable {
  readonly address: string
}

async function ourServer(): Promise<Opened> {
  const server = new MemcachedServer({ port: 0 })
  const { port } = await server.listen()
  return { address: `127.0.0.1:${port}`, [Symbol.asyncDispose]: () => server.close() }
}

async function dump(client: MemcachedClient, server?: string): Promise<DumpedItem[]> {
  // An item that memcached moves to another list meanwhile may be listed twice.
  const items = new Map<string, DumpedItem>()
  await client.metadump((item) => items.set(`${item.server} ${item.key}`, item), { server })
  return [...items.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
}

function dumps(launch: () => Promise<Opened>): void {
  it.each(['meta', 'text'] as const)('reports every item, by the %s protocol', async (protocol) => {
    await using server = await launch()
    await using client = new MemcachedClient({ servers: server.address, prefix: 'shop', protocol, timeoutMs: 5000 })
    expect(await dump(client)).toEqual([])
    await client.set('forever', 'x')
    await client.set('zürich%20:é', 'y', 600)
    const [forever, other] = await dump(client)
    expect(forever).toMatchObject({ key: 'shop:forever', expiresAt: Infinity, server: server.address })
    expect(other).toMatchObject({ key: 'shop:zürich%20:é' })
    expect(other!.expiresAt - Date.now() / 1000).toBeGreaterThan(590)
    expect(other!.size).toBeGreaterThan(10)
    expect(other!.accessedAt).toBeLessThanOrEqual(Date.now() / 1000 + 2)
  })

  it('arrives complete in pieces of any length, while other operations continue', async () => {
    await using server = await launch()
    await using client = new MemcachedClient({ servers: server.address, timeoutMs: 5000 })
    await Promise.all(Array.from({ length: 5000 }, (_, index) => client.set(['key', index], index)))
    const dumped = dump(client)
    expect(await client.get(['key', 7])).toBe(7)
    expect(await dumped).toHaveLength(5000)
  })
}

describe('metadump on our server', () => {
  dumps(ourServer)

  it('requests every server, or the named one', async () => {
    await using one = await ourServer()
    await using other = await ourServer()
    await using client = new MemcachedClient({ servers: [one.address, other.address], timeoutMs: 20_000 })
    for (const server of client.servers) await client.set('k', 'v', 60, { server })
    expect((await dump(client)).map((item) => item.server).sort()).toEqual([one.address, other.address].sort())
    expect(await dump(client, other.address)).toMatchObject([{ key: 'k', server: other.address }])
    await expect(dump(client, 'nowhere:1')).rejects.toThrow(MemcacheOptionError)
    expect(client.servers).toContain(client.serverOf('k'))
    expect(await client.get('k', { groupKey: 'k' })).toBe('v')
  })

  it('ends when it is aborted, and with an error of the visitor', async () => {
    await using server = await ourServer()
    await using client = new MemcachedClient({ servers: server.address, timeoutMs: 20_000 })
    await client.set('k', 'v')
    await expect(client.metadump(() => {}, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
      'enough',
    )
    await expect(
      client.metadump(() => {
        throw new Error('no more')
      }),
    ).rejects.toThrow('no more')
    expect(await client.get('k')).toBe('v')
  })

  it('waits while the crawler is busy, and reports it if it stays busy', async () => {
    let busy = 2
    const answer = (socket: Socket, line: string): void => {
      if (line === 'version\r\n') socket.write('VERSION 1.6.45\r\n')
      else if (busy-- > 0) socket.write('BUSY currently processing crawler request\r\n')
      else socket.write('key=k exp=-1 la=5 cas=1 fetch=no cls=1 size=60\nEND\r\n')
    }
    const listener = createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', (chunk: Buffer) => answer(socket, chunk.toString()))
    }).listen(0, '127.0.0.1')
    await once(listener, 'listening')
    await using client = new MemcachedClient({
      servers: `127.0.0.1:${(listener.address() as AddressInfo).port}`,
      timeoutMs: 20_000,
    })
    expect(await dump(client)).toMatchObject([{ key: 'k', size: 60, accessedAt: 5 }])
    busy = Infinity
    await expect(client.metadump(() => {}, { timeoutMs: 1 })).rejects.toMatchObject({ retryable: true })
    listener.close()
  })
})

/** A server that answers a dump as the test says. */
async function dumpServer(answer: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const listener = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      const line = chunk.toString()
      if (line === 'version\r\n') socket.write('VERSION 1.6.45\r\n')
      else if (line === 'mn\r\n') socket.write('MN\r\n')
      else answer(socket)
    })
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    address: `127.0.0.1:${(listener.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      listener.close()
      await once(listener, 'close')
    },
  }
}

const ITEM = 'key=k exp=-1 la=5 cas=1 fetch=no cls=1 size=60\r\n'
const BUSY = 'BUSY currently processing crawler request\r\n'
const LIMITS = { timeoutMs: 600_000, connectTimeoutMs: 600_000 }

describe('a dump under way', () => {
  it('is not repeated when its client is closed', async () => {
    const asked = new EventEmitter()
    await using server = await dumpServer((socket) => {
      socket.write(BUSY)
      asked.emit('asked')
    })
    const client = new MemcachedClient({ servers: server.address, ...LIMITS })
    const first = once(asked, 'asked')
    const dumped = client.metadump(() => {}, { timeoutMs: 600_000 })
    const rejected = expect(dumped).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CLOSED' })
    await first
    await Promise.all([client.close(), client.close()])
    await rejected
  })

  it('ends on all servers when one fails, and visits nothing afterwards', async () => {
    let held: Socket | undefined
    const holds = new EventEmitter()
    await using slow = await dumpServer((socket) => {
      socket.write(ITEM)
      held = socket
      holds.emit('held')
    })
    await using refusing = await dumpServer((socket) => {
      if (held !== undefined) socket.write('SERVER_ERROR no\r\n')
      else holds.once('held', () => socket.write('SERVER_ERROR no\r\n'))
    })
    await using client = new MemcachedClient({ servers: [slow.address, refusing.address], ...LIMITS })
    let visits = 0
    await expect(client.metadump(() => visits++)).rejects.toThrow('SERVER_ERROR no')
    const before = visits
    held!.write(`${ITEM}END\r\n`)
    await until(() => held!.destroyed)
    expect(visits).toBe(before)
  })

  it('waits for the promises of its visitor, and rejects when one does', async () => {
    await using server = await dumpServer((socket) => socket.write(`${ITEM}${ITEM}END\r\n`))
    await using client = new MemcachedClient({ servers: server.address, ...LIMITS })
    let ended = 0
    await client.metadump(async () => {
      await setImmediate()
      ended++
    })
    expect(ended).toBe(2)
    await expect(client.metadump(() => Promise.reject(new Error('no more')))).rejects.toThrow('no more')
  })
})

describeWithMemcached('metadump on the real memcached', () => {
  dumps(launchMemcached)
})
