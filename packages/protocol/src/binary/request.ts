import { Uint64 } from '../uint64.ts'
import { STOP } from '../framing.ts'
import { MAX_KEY_BYTES } from '../limits.ts'

/** The length of every packet's header. */
export const BINARY_HEADER_BYTES = 24
const REQUEST_MAGIC = 0x80

/** Writes a request's header without its body; returns the position after it (protocol-binary, "Request header"). */
export function writeBinaryHeader(
  out: Buffer,
  at: number,
  opcode: number,
  lengths: { readonly extras: number; readonly key: number; readonly value: number },
  opaque: number,
  cas: Uint64 | undefined,
): number {
  out[at] = REQUEST_MAGIC
  out[at + 1] = opcode
  out.writeUInt16BE(lengths.key, at + 2)
  out[at + 4] = lengths.extras
  out[at + 5] = 0
  out.writeUInt16BE(0, at + 6)
  out.writeUInt32BE(lengths.extras + lengths.key + lengths.value, at + 8)
  out.writeUInt32BE(opaque, at + 12)
  out.writeUInt32BE(cas?.high ?? 0, at + 16)
  out.writeUInt32BE(cas?.low ?? 0, at + 20)
  return at + BINARY_HEADER_BYTES
}

export const BINARY_REQUEST_MAGIC = 0x80
/** Longer bodies are refused, as in memcached (its largest item). */
const MAX_BINARY_BODY_BYTES = 1024 * 1024 * 1024
/** The handler's result that asks for the value; otherwise the value is skipped. */
export const VALUE = 1
const EMPTY = Buffer.alloc(0)

/**
 * A request's header, and the positions of its extras and its key. The record is reused; `buffer` is valid only during
 * the call.
 */
export class BinaryRequest {
  opcode = 0
  opaque = 0
  readonly cas = new Uint64()
  extrasLength = 0
  keyLength = 0
  bodyLength = 0
  buffer: Buffer = EMPTY
  extrasStart = 0
  keyStart = 0

  get valueLength(): number {
    return this.bodyLength - this.extrasLength - this.keyLength
  }

  /** Whether the lengths are invalid; then extras and key are not available. */
  get isMalformed(): boolean {
    return this.valueLength < 0 || this.keyLength > MAX_KEY_BYTES || this.bodyLength > MAX_BINARY_BODY_BYTES
  }
}

/** Handles the requests of a `BinaryRequestReader`. */
export interface BinaryRequestHandler {
  /**
   * Handles a request with its extras and its key. Returns `VALUE` to get the value, `NONE`, or `STOP`: read no further
   * until `resume()`.
   */
  request(request: BinaryRequest): number
  /** Handles a piece of the value, in order, at `offset` of it; `buffer` is valid only during the call. */
  data(buffer: Buffer, start: number, end: number, offset: number): void
  /** Called at the end of the value. Returns `NONE` or `STOP`. */
  dataEnd(): number
  /** Called if the bytes are not a binary request; reading stops then. */
  badMagic(): void
}

/**
 * Splits a stream of bytes into binary requests, however the network has divided it (protocol-binary). Only bytes
 * before a complete key, and bytes after a `STOP`, are copied.
 */
export class BinaryRequestReader {
  readonly #handler: BinaryRequestHandler
  readonly #request = new BinaryRequest()
  #held: Buffer = EMPTY
  /** The remaining bytes of the value. */
  #left = 0
  #valueLength = 0
  #isWanted = false
  #stopped = false
  #ended = false

  constructor(handler: BinaryRequestHandler) {
    this.#handler = handler
  }

  get heldBytes(): number {
    return this.#held.length
  }

  get stopped(): boolean {
    return this.#stopped
  }

  /** Whether a value is being received. */
  get isReadingValue(): boolean {
    return this.#left > 0
  }

  /** Parses received bytes; `buffer` may be reused afterwards. */
  push(buffer: Buffer, start: number, end: number): void {
    if (this.#ended) return
    const isWhole = !this.#stopped && this.#held.length === 0
    if (isWhole) {
      this.#run(buffer, start, end, 'received')
      return
    }
    this.#held = Buffer.concat([this.#held, buffer.subarray(start, end)])
    if (!this.#stopped) this.#runHeld()
  }

  /** Continues after a `STOP`. */
  resume(): void {
    if (!this.#stopped || this.#ended) return
    this.#stopped = false
    this.#runHeld()
  }

  /** Stops permanently. */
  stop(): void {
    this.#ended = true
    this.#stopped = true
    this.#held = EMPTY
  }

  #runHeld(): void {
    const held = this.#held
    this.#held = EMPTY
    this.#run(held, 0, held.length, 'own')
  }

  #run(buffer: Buffer, start: number, end: number, memory: 'received' | 'own'): void {
    let at = start
    while (at < end && !this.#stopped) {
      const next = this.#left > 0 ? this.#readValue(buffer, at, end) : this.#readHead(buffer, at, end)
      if (next === at) break
      at = next
    }
    if (at === end || this.#ended) return
    this.#held = memory === 'own' ? buffer.subarray(at, end) : Buffer.from(buffer.subarray(at, end))
  }

  /** Parses a header, extras and key; returns the position after them, or `at` if they are incomplete. */
  #readHead(buffer: Buffer, at: number, end: number): number {
    if (buffer[at] !== BINARY_REQUEST_MAGIC) {
      this.#handler.badMagic()
      this.stop()
      return end
    }
    if (end - at < BINARY_HEADER_BYTES) return at
    const request = this.#request
    request.opcode = buffer[at + 1]!
    request.keyLength = buffer.readUInt16BE(at + 2)
    request.extrasLength = buffer[at + 4]!
    request.bodyLength = buffer.readUInt32BE(at + 8)
    request.opaque = buffer.readUInt32BE(at + 12)
    request.cas.set(buffer.readUInt32BE(at + 16), buffer.readUInt32BE(at + 20))
    request.buffer = buffer
    request.extrasStart = at + BINARY_HEADER_BYTES
    request.keyStart = request.extrasStart + request.extrasLength
    const valueStart = request.keyStart + request.keyLength
    if (!request.isMalformed && valueStart > end) return at
    this.#left = Math.max(0, request.valueLength)
    this.#valueLength = this.#left
    const next = this.#handler.request(request)
    this.#isWanted = next === VALUE
    if (next === STOP) this.#stopped = true
    if (this.#left === 0) this.#finishValue()
    return Math.min(valueStart, end)
  }

  #readValue(buffer: Buffer, at: number, end: number): number {
    const take = Math.min(this.#left, end - at)
    if (this.#isWanted) this.#handler.data(buffer, at, at + take, this.#valueLength - this.#left)
    this.#left -= take
    if (this.#left === 0) this.#finishValue()
    return at + take
  }

  #finishValue(): void {
    if (!this.#isWanted) return
    this.#isWanted = false
    if (this.#handler.dataEnd() === STOP) this.#stopped = true
  }
}
