import {
  Command,
  errorReply,
  FrameReader,
  MAX_LINE_BYTES,
  NONE,
  parseRequest,
  Reply,
  Request,
  RequestError,
  STOP,
} from 'memcache-ts-protocol'
import type { FrameHandler } from 'memcache-ts-protocol'
import { AfterAdmin } from './commands/admin/admin-actions.ts'
import type { AdminResult } from './commands/admin/admin-actions.ts'
import { administer } from './commands/admin/administer.ts'
import { incrOrDecr } from './commands/arithmetic.ts'
import type { CommandContext } from './commands/command-context.ts'
import { deleteItem, touchItem } from './commands/touch-and-delete.ts'
import { metaArithmetic } from './commands/meta-arithmetic.ts'
import { metaDebug, metaGet } from './commands/meta-get.ts'
import { metaDelete } from './commands/meta-delete.ts'
import { replyToMetaSet } from './commands/meta-set.ts'
import { PausedRetrieval, retrieve } from './commands/retrieval.ts'
import {
  dropOld,
  markKeyEncoding,
  metaSetExptime,
  orderForMeta,
  orderForText,
  reserveFor,
  storeItem,
  StoreOrder,
  StoreOutcome,
} from './commands/storage.ts'
import { printable } from './encoded-text.ts'
import { Progress } from './long-reply.ts'
import type { LongReply } from './long-reply.ts'
import type { Session, SessionHost } from './session.ts'
import { OUT_OF_MEMORY, TOO_LARGE } from './store/item-store.ts'
import { EventStream } from './watch/event-log.ts'

/** The limit of a `get` line, which may be longer than any other line. */
const MAX_RETRIEVAL_LINE_BYTES = 1024 * 1024
/** The limit of such unfinished lines of all connections together. */
const MAX_LONG_LINES_BYTES = 64 * 1024 * 1024
/** The number of spaces that may precede the command of such a long line. */
const MAX_LEADING_SPACES = 100
const MN = Buffer.from('MN\r\n')
const INCOMPLETE = Buffer.from('CLIENT_ERROR incomplete request\r\n')

const STORE_REPLIES: Readonly<Record<number, Buffer>> = {
  [StoreOutcome.stored]: Reply.stored,
  [StoreOutcome.notStored]: Reply.notStored,
  [StoreOutcome.exists]: Reply.exists,
  [StoreOutcome.notFound]: Reply.notFound,
}

/**
 * The text and meta protocols on one connection. Commands run in their order. A value is copied from the received bytes
 * directly into its reserved item.
 */
export class TextSession implements Session, FrameHandler {
  readonly #host: SessionHost
  readonly #context: CommandContext
  readonly #reader = new FrameReader(this, MAX_LINE_BYTES)
  readonly #request = new Request()
  /** The item whose value is being received; 0 if there is none, so that the data block is discarded. */
  #item = 0
  #order: StoreOrder | undefined
  #running = false
  /** Bytes of an unfinished line that are counted for all connections. */
  #longLineBytes = 0
  /** Whether the connection is closed, or has another session. */
  #isOver = false

  constructor(host: SessionHost) {
    this.#host = host
    this.#context = host.context
  }

