import fc from 'fast-check'
import { Opcode, Status } from 'memcache-ts-protocol'
import { FakeClock, readTranscript, unescapeBytes } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcachedServer } from '../src/memcached-server.ts'
import { packet, responses } from './binary-packets.ts'
import type { Response } from './binary-packets.ts'
import { Exchange } from './exchange.ts'

const FLAGS_AND_EXPTIME = Buffer.from([0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0])
const set = (key: string, value: string, cas = 0n): Buffer =>
  packet(Opcode.set, { extras: FLAGS_AND_EXPTIME, key, value, cas })

describe('the binary protocol', () => {
  it('responds to random requests of all commands like memcached 1.6.45', async () => {
    // `conformance/fuzz-binary-requests.js`, seed 45. Cas uniques are compared as given or not.
    const exchanges = readTranscript(
      new URL('../../../conformance/transcripts/fuzz-binary.memcached-1.6.45.txt', import.meta.url),
    )
    expect(exchanges.length).toBe(350)
    await using server = new MemcachedServer({ clock: new FakeClock() })
    for (const { sent, received } of exchanges) {
      const exchange = new Exchange(server)
      const reply = await exchange.send(unescapeBytes(sent[0]!))
      const isClosed = received[0]!.endsWith(' [closed]')
      const recorded = unescapeBytes(received[0]!.replace(/ \[closed\]$/, ''))
      const comparable = (text: string): Response[] => {
        const all = responses(text)
        for (const response of all) if (response.cas > 0n) response.cas = 1n
        return all
      }
      expect({ replies: comparable(reply), isClosed: exchange.closed }).toEqual({
        replies: comparable(recorded),
        isClosed,
      })
      exchange.end()
    }
  })

  it.each([
    ['no other response is pending', [], '0 '],
    ['a response with the value is pending', [packet(Opcode.get, { key: 'n' })], '0'],
    [
      'the response was sent with an error',
      [packet(Opcode.get, { key: 'n' }), packet(Opcode.get, { key: 'no' })],
      '0 ',
    ],
    [
      'an error was not sent, because it is quiet',
      [packet(Opcode.get, { key: 'n' }), packet(Opcode.getQuietly, { key: 'no' })],
      '0',
    ],
  ])('changes a number in place, with its length, if %s', async (_name, between, expected) => {
    await using server = new MemcachedServer()
    const exchange = new Exchange(server)
    const delta = Buffer.from('ffffffffffffffff0000000000000001ffffffff', 'hex')
    const decrement = packet(Opcode.decrementQuietly, { key: 'n', extras: delta })
    const requests = [set('n', '5 '), ...between, decrement, packet(Opcode.get, { key: 'n' })]
    expect(responses(await exchange.send(Buffer.concat(requests))).at(-1)!.value).toBe(expected)
  })

  it('is spoken beside text on one port, by the first byte, on the same items', async () => {
    await using server = new MemcachedServer()
    const [binary, text] = [new Exchange(server), new Exchange(server)]
    const [stored] = responses(await binary.send(set('a', 'from binary')))
    expect(stored).toMatchObject({ opcode: Opcode.set, status: Status.ok, opaque: 7, value: '' })
    expect(await text.send('gets a\r\n')).toBe(`VALUE a 3735928559 11 ${stored!.cas}\r\nfrom binary\r\nEND\r\n`)
    await text.send('set b 5 0 9\r\nfrom text\r\n')
    expect(responses(await binary.send(packet(Opcode.getKey, { key: 'b' })))).toMatchObject([
      { status: Status.ok, extras: '\0\0\0\x05', key: 'b', value: 'from text' },
    ])
  })

  it('is one conversation in pieces of any length', async () => {
    const conversation = Buffer.concat([
      set('a', 'value of a'),
      packet(Opcode.getKey, { key: 'a' }),
      set('empty', ''),
      set('large', 'x'.repeat(70_000)),
      packet(Opcode.get, { key: 'large' }),
      packet(Opcode.append, { key: 'a', value: '!' }),
      packet(0x77, { key: 'unknown', value: 'is passed over' }),
      set('too large', 'y'.repeat(1_100_000)),
      packet(Opcode.getAndTouchKey, { extras: Buffer.alloc(4), key: 'a' }),
      packet(Opcode.noop),
    ])
    const whole = async (cuts: number[]): Promise<unknown[]> => {
      await using server = new MemcachedServer({ memoryLimitMb: 64 })
      const exchange = new Exchange(server)
      let received = await exchange.sendInPieces(conversation, cuts)
      for (let turn = 0; turn < 5; turn++) received += await exchange.send('')
      return responses(received)
    }
    const expected = await whole([])
    expect(expected).toHaveLength(10)
    expect(expected[9]).toMatchObject({ opcode: Opcode.noop })
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.nat(200), fc.nat(conversation.length)), { maxLength: 30 }),
        async (cuts) => {
          expect(await whole(cuts)).toEqual(expected)
        },
      ),
      { numRuns: 20 },
    )
  })

  it.each([
    ['a key that is longer than the body', { lengths: { key: 10, body: 5 } }, Status.unknownCommand],
    ['a key of 251 bytes', { key: 'k'.repeat(251) }, Status.invalid],
    ['a body of 4 GiB', { lengths: { body: 0xffff_ffff } }, Status.invalid],
    ['unexpected extras', { extras: Buffer.alloc(4), key: 'a' }, Status.invalid],
    ['no key', {}, Status.invalid],
  ])('closes on %s', async (_, parts, status) => {
    await using server = new MemcachedServer()
    const exchange = new Exchange(server)
    expect(
      responses(await exchange.send(Buffer.concat([packet(Opcode.get, parts), packet(Opcode.noop)]))),
    ).toMatchObject([{ status }])
    expect(exchange.closed).toBe(true)
  })

  it('closes on a byte that begins no request, after a binary request', async () => {
    await using server = new MemcachedServer()
    const exchange = new Exchange(server)
    expect(responses(await exchange.send(Buffer.concat([packet(Opcode.noop), Buffer.from('get a\r\n')])))).toHaveLength(
      1,
    )
    expect(exchange.closed).toBe(true)
  })

  it('is the only protocol with -B binary, and not available with -B ascii', async () => {
    await using binary = new MemcachedServer({ protocol: 'binary' })
    const text = new Exchange(binary)
    expect(await text.send('version\r\n')).toBe('')
    expect(text.closed).toBe(true)
    expect(responses(await new Exchange(binary).send(packet(Opcode.version)))).toMatchObject([{ value: '1.6.45' }])
    await using ascii = new MemcachedServer({ protocol: 'ascii' })
    expect(await new Exchange(ascii).send(packet(Opcode.noop))).toMatch(/ERROR/)
  })

  it('lists statistics in packets, the last one empty', async () => {
    await using server = new MemcachedServer()
    const exchange = new Exchange(server)
    const stats = responses(await exchange.send(packet(Opcode.stat)))
    expect(stats.at(-1)).toMatchObject({ key: '', value: '', status: Status.ok })
    expect(stats.slice(0, -1).map(({ key }) => key)).toEqual(Object.keys(server.stats()))
    expect(responses(await exchange.send(packet(Opcode.stat, { key: 'settings' }))).length).toBeGreaterThan(50)
    for (const key of ['reset', 'detail on', 'detail off']) {
      expect(responses(await exchange.send(packet(Opcode.stat, { key })))).toMatchObject([
        { status: Status.ok, key: '' },
      ])
    }
    expect(responses(await exchange.send(packet(Opcode.stat, { key: 'nothing' })))).toMatchObject([
      { status: Status.notFound },
    ])
  })

  it('makes no more replies than its client reads, and lets the others have their turns', async () => {
    await using server = new MemcachedServer()
    const [greedy, other] = [new Exchange(server), new Exchange(server)]
    await other.send(`set k 0 0 16000\r\n${'x'.repeat(16_000)}\r\n`)
    const gets = packet(Opcode.get, { key: 'k' })
    const begun = greedy.send(Buffer.concat(Array<Buffer>(2000).fill(gets)))
    expect(await other.send('mn\r\n')).toBe('MN\r\n')
    expect(server.stats()['cmd_get']).toBeLessThan(2000)
    let received = await begun
    while (received.length < 2000 * (24 + 4 + 16_000)) received += await greedy.send('')
    expect(responses(received)).toHaveLength(2000)
  })

  it('has keys of any bytes, which break no dump', async () => {
    await using server = new MemcachedServer()
    const [binary, text] = [new Exchange(server), new Exchange(server)]
    const key = 'x\r\nEND\r\n y\0'
    await binary.send(set(key, 'value'))
    expect(responses(await binary.send(packet(Opcode.get, { key })))).toMatchObject([{ value: 'value' }])
    const encoded = Buffer.from(key, 'latin1').toString('base64')
    expect(await text.send('lru_crawler mgdump all\r\n')).toBe(`OK\r\nmg ${encoded} b\r\nEN\r\n`)
    expect(await text.send('stats cachedump 1 0\r\n')).toBe('END\r\n')
    expect(await text.send(`mg ${encoded} b v k\r\n`)).toBe(`VA 5 k${encoded} b\r\nvalue\r\n`)
  })

  it('responds to random packets and bytes with a status or a close, and keeps running', async () => {
    await using server = new MemcachedServer({ memoryLimitMb: 8 })
    const other = new Exchange(server)
    const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
    const random = fc.record({
      opcode: fc.nat(0x30),
      extras: fc.constantFrom(0, 4, 8, 20, 3).map((length) => Buffer.alloc(length, 1)),
      key: fc.constantFrom('', 'a', 'b', 'k'.repeat(250), 'k'.repeat(251)),
      value: fc.constantFrom('', '5', 'x'.repeat(3000)),
      cas: fc.constantFrom(0n, 1n, 2n ** 64n - 1n),
      body: fc.option(fc.nat(0xffff_ffff), { freq: 10, nil: undefined }),
    })
    const packets = fc.array(
      fc.oneof(
        {
          arbitrary: random.map(({ opcode, body, ...parts }) =>
            packet(opcode, { ...parts, ...(body === undefined ? {} : { lengths: { body } }) }),
          ),
          weight: 9,
        },
        { arbitrary: bytes, weight: 1 },
      ),
      { maxLength: 20 },
    )
    await fc.assert(
      fc.asyncProperty(packets, async (all) => {
        const exchange = new Exchange(server)
        const received = await exchange.send(Buffer.concat([packet(Opcode.noop), ...all]))
        responses(received)
        exchange.end()
        expect(await other.send('mn\r\n')).toBe('MN\r\n')
      }),
      { numRuns: 300 },
    )
    expect(Number(server.stats()['bytes'])).toBeLessThan(8 * 1024 * 1024)
    expect(server.stats()['curr_connections']).toBe(1)
  })
})
