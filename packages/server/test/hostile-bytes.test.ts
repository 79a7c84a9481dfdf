import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import fc from 'fast-check'
import { Opcode, Status } from 'memcache-ts-protocol'
import { launchServer, readUntil } from 'memcache-ts-testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packet, responses } from './binary-packets.ts'
import { frame, UdpClient } from './udp-client.ts'

/** Requests of each kind; `HOSTILE_REQUESTS=100000` is the long run. */
const REQUESTS = Number(process.env['HOSTILE_REQUESTS'] ?? 3000)
const PER_CONNECTION = 50
/** The allowed growth of the process: its items, and garbage that is not collected yet. */
const MAX_GROWTH_BYTES = 96 * 1024 * 1024
const STATUSES: ReadonlySet<number> = new Set(Object.values(Status))

const key = fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.string({ unit: 'binary', maxLength: 12 }).map(latin1))
const value = fc.oneof(
  fc.constantFrom('', '5', 'x'.repeat(3000)),
  fc.string({ unit: 'binary', maxLength: 20 }).map(latin1),
)
const number = fc.oneof(
  fc.constantFrom('0', '1', '-1', '2147483648', '18446744073709551616', 'x'),
  fc.nat(300).map(String),
)

const line = fc
  .oneof(
    fc
      .tuple(fc.constantFrom('get', 'gets', 'mg', 'md', 'delete', 'me', 'gat 1', 'incr', 'touch'), key, number)
      .map((words) => words.join(' ')),
    fc
      .tuple(fc.constantFrom('set', 'add', 'append', 'cas', 'replace'), key, number, number, number, value)
      .map(
        ([command, name, flags, exptime, length, data]) =>
          `${command} ${name} ${flags} ${exptime} ${length}\r\n${data}`,
      ),
    fc
      .tuple(key, number, value, fc.string({ maxLength: 5 }))
      .map(([name, length, data, flags]) => `ms ${name} ${length} ${flags}\r\n${data}`),
    fc.constantFrom(
      'stats',
      'stats items',
      'version',
      'mn',
      'verbosity 0',
      '',
      'lru_crawler crawl all',
      'slabs automove 1',
      'stats conns',
    ),
    fc.string({ unit: 'binary', maxLength: 40 }).map(latin1),
  )
  .map((text) => `${text}\r\n`)

const binary = fc.oneof(
  fc
    .record({ opcode: fc.nat(0x25), key, value, extras: fc.constantFrom(0, 0, 4, 8, 8, 20), opaque: fc.nat() })
    .map(({ opcode, extras, ...rest }) => packet(opcode, { ...rest, extras: Buffer.alloc(extras) })),
  fc
    .record({ opcode: fc.nat(255), key: fc.nat(0xffff), body: fc.oneof(fc.nat(300), fc.nat(0xffff_ffff)) })
    .map(({ opcode, ...lengths }) => packet(opcode, { lengths })),
  fc.uint8Array({ minLength: 1, maxLength: 60 }).map((bytes) => Buffer.concat([Buffer.from([0x80]), bytes])),
)

function latin1(text: string): string {
  return Buffer.from(text).toString('latin1')
}

/** The memory of the process, as the kernel reports it. */
function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) * 1024
}

/** Sends it all and ends; resolves with all that came back, once the server has closed. */
async function converse(port: number, bytes: Buffer): Promise<Buffer> {
  const socket = connect(port, '127.0.0.1')
  const received: Buffer[] = []
  socket.on('data', (chunk: Buffer) => received.push(chunk))
  // A server that closes with bytes unread resets.
  socket.on('error', () => {})
  socket.end(bytes)
  await once(socket, 'close')
  return Buffer.concat(received)
}

describe('a server that is sent anything', () => {
  let server: Awaited<ReturnType<typeof launchServer>>
  let udp: UdpClient
  let before = 0
  beforeAll(async () => {
    // One port for both.
    server = await launchServer({ memoryLimitMb: 16, args: ['-U', '-1'], env: {} })
    const stats = (await converse(server.port, Buffer.from('stats settings\r\n'))).toString()
    udp = await UdpClient.open(Number(/STAT udpport (\d+)/.exec(stats)![1]))
    before = residentBytes(server.pid)
  })
  afterAll(async () => {
    await udp[Symbol.asyncDispose]()
    await server.kill()
  })

  /** Runs batches, and has another connection served behind each. */
  async function attack<T>(kind: fc.Arbitrary<T>, send: (batch: readonly T[]) => Promise<void>): Promise<void> {
    const other = connect(server.port, '127.0.0.1')
    const batches = Math.ceil(REQUESTS / PER_CONNECTION)
    const seed = Number(process.env['HOSTILE_SEED'] ?? 18)
    for (let index = 0; index < batches; index++) {
      const batch = fc.sample(kind, { numRuns: PER_CONNECTION, seed: seed + index })
      await send(batch)
      other.write('mn\r\n')
      expect(await readUntil(other, '\r\n')).toBe('MN\r\n')
    }
    other.destroy()
    expect(residentBytes(server.pid) - before).toBeLessThan(MAX_GROWTH_BYTES)
  }

  it(
    'answers lines of text with lines, or closes',
    () =>
      attack(line, async (lines) => {
        const received = await converse(server.port, Buffer.from(lines.join(''), 'latin1'))
        if (received.length > 0) expect(received.toString('latin1').endsWith('\r\n')).toBe(true)
      }),
    600_000,
  )

  it(
    'answers frames of the binary protocol with a status, or closes',
    () =>
      attack(binary, async (frames) => {
        const received = await converse(server.port, Buffer.concat(frames))
        for (const { status, opcode } of responses(received.toString('latin1'))) {
          expect(STATUSES.has(status), `opcode ${opcode}: status ${status}`).toBe(true)
        }
      }),
    600_000,
  )

  it(
    'answers datagrams each by itself, or not',
    () =>
      attack(
        fc.oneof(
          line.map((text) => Buffer.from(text, 'latin1')),
          binary,
        ),
        async (payloads) => {
          for (const [index, payload] of payloads.entries()) {
            udp.send(frame(0xf000 + index, payload, { total: index % 9 === 0 ? index : 1 }))
          }
          expect((await udp.request('mn\r\n')).text).toBe('MN\r\n')
        },
      ),
    600_000,
  )

  it('accepts no credentials by chance', async () => {
    expect(Opcode.saslAuth).toBe(0x21)
    const stats = (await converse(server.port, Buffer.from('stats\r\n'))).toString()
    expect(stats).toContain('STAT auth_cmds 0\r\n')
    expect(stats).toMatch(/STAT curr_connections [12]\r\n/)
  })
})
