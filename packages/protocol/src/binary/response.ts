import { Uint64 } from '../uint64.ts'
import { BINARY_HEADER_BYTES } from './request.ts'
import { blockMemory } from '../framing.ts'
import { MAX_VALUE_BYTES } from '../limits.ts'

const RESPONSE_MAGIC = 0x81

/** The fields of a response's header besides its lengths. */
export interface BinaryResponse {
  readonly opcode: number
  readonly status: number
  /** The opaque of the request. */
  readonly opaque: number
  /** The cas unique; `undefined` for none. */
  readonly cas: Uint64 | undefined
}

/** Writes a response's header; returns the position after it (protocol-binary, "Response header"). */
export function writeBinaryResponseHeader(
  out: Buffer,
  at: number,
  { opcode, status, opaque, cas }: BinaryResponse,
  lengths: { readonly extras: number; readonly key: number; readonly value: number },
): number {
  out[at] = RESPONSE_MAGIC
  out[at + 1] = opcode
  out.writeUInt16BE(lengths.key, at + 2)
  out[at + 4] = lengths.extras
  out[at + 5] = 0
  out.writeUInt16BE(status, at + 6)
  out.writeUInt32BE(lengths.extras + lengths.key + lengths.value, at + 8)
  out.writeUInt32BE(opaque, at + 12)
  out.writeUInt32BE(cas?.high ?? 0, at + 16)
  out.writeUInt32BE(cas?.low ?? 0, at + 20)
  return at + BINARY_HEADER_BYTES
}

/** A body also has a key and extras before the value. */
const MAX_BODY_BYTES = MAX_VALUE_BYTES + 0x1_00ff
const NOTHING = Buffer.alloc(0)

/** A complete response of the binary protocol. The record is reused; `body` is valid only during the call. */
export class BinaryPacket {
  opcode = 0
  status = 0
  opaque = 0
  readonly casUnique = new Uint64()
  body: Buffer = NOTHING
  extrasLength = 0
  keyLength = 0

  /** The start of the value in `body`. */
  get valueStart(): number {
    return this.extrasLength + this.keyLength
  }

  /** Returns the value as a string, such as an error message. */
  text(): string {
    return this.body.toString('utf8', this.valueStart)
  }

  /** Returns the key as a string. */
  key(): string {
    return this.body.toString('utf8', this.extrasLength, this.valueStart)
  }
}

/**
 * Splits a stream of bytes into binary responses, however the network has divided it. A body's memory is allocated when
 * its header has arrived, for large bodies in steps.
 */
export class PacketReader {
  readonly #handle: (packet: BinaryPacket) => void
  readonly #broken: (reason: string) => void
  readonly #packet = new BinaryPacket()
  readonly #header = Buffer.alloc(BINARY_HEADER_BYTES)
  #headerLength = 0
  #bodyLength = 0
  #receivedLength = 0
  #ended = false

  /** @param broken is called if the bytes are not a response; reading stops then. */
  constructor(handle: (packet: BinaryPacket) => void, broken: (reason: string) => void) {
    this.#handle = handle
    this.#broken = broken
  }

  /** Parses received bytes; `buffer` may be reused afterwards. */
  push(buffer: Buffer, start: number, end: number): void {
    let at = start
    while (at < end && !this.#ended) {
      if (this.#headerLength < BINARY_HEADER_BYTES) {
        const taken = buffer.copy(this.#header, this.#headerLength, at, Math.min(end, at + this.#missingHeader))
        this.#headerLength += taken
        at += taken
        if (this.#headerLength === BINARY_HEADER_BYTES) this.#readHeader()
      } else {
        const taken = Math.min(end - at, this.#bodyLength - this.#receivedLength)
        const needed = this.#receivedLength + taken
        const body = (this.#packet.body = blockMemory(this.#packet.body, needed, this.#bodyLength))
        buffer.copy(body, this.#receivedLength, at, at + taken)
        this.#receivedLength = needed
        at += taken
      }
      this.#finishIfWhole()
    }
  }

  /** Stops reading permanently. */
  stop(): void {
    this.#ended = true
    this.#packet.body = NOTHING
  }

  /** Whether the stream is between two responses, so that nothing is half read. */
  get atBoundary(): boolean {
    return this.#headerLength === 0
  }

  get #missingHeader(): number {
    return BINARY_HEADER_BYTES - this.#headerLength
  }

  #readHeader(): void {
    const header = this.#header
    const packet = this.#packet
    const bodyLength = header.readUInt32BE(8)
    packet.opcode = header[1]!
    packet.keyLength = header.readUInt16BE(2)
    packet.extrasLength = header[4]!
    packet.status = header.readUInt16BE(6)
    packet.opaque = header.readUInt32BE(12)
    packet.casUnique.set(header.readUInt32BE(16), header.readUInt32BE(20))
    if (header[0] !== RESPONSE_MAGIC || packet.valueStart > bodyLength || bodyLength > MAX_BODY_BYTES) {
      this.#ended = true
      this.#broken('the bytes are not a binary response')
      return
    }
    packet.body = NOTHING
    this.#bodyLength = bodyLength
    this.#receivedLength = 0
  }

  #finishIfWhole(): void {
    if (this.#ended || this.#headerLength < BINARY_HEADER_BYTES) return
    if (this.#receivedLength < this.#bodyLength) return
    this.#headerLength = 0
    this.#handle(this.#packet)
    // The value is released, and not kept until the next response.
    this.#packet.body = NOTHING
  }
}
