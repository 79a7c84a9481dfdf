import fc from 'fast-check'
import { expect, it } from 'vitest'
import { BINARY_HEADER_BYTES, Opcode, PacketReader, Uint64, writeBinaryHeader } from '../src/index.ts'

const RESPONSE_MAGIC = 0x81

interface Packet {
  readonly opcode: number
  readonly opaque: number
  readonly cas: bigint
  readonly extras: Buffer
  readonly key: Buffer
  readonly value: Buffer
}

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array))
const packet: fc.Arbitrary<Packet> = fc.record({
  opcode: fc.constantFrom(...Object.values(Opcode)),
  opaque: fc.integer({ min: 0, max: 0xffff_ffff }),
  cas: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  extras: bytes(20),
  key: bytes(250),
  value: bytes(500),
})

/** A packet as a response: a request's header but for its first byte. */
function format({ opcode, opaque, cas, extras, key, value }: Packet): Buffer {
  const header = Buffer.alloc(BINARY_HEADER_BYTES)
  const unique = new Uint64()
  unique.setBigInt(cas)
  const lengths = { extras: extras.length, key: key.length, value: value.length }
  writeBinaryHeader(header, 0, opcode, lengths, opaque, unique)
  header[0] = RESPONSE_MAGIC
  return Buffer.concat([header, extras, key, value])
}

it('reads binary packets as they were formatted, cut at any place', () => {
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 6 }), fc.array(fc.nat(3000), { maxLength: 20 }), (packets, cuts) => {
      const read: Packet[] = []
      const reader = new PacketReader(
        ({ opcode, opaque, casUnique, body, extrasLength, valueStart }) =>
          read.push({
            opcode,
            opaque,
            cas: casUnique.toBigInt(),
            extras: body.subarray(0, extrasLength),
            key: body.subarray(extrasLength, valueStart),
            value: body.subarray(valueStart),
          }),
        (reason) => expect.unreachable(reason),
      )
      const stream = Buffer.concat(packets.map(format))
      // Received in memory that is used again for each piece.
      const shared = Buffer.alloc(stream.length)
      let from = 0
      for (const cut of [...cuts.filter((at) => at < stream.length).sort((a, b) => a - b), stream.length]) {
        shared.fill(0)
        stream.copy(shared, 0, from, cut)
        reader.push(shared, 0, cut - from)
        from = cut
      }
      expect(read).toEqual(packets)
    }),
  )
})

it('stops at bytes that are no response', () => {
  const broken: string[] = []
  const reader = new PacketReader(
    () => expect.unreachable(),
    (reason) => broken.push(reason),
  )
  const text = Buffer.from('ERROR this is a line of the text protocol\r\n')
  reader.push(text, 0, text.length)
  reader.push(text, 0, text.length)
  expect(broken).toEqual(['the bytes are not a binary response'])
})
