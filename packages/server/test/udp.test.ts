import { networkInterfaces } from 'node:os'
import fc from 'fast-check'
import { Opcode, Status } from 'memcache-ts-protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemcachedServer } from '../src/memcached-server.ts'
import type { MemcachedServerOptions } from '../src/options.ts'
import { isVerified } from '../src/udp/udp-listener.ts'
import { packet, responses } from './binary-packets.ts'
import { Exchange } from './exchange.ts'
import { frame, UdpClient } from './udp-client.ts'

async function listen(options: MemcachedServerOptions = {}): Promise<{ server: MemcachedServer; port: number }> {
  const server = new MemcachedServer({ port: 0, udpPort: 0, ...options })
  await server.listen()
  return { server, port: Number(/^UDP INET6?: (\d+)$/m.exec(server.portLines)![1]) }
}

const EXTRAS = Buffer.alloc(8)

describe('UDP', () => {
  let server: MemcachedServer
  let port: number
  let client: UdpClient
  beforeAll(async () => {
    ;({ server, port } = await listen())
    client = await UdpClient.open(port)
  })
  afterAll(async () => {
    await client[Symbol.asyncDispose]()
    await server.close()
  })

  it('runs every text command', async () => {
    const ask = async (request: string): Promise<string> => (await client.request(request)).text
    expect(await ask('set a 5 0 1\r\nx\r\n')).toBe('STORED\r\n')
    expect(await ask('get a b\r\n')).toBe('VALUE a 5 1\r\nx\r\nEND\r\n')
    expect(await ask('add a 0 0 1\r\ny\r\n')).toBe('NOT_STORED\r\n')
    expect(await ask('append a 0 0 1\r\ny\r\n')).toBe('STORED\r\n')
    expect(await ask('mg a v f k\r\n')).toBe('VA 2 f5 ka\r\nxy\r\n')
    expect(await ask('ms n 1\r\n1\r\nma n v D41\r\n')).toBe('HD\r\nVA 2\r\n42\r\n')
    expect(await ask('touch a 0\r\ndelete a\r\nget a\r\n')).toBe('TOUCHED\r\nDELETED\r\nEND\r\n')
    expect(await ask('version\r\n')).toBe('VERSION 1.6.45\r\n')
    expect(await ask('nonsense\r\n')).toBe('ERROR\r\n')
    expect(await ask('stats\r\n')).toMatch(/^STAT pid [^]*END\r\n$/)
  })

  it('runs binary commands, by the first byte of each datagram', async () => {
    const ask = async (...packets: Buffer[]): Promise<(number | string)[]> =>
      responses((await client.request(Buffer.concat(packets))).text).flatMap(({ status, value }) => [status, value])
    expect(await ask(packet(Opcode.set, { extras: EXTRAS, key: 'b', value: 'x'.repeat(4000) }))).toEqual([0, ''])
    expect(await ask(packet(Opcode.get, { key: 'b' }), packet(Opcode.get, { key: 'none' }))).toEqual([
      0,
      'x'.repeat(4000),
      Status.notFound,
      'Not found',
    ])
    expect(await ask(packet(Opcode.saslAuth, { key: 'PLAIN', value: '\0a\0b' }))).toEqual([0x81, 'Unknown command'])
  })

  it('responds in datagrams of at most 1400 bytes', async () => {
    const exchange = new Exchange(server)
    for (const length of [1, 1359, 1360, 1361, 2751, 2752, 2753, 100_000, 1_000_000]) {
      const value = 'v'.repeat(length)
      await exchange.send(`set big 0 0 ${length}\r\n${value}\r\n`)
      const { text, datagrams, bytes } = await client.request('get big\r\n')
      expect(text).toBe(`VALUE big 0 ${length}\r\n${value}\r\nEND\r\n`)
      expect(datagrams).toBe(Math.ceil(text.length / 1392))
      expect(bytes).toBe(text.length + 8 * datagrams)
    }
  })

  it('sends no reply to noreply, to quit, to requests of several datagrams, and to invalid requests', async () => {
    const binaryReply = Buffer.from(packet(Opcode.noop))
    binaryReply[0] = 0x81
    const silent = [
      frame(1, 'set quiet 0 0 1 noreply\r\nx\r\n'),
      frame(2, 'quit\r\n'),
      frame(3, 'get a\r\n', { total: 2 }),
      frame(4, 'get a\r\n', { total: 0 }),
      frame(5, 'get a\r\n', { total: 0xffff }),
      frame(6, ''),
      Buffer.from([0, 1, 0, 0, 0, 1, 0]),
      Buffer.alloc(0),
      frame(7, packet(Opcode.noop).subarray(0, 23)),
      frame(8, packet(Opcode.getQuietly, { key: 'none' })),
      frame(9, binaryReply),
    ]
    expect(await client.unanswered(...silent)).toBe(0)
    expect((await client.request('get quiet\r\n')).text).toBe('VALUE quiet 0 1\r\nx\r\nEND\r\n')
  })

  it('never responds to a reply, so that two servers cannot be made to respond to each other', async () => {
    const requests = [
      'get a',
      'version',
      'stats',
      'nonsense',
      'mn',
      'set a 0 0',
      'incr a 1',
      'me a',
      'lru_crawler metadump all',
    ]
    const exchange = new Exchange(server)
    await exchange.send('set a 0 0 20\r\nget a\r\nget a\r\nget a\r\n\r\n')
    for (const request of requests) {
      const { text } = await client.request(`${request}\r\n`)
      expect(await client.unanswered(frame(1, text)), `${request}: ${text}`).toBe(0)
    }
  })

  it('keeps nothing of a request that is not complete, for that sender or another one', async () => {
    await using other = await UdpClient.open(port)
    const parts = ['set half 0 0 10\r\nabc', 'get ha', 'ms half 10 q\r\nab', 'set half 0 0 99 noreply\r\n']
    for (const part of parts) {
      expect((await client.request(part)).text).toBe('CLIENT_ERROR incomplete request\r\n')
      expect((await other.request('get half\r\n')).text).toBe('END\r\n')
      expect((await client.request('get half\r\n')).text).toBe('END\r\n')
    }
    const set = packet(Opcode.set, { extras: EXTRAS, key: 'half', value: 'x'.repeat(10) })
    const [refused] = responses((await client.request(set.subarray(0, -1))).text)
    expect(refused!.status).toBe(Status.invalid)
    expect((await client.request('get half\r\n')).text).toBe('END\r\n')
    expect(server.stats()).toMatchObject({ curr_connections: expect.any(Number) })
  })

  it('keeps the replies of a thousand senders apart', async () => {
    const exchange = new Exchange(server)
    for (let index = 0; index < 1000; index++)
      await exchange.send(`set s${index} 0 0 4\r\n${String(index).padStart(4)}\r\n`)
    for (let batch = 0; batch < 10; batch++) {
      const clients = await Promise.all(Array.from({ length: 100 }, () => UdpClient.open(port)))
      await Promise.all(
        clients.map(async (one, index) => {
          const key = batch * 100 + index
          const { text } = await one.request(`get s${key}\r\n`)
          expect(text).toBe(`VALUE s${key} 0 4\r\n${String(key).padStart(4)}\r\nEND\r\n`)
        }),
      )
      for (const one of clients) await one[Symbol.asyncDispose]()
    }
  })

  it('refuses endless replies, and replies over 8 MiB', async () => {
    const exchange = new Exchange(server)
    await exchange.send(`set mb 0 0 1000000\r\n${'x'.repeat(1_000_000)}\r\n`)
    expect((await client.request('watch\r\n')).text).toBe('CLIENT_ERROR not available over UDP\r\n')
    for (const request of [`get ${'mb '.repeat(9)}\r\n`, 'get mb\r\n'.repeat(9), 'mg mb v\r\n'.repeat(5000)]) {
      expect((await client.request(request)).text).toBe('SERVER_ERROR reply too long for UDP\r\n')
    }
    const gets = Buffer.concat(Array.from({ length: 9 }, () => packet(Opcode.get, { key: 'mb', opaque: 77 })))
    const [refused] = responses((await client.request(gets)).text)
    expect(refused).toMatchObject({ opcode: Opcode.get, opaque: 77, status: Status.tooLarge })
    for (let index = 0; index < 600; index++) await exchange.send(`set d${index} 0 0 0\r\n\r\n`)
    const dump = await client.request('lru_crawler metadump all\r\n')
    expect(dump.text).toBe('SERVER_ERROR reply too long for UDP\r\n')
    expect(await exchange.send('lru_crawler metadump all\r\n')).toMatch(/^OK\r\n[^]*END\r\n$/)
  })

  it('lives on any bytes, and serves the others', async () => {
    const commands = [
      'get a',
      'set a 0 0 3',
      'xyz',
      'gets a',
      'mg a v',
      'ms a 3',
      'incr a 1',
      'abc',
      'touch a 1',
      'cas a 0 0 3 1',
    ]
    const text = fc.array(fc.oneof(fc.constantFrom(...commands), fc.string({ unit: 'binary', maxLength: 20 })), {
      maxLength: 9,
    })
    const payload = fc.oneof(
      text.map((lines) => Buffer.from(lines.join('\r\n'))),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.concat([Buffer.from([0x80]), bytes])),
      fc
        .record({ opcode: fc.nat(255), key: fc.string({ maxLength: 9 }), value: fc.string({ maxLength: 9 }) })
        .map(({ opcode, ...rest }) => packet(opcode, rest)),
    )
    const header = fc.record({ sequence: fc.nat(0xffff), total: fc.oneof(fc.constant(1), fc.nat(0xffff)) })
    const exchange = new Exchange(server)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(payload, header), { maxLength: 30 }), async (datagrams) => {
        for (const [bytes, counters] of datagrams) client.send(frame(0xffff, bytes, counters))
        for (const [bytes] of datagrams) client.send(bytes.subarray(0, 8))
        expect((await client.request('mn\r\n')).text).toBe('MN\r\n')
        expect(await exchange.send('mn\r\n')).toBe('MN\r\n')
      }),
      { numRuns: 100 },
    )
  })

  it('is in the statistics', async () => {
    const { text } = await client.request('stats conns\r\n')
    expect(text).toMatch(
      new RegExp(
        `STAT (\\d+):UDP UDP\\r\\nSTAT \\1:addr udp:127.0.0.1:\\d+\\r\\nSTAT \\1:listen_addr udp:127.0.0.1:${port}\\r\\n`,
      ),
    )
    const conns = await new Exchange(server).send('stats conns\r\n')
    expect(conns).toMatch(
      new RegExp(`STAT (\\d+):UDP UDP\\r\\nSTAT \\1:addr udp:127.0.0.1:${port}\\r\\nSTAT \\1:state conn_read\\r\\n`),
    )
    expect(await new Exchange(server).send('stats settings\r\n')).toContain(`STAT udpport ${port}\r\n`)
    const before = server.stats()
    const request = frame(1, 'mn\r\n').length
    await client.request('mn\r\n')
    const after = server.stats()
    expect(Number(after['bytes_read']) - Number(before['bytes_read'])).toBe(request)
    expect(Number(after['bytes_written']) - Number(before['bytes_written'])).toBe(8 + 4)
  })
})

