import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { inspect } from 'node:util'
import { MemcachedServer } from 'memcache-ts-server'
import { freePort, until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcacheConnectionError, MemcacheError, MemcachedClient, MemcacheTimeoutError } from '../src/index.ts'

/** A configuration endpoint like ElastiCache's, which reports a given configuration. */
class ConfigurationEndpoint implements AsyncDisposable {
  version = 1
  nodes: string[] = []
  /** Whether it knows `config`, or has the configuration as an item, as before 1.4.14. */
  old = false
  silent = false
  /** The beginning of requests that get no answer. */
  silentTo = ' '
  wasLeftWaiting = false
  /** The whole answer to `config`, instead of `version` and `nodes`. */
  configuration: string | undefined
  asked = 0
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((socket) => {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk) => socket.write(this.#answer(chunk.toString())))
  })

  static async start(): Promise<ConfigurationEndpoint> {
    const endpoint = new ConfigurationEndpoint()
    endpoint.#server.listen(0, '127.0.0.1')
    await once(endpoint.#server, 'listening')
    return endpoint
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    if (!this.#server.listening) return
    this.#server.close()
    await once(this.#server, 'close')
  }

  #answer(request: string): string {
    if (request.startsWith(this.silentTo)) this.wasLeftWaiting = true
    if (this.silent || this.wasLeftWaiting) return ''
    if (request.startsWith('set auth ')) return 'STORED\r\n'
    if (request.startsWith('version')) return this.old ? 'VERSION 1.4.5\r\n' : 'VERSION 1.6.22\r\n'
    const body = `${this.version}\n${this.nodes.join(' ')}\n`
    if (request === 'config get cluster\r\n' && !this.old) {
      this.asked++
      return this.configuration ?? `CONFIG cluster 0 ${body.length}\r\n${body}\r\nEND\r\n`
    }
    if (request === 'get AmazonElastiCache:cluster\r\n' && this.old) {
      this.asked++
      return `VALUE AmazonElastiCache:cluster 0 ${body.length}\r\n${body}\r\nEND\r\n`
    }
    return 'ERROR\r\n'
  }
}

/** Servers of a cluster, the endpoint that reports them, and a client. */
async function cluster(size: number, discoveryIntervalMs = 60_000) {
  const servers = Array.from({ length: size }, () => new MemcachedServer({ port: 0 }))
  const ports = await Promise.all(servers.map(async (server) => (await server.listen()).port))
  const endpoint = await ConfigurationEndpoint.start()
  endpoint.nodes = ports.map((port) => `node-${port}.invalid|127.0.0.1|${port}`)
  const client = new MemcachedClient({
    servers: endpoint.address,
    discovery: true,
    discoveryIntervalMs,
    timeoutMs: 5000,
  })
  return {
    servers,
    ports,
    endpoint,
    client,
    async [Symbol.asyncDispose]() {
      await client.close()
      await endpoint[Symbol.asyncDispose]()
      await Promise.all(servers.map((server) => server.close()))
    },
  }
}

const keys = Array.from({ length: 100 }, (_, index) => `key:${index}`)

describe('auto discovery', () => {
  it('finds the servers before the first request', async () => {
    await using test = await cluster(3)
    await Promise.all(keys.map((key) => test.client.set(key, key)))
    expect(test.servers.every((server) => Number(server.stats()['curr_items']) > 10)).toBe(true)
    expect(test.client.servers).toEqual(test.ports.map((port) => `node-${port}.invalid:${port}`))
    expect((await test.client.getMulti(keys)).size).toBe(100)
  })

  it('understands endpoints from before 1.4.14', async () => {
    await using test = await cluster(2)
    test.endpoint.old = true
    await test.client.set('k', 'v')
    expect(await test.client.get('k')).toBe('v')
    expect(test.client.servers).toHaveLength(2)
  })

  it('follows the list as it changes', async () => {
    await using test = await cluster(2, 5)
    await test.client.set('k', 'v')
    await using third = new MemcachedServer({ port: 0 })
    const { port } = await third.listen()
    const changed = once(test.client, 'servers')
    test.endpoint.version = 2
    test.endpoint.nodes.push(`new.invalid|127.0.0.1|${port}`)
    const [names] = (await changed) as [string[]]
    expect(names).toHaveLength(3)
    await Promise.all(keys.map((key) => test.client.set(key, key)))
    expect(Number(third.stats()['curr_items'])).toBeGreaterThan(5)
  })

  it('notices an address that changes without the version', async () => {
    await using test = await cluster(1, 5)
    await test.client.set('k', 'on the old address')
    await using moved = new MemcachedServer({ port: 0 })
    // Another address of this machine, the same name and port, as when a node is replaced.
    await using listening = await listenOn(moved, '127.0.0.2', test.ports[0]!)
    const changed = once(test.client, 'servers')
    test.endpoint.nodes = [`node-${test.ports[0]}.invalid|127.0.0.2|${test.ports[0]}`]
    await changed
    expect(listening.port).toBe(test.ports[0])
    expect(await test.client.get('k')).toBeUndefined()
    await test.client.set('k', 'on the new address')
    expect(moved.stats()['curr_items']).toBe(1)
  })

  it('has one server of a node that is named twice, and closes all connections', async () => {
    await using test = await cluster(1, 5)
    const [port] = test.ports
    test.endpoint.nodes = [`a.invalid|127.0.0.1|${port}`, `a.invalid|127.0.0.1|${port}`, `a.invalid|127.0.0.1|0${port}`]
    await test.client.set('k', 'v')
    expect(test.client.servers).toEqual([`a.invalid:${port}`])
    const changed = once(test.client, 'servers')
    test.endpoint.nodes.reverse()
    await changed
    expect(await test.client.get('k')).toBe('v')
    await test.client.close()
    await expect.poll(() => test.servers[0]!.stats()['curr_connections']).toBe(0)
  })

  it.each(['0', '65536', '1e3', '11211.5', '-1', 'x', ''])('refuses a node with the port %j', async (port) => {
    await using endpoint = await ConfigurationEndpoint.start()
    endpoint.nodes = [`a.invalid|127.0.0.1|${port}`]
    await using client = new MemcachedClient({ servers: endpoint.address, discovery: true, timeoutMs: 20_000 })
    await expect(client.get('k')).rejects.toThrow('reported an invalid node')
  })

  it('has one server of a node that is listed with two addresses, of which the last one counts', async () => {
    await using test = await cluster(1, 5)
    const { client } = test
    const [port] = test.ports
    test.endpoint.nodes = ['127.0.0.2', '127.0.0.3', '127.0.0.1'].map((ip) => `a.invalid|${ip}|${port}`)
    await client.set('k', 'v')
    expect(client.servers).toEqual([`a.invalid:${port}`])
    expect(await client.get('k')).toBe('v')
    // No promise of another server under the same name is left without a handler.
    for (const call of [client.ping(), client.version(), client.stats(), client.flushAll()]) await call
    expect([...(await client.ping()).keys()]).toEqual([`a.invalid:${port}`])
  })

  it('refuses more nodes than can be hashed at once', async () => {
    await using endpoint = await ConfigurationEndpoint.start()
    endpoint.nodes = Array.from({ length: 1001 }, (_, index) => `a${index}.invalid||1`)
    await using client = new MemcachedClient({ servers: endpoint.address, discovery: true, timeoutMs: 20_000 })
    await expect(client.get('k')).rejects.toThrow('reported 1001 nodes: at most 1000 can be used')
  })

  it('never shows a password that an endpoint sends back', async () => {
    const password = 's3cr3t'
    for (const configuration of [
      `${password}\r\nEND\r\n`,
      `CONFIG cluster 0 9\r\n1\n${password}|${password}|x\n\r\nEND\r\n`,
    ]) {
      await using endpoint = await ConfigurationEndpoint.start()
      endpoint.configuration = configuration
      const credentials = { username: 'ann', password }
      const options = { servers: endpoint.address, discovery: true, timeoutMs: 20_000, ...credentials }
      await using client = new MemcachedClient(options)
      const error: unknown = await client.get('k').catch((error: unknown) => error)
      expect(error).toMatchObject({ code: 'ERR_MEMCACHE_PROTOCOL', message: expect.stringContaining('***') })
      expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(password)
    }
  })

  it.each(['version', 'config'])('delays no close() while the endpoint does not respond to %s', async (word) => {
    await using endpoint = await ConfigurationEndpoint.start()
    endpoint.silentTo = word
    const limits = { timeoutMs: 600_000, connectTimeoutMs: 600_000 }
    const client = new MemcachedClient({ servers: endpoint.address, discovery: true, ...limits })
    const rejected = expect(client.get('k')).rejects.toMatchObject({ code: 'ERR_MEMCACHE_CLOSED' })
    await until(() => endpoint.wasLeftWaiting)
    await Promise.all([client.close(), client.close()])
    await rejected
  })

  it('keeps the known servers while the endpoint is away', async () => {
    await using test = await cluster(2, 5)
    await test.client.set('k', 'v')
    await test.endpoint[Symbol.asyncDispose]()
    expect(await test.client.get('k')).toBe('v')
    expect(test.client.servers).toHaveLength(2)
  })

  it('reports endpoints that fail once, until they respond again', async () => {
    await using test = await cluster(1, 1)
    const errors: Error[] = []
    test.client.on('discoveryError', (error) => errors.push(error))
    await test.client.set('k', 'v')
    for (const outage of ['first', 'second']) {
      // Since the endpoint responds, the delays between requests are the interval again.
      const lost = once(test.client, 'discoveryError')
      test.endpoint.configuration = `CONFIG cluster 0 0\r\n${outage}\r\nEND\r\n`
      await lost
      const before = test.endpoint.asked
      await until(() => test.endpoint.asked > before + 1)
      expect(await test.client.get('k')).toBe('v')
      test.endpoint.configuration = undefined
      const failed = test.endpoint.asked
      await until(() => test.endpoint.asked > failed + 1)
    }
    expect(errors).toHaveLength(2)
    expect(errors.every((error) => error instanceof MemcacheError)).toBe(true)
  })

  it('requests the servers by a new connection after a response that does not end', async () => {
    await using test = await cluster(2)
    await using client = new MemcachedClient({
      servers: test.endpoint.address,
      discovery: true,
      discoveryIntervalMs: 1,
      connectTimeoutMs: 200,
      timeoutMs: 60_000,
    })
    await client.set('k', 'v')
    const lost = once(client, 'discoveryError')
    test.endpoint.configuration = 'VERSION 1.6.22\r\n'
    await lost
    const [first] = test.endpoint.nodes
    test.endpoint.nodes = [first!]
    test.endpoint.configuration = undefined
    await until(() => client.servers.length === 1)
    const found = test.endpoint.asked
    await until(() => test.endpoint.asked > found + 1)
    expect(client.servers).toHaveLength(1)
  })

  it('reports nothing when the client is closed before an endpoint responds', async () => {
    await using endpoint = await ConfigurationEndpoint.start()
    endpoint.silentTo = 'config get cluster'
    const client = new MemcachedClient({ servers: endpoint.address, discovery: true, timeoutMs: 20_000 })
    const errors: Error[] = []
    client.on('discoveryError', (error) => errors.push(error))
    await until(() => endpoint.wasLeftWaiting)
    await client.close()
    expect(errors).toEqual([])
  })

  it('reports an endpoint that refuses, does not respond or is no endpoint', async () => {
    await using refused = new MemcachedClient({ servers: `127.0.0.1:${await freePort()}`, discovery: true })
    await expect(refused.get('k')).rejects.toThrow(MemcacheConnectionError)
    await using endpoint = await ConfigurationEndpoint.start()
    endpoint.silent = true
    await using silent = new MemcachedClient({ servers: endpoint.address, discovery: true, timeoutMs: 50 })
    await expect(silent.getMulti(['k'])).rejects.toThrow(MemcacheTimeoutError)
    await expect(silent.set('k', 1, 60, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
    await using server = new MemcachedServer({ port: 0 })
    const { port } = await server.listen()
    await using none = new MemcachedClient({ servers: `127.0.0.1:${port}`, discovery: true, timeoutMs: 20_000 })
    await expect(none.get('k')).rejects.toThrow('is not a configuration endpoint')
  })
})

/** A server on an address of its own. */
async function listenOn(server: MemcachedServer, host: string, port: number) {
  const listener = createServer((socket) => server.handle(socket)).listen(port, host)
  await once(listener, 'listening')
  return {
    port: (listener.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      listener.close()
      await server.close()
    },
  }
}
