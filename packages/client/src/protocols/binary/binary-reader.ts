import {
  MemcacheAuthError,
  MemcacheServerError,
  MemcacheTooLargeError,
  MemcacheUnsupportedError,
  PacketReader,
  Status,
} from 'memcache-ts-protocol'
import type { BinaryPacket } from 'memcache-ts-protocol'
import { ClassicItemResponse } from '../../operations/item-response.ts'
import type { Operation } from '../../operations/operation.ts'
import type { ResponseReader, ResponseSink } from '../protocol.ts'
import { binaryCodecs } from './binary-codec.ts'
import type { BinaryCodec } from './binary-codec.ts'
import type { BinaryResponses } from './binary-responses.ts'

/** The length of the excerpt of a server's message in an error. */
const MESSAGE_LENGTH = 200

/** Reads the responses of one connection in the binary protocol; each must echo its operation's opaque. */
export class BinaryReader implements ResponseReader, BinaryResponses {
  readonly item = new ClassicItemResponse()
  readonly #sink: ResponseSink
  readonly #packets: PacketReader
  /** Whether a packet of the first operation's response was received. */
  #begun = false

  constructor(sink: ResponseSink) {
    this.#sink = sink
    this.#packets = new PacketReader(
      (packet) => this.#packet(packet),
      (reason) => this.desync(`sent ${reason}`),
    )
  }

  push(buffer: Buffer, start: number, end: number): void {
    this.#packets.push(buffer, start, end)
  }

  get isMidResponse(): boolean {
    return this.#begun || !this.#packets.atBoundary
  }

  stop(): void {
    this.#packets.stop()
  }

  #packet(packet: BinaryPacket): void {
    const operation = this.#sink.first()
    if (operation === undefined) {
      this.desync('sent a response although nothing was requested')
      return
    }
    if (packet.opaque !== operation.opaque) {
      this.desync('sent a response that does not match the request')
      return
    }
    const codec: BinaryCodec<Operation> = binaryCodecs[operation.kind]
    const isDone = codec.read(operation, packet, this)
    this.#begun = !isDone
    if (isDone) this.#sink.finished()
  }

  fail(operation: Operation, packet: BinaryPacket): true {
    const { server } = this.#sink
    const details = { server, key: operation.key }
    const said = `status ${packet.status}: ${this.#sink.redact(packet.text()).slice(0, MESSAGE_LENGTH)}`
    switch (packet.status) {
      case Status.tooLarge:
        operation.fail(new MemcacheTooLargeError(`${server} refused a value over its item limit (${said})`, details))
        break
      case Status.authError:
        operation.fail(new MemcacheAuthError(`${server} refused the credentials (${said})`, details))
        break
      case Status.authContinue:
        operation.fail(
          new MemcacheAuthError(`${server} asks for more than a username and password: it has no SASL PLAIN`, details),
        )
        break
      case Status.unknownCommand:
        operation.fail(new MemcacheUnsupportedError(`${server} does not know the command (${said})`, details))
        break
      default:
        operation.fail(new MemcacheServerError(`${server} answered ${said}`, details))
    }
    return true
  }

  desync(what: string): false {
    this.#sink.desync(`${this.#sink.server} ${what}`)
    return false
  }
}