  get state(): string | undefined {
    if (this.#item > 0) return 'conn_nread'
    return this.#running ? 'conn_parse_cmd' : undefined
  }

  get isPaused(): boolean {
    return this.#reader.stopped && this.#reader.heldBytes > 0
  }

  push(buffer: Buffer, start: number, end: number): void {
    const reader = this.#reader
    // The reader has stopped exactly at the end of the received bytes.
    if (reader.stopped && reader.heldBytes === 0 && !this.#host.hasLongReply) reader.resume()
    reader.push(buffer, start, end)
    // The rest of the value comes with another read, when these bytes are overwritten.
    if (!reader.atBoundary && this.#request.buffer === buffer) this.#request.keep()
  }

  resume(): void {
    this.#reader.resume()
  }

  /** Refuses the incomplete request, if there is one, since no more bytes will arrive. */
  endInput(): void {
    if (this.#item > 0 || this.#reader.heldBytes > 0) this.#context.replies.append(INCOMPLETE)
  }

  dispose(): void {
    this.#isOver = true
    this.#holdLongLine(0)
    this.#reader.stop()
    if (this.#item > 0) this.#context.store.release(this.#item)
    this.#item = 0
  }

  // FrameHandler

  line(buffer: Buffer, start: number, end: number): number {
    const request = this.#request
    if (this.#host.owner.logsCommands) this.#log(buffer, start, end)
    if (this.#longLineBytes > 0) this.#holdLongLine(0)
    parseRequest(request, buffer, start, end)
    if (request.error !== RequestError.none) return this.#refuse(request)
    if (request.valueLength >= 0) return this.#beginStore(request)
    this.#running = true
    this.#run(request)
    this.#running = false
    if (this.#host.isClosing || this.#host.hasLongReply || this.#isOver) return STOP
    return this.#pauseOrGoOn()
  }

  longLine(buffer: Buffer, start: number, end: number): boolean {
    let at = start
    while (at < end && at - start < MAX_LEADING_SPACES && buffer[at] === 32) at++
    const isRetrieval = /^gets? /.test(buffer.toString('latin1', at, at + 5))
    if (isRetrieval && end - start <= MAX_RETRIEVAL_LINE_BYTES && this.#holdLongLine(end - start)) return true
    this.#host.close('error')
    return false
  }

  /** Counts the bytes of an unfinished line; returns false if all connections together have too many. */
  #holdLongLine(bytes: number): boolean {
    const { longLines } = this.#context
    longLines.bytes += bytes - this.#longLineBytes
    this.#longLineBytes = bytes
    return longLines.bytes <= MAX_LONG_LINES_BYTES
  }

  data(buffer: Buffer, start: number, end: number, offset: number): void {
    if (this.#item === 0) return
    const { store, counters, replies } = this.#context
    if (!store.write(this.#item, offset, buffer, start, end)) {
      store.release(this.#item)
      this.#item = 0
      counters.storeNoMemory++
      replies.append(Reply.outOfMemoryStoring)
    }
  }

  dataEnd(terminated: boolean): number {
    const item = this.#item
    if (item === 0) return NONE
    this.#item = 0
    const request = this.#request
    const isMeta = request.command === Command.metaSet
    if (!terminated) {
      this.#context.store.release(item)
      if (isMeta || !request.noreply) this.#context.replies.append(Reply.badDataChunk)
      return NONE
    }
    this.#order ??= new StoreOrder()
    const order = this.#order
    if (isMeta) orderForMeta(order, request)
    else orderForText(order, request)
    if (this.#context.prefixes.enabled) this.#context.prefixes.set(request)
    storeItem(this.#context, item, order)
    if (isMeta) replyToMetaSet(this.#context, request, order)
    else if (!request.noreply) this.#context.replies.append(STORE_REPLIES[order.outcome]!)
    return this.#pauseOrGoOn()
  }

  #pauseOrGoOn(): number {
    return this.#host.countRequest() ? STOP : NONE
  }

  #log(buffer: Buffer, start: number, end: number): void {
    const { owner, id } = this.#host
    const { events } = this.#context
    if ((events.streams & EventStream.rawcmds) !== 0) events.command(buffer, start, end)
    if (owner.verbosity > 1) owner.log(`<${id} ${printable(buffer.toString('latin1', start, end))}`)
  }

  // Commands

  #run(request: Request): void {
    switch (request.command) {
      case Command.get:
      case Command.gets:
      case Command.gat:
      case Command.gats:
        return this.#retrieve(request)
      case Command.metaGet:
        return metaGet(this.#context, request)
      case Command.metaDelete:
        return metaDelete(this.#context, request)
      case Command.metaArithmetic:
        return metaArithmetic(this.#context, request)
      case Command.metaNoop:
        return this.#context.replies.append(MN)
      case Command.metaDebug:
        return metaDebug(this.#context, request)
      case Command.delete:
        return deleteItem(this.#context, request)
      case Command.incr:
      case Command.decr:
        return incrOrDecr(this.#context, request)
      case Command.touch:
        return touchItem(this.#context, request)
      case Command.admin:
        return this.#administer(request)
    }
  }

  #retrieve(request: Request): void {
    if (retrieve(this.#context, request)) return
    // The bytes of the line are valid only in this turn.
    request.keep()
    this.#host.beginLongReply(new PausedRetrieval(this.#context, request))
  }

  #administer(request: Request): void {
    const { owner, isPipelining } = this.#host
    this.#finishAdmin(administer(owner, { words: request.words(), isPipelining }))
  }

  #finishAdmin(result: AdminResult): void {
    if (result === AfterAdmin.goOn) return
    if (result === AfterAdmin.close) this.#host.close('normal')
    else if (result === AfterAdmin.shutDown) this.#host.close('shutdown')
    else if (typeof result === 'string') this.#context.replies.appendText(`${result}\r\n`)
    else if (Buffer.isBuffer(result)) this.#context.replies.append(result)
    else if ('streams' in result) this.#host.watch(result.streams)
    else this.#replyAtLength(result)
  }

  /**
   * Sends a response that may be long. Most of them are short, but each ends the turn, since a client can send
   * thousands of such requests in one packet.
   */
  #replyAtLength(reply: LongReply): void {
    this.#host.endTurn()
    if (reply.next() !== Progress.done) this.#host.beginLongReply(reply)
  }

  /** Responds to a malformed request; its data block, if there is one, is discarded. */
  #refuse(request: Request): number {
    if (request.error === RequestError.http) {
      this.#host.close('error')
      return STOP
    }
    const reply = errorReply(request.error)
    if (reply !== undefined && !request.noreply) this.#context.replies.append(reply)
    return request.valueLength >= 0 ? request.valueLength : NONE
  }

  #beginStore(request: Request): number {
    const isMeta = request.command === Command.metaSet
    const item = reserveFor(this.#context, request, isMeta ? metaSetExptime(request) : request.exptime)
    if (item === TOO_LARGE || item === OUT_OF_MEMORY) {
      // An old value must not survive a new one that was refused.
      if (isMeta || request.command === Command.set) dropOld(this.#context, request)
      const reply = item === TOO_LARGE ? Reply.tooLarge : Reply.outOfMemoryStoring
      if (!request.noreply) this.#context.replies.append(reply)
      return request.valueLength
    }
    if (isMeta) markKeyEncoding(this.#context, item, request)
    this.#item = item
    return request.valueLength
  }
}
