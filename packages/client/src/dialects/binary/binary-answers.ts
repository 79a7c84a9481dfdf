import {
  MemcacheAuthError,
  MemcacheServerError,
  MemcacheTooLargeError,
  MemcacheUnsupportedError,
  MetaCode,
  MetaReply,
  Opcode,
  PacketReader,
  Status,
} from 'memcache-ts-protocol'
import type { BinaryPacket } from 'memcache-ts-protocol'
import { NO_COUNTER } from '../../operations/arithmetic-operation.ts'
import type { ArithmeticOperation } from '../../operations/arithmetic-operation.ts'
import type { DeleteOperation } from '../../operations/delete-operation.ts'
import type { KeyListOperation } from '../../operations/key-list-operation.ts'
import type { LinesOperation } from '../../operations/lines-operation.ts'
import { OperationKind } from '../../operations/operation.ts'
import type { Operation } from '../../operations/operation.ts'
import type { RetrievalOperation } from '../../operations/retrieval-operation.ts'
import type { StoreOperation, StoreStatus } from '../../operations/store-operation.ts'
import type { AnswerReader, AnswerSink } from '../dialect.ts'
import { takeLine } from '../lines-exchange.ts'

/** What stands before a value (protocol-binary, "Get response"). */
const FLAGS_BYTES = 4
/** A counter's value (protocol-binary, "Increment response"). */
const COUNTER_BYTES = 8
/** How much of a server's message an error shows. */
const MESSAGE_LENGTH = 200

/** Reads the answers of one connection in the binary protocol; each must echo its operation's opaque. */
export class BinaryAnswers implements AnswerReader {
  readonly #sink: AnswerSink
  readonly #packets: PacketReader
  readonly #reply = new MetaReply()
  /** Whether the first operation has had a packet of its answer. */
  #begun = false

