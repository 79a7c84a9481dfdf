import {
  BinaryRequestReader,
  Command,
  hashKey,
  NONE,
  Opcode,
  Request,
  Status,
  STOP,
  Uint64,
  VALUE,
} from 'memcache-ts-protocol'
import type { BinaryRequest, BinaryRequestHandler } from 'memcache-ts-protocol'
import { isSaslCommand, SaslExchange } from '../auth/sasl-exchange.ts'
import { addDelta, Addition, AddOutcome } from '../commands/arithmetic.ts'
import type { CommandContext } from '../commands/command-context.ts'
import { countGet, countTouch, findItem } from '../commands/command-context.ts'
import { dropOld, reserveFor, storeItem, StoreOrder, StoreOutcome } from '../commands/storage.ts'
import { Progress } from '../long-reply.ts'
import type { Session, SessionHost } from '../session.ts'
import { ItemFlag } from '../store/item-layout.ts'
import { OUT_OF_MEMORY, TOO_LARGE } from '../store/item-store.ts'
import { PROTOCOL_VERSION } from '../version.ts'
import { BinaryReplies, binaryStatistics } from './binary-replies.ts'
import { hasShape, isQuiet, loudCommand } from './binary-shapes.ts'

const VERSION = Buffer.from(PROTOCOL_VERSION)
const OUT_OF_MEMORY_STORING = Buffer.from('Out of memory allocating item')
const OUT_OF_MEMORY_ADDING = Buffer.from('Out of memory incrementing value')
/** The exptime with which `incr` and `decr` create nothing on a miss. */
const NO_VIVIFY = 0xffff_ffff
const LAST_CONTROL = 0x20
const DELETE = 0x7f

/** The storage commands of the text protocol, by opcode. */
const STORAGE: Readonly<Record<number, number>> = {
  [Opcode.set]: Command.set,
  [Opcode.add]: Command.add,
  [Opcode.replace]: Command.replace,
  [Opcode.append]: Command.append,
  [Opcode.prepend]: Command.prepend,
}

const number = Buffer.alloc(8)
const digits = Buffer.alloc(20)
const casUnique = new Uint64()
const initial = new Uint64()
const addition = new Addition()

/** The binary protocol over one connection (protocol-binary). memcached calls it deprecated, but many clients speak it. */
export class BinarySession implements Session, BinaryRequestHandler {
  readonly #host: SessionHost
  readonly #context: CommandContext
  readonly #replies: BinaryReplies
  readonly #reader = new BinaryRequestReader(this)
  readonly #request = new Request()
  readonly #order = new StoreOrder()
  /** The item whose value is being received; 0 if there is none. */
  #item = 0
  #isQuiet = false
  /** Present if clients must authenticate. */
  readonly #sasl: SaslExchange | undefined
  /** Whether the value that is being received is a message to `#sasl`. */
  #isAuthenticating = false

  constructor(host: SessionHost) {
    this.#host = host
    this.#context = host.context
    this.#replies = new BinaryReplies(host.context.replies)
    const { passwords } = host.owner
    if (passwords !== undefined) this.#sasl = new SaslExchange(host, passwords, this.#replies)
  }

  get state(): string | undefined {
    return this.#item > 0 || this.#reader.isReadingValue ? 'conn_nread' : undefined
  }

  get isPaused(): boolean {
    return this.#reader.stopped && this.#reader.heldBytes > 0
  }

