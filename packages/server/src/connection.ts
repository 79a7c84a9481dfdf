import type { Duplex } from 'node:stream'
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
import { administer, AfterAdmin } from './commands/admin.ts'
import type { AdminActions } from './commands/admin.ts'
import { incrOrDecr } from './commands/arithmetic.ts'
import type { CommandContext } from './commands/command-context.ts'
import { deleteItem } from './commands/deletion.ts'
import { metaArithmetic } from './commands/meta-arithmetic.ts'
import { metaDebug } from './commands/meta-debug.ts'
import { metaDelete } from './commands/meta-delete.ts'
import { metaGet } from './commands/meta-get.ts'
import { replyToMetaSet } from './commands/meta-set.ts'
import { retrieve } from './commands/retrieval.ts'
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
import { touchItem } from './commands/touch.ts'
import type { ReplyTarget } from './reply-writer.ts'
import { OUT_OF_MEMORY, TOO_LARGE } from './store/item-store.ts'

/** Replies beyond this wait for the reader: no more commands are looked at until they have left. */
const MAX_PENDING_REPLY_BYTES = 512 * 1024
/** A `get` line may be longer than any other, but not endless. */
const MAX_RETRIEVAL_LINE_BYTES = 1024 * 1024
const MN = Buffer.from('MN\r\n')

const STORE_REPLIES: Readonly<Record<number, Buffer>> = {
  [StoreOutcome.stored]: Reply.stored,
  [StoreOutcome.notStored]: Reply.notStored,
  [StoreOutcome.exists]: Reply.exists,
  [StoreOutcome.notFound]: Reply.notFound,
  [StoreOutcome.tooLarge]: Reply.tooLarge,
  [StoreOutcome.outOfMemory]: Reply.outOfMemoryStoring,
}

/** What a connection needs of its server. */
export interface ConnectionOwner extends AdminActions {
  readonly context: CommandContext
  /** Brings the store's clock up to date. */
  tick(): void
}

/**
 * One client's stream: bytes in, replies out. Commands run in their order, and all the replies to one read leave in one
 * write. A value goes from the received bytes straight into the item that was reserved for it.
 */
export class Connection implements FrameHandler, ReplyTarget {
  readonly stream: Duplex
  readonly copiesOnWrite: boolean
  readonly #owner: ConnectionOwner
  readonly #context: CommandContext
  readonly #reader = new FrameReader(this, MAX_LINE_BYTES)
  readonly #request = new Request()
  /** The item whose value is being received; 0 when there is none, so that the data block is swallowed. */
  #item = 0
  #order: StoreOrder | undefined
  #closing = false

  constructor(stream: Duplex, owner: ConnectionOwner, copiesOnWrite: boolean) {
    this.stream = stream
    this.copiesOnWrite = copiesOnWrite
    this.#owner = owner
    this.#context = owner.context
  }

  /** Takes received bytes; `buffer` may be used again afterwards. Returns whether more should be read. */
  receive(buffer: Buffer, start: number, end: number): boolean {
    const { counters, replies } = this.#context
    counters.bytesRead += end - start
    this.#owner.tick()
    replies.begin(this)
    this.#reader.push(buffer, start, end)
    // The rest of the value comes with another read, when these bytes are gone.
    if (!this.#reader.atBoundary && this.#request.buffer === buffer) this.#request.keep()
    return this.#finishReplies()
  }

  /** The stream is gone: gives back what was reserved for a value that never came. */
  dispose(): void {
    this.#reader.stop()
    if (this.#item > 0) this.#context.store.release(this.#item)
    this.#item = 0
  }

  #finishReplies(): boolean {
    this.#context.replies.flush(this)
    if (this.#closing) {
      this.stream.end(() => this.stream.destroy())
      return false
    }
    if (this.stream.writableNeedDrain) {
      this.stream.pause()
      this.stream.once('drain', () => this.#goOn())
      return false
    }
    if (this.#reader.stopped) {
      // The others have their turn before the rest of this read; and no more is read until it is done, or what is held
      // back would grow for as long as the client asks for more than it sends.
      this.stream.pause()
      setImmediate(() => this.#goOn())
      return false
    }
    return true
  }

  #goOn(): void {
    if (this.stream.destroyed) return
    if (this.#reader.stopped) {
      this.#owner.tick()
      this.#context.replies.begin(this)
      this.#reader.resume()
      if (!this.#finishReplies()) return
    }
    if (this.stream.isPaused()) this.stream.resume()
  }

  #close(): number {
    this.#closing = true
    this.#reader.stop()
    return STOP
  }

  // FrameHandler

  line(buffer: Buffer, start: number, end: number): number {
    const request = this.#request
    parseRequest(request, buffer, start, end)
    if (request.error !== RequestError.none) return this.#refuse(request)
    if (request.valueLength >= 0) return this.#beginStore(request)
    this.#run(request)
    if (this.#closing) return STOP
    return this.#context.replies.pendingBytes > MAX_PENDING_REPLY_BYTES ? STOP : NONE
  }

  longLine(buffer: Buffer, start: number, end: number): boolean {
    let at = start
    while (at < end && at - start < 100 && buffer[at] === 32) at++
    const isRetrieval = /^gets? /.test(buffer.toString('latin1', at, at + 5))
    if (isRetrieval && end - start <= MAX_RETRIEVAL_LINE_BYTES) return true
    this.#close()
    return false
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
    const outcome = storeItem(this.#context, item, order)
    this.#replyToStore(request, order, outcome, isMeta)
    return this.#context.replies.pendingBytes > MAX_PENDING_REPLY_BYTES ? STOP : NONE
  }

  // Commands

  #run(request: Request): void {
    switch (request.command) {
      case Command.get:
      case Command.gets:
      case Command.gat:
      case Command.gats:
        return retrieve(this.#context, request)
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
        if (administer(this.#context, this.#owner, request) === AfterAdmin.close) this.#close()
    }
  }

  /** Answers a malformed request; its data block, where there is one, is swallowed. */
  #refuse(request: Request): number {
    if (request.error === RequestError.http) return this.#close()
    const reply = errorReply(request.error)
    if (reply !== undefined && !request.noreply) this.#context.replies.append(reply)
    return request.valueLength >= 0 ? request.valueLength : NONE
  }

  #beginStore(request: Request): number {
    const isMeta = request.command === Command.metaSet
    const item = reserveFor(this.#context, request, isMeta ? metaSetExptime(request) : request.exptime)
    if (item === TOO_LARGE || item === OUT_OF_MEMORY) {
      // An old value must not pass for the new one that was refused.
      if (isMeta || request.command === Command.set) dropOld(this.#context, request)
      const reply = item === TOO_LARGE ? Reply.tooLarge : Reply.outOfMemoryStoring
      if (!request.noreply) this.#context.replies.append(reply)
      return request.valueLength
    }
    if (isMeta) markKeyEncoding(this.#context, item, request)
    this.#item = item
    return request.valueLength
  }

  #replyToStore(request: Request, order: StoreOrder, outcome: number, isMeta: boolean): void {
    const { replies, counters } = this.#context
    if (outcome === StoreOutcome.tooLarge) counters.storeTooLarge++
    else if (outcome === StoreOutcome.outOfMemory) counters.storeNoMemory++
    if (isMeta && outcome <= StoreOutcome.notFound) replyToMetaSet(this.#context, request, order, outcome)
    else if (isMeta || !request.noreply) replies.append(STORE_REPLIES[outcome]!)
  }
}