  constructor(sink: AnswerSink) {
    this.#sink = sink
    this.#packets = new PacketReader(
      (packet) => this.#packet(packet),
      (reason) => this.#doubt(`sent ${reason}`),
    )
  }

  push(buffer: Buffer, start: number, end: number): void {
    this.#packets.push(buffer, start, end)
  }

  get isMidAnswer(): boolean {
    return this.#begun || !this.#packets.atBoundary
  }

  stop(): void {
    this.#packets.stop()
  }

  #packet(packet: BinaryPacket): void {
    const operation = this.#sink.first()
    if (operation === undefined) {
      this.#doubt('sent an answer although nothing was asked')
      return
    }
    if (packet.opaque !== operation.opaque) {
      this.#doubt('sent an answer that does not fit the question')
      return
    }
    const isDone = this.#read(operation, packet)
    this.#begun = !isDone
    if (isDone) this.#sink.finished()
  }

  /** Returns whether the operation's answer is complete; not so once the connection is in doubt. */
  #read(operation: Operation, packet: BinaryPacket): boolean {
    switch (operation.kind) {
      case OperationKind.keyList:
        return this.#readKeyList(operation as KeyListOperation, packet)
      case OperationKind.retrieval:
        return this.#readRetrieval(operation as RetrievalOperation, packet)
      case OperationKind.store:
        return this.#readStore(operation as StoreOperation, packet)
      case OperationKind.delete:
        return this.#readDelete(operation as DeleteOperation, packet)
      case OperationKind.arithmetic:
        return this.#readArithmetic(operation as ArithmeticOperation, packet)
      default:
        return this.#readLines(operation as LinesOperation, packet)
    }
  }

  #readKeyList(operation: KeyListOperation, packet: BinaryPacket): boolean {
    if (packet.opcode === Opcode.noop) {
      operation.finish()
      return true
    }
    const { body, extrasLength, valueStart, status } = packet
    if (status === Status.ok) {
      if (extrasLength < FLAGS_BYTES) this.#doubt('sent a value without its client flags')
      else if (!operation.match(body, extrasLength, valueStart)) this.#doubt('sent a key that nobody asked for')
      else this.#takeHit(operation, packet)
    } else if (status !== Status.notFound) {
      this.#fail(operation, packet)
    }
    return false
  }

  #takeHit(operation: KeyListOperation, { body, valueStart, casUnique }: BinaryPacket): void {
    if (operation.withCas) operation.casUnique = casUnique.toBigInt()
    const clientFlags = body.readUInt32BE(0)
    if (valueStart === body.length && clientFlags === 0) operation.takeUncertain(body, valueStart)
    else operation.take(body, valueStart, body.length, clientFlags, true)
  }

  #readRetrieval(operation: RetrievalOperation, packet: BinaryPacket): boolean {
    const reply = this.#reply
    if (packet.status === Status.notFound) {
      reply.code = MetaCode.EN
    } else if (packet.status === Status.ok) {
      reply.code = MetaCode.HD
      reply.clientFlags = 0
      reply.casUnique.copy(packet.casUnique)
      if (operation.request.value) {
        const { body, extrasLength, valueStart } = packet
        if (extrasLength < FLAGS_BYTES) return this.#doubt('sent a value without its client flags')
        reply.clientFlags = body.readUInt32BE(0)
        if (valueStart === body.length && reply.clientFlags === 0) operation.takeUncertain(reply, body, valueStart)
        else operation.take(reply, body, valueStart, body.length, true)
      }
    } else {
      return this.#fail(operation, packet)
    }
    operation.finish(reply)
    return true
  }

  #readStore(operation: StoreOperation, packet: BinaryPacket): boolean {
    const status = storeStatus(operation, packet.status)
    if (status === undefined) return this.#fail(operation, packet)
    operation.finish(status, packet.casUnique)
    return true
  }

  #readDelete(operation: DeleteOperation, packet: BinaryPacket): boolean {
    const { status } = packet
    if (status === Status.ok) operation.finish('deleted')
    else if (status === Status.notFound) operation.finish('notFound')
    else if (status === Status.exists) operation.finish('exists')
    else return this.#fail(operation, packet)
    return true
  }

  #readArithmetic(operation: ArithmeticOperation, packet: BinaryPacket): boolean {
    const { status, body, valueStart } = packet
    if (status === Status.ok) {
      if (body.length - valueStart !== COUNTER_BYTES) return this.#doubt('sent a counter that is not of 8 bytes')
      const digits = String(body.readBigUInt64BE(valueStart))
      operation.finish({ digits, casUnique: packet.casUnique.toBigInt(), ttlSeconds: Infinity })
    } else if (status === Status.notFound || status === Status.exists || status === Status.notStored) {
      operation.finish(NO_COUNTER)
    } else {
      return this.#fail(operation, packet)
    }
    return true
  }

  /** Lines as the text protocol has them, so that what reads them need not know. */
  #readLines(operation: LinesOperation, packet: BinaryPacket): boolean {
    if (packet.status !== Status.ok) return this.#fail(operation, packet)
    if (packet.opcode === Opcode.stat) {
      if (packet.keyLength > 0) {
        if (!takeLine(operation, `STAT ${packet.key()} ${packet.text()}`)) return this.#doubt('sent an endless answer')
        return false
      }
    } else {
      takeLine(operation, packet.opcode === Opcode.version ? `VERSION ${packet.text()}` : packet.text())
    }
    operation.finish()
    return true
  }

  #fail(operation: Operation, packet: BinaryPacket): true {
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
      case Status.unknownCommand:
        operation.fail(new MemcacheUnsupportedError(`${server} does not know the command (${said})`, details))
        break
      default:
        operation.fail(new MemcacheServerError(`${server} answered ${said}`, details))
    }
    return true
  }

  #doubt(what: string): false {
    this.#sink.doubt(`${this.#sink.server} ${what}`)
    return false
  }
}

function storeStatus({ mode }: StoreOperation, status: number): StoreStatus | undefined {
  if (status === Status.ok) return 'stored'
  if (status === Status.notStored) return 'notStored'
  // What there is already, or is not, is no error of a compare-and-swap's where nothing is compared.
  if (status === Status.exists) return mode === 'add' ? 'notStored' : 'exists'
  if (status === Status.notFound) return mode === 'replace' ? 'notStored' : 'notFound'
  return undefined
}
