import { Opcode, Uint64, writeBinaryHeader } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import type { ArithmeticOperation, DeleteOperation, StoreOperation } from '../../operations/write-operations.ts'
import type { KeyListOperation } from '../../operations/key-list-operation.ts'
import type { LinesOperation } from '../../operations/lines-operation.ts'
import type { WireKey } from '../../client-key.ts'
import type { RetrievalOperation } from '../../operations/retrieval-operation.ts'
import { checkConditions, checkRetrieval, refuse } from '../refusals.ts'

/** The exptime with which a missing counter is not created. */
const MAKE_NONE = 0xffff_ffff
const EMPTY = Buffer.alloc(0)
const ZERO = new Uint64()

/** A packet: its kind, its opaque, and the parts after its header. */
interface Packet {
  readonly opcode: number
  readonly opaque: number
  readonly extras?: Buffer
  readonly key?: WireKey
  readonly value?: Buffer
  readonly cas?: Uint64 | undefined
}

function write(requests: RequestBuffer, packet: Packet): void {
  const { opcode, opaque, extras = EMPTY, value = EMPTY, cas } = packet
  const key = typeof packet.key === 'string' ? Buffer.from(packet.key) : (packet.key ?? EMPTY)
  const out = requests.buffer
  const lengths = { extras: extras.length, key: key.length, value: value.length }
  let at = writeBinaryHeader(out, requests.at, opcode, lengths, opaque, cas)
  at += extras.copy(out, at)
  requests.at = at + key.copy(out, at)
  if (value.length > 0) requests.appendBytes(value, value.length)
}

function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, index * 4)
  return bytes
}

/** Writes quiet gets, which have a response only for a hit, and a noop after them. */
export function writeKeyList({ wireKeys, opaque }: KeyListOperation, requests: RequestBuffer): void {
  for (const key of wireKeys) {
    requests.room()
    write(requests, { opcode: Opcode.getKeyQuietly, opaque, key })
  }
  requests.room()
  write(requests, { opcode: Opcode.noop, opaque })
}

/** Writes a Get, GAT or Touch. */
export function writeRetrieval({ wireKey: key, request, opaque }: RetrievalOperation, requests: RequestBuffer): void {
  checkRetrieval(request)
  const { touchExptime, value } = request
  if (touchExptime === undefined) {
    write(requests, { opcode: Opcode.get, opaque, key })
  } else {
    const opcode = value ? Opcode.getAndTouch : Opcode.touch
    write(requests, { opcode, opaque, key, extras: numbers(touchExptime) })
  }
}

/** Writes a Set, Add, Replace, Append or Prepend. */
export function writeStore(operation: StoreOperation, requests: RequestBuffer): void {
  const { mode, wireKey: key, conditions, opaque } = operation
  checkConditions(conditions)
  const value = typeof operation.bytes === 'string' ? Buffer.from(operation.bytes) : operation.bytes
  const joins = mode === 'append' || mode === 'prepend'
  const extras = joins ? EMPTY : numbers(operation.clientFlags, operation.exptime)
  write(requests, { opcode: Opcode[mode], opaque, extras, key, value, cas: conditions.compareCas })
}

/** Writes a Delete. */
export function writeDelete({ wireKey: key, request, opaque }: DeleteOperation, requests: RequestBuffer): void {
  const { compareCas: cas, ...flags } = request
  if (Object.values(flags).some((flag) => flag !== undefined && flag !== false)) refuse('a flag of md')
  write(requests, { opcode: Opcode.delete, opaque, key, cas })
}

/** Writes an Increment or Decrement, which can create a counter. */
export function writeArithmetic({ wireKey: key, request, opaque }: ArithmeticOperation, requests: RequestBuffer): void {
  const { mode, delta, initial = ZERO, vivifyExptime, compareCas: cas } = request
  if (request.details || request.exptime !== undefined || request.newCas !== undefined) refuse('a flag of ma')
  const extras = numbers(delta.high, delta.low, initial.high, initial.low, vivifyExptime ?? MAKE_NONE)
  const opcode = mode === 'incr' ? Opcode.increment : Opcode.decrement
  write(requests, { opcode, opaque, extras, key, cas })
}

/** Writes a Version, Stat, Flush, No-op, Verbosity or SASL Auth. */
export function writeLines({ request, opaque }: LinesOperation, requests: RequestBuffer): void {
  const { binary, text } = request
  if (binary === undefined) refuse(`'${text.trim()}'`)
  write(requests, {
    opcode: binary.opcode,
    opaque,
    ...(binary.key === undefined ? {} : { key: binary.key }),
    ...(binary.value === undefined ? {} : { value: Buffer.from(binary.value) }),
    ...(binary.extra === undefined ? {} : { extras: numbers(binary.extra) }),
  })
}
