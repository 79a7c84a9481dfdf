import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import {
  describeWithCommand,
  launchMemcachedProxy,
  launchNutcracker,
  launchYrmcds,
  MEMCACHED_PROXY,
  readUntil,
} from 'memcache-ts-testing'
import type { LaunchedProxy } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcachedClient } from '../src/index.ts'
import { describeClient } from './client-contract.ts'
import type { OpenedServer } from './client-contract.ts'

/** The tests of the contract that the proxy cannot pass, by name. */
const NUTCRACKER_CANNOT = {
  'gets and touches': 'it does not know gat and gats, and hangs up on them',
  'returns statistics': 'it does not know stats, and hangs up on it',
}
const YRMCDS_CANNOT = {
  'gets and touches': 'it does not know gat and gats',
  'rejects a value that is too large, and continues': 'it responds with ERROR, as to an unknown command',
  'deletes an item whose key is a word that ends other requests': 'it does not know a lifetime that has ended',
  'returns versions': "its version is 'yrmcds version 1.1.9'",
}

const MEMCACHED_PROXY_CANNOT = {
  'keeps the order of the requests of one tick': 'it carries out requests that come together in reverse order',
  'returns statistics': 'it tells its own, which count no misses',
  'deletes an item whose key is a word that ends other requests': 'it does not respond to a get of that key',
}

async function opened(
  launch: () => Promise<LaunchedProxy>,
  empty: (direct: MemcachedClient, address: string) => Promise<void>,
): Promise<OpenedServer> {
  const proxy = await launch()
  const direct = new MemcachedClient({ servers: proxy.behind, timeoutMs: 5000 })
  return {
    options: { servers: proxy.address },
    empty: () => empty(direct, proxy.behind),
    stop: async () => {
      await direct.close()
      await proxy[Symbol.asyncDispose]()
    },
  }
}

/** Deletes by yrmcds's own command: its `flush_all` also removes items that are stored later in the same second. */
async function deleteAll(direct: MemcachedClient, address: string): Promise<void> {
  const [host, port] = address.split(':')
  const socket = connect(Number(port), host)
  socket.write('keys\r\n')
  const listed = Buffer.from(await readUntil(socket, 'END\r\n'), 'latin1').toString()
  socket.destroy()
  // It cannot delete every key.
  await Promise.allSettled([...listed.matchAll(/^VALUE (\S+)/gm)].map(([, key]) => direct.delete(key!)))
}

const onPath = (command: string) => ['sh', '-c', `PATH="$PATH:/usr/sbin"; command -v ${command}`]

