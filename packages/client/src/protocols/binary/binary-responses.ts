import { Opcode, Status } from 'memcache-ts-protocol'
import type { BinaryPacket } from 'memcache-ts-protocol'
import { NO_COUNTER } from '../../operations/write-operations.ts'
import type {
  ArithmeticOperation,
  DeleteOperation,
  StoreOperation,
  StoreStatus,
} from '../../operations/write-operations.ts'
import type { KeyListOperation } from '../../operations/key-list-operation.ts'
import type { LinesOperation } from '../../operations/lines-operation.ts'
import type { RetrievalOperation } from '../../operations/retrieval-operation.ts'
import type { ClassicItemResponse } from '../../operations/item-response.ts'
import type { Operation } from '../../operations/operation.ts'
import { OWNED } from '../../values/value-codec.ts'
import { takeLine } from '../line/shared-codecs.ts'

/** The length of the client flags before a value (protocol-binary, "Get response"). */
const FLAGS_BYTES = 4
/** The length of a counter's value (protocol-binary, "Increment response"). */
const COUNTER_BYTES = 8

/** The reader of a connection's responses, as codecs use it. */
export interface BinaryResponses {
  readonly item: ClassicItemResponse
  /** Fails an operation by the error of its status. */
  fail(operation: Operation, packet: BinaryPacket): true
  /** Reports an invalid packet: nothing more is read. */
  desync(what: string): false
}

/** Reads the hits of quiet gets, and the response to the noop after them. */
export function readKeyList(operation: KeyListOperation, packet: BinaryPacket, responses: BinaryResponses): boolean {
  if (packet.opcode === Opcode.noop) {
    operation.finish()
    return true
  }
  const { body, extrasLength, valueStart, status } = packet
  if (status === Status.ok) {
    if (extrasLength < FLAGS_BYTES) responses.desync('sent a value without its client flags')
    else if (!operation.match(body, extrasLength, valueStart)) responses.desync('sent a key that was not requested')
    else takeHit(operation, packet)
  } else if (status !== Status.notFound) {
    responses.fail(operation, packet)
  }
  return false
}

function takeHit(operation: KeyListOperation, { body, valueStart, casUnique }: BinaryPacket): void {
  if (operation.withCas) operation.casUnique = casUnique.toBigInt()
  const clientFlags = body.readUInt32BE(0)
  if (valueStart === body.length && clientFlags === 0) operation.takeUncertain(body, valueStart)
  else operation.take(body, valueStart, body.length, clientFlags, OWNED)
}

/** Reads the response to a Get, GAT or Touch. */
export function readRetrieval(
  operation: RetrievalOperation,
  packet: BinaryPacket,
  responses: BinaryResponses,
): boolean {
  const { item } = responses
  if (packet.status === Status.notFound) {
    item.isFound = false
  } else if (packet.status === Status.ok) {
    item.isFound = true
    item.clientFlags = 0
    item.casUnique.copy(packet.casUnique)
    if (operation.request.value) {
      const { body, extrasLength, valueStart } = packet
      if (extrasLength < FLAGS_BYTES) return responses.desync('sent a value without its client flags')
      item.clientFlags = body.readUInt32BE(0)
      if (valueStart === body.length && item.clientFlags === 0) operation.takeUncertain(item, body, valueStart)
      else operation.take(item, body, valueStart, body.length, OWNED)
    }
  } else {
    return responses.fail(operation, packet)
  }
  operation.finish(item)
  return true
}

/** Reads the response to a Set, Add, Replace, Append or Prepend. */
export function readStore(operation: StoreOperation, packet: BinaryPacket, responses: BinaryResponses): boolean {
  const status = storeStatus(operation, packet.status)
  if (status === undefined) return responses.fail(operation, packet)
  operation.finish(status, packet.casUnique)
  return true
}

/** Reads the response to a Delete. */
export function readDelete(operation: DeleteOperation, packet: BinaryPacket, responses: BinaryResponses): boolean {
  const { status } = packet
  if (status === Status.ok) operation.finish('deleted')
  else if (status === Status.notFound) operation.finish('notFound')
  else if (status === Status.exists) operation.finish('exists')
  else return responses.fail(operation, packet)
  return true
}

/** Reads the response to an Increment or Decrement. */
export function readArithmetic(
  operation: ArithmeticOperation,
  packet: BinaryPacket,
  responses: BinaryResponses,
): boolean {
  const { status, body, valueStart } = packet
  if (status === Status.ok) {
    if (body.length - valueStart !== COUNTER_BYTES) return responses.desync('sent a counter that is not of 8 bytes')
    const digits = String(body.readBigUInt64BE(valueStart))
    operation.finish({ digits, casUnique: packet.casUnique.toBigInt(), ttlSeconds: Infinity })
  } else if (status === Status.notFound || status === Status.exists || status === Status.notStored) {
    operation.finish(NO_COUNTER)
  } else {
    return responses.fail(operation, packet)
  }
  return true
}

/** Reads a response as lines of the text protocol, so that the caller does not depend on the protocol. */
export function readLines(operation: LinesOperation, packet: BinaryPacket, responses: BinaryResponses): boolean {
  if (packet.status !== Status.ok) return responses.fail(operation, packet)
  if (packet.opcode === Opcode.stat) {
    if (packet.keyLength > 0) {
      if (!takeLine(operation, `STAT ${packet.key()} ${packet.text()}`))
        return responses.desync('sent too many lines of statistics')
      return false
    }
  } else {
    takeLine(operation, packet.opcode === Opcode.version ? `VERSION ${packet.text()}` : packet.text())
  }
  operation.finish()
  return true
}

function storeStatus({ mode }: StoreOperation, status: number): StoreStatus | undefined {
  if (status === Status.ok) return 'stored'
  if (status === Status.notStored) return 'notStored'
  // `exists` and `notFound` are results of a compare-and-swap; `add` and `replace` compare nothing.
  if (status === Status.exists) return mode === 'add' ? 'notStored' : 'exists'
  if (status === Status.notFound) return mode === 'replace' ? 'notStored' : 'notFound'
  return undefined
}
