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
import { AfterAdmin } from './commands/admin/admin-actions.ts'
import type { AdminActions, AdminResult } from './commands/admin/admin-actions.ts'
import { administer } from './commands/admin/administer.ts'
import type { ItemDump } from './commands/admin/item-dump.ts'
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
}

/** What a connection needs of its server. */
export interface ConnectionOwner extends AdminActions {
  readonly context: CommandContext
  readonly verbosity: number
  /** Whether every command is logged (`-vv`). */
  logsCommands: boolean
  log(line: string): void
}

/**
 * One client's stream: bytes in, replies out. Commands run in their order, and all the replies to one read leave in one
 * write. A value goes from the received bytes straight into the item that was reserved for it.
 */
export class Connection implements FrameHandler, ReplyTarget {
  readonly stream: Duplex
  readonly copiesOnWrite: boolean
  /** Tells it from the others in `stats conns`. */
  readonly id: number
  /** From where it comes, and to where, as `stats conns` names them. */
  readonly peer: string
  readonly listenAddress: string
  /** The second in which it last sent something. */
  lastCommandAt: number
  readonly #owner: ConnectionOwner
  readonly #context: CommandContext
  readonly #reader = new FrameReader(this, MAX_LINE_BYTES)
  readonly #request = new Request()
  /** The item whose value is being received; 0 when there is none, so that the data block is swallowed. */
  #item = 0
  #order: StoreOrder | undefined
  /** Items being listed to this client; no command is looked at until that is done. */
  #dump: ItemDump | undefined
  /** How many more requests may run before the others have their turn. */
  #requestsLeft = 0
  /** Whether the replies to one read are held together, since it takes several turns. */
  #corked = false
  #running = false
  #closing = false

  constructor(
    stream: Duplex,
    owner: ConnectionOwner,
    copiesOnWrite: boolean,
    id: number,
    peer: string,
    listenAddress: string,
  ) {
    this.stream = stream
    this.copiesOnWrite = copiesOnWrite
    this.id = id
    this.peer = peer
    this.listenAddress = listenAddress
    this.#owner = owner
    this.#context = owner.context
    this.lastCommandAt = owner.context.store.now
  }

  /** What it is doing, by memcached's names (protocol.txt, "Connection statistics"). */
  get state(): string {
    if (this.#dump !== undefined) return 'conn_watch'
    if (this.#closing) return 'conn_closing'
    if (this.stream.writableNeedDrain) return 'conn_mwrite'
    if (this.#item > 0) return 'conn_nread'
    return this.#running ? 'conn_parse_cmd' : 'conn_read'
  }

  /** Takes received bytes; `buffer` may be used again afterwards. Returns whether more should be read. */
  receive(buffer: Buffer, start: number, end: number): boolean {
    const { counters, replies, store } = this.#context
    counters.bytesRead += end - start
    this.#owner.tick()
    this.lastCommandAt = store.now
    this.#requestsLeft = this.#owner.options.maxRequestsPerEvent
    replies.begin(this)
    this.#reader.push(buffer, start, end)
    // The rest of the value comes with another read, when these bytes are gone.
    if (!this.#reader.atBoundary && this.#request.buffer === buffer) this.#request.keep()
    return this.#finishReplies()
  }

  /** The stream is gone: gives back what was reserved for a value that never came, and ends a dump. */
  dispose(): void {
    this.#reader.stop()
    if (this.#item > 0) this.#context.store.release(this.#item)
    this.#item = 0
    if (this.#dump !== undefined) this.#owner.maintenance.endDump(this.#dump.crawl!)
    this.#dump = undefined
  }

  #finishReplies(): boolean {
    const { stream } = this
    this.#context.replies.flush(this)
    if (this.#closing) {
      this.#uncork()
      stream.end(() => stream.destroy())
      return false
    }
    // It stopped with the last of what there was to do.
    if (this.#reader.stopped && this.#reader.heldBytes === 0 && this.#dump === undefined) this.#reader.resume()
    if (stream.writableNeedDrain) {
      this.#uncork()
      if (stream.writableNeedDrain) {
        stream.pause()
        // A stream within this process drains at once: the others still have their turn before more is made.
        stream.once('drain', () => setImmediate(() => this.#goOn()))
        return false
      }
    }
    if (this.#reader.stopped) {
      // The others have their turn before the rest of this read; and no more is read until it is done, or what is held
      // back would grow for as long as the client asks for more than it sends.
      stream.pause()
      if (this.#dump === undefined) {
        this.#context.counters.connYields++
        if (!this.#corked) stream.cork()
        this.#corked = true
      }
      setImmediate(() => this.#goOn())
      return false
    }
    this.#uncork()
    return true
  }

  #uncork(): void {
    if (this.#corked) this.stream.uncork()
    this.#corked = false
  }

  #goOn(): void {
    if (this.stream.destroyed) return
    if (this.#dump !== undefined || this.#reader.stopped) {
      this.#owner.tick()
      this.#requestsLeft = this.#owner.options.maxRequestsPerEvent
      this.#context.replies.begin(this)
      if (this.#dump !== undefined) this.#goOnDumping(this.#dump)
      else this.#reader.resume()
      if (!this.#finishReplies()) return
    }
    if (this.stream.isPaused()) this.stream.resume()
  }

  #goOnDumping(dump: ItemDump): void {
    if (dump.next()) return
    this.#owner.maintenance.endDump(dump.crawl!)
    this.#dump = undefined
  }

  /** Whether to stop here, since enough was answered or run for now. */
  #pauseOrGoOn(): number {
    if (--this.#requestsLeft <= 0) return STOP
    return this.#context.replies.pendingBytes > MAX_PENDING_REPLY_BYTES ? STOP : NONE
  }

  #close(): number {
    this.#closing = true
    this.#reader.stop()
    return STOP
  }

  // FrameHandler

  line(buffer: Buffer, start: number, end: number): number {
    const request = this.#request
    if (this.#owner.logsCommands) this.#owner.log(`<${this.id} ${buffer.toString('latin1', start, end)}`)
    parseRequest(request, buffer, start, end)
    if (request.error !== RequestError.none) return this.#refuse(request)
    if (request.valueLength >= 0) return this.#beginStore(request)
    this.#running = true
    this.#run(request)
    this.#running = false
    if (this.#closing || this.#dump !== undefined) return STOP
    return this.#pauseOrGoOn()
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
    if (this.#context.prefixes.enabled) this.#context.prefixes.set(request)
    const outcome = storeItem(this.#context, item, order)
    this.#replyToStore(request, order, outcome, isMeta)
    return this.#pauseOrGoOn()
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
        this.#finishAdmin(administer(this.#context, this.#owner, request))
    }
  }

  #finishAdmin(result: AdminResult): void {
    if (result === AfterAdmin.goOn) return
    if (result === AfterAdmin.close) this.#close()
    else if (typeof result === 'string') this.#context.replies.appendText(`${result}\r\n`)
    else if (Buffer.isBuffer(result)) this.#context.replies.append(result)
    else this.#dump = result
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
    if (isMeta) replyToMetaSet(this.#context, request, order, outcome)
    else if (!request.noreply) this.#context.replies.append(STORE_REPLIES[outcome]!)
  }
}