  push(buffer: Buffer, start: number, end: number): void {
    const reader = this.#reader
    if (reader.stopped && reader.heldBytes === 0 && !this.#host.hasLongReply) reader.resume()
    reader.push(buffer, start, end)
  }

  resume(): void {
    this.#reader.resume()
  }

  /** Refuses the request whose value is not complete, if there is one, since no more bytes will arrive. */
  endInput(): void {
    if (this.#item > 0) this.#replies.error(Status.invalid)
  }

  dispose(): void {
    this.#reader.stop()
    if (this.#item > 0) this.#context.store.release(this.#item)
    this.#item = 0
  }

  // BinaryRequestHandler

  request(packet: BinaryRequest): number {
    this.#replies.begin(packet)
    const sasl = this.#sasl
    if (sasl !== undefined && packet.valueLength >= 0 && !sasl.allows(packet.opcode)) {
      this.#replies.error(Status.authError)
      return this.#close('error')
    }
    if (packet.isMalformed) {
      this.#replies.error(packet.valueLength < 0 ? Status.unknownCommand : Status.invalid)
      return this.#close('error')
    }
    const opcode = loudCommand(packet.opcode)
    this.#isQuiet = isQuiet(packet.opcode)
    const fits = hasShape(opcode, packet)
    if (fits === undefined) {
      this.#replies.error(Status.unknownCommand)
      return this.#pauseOrGoOn()
    }
    if (!fits) {
      this.#replies.error(Status.invalid)
      return this.#close('error')
    }
    if (isSaslCommand(opcode)) return this.#authenticate(packet)
    this.#take(packet)
    if (STORAGE[opcode] !== undefined) return this.#beginStore(packet, opcode, STORAGE[opcode])
    this.#run(packet, opcode)
    if (this.#host.isClosing || this.#host.hasLongReply) return STOP
    return this.#pauseOrGoOn()
  }

  data(buffer: Buffer, start: number, end: number, offset: number): void {
    if (this.#item === 0) {
      if (this.#isAuthenticating) this.#sasl?.data(buffer, start, end, offset)
      return
    }
    const { store, counters } = this.#context
    if (store.write(this.#item, offset, buffer, start, end)) return
    store.release(this.#item)
    this.#item = 0
    counters.storeNoMemory++
    this.#replies.error(Status.outOfMemory, OUT_OF_MEMORY_STORING)
  }

  dataEnd(): number {
    const item = this.#item
    this.#item = 0
    if (item === 0) return this.#isAuthenticating ? this.#finishAuthentication() : this.#pauseOrGoOn()
    const order = this.#order
    // As in memcached, every storage command with a cas unique is a `cas`, except append and prepend, which compare it
    // themselves.
    storeItem(this.#context, item, order)
    const { outcome } = order
    if (outcome === StoreOutcome.stored) {
      if (!this.#isQuiet) this.#replies.success(order.storedCas)
    } else {
      this.#replies.error(statusOf(outcome, order.command))
    }
    return this.#pauseOrGoOn()
  }

  badMagic(): void {
    this.#close('error')
  }

  #pauseOrGoOn(): number {
    return this.#host.countRequest() ? STOP : NONE
  }

  #close(reason: 'error' | 'normal'): number {
    this.#host.close(reason)
    return STOP
  }

  /** Handles a command of SASL. As in memcached, a server without authentication does not know them. */
  #authenticate(packet: BinaryRequest): number {
    if (this.#sasl === undefined) {
      this.#replies.error(Status.unknownCommand)
      return this.#pauseOrGoOn()
    }
    const next = this.#sasl.request(packet)
    this.#isAuthenticating = next === VALUE
    return this.#isAuthenticating ? next : this.#pauseOrGoOn()
  }

  #finishAuthentication(): number {
    this.#isAuthenticating = false
    return this.#sasl?.dataEnd() === STOP ? STOP : this.#pauseOrGoOn()
  }

  /** Copies the key to the record that all commands read. */
  #take({ buffer, keyStart, keyLength }: BinaryRequest): void {
    const request = this.#request
    request.keyBuffer = buffer
    request.keyStart = keyStart
    request.keyLength = keyLength
    request.keyHash = hashKey(buffer, keyStart, keyLength)
  }

  // Commands

  #run(packet: BinaryRequest, opcode: number): void {
    switch (opcode) {
      case Opcode.get:
      case Opcode.getKey:
        return this.#get(packet, opcode)
      case Opcode.getAndTouch:
      case Opcode.getAndTouchKey:
      case Opcode.touch:
        return this.#get(packet, opcode)
      case Opcode.delete:
        return this.#delete(packet)
      case Opcode.increment:
      case Opcode.decrement:
        return this.#add(packet, opcode)
      case Opcode.flush:
        return this.#flush(packet)
      case Opcode.noop:
        return this.#replies.success()
      case Opcode.version:
        return this.#replies.value(VERSION)
      case Opcode.stat:
        return this.#stat(packet)
      case Opcode.quit:
        if (!this.#isQuiet) this.#replies.success()
        this.#close('normal')
    }
  }

  /** @param opcode the opcode of the packet, as the one that is not quiet. */
  #get(packet: BinaryRequest, opcode: number): void {
    const { store, clock, replies } = this.#context
    const touches = opcode !== Opcode.get && opcode !== Opcode.getKey
    const withKey = opcode === Opcode.getKey || opcode === Opcode.getAndTouchKey
    const item = findItem(this.#context, this.#request)
    if (touches) countTouch(this.#context, this.#request, item)
    else countGet(this.#context, this.#request, item)
    if (item === 0) {
      if (this.#isQuiet) return
      if (withKey) this.#replies.missWithKey(packet.buffer, packet.keyStart, packet.keyLength)
      else this.#replies.error(Status.notFound)
      return
    }
    if (touches) store.setExptime(item, clock.expiry(packet.buffer.readUInt32BE(packet.extrasStart), store.now))
    const withValue = opcode !== Opcode.touch
    const keyLength = withKey ? packet.keyLength : 0
    this.#replies.header(Status.ok, store.readCas(item, casUnique), {
      extras: 4,
      key: keyLength,
      value: withValue ? store.valueLength(item) : 0,
    })
    replies.at = replies.buffer.writeUInt32BE(store.clientFlags(item), replies.at)
    replies.at += packet.buffer.copy(replies.buffer, replies.at, packet.keyStart, packet.keyStart + keyLength)
    if (withValue) replies.appendValueBytes(item)
    else replies.refer(item)
    store.fetched(item)
  }

  #beginStore(packet: BinaryRequest, opcode: number, command: number): number {
    const { prefixes, store } = this.#context
    const request = this.#request
    const hasExtras = packet.extrasLength > 0
    request.command = command as Command
    request.clientFlags = hasExtras ? packet.buffer.readUInt32BE(packet.extrasStart) : 0
    request.valueLength = packet.valueLength
    if (prefixes.enabled) prefixes.set(request)
    const exptime = hasExtras ? packet.buffer.readUInt32BE(packet.extrasStart + 4) : 0
    const item = reserveFor(this.#context, request, exptime)
    if (item === TOO_LARGE || item === OUT_OF_MEMORY) {
      if (opcode === Opcode.set) dropOld(this.#context, request)
      if (item === TOO_LARGE) this.#replies.error(Status.tooLarge)
      else this.#replies.error(Status.outOfMemory, OUT_OF_MEMORY_STORING)
      return this.#pauseOrGoOn()
    }
    // A binary key may contain bytes that would break the lines of a dump.
    if (hasOddBytes(packet)) store.setFlag(item, ItemFlag.binaryKey)
    const order = this.#order
    const extends_ = command === Command.append || command === Command.prepend
    order.hasCas = !packet.cas.isZero
    order.cas.copy(packet.cas)
    order.command = order.hasCas && !extends_ ? Command.cas : command
    order.vivifies = false
    order.hasNewCas = false
    order.acceptsStale = false
    this.#item = item
    return VALUE
  }

  #delete(packet: BinaryRequest): void {
    const { store, counters, prefixes, events } = this.#context
    if (prefixes.enabled) prefixes.delete(this.#request)
    const item = findItem(this.#context, this.#request)
    if (item === 0) {
      counters.deleteMisses++
      this.#replies.error(Status.notFound)
    } else if (!packet.cas.isZero && !store.readCas(item, casUnique).equals(packet.cas)) {
      this.#replies.error(Status.exists)
    } else {
      counters.deleteHits[store.classOf(item)]!++
      if (events.streams !== 0) events.deleted(item, 'delete')
      store.unlink(item)
      if (!this.#isQuiet) this.#replies.success()
    }
  }

  /** @param opcode the opcode of the packet, as the one that is not quiet. */
  #add(packet: BinaryRequest, opcode: number): void {
    const increments = opcode === Opcode.increment
    const { store, counters } = this.#context
    const { buffer, extrasStart } = packet
    const delta = this.#request.delta
    delta.set(buffer.readUInt32BE(extrasStart), buffer.readUInt32BE(extrasStart + 4))
    const item = findItem(this.#context, this.#request)
    if (item === 0) {
      const exptime = buffer.readUInt32BE(extrasStart + 16)
      if (exptime !== NO_VIVIFY) {
        initial.set(buffer.readUInt32BE(extrasStart + 8), buffer.readUInt32BE(extrasStart + 12))
        this.#makeCounter(packet, exptime)
        return
      }
      if (increments) counters.incrMisses++
      else counters.decrMisses++
      this.#replies.error(Status.notFound)
      return
    }
    const compares = !packet.cas.isZero && store.valueLength(item) > 0 && !store.isChained(item)
    if (compares && !store.readCas(item, casUnique).equals(packet.cas)) {
      this.#replies.error(Status.exists)
      return
    }
    addition.increments = increments
    addition.delta = delta
    const outcome = addDelta(this.#context, item, addition)
    if (outcome === AddOutcome.nonNumeric) this.#replies.error(Status.nonNumeric)
    else if (outcome !== AddOutcome.done) this.#replies.error(Status.outOfMemory, OUT_OF_MEMORY_ADDING)
    else this.#replyWithNumber(addition.value, store.readCas(addition.item, casUnique))
  }

  #makeCounter(packet: BinaryRequest, exptime: number): void {
    const { store } = this.#context
    const request = this.#request
    const length = initial.write(digits, 0)
    request.command = Command.add
    request.clientFlags = 0
    request.valueLength = length
    const item = reserveFor(this.#context, request, exptime)
    if (item === TOO_LARGE || item === OUT_OF_MEMORY) {
      this.#replies.error(Status.outOfMemory, OUT_OF_MEMORY_STORING)
      return
    }
    if (hasOddBytes(packet)) store.setFlag(item, ItemFlag.binaryKey)
    store.write(item, 0, digits, 0, length)
    const order = this.#order
    order.command = Command.add
    order.hasCas = false
    order.hasNewCas = false
    storeItem(this.#context, item, order)
    const { outcome } = order
    if (outcome === StoreOutcome.stored) this.#replyWithNumber(initial, order.storedCas)
    else this.#replies.error(Status.notStored)
  }

  #replyWithNumber(value: Uint64, cas: Uint64): void {
    if (this.#isQuiet) return
    number.writeUInt32BE(value.high, 0)
    number.writeUInt32BE(value.low, 4)
    this.#replies.value(number, cas)
  }

  #flush(packet: BinaryRequest): void {
    const { owner, context } = this.#host
    context.counters.cmdFlush++
    if (owner.options.disableFlushAll) {
      this.#replies.error(Status.authError)
      return
    }
    owner.flushAll(packet.extrasLength === 4 ? packet.buffer.readUInt32BE(packet.extrasStart) : 0)
    if (!this.#isQuiet) this.#replies.success()
  }

  #stat({ buffer, keyStart, keyLength }: BinaryRequest): void {
    const form = buffer.toString('latin1', keyStart, keyStart + keyLength)
    this.#host.endTurn()
    const reply = binaryStatistics(this.#host.owner, this.#replies, form)
    if (reply === undefined) this.#replies.error(Status.notFound)
    else if (reply.next() !== Progress.done) this.#host.beginLongReply(reply)
  }
}

/** Returns the status of a refused storage command. As in memcached, `add` and `replace` have another than `append`. */
function statusOf(outcome: number, command: number): number {
  if (outcome === StoreOutcome.exists) return Status.exists
  if (outcome === StoreOutcome.notFound) return Status.notFound
  if (command === Command.add) return Status.exists
  return command === Command.replace ? Status.notFound : Status.notStored
}

function hasOddBytes({ buffer, keyStart, keyLength }: BinaryRequest): boolean {
  for (let at = keyStart; at < keyStart + keyLength; at++) {
    if (buffer[at]! <= LAST_CONTROL || buffer[at] === DELETE) return true
  }
  return false
}
