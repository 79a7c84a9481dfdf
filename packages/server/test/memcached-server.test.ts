import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { FakeClock, freePort, until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcacheClosedError, MemcacheConnectionError, MemcachedServer, MemcacheOptionError } from '../src/index.ts'
import { Exchange, settle, untilHeldBack } from './exchange.ts'

/** Reads from a socket until so many bytes have come. */
async function read(socket: Socket, bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  while (length < bytes) {
    const chunk = socket.read() as Buffer | null
    if (chunk === null) {
      if (socket.readableEnded || socket.destroyed) throw new Error(`the connection ended after ${length} bytes`)
      const readable = new Promise<void>((resolve) => socket.once('readable', resolve))
      await Promise.race([readable, closed])
      continue
    }
    chunks.push(chunk)
    length += chunk.length
  }
  return Buffer.concat(chunks)
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

describe('MemcachedServer', () => {
  it('responds over TCP, to a thousand requests in one packet', async () => {
    await using server = new MemcachedServer({ port: 0 })
    const { host, port } = await server.listen()
    expect(host).toBe('127.0.0.1')
    const socket = await open(port)
    const requests = Array.from({ length: 1000 }, (_, index) => `set k${index} 0 0 4\r\n${1000 + index}\r\n`)
    const gets = Array.from({ length: 1000 }, (_, index) => `get k${index}\r\n`)
    socket.write([...requests, ...gets].join(''))
    const expected =
      'STORED\r\n'.repeat(1000) +
      Array.from({ length: 1000 }, (_, index) => `VALUE k${index} 0 4\r\n${1000 + index}\r\nEND\r\n`).join('')
    expect((await read(socket, expected.length)).toString()).toBe(expected)
    socket.destroy()
  })

  it('reads a request that comes byte by byte', async () => {
    await using server = new MemcachedServer()
    const exchange = new Exchange(server)
    let received = ''
    for (const byte of Buffer.from('ms Zm9v 5 b k Oabc\r\nhe\r\no\r\nmg foo v k\r\n')) {
      received += await exchange.send(Buffer.of(byte))
    }
    expect(received).toBe('HD kZm9v b Oabc\r\nVA 5 kZm9v b\r\nhe\r\no\r\n')
  })

  it('sends large values whole, replaced and deleted while they are being sent', async () => {
    await using server = new MemcachedServer({ port: 0, memoryLimitMb: 64, itemMaxBytes: 16 * 1024 * 1024 })
    const { port } = await server.listen()
    const [reader, writer] = [await open(port), await open(port)]
    // More than sockets hold: most of it waits in the server while the item is replaced.
    const size = 12_000_000
    const old = randomBytes(size)
    const line = (value: Buffer) =>
      Buffer.concat([Buffer.from(`set big 0 0 ${value.length}\r\n`), value, Buffer.from('\r\n')])
    writer.write(line(old))
    await read(writer, 8)
    reader.pause()
    reader.write(`get big\r\n`)
    await until(() => server.stats()['cmd_get'] === 1)
    for (let index = 0; index < 6; index++) writer.write(line(randomBytes(size)))
    await read(writer, 8 * 6)
    writer.write('delete big\r\n')
    await read(writer, 9)
    const head = `VALUE big 0 ${size}\r\n`
    const reply = await read(reader, head.length + size + 2 + 'END\r\n'.length)
    // It is the value of that moment, whole: no byte of those that came after.
    expect(reply.toString('latin1', 0, head.length)).toBe(head)
    expect(reply.subarray(head.length, head.length + size).equals(old)).toBe(true)
    expect(reply.toString('latin1', head.length + size)).toBe('\r\nEND\r\n')
    reader.destroy()
    writer.destroy()
  })

  it('stops reading from a client that does not read, and serves the others', async () => {
    await using server = new MemcachedServer({ port: 0 })
    const { port } = await server.listen()
    const [greedy, other] = [await open(port), await open(port)]
    other.write(`set big 0 0 100000\r\n${'x'.repeat(100_000)}\r\n`)
    await read(other, 8)
    greedy.pause()
    // 20,000 gets of 100 kB: 2 GB of replies, if all were made.
    greedy.write('get big\r\n'.repeat(20_000))
    await untilHeldBack(server)
    other.write('version\r\n')
    expect((await read(other, 9)).toString()).toContain('VERSION')
    expect(server.stats()['cmd_get']).toBeLessThan(1000)
    expect(server.stats()['bytes_written']).toBeLessThan(50_000_000)
    greedy.destroy()
    other.destroy()
  })

  it('gives back the memory of a value that never came whole', async () => {
    await using server = new MemcachedServer()
    const exchange = new Exchange(server)
    await exchange.send(`set half 0 0 500000\r\n${'x'.repeat(1000)}`)
    exchange.end()
    await settle()
    const other = new Exchange(server)
    expect(await other.send('get half\r\n')).toBe('END\r\n')
    expect(await other.send('stats slabs\r\n')).not.toMatch(/used_chunks [1-9]/)
  })

  it('forgets everything by a delayed flush when its time has come', async () => {
    const clock = new FakeClock()
    await using server = new MemcachedServer({ clock })
    const exchange = new Exchange(server)
    expect(await exchange.send('set a 0 0 1\r\n1\r\nflush_all 10\r\nset b 0 0 1\r\n2\r\n')).toBe(
      'STORED\r\nOK\r\nSTORED\r\n',
    )
    clock.advanceSeconds(9)
    expect(await exchange.send('get a b\r\n')).toContain('VALUE b')
    clock.advanceSeconds(1)
    expect(await exchange.send('get a b\r\n')).toBe('END\r\n')
    expect(await exchange.send('set a 0 0 1\r\n3\r\nget a\r\n')).toContain('VALUE a')
  })

  it('lets items expire by its clock', async () => {
    const clock = new FakeClock()
    await using server = new MemcachedServer({ clock })
    const exchange = new Exchange(server)
    const absolute = Math.floor(clock.nowMs() / 1000) + 40 * 86_400
    await exchange.send(`set rel 0 10 1\r\n1\r\nset abs 0 ${absolute} 1\r\n1\r\nset past 0 2592001 1\r\n1\r\n`)
    expect(await exchange.send('mg rel t\r\nmg past\r\n')).toBe('HD t10\r\nEN\r\n')
    clock.advanceSeconds(10)
    expect(await exchange.send('mg rel\r\nmg abs\r\n')).toBe('EN\r\nHD\r\n')
    clock.advanceSeconds(40 * 86_400)
    expect(await exchange.send('mg abs\r\n')).toBe('EN\r\n')
  })

  it('turns clients over the limit away with a word', async () => {
    await using server = new MemcachedServer({ port: 0, maxConnections: 1 })
    const { port } = await server.listen()
    const first = await open(port)
    first.write('version\r\n')
    await read(first, 5)
    const second = await open(port)
    expect((await read(second, 10)).toString()).toBe('ERROR Too many open connections\r\n')
    expect(server.stats()).toMatchObject({ rejected_connections: 1, curr_connections: 1 })
    first.destroy()
    second.destroy()
  })

  it.each([
    ['a line without an end', 'x'.repeat(3000)],
    ['spaces without an end', ' '.repeat(3000)],
    ['HTTP', 'GET / HTTP/1.1\r\n'],
    ['quit', 'quit\r\n'],
  ])('closes on %s', async (_, bytes) => {
    await using server = new MemcachedServer()
    const exchange = new Exchange(server)
    expect(await exchange.send(bytes)).toBe('')
    expect(exchange.closed).toBe(true)
  })

  it('responds to random bytes with errors or a close, and keeps running', async () => {
    await using server = new MemcachedServer({ memoryLimitMb: 4 })
    for (let round = 0; round < 50; round++) {
      const exchange = new Exchange(server)
      await exchange.send(randomBytes(5000))
      exchange.end()
    }
    expect(await new Exchange(server).send('version\r\n')).toContain('VERSION')
  })

  it('closes after all responses were sent, and no longer listens', async () => {
    const server = new MemcachedServer({ port: 0 })
    const { port } = await server.listen()
    const socket = await open(port)
    const disconnected = once(server, 'disconnect')
    socket.write('set a 0 0 1\r\n1\r\nget a\r\n')
    const reply = 'STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\n'
    expect((await read(socket, reply.length)).toString()).toBe(reply)
    await server.close()
    await disconnected
    await expect(open(port)).rejects.toThrow('ECONNREFUSED')
    await expect(server.listen()).rejects.toThrow(MemcacheClosedError)
    await server.close()
  })

  it('reports that its port is in use', async () => {
    await using first = new MemcachedServer({ port: await freePort() })
    const { port } = await first.listen()
    await using second = new MemcachedServer({ port })
    await expect(second.listen()).rejects.toThrow(MemcacheConnectionError)
    await expect(second.listen()).rejects.toThrow('the port is in use')
  })

  it('refuses options that cannot be', () => {
    expect(() => new MemcachedServer({ port: -1 })).toThrow(MemcacheOptionError)
    expect(() => new MemcachedServer({ memoryLimitMb: 0 })).toThrow('memoryLimitMb must be a whole number from 1')
    expect(() => new MemcachedServer({ memoryLimitMb: 64, itemMaxBytes: 64 * 1024 * 1024 })).toThrow('at most half')
    expect(() => new MemcachedServer({ memory: 64 } as never)).toThrow("has no option 'memory'")
  })

  it('lists memcached’s statistics by name and order', async () => {
    await using server = new MemcachedServer()
    const exchange = new Exchange(server)
    await exchange.send('set a 0 0 1\r\n1\r\nget a b\r\n')
    const lines = (await exchange.send('stats\r\n')).split('\r\n')
    expect(lines.slice(0, 4).map((line) => line.split(' ')[1])).toEqual(['pid', 'uptime', 'time', 'version'])
    expect(lines).toContain('STAT get_hits 1')
    expect(lines).toContain('STAT get_misses 1')
    expect(lines).toContain('STAT curr_items 1')
    // As memcached counts them: 48 + 8 for the header, 1 + 1 for the key, 1 + 2 for the value.
    expect(lines).toContain('STAT bytes 61')
    expect(lines.slice(-2)).toEqual(['END', ''])
    expect(await exchange.send('stats reset\r\n')).toBe('RESET\r\n')
    expect(server.stats()).toMatchObject({ get_hits: 0, curr_items: 1, curr_connections: 1 })
  })
})
