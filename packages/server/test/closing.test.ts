import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex, duplexPair } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { readUntil, TestCertificates, until } from 'memcache-ts-testing'
import { afterAll, describe, expect, it } from 'vitest'
import { MemcacheClosedError, MemcachedServer } from '../src/index.ts'

const certificates = new TestCertificates()
const { cert, key } = certificates.issue('server')
const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-half-close-'))
afterAll(() => {
  certificates.dispose()
  rmSync(folder, { recursive: true })
})

/** How a client reaches the server, as a stream whose two sides end separately. */
const WAYS: Readonly<Record<string, (server: MemcachedServer) => Promise<Duplex>>> = {
  TCP: async (server) => {
    const { port } = await server.listen()
    return connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  },
  TLS: async (server) => {
    const { port } = await server.listen()
    const stream = connectTls({ port, host: '127.0.0.1', ca: readFileSync(certificates.ca.cert) })
    stream.allowHalfOpen = true
    return stream
  },
  'a unix socket': async (server) => {
    const { host } = await server.listen()
    return connect({ path: host, allowHalfOpen: true })
  },
  memory: async (server) => {
    const [ours, theirs] = duplexPair()
    server.handle(theirs)
    return ours
  },
}

function serverFor(way: string): MemcachedServer {
  if (way === 'TLS') return new MemcachedServer({ port: 0, tls: { chainCertFile: cert, keyFile: key } })
  return new MemcachedServer(way === 'TCP' ? { port: 0 } : { unixSocket: join(folder, 'socket') })
}

const value = 'x'.repeat(10_000)
const STORE = `set a 0 0 ${value.length}\r\n${value}\r\n`
const HIT = `VALUE a 0 ${value.length}\r\n${value}\r\n`
const GET_BINARY = Buffer.from('80000001000000000000000100000000000000000000000061', 'hex')

/** Requests that are not all carried out in one turn, and the expected responses. */
const REQUESTS: Readonly<Record<string, { bytes: string | Buffer; reply: string | number }>> = {
  'many requests': { bytes: STORE + 'get a\r\n'.repeat(1000), reply: 'STORED\r\n' + (HIT + 'END\r\n').repeat(1000) },
  'one get of many keys': {
    bytes: `${STORE}get${' a'.repeat(1000)}\r\n`,
    reply: `STORED\r\n${HIT.repeat(1000)}END\r\n`,
  },
  'a dump': {
    bytes: STORE + 'mn\r\nmg a k\r\nstats cachedump 1 0\r\nmn\r\n',
    reply: 'STORED\r\nMN\r\nHD ka\r\nEND\r\nMN\r\n',
  },
  'many requests of the binary protocol': {
    bytes: Buffer.concat(Array.from({ length: 1000 }, () => GET_BINARY)),
    reply: 1000 * (24 + 'Not found'.length),
  },
}

describe('a client that ends its side', () => {
  const cases = Object.keys(WAYS).flatMap((way) => Object.keys(REQUESTS).map((name) => ({ way, name })))

  it.each(cases)('is sent every reply to its earlier requests: $name over $way', async ({ way, name }) => {
    await using server = serverFor(way)
    const stream = await WAYS[way]!(server)
    const { bytes, reply } = REQUESTS[name]!
    const received: Buffer[] = []
    stream.on('data', (chunk: Buffer) => received.push(Buffer.from(chunk)))
    stream.end(typeof bytes === 'string' ? Buffer.from(bytes) : bytes)
    await once(stream, 'end')
    const text = Buffer.concat(received).toString('latin1')
    if (typeof reply === 'number') expect(text).toHaveLength(reply)
    else expect(text === reply, `${text.length} bytes instead of ${reply.length}`).toBe(true)
  })

  it.each(Object.keys(WAYS))('is disconnected then: over %s', async (way) => {
    await using server = serverFor(way)
    const stream = await WAYS[way]!(server)
    stream.resume()
    stream.end('mn\r\n')
    await once(stream, 'end')
    stream.destroy()
    await server.close()
    expect(server.stats()['curr_connections']).toBe(0)
  })
})

describe('close()', () => {
  it('waits for its first call in every call', async () => {
    const server = new MemcachedServer({ port: 0 })
    const { port } = await server.listen()
    const stream = connect(port, '127.0.0.1')
    await once(stream, 'connect')
    stream.write('mn\r\n')
    await readUntil(stream, 'MN\r\n')
    stream.resume()
    const calls = [server.close(), server.close()]
    expect(server.stats()['curr_connections']).toBe(1)
    await calls[1]
    expect(server.stats()['curr_connections']).toBe(0)
    await Promise.all(calls)
  })

  it.each([0, 1, 2, 3, 4, 5, 6, 8, 10, 15])('leaves no listening socket, %i turns after listen()', async (turns) => {
    const listening = (): number =>
      process.getActiveResourcesInfo().filter((name) => /^(TCPServerWrap|UDPWrap)$/.test(name)).length
    const server = new MemcachedServer({
      host: ['127.0.0.1', '127.0.0.2'],
      port: 0,
      udpPort: 0,
      dashboard: '127.0.0.1:0',
    })
    const listened = server.listen().then(
      () => 'listened',
      (error: unknown) => error,
    )
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
    await server.close()
    const result = await listened
    if (result !== 'listened') expect(result).toBeInstanceOf(MemcacheClosedError)
    await until(() => listening() === 0)
    await expect(server.listen()).rejects.toThrow('this server was closed')
  })

  it.each(['error', 'nothing'])('closes even if a stream misbehaves when it is ended: %s', async (event) => {
    const server = new MemcachedServer()
    const stream = new Duplex({
      emitClose: false,
      read: () => {},
      write: (_chunk, _encoding, done) => done(),
      final: (done) => done(event === 'error' ? new Error('read ECONNRESET') : null),
    })
    server.handle(stream)
    await server.close()
    expect(stream.writableEnded).toBe(true)
  })
})