describe('UDP and unverified addresses', () => {
  it.each([
    ['127.0.0.1', true],
    ['127.9.9.9', true],
    ['::1', true],
    ['::ffff:127.0.0.1', true],
    ['10.0.0.1', false],
    ['1.127.0.1', false],
    ['12.7.0.1', false],
    ['::ffff:10.0.0.1', false],
    ['fe80::1%lo', false],
    ['::127.0.0.1', false],
    ['::11', false],
  ])('%s is verified: %s', (address, verified) => {
    expect(isVerified(address)).toBe(verified)
  })

  /** This machine's other addresses; a machine without a network has none. */
  const outside = Object.values(networkInterfaces())
    .flat()
    .filter((address) => address !== undefined && !address.internal && address.family === 'IPv4')
    .map((address) => address!.address)

  it('are never sent more bytes than they sent', async () => {
    for (const host of outside) {
      const { server, port } = await listen({ host })
      await using client = await UdpClient.open(port, host)
      await new Exchange(server).send(`set big 0 0 5000\r\n${'x'.repeat(5000)}\r\nset a 0 0 1\r\nx\r\n`)
      const spaces = ' '.repeat(40)
      for (const request of ['get a', 'get big', 'stats', 'stats settings', 'delete b', 'version']) {
        const padded = `${request}${spaces}\r\n`
        const { text, bytes } = await client.request(padded)
        expect(bytes).toBeLessThanOrEqual(8 + padded.length)
        expect(text).toMatch(
          /^(VALUE a 0 1\r\nx\r\nEND|SERVER_ERROR reply too long for UDP|NOT_FOUND|VERSION 1.6.45)\r\n$/,
        )
      }
      expect(await client.unanswered(frame(1, 'get big\r\n'), frame(2, 'stats\r\n'), frame(3, 'delete b\r\n'))).toBe(0)
      const [refused] = responses((await client.request(packet(Opcode.get, { key: 'big' }))).text)
      expect(refused!.status).toBe(Status.tooLarge)
      await server.close()
    }
  })

  it('get replies of up to udpReplyMaxBytes', async () => {
    for (const host of outside) {
      const { server, port } = await listen({ host, udpReplyMaxBytes: 6000 })
      await using client = await UdpClient.open(port, host)
      await new Exchange(server).send(`set big 0 0 5000\r\n${'x'.repeat(5000)}\r\n`)
      expect((await client.request('get big\r\n')).text).toHaveLength(5000 + 25)
      expect((await client.request('get big big\r\n')).text).toBe('SERVER_ERROR reply too long for UDP\r\n')
      await server.close()
    }
  })
})