describeWithCommand({ command: onPath('nutcracker'), debianPackage: 'nutcracker' }, 'behind nutcracker', () => {
  describeClient(() => opened(launchNutcracker, (direct) => direct.flushAll()), NUTCRACKER_CANNOT)

  it('finds out that there are no meta commands without giving the server up, and connects no more than that takes', async () => {
    await using proxy = await launchNutcracker()
    await using client = new MemcachedClient({ servers: proxy.address, poolSize: 1, timeoutMs: 5000 })
    const events: string[] = []
    for (const event of ['disconnect', 'reconnecting', 'eject'] as const) client.on(event, () => events.push(event))
    await client.set('k', 'v')
    expect(await Promise.all(['k', 'k', 'l'].map((key) => client.get(key)))).toEqual(['v', 'v', undefined])
    await expect(client.meta.get('k')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_UNSUPPORTED' })
    expect(events).toEqual([])
  })

  it('costs the calls that are under way, and no more, when it hangs up on a command that it does not know', async () => {
    await using proxy = await launchNutcracker()
    await using client = new MemcachedClient({ servers: proxy.address, poolSize: 1, timeoutMs: 5000 })
    let ejected = 0
    client.on('eject', () => ejected++)
    await client.set('k', 'v')
    for (let round = 0; round < 3; round++) {
      await expect(client.stats()).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CONNECTION' })
      expect(await client.get('k')).toBe('v')
    }
    expect(ejected).toBe(0)
  })
})

describeWithCommand({ command: onPath('yrmcdsd'), debianPackage: 'yrmcds' }, 'on yrmcds', () => {
  describeClient(() => opened(launchYrmcds, deleteAll), YRMCDS_CANNOT)
})

/** A server that says it is a new memcached, and answers `mn` in a way of its own. */
async function listenAsProxy(answerNoop: (socket: Socket) => void, metaGet = 'ERROR\r\n') {
  const asked: string[] = []
  let connections = 0
  const server = createServer((socket) => {
    connections++
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      for (const [line, word] of chunk.toString('latin1').matchAll(/^(\w+).*\r\n/gm)) {
        asked.push(word!)
        if (word === 'version') socket.write('VERSION 1.6.45\r\n')
        else if (word === 'mn') answerNoop(socket)
        else if (word === 'mg') socket.write(metaGet)
        else if (word === 'get') socket.write('VALUE k 1 1\r\nv\r\nEND\r\n')
        else if (word === 'set') socket.write('STORED\r\n')
        else if (word === 'ms') socket.write(`HD ${/O\S+/.exec(line)![0]}\r\n`)
      }
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    get connections() {
      return connections
    },
    async [Symbol.asyncDispose]() {
      server.close()
      await once(server, 'close')
    },
  }
}

describe.each<[string, (socket: Socket) => void, 'ms' | 'set', connections: number, metaGet?: string]>([
  ['by MN', (socket) => socket.write('MN\r\n'), 'ms', 1],
  ['by ERROR', (socket) => socket.write('ERROR\r\n'), 'set', 1],
  ['by CLIENT_ERROR', (socket) => socket.write('CLIENT_ERROR unknown command\r\n'), 'set', 1],
  ['by SERVER_ERROR', (socket) => socket.write('SERVER_ERROR unsupported\r\n'), 'set', 1],
  ['by SERVER_ERROR, and mg by EN', (socket) => socket.write('SERVER_ERROR lua failure\r\n'), 'ms', 1, 'EN\r\n'],
  ['by hanging up', (socket) => socket.end(), 'set', 3],
  ['by a reset', (socket) => socket.resetAndDestroy(), 'set', 3],
  ['by silence', () => {}, 'set', 2],
  ['by nonsense', (socket) => socket.write('WHAT\r\nIS\r\nTHIS\r\n'), 'set', 2],
  ['by half a line', (socket) => socket.write('M'), 'set', 2],
  ['by the end of a list', (socket) => socket.write('END\r\n'), 'set', 2],
  ['as an old memcached', (socket) => socket.write('EN\r\n'), 'set', 2],
])('the question for meta commands, answered %s', (_, answerNoop, word, connections, metaGet) => {
  it('finds the protocol, ejects no server, and does not repeat the handshake', async () => {
    await using proxy = await listenAsProxy(answerNoop, metaGet)
    // Only what waits for a silent proxy waits that long; the connection behind it is made within it.
    const options = { servers: proxy.address, poolSize: 1, timeoutMs: 25_000, connectTimeoutMs: 2000 }
    await using client = new MemcachedClient(options)
    let events = 0
    for (const event of ['disconnect', 'reconnecting', 'eject'] as const) client.on(event, () => events++)
    const outcomes = await Promise.all([client.get('k'), client.set('k', 'v'), client.get('k')])
    expect(outcomes).toEqual(['v', undefined, 'v'])
    expect(proxy.asked).toContain(word)
    expect(proxy.connections).toBe(connections)
    expect(events).toBe(0)
  })
})

describeWithCommand(
  { command: [MEMCACHED_PROXY, '-V'], debianPackage: "memcached's proxy (.ci/build-memcached-proxy)" },
  'behind memcached’s own proxy',
  () => {
    describeClient(() => opened(launchMemcachedProxy, (direct) => direct.flushAll()), MEMCACHED_PROXY_CANNOT)

    it('loses no hit of many keys of any length, with and without cas uniques', async () => {
      await using proxy = await launchMemcachedProxy()
      await using client = new MemcachedClient({ servers: proxy.address, timeoutMs: 20_000 })
      const keys = Array.from({ length: 450 }, (_, index) => `${index}:`.padEnd(index % 2 ? 250 : 5, 'x'))
      await Promise.all(keys.map((key) => client.set(key, key)))
      const asked = keys.flatMap((key) => [key, `${key.slice(0, 200)}:missing`])
      expect([...(await client.getMulti(asked))]).toEqual(keys.map((key) => [key, key]))
      expect([...(await client.getsMulti(asked)).keys()]).toEqual(keys)
      expect(await Promise.all(keys.map((key) => client.get(key)))).toEqual(keys)
    })
  },
)
