import {
  MemcacheAuthError,
  MemcacheServerError,
  MemcacheTooLargeError,
  MemcacheUnsupportedError,
  PacketReader,
  Status,
} from 'memcache-ts-protocol'
import type { BinaryPacket } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import type { OperationOf, Protocol, ResponseReader, ResponseSink } from '../protocol.ts'
import type { Operation, OperationKind } from '../../operations/operation.ts'
import { readArithmetic, readDelete, readKeyList, readLines, readRetrieval, readStore } from './binary-responses.ts'
import type { BinaryResponses } from './binary-responses.ts'
import {
  writeArithmetic,
  writeDelete,
  writeKeyList,
  writeLines,
  writeRetrieval,
  writeStore,
} from './binary-requests.ts'
import { ClassicItemResponse } from '../../operations/item-response.ts'

/** Writes one kind of operation, and reads its response, in the binary protocol. */
interface BinaryCodec<Kind> {
  /**
   * Writes the request.
   *
   * @throws MemcacheUnsupportedError if the protocol has no command for it.
   */
  write(operation: Kind, requests: RequestBuffer): void
  /**
   * Reads a packet of the response; returns whether the response is complete. Returns false if the packet does not
   * match the request.
   */
  read(operation: Kind, packet: BinaryPacket, responses: BinaryResponses): boolean
}

/** A codec for each kind of operation. */
const binaryCodecs: { readonly [Kind in OperationKind]: BinaryCodec<OperationOf[Kind]> } = {
  keyList: { write: writeKeyList, read: readKeyList },
  retrieval: { write: writeRetrieval, read: readRetrieval },
  store: { write: writeStore, read: readStore },
  delete: { write: writeDelete, read: readDelete },
  arithmetic: { write: writeArithmetic, read: readArithmetic },
  lines: { write: writeLines, read: readLines },
}

/** The length of the excerpt of a server's message in an error. */
const MESSAGE_LENGTH = 200

/** Reads the responses of one connection in the binary protocol; each must echo its operation's opaque. */
class BinaryReader implements ResponseReader, BinaryResponses {
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
    const problem = `status ${packet.status}: ${this.#sink.redact(packet.text()).slice(0, MESSAGE_LENGTH)}`
    switch (packet.status) {
      case Status.tooLarge:
        operation.fail(new MemcacheTooLargeError(`${server} refused a value over its item limit (${problem})`, details))
        break
      case Status.authError:
        operation.fail(new MemcacheAuthError(`${server} refused the credentials (${problem})`, details))
        break
      case Status.authContinue:
        operation.fail(
          new MemcacheAuthError(
            `${server} does not support SASL PLAIN, which logs in by username and password`,
            details,
          ),
        )
        break
      case Status.unknownCommand:
        operation.fail(new MemcacheUnsupportedError(`${server} does not know the command (${problem})`, details))
        break
      default:
        operation.fail(new MemcacheServerError(`${server} responded with ${problem}`, details))
    }
    return true
  }

  desync(what: string): false {
    this.#sink.desync(`${this.#sink.server} ${what}`)
    return false
  }
}

let lastOpaque = 0

/**
 * The basic commands of the binary protocol, which memcached has deprecated, for hosted servers that demand SASL
 * (protocol-binary).
 */
export const binaryProtocol: Protocol = {
  name: 'binary',

  readerFor(sink: ResponseSink): ResponseReader {
    return new BinaryReader(sink)
  },

  write(operation: Operation, requests: RequestBuffer): void {
    requests.room()
    operation.opaque = lastOpaque = (lastOpaque + 1) >>> 0
    const codec: BinaryCodec<Operation> = binaryCodecs[operation.kind]
    codec.write(operation, requests)
  },
}