describe('UDP options', () => {
  it('is off by default', async () => {
    await using server = new MemcachedServer({ port: 0 })
    await server.listen()
    expect(server.portLines).toMatch(/^TCP INET: \d+\n$/)
    expect(await new Exchange(server).send('stats conns\r\n')).not.toContain('udp')
    expect(await new Exchange(server).send('stats settings\r\n')).toContain('STAT udpport 0\r\n')
  })

  it('listens without TCP, on several addresses, and gives its ports back', async () => {
    const { server, port } = await listen({ disableTcp: true, host: ['127.0.0.1', '127.0.0.2'] })
    expect(server.portLines).toMatch(/^UDP INET: \d+\nUDP INET: \d+\n$/)
    await using client = await UdpClient.open(port)
    expect((await client.request('mn\r\n')).text).toBe('MN\r\n')
    await expect(listen({ udpPort: port })).rejects.toThrow(
      `cannot listen on UDP 127.0.0.1:${port}: the port is in use`,
    )
    await server.close()
    const again = await listen({ udpPort: port })
    await again.server.close()
  })

  it('uses only the chosen protocol', async () => {
    for (const [protocol, other] of [
      ['ascii', packet(Opcode.noop)],
      ['binary', 'mn\r\n'],
    ] as const) {
      const { server, port } = await listen({ protocol })
      await using client = await UdpClient.open(port)
      const before = client.datagrams
      client.send(frame(1, other))
      await client.request(protocol === 'ascii' ? 'mn\r\n' : packet(Opcode.noop))
      expect(client.datagrams - before).toBe(1)
      await server.close()
    }
  })

  it('refuses UDP with options that it would bypass, and invalid combinations', () => {
    for (const option of ['authFile', 'saslPasswordFile', 'unixSocket'] as const) {
      expect(() => new MemcachedServer({ udpPort: 0, [option]: '/dev/null' })).toThrow(
        `udpPort cannot be used with ${option}`,
      )
    }
    expect(() => new MemcachedServer({ udpPort: -1 })).toThrow('udpPort must be a whole number from 0')
    expect(() => new MemcachedServer({ disableTcp: true })).toThrow(
      'the server has no address: set udpPort or unixSocket',
    )
  })
})
