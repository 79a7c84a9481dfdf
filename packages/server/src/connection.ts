import type { Duplex } from 'node:stream'
import { BINARY_REQUEST_MAGIC } from 'memcache-ts-protocol'
import { AuthSession } from './auth/auth-session.ts'
import { BinarySession } from './binary/binary-session.ts'
import type { CommandContext } from './commands/command-context.ts'
import type { ConnectionEnds } from './connection-ends.ts'
import type { CloseReason, ConnectionOwner, Session, SessionHost } from './session.ts'
import { Progress } from './long-reply.ts'
import type { LongReply } from './long-reply.ts'
import type { ReplyTarget } from './reply-writer.ts'
import { MAX_PENDING_REPLY_BYTES } from './reply-writer.ts'
import { TextSession } from './text-session.ts'
import { Watcher } from './watch/watcher.ts'
import { WatchSession } from './watch/watch-session.ts'

/** A plain socket, one of TLS, or a stream within this process. */
type StreamKind = 'socket' | 'tls' | 'memory'

/** The kind of a stream, and where it leads. */
interface StreamPlace {
  readonly kind: StreamKind
  readonly ends: ConnectionEnds
}

/**
 * The stream of one client. All responses to one read are sent in one write. The connection pauses while the client
 * does not read its responses, and at the end of its turn. Its session interprets the bytes.
 */
export class Connection implements ReplyTarget, SessionHost {
  readonly stream: Duplex
  readonly copiesOnWrite: boolean
  readonly consumesOnWrite: boolean
  readonly ends: ConnectionEnds
  readonly owner: ConnectionOwner
  readonly context: CommandContext
  /** The second in which it last sent something. */
  lastCommandAt: number
  /** The reason why it was closed; a client that disconnects gives none. */
  #closeReason: CloseReason = 'error'
  /** Chosen by the first byte. */
  #session: Session | undefined
  #longReply: LongReply | undefined
  /** How many more requests may run before the others have their turn. */
  #requestsLeft = 0
  #hasEndedTurn = false
  /** Whether the responses to one read are collected over several turns. */
  #corked = false
  #closing = false
  /** Whether the client has ended its side; it still gets the responses to its requests. */
  #hasEnded = false
  readonly #turn = (): void => this.#goOn()
  readonly #waitForTurn = (): void => this.owner.turns.wait(this.#turn)

  constructor(stream: Duplex, owner: ConnectionOwner, { kind, ends }: StreamPlace) {
    this.stream = stream
    this.copiesOnWrite = kind === 'socket'
    this.consumesOnWrite = kind !== 'memory'
    this.ends = ends
    this.owner = owner
    this.context = owner.context
    this.lastCommandAt = owner.context.store.now
  }

  get id(): number {
    return this.ends.id
  }

  /** Its state, by memcached's names (protocol.txt, "Connection statistics"). */
  get state(): string {
    if (this.#closing) return 'conn_closing'
    if (this.#longReply !== undefined) return this.#longReply.state
    if (this.stream.writableNeedDrain) return 'conn_mwrite'
    return this.#session?.state ?? 'conn_read'
  }

  /** Reads the stream in the documented way. */
  readStream(): void {
    this.stream.on('data', (chunk: Buffer) => this.receive(chunk, 0, chunk.length))
  }

  /** Processes received bytes; `buffer` may be reused afterwards. Returns whether more should be read. */
  receive(buffer: Buffer, start: number, end: number): boolean {
    const { counters, store } = this.context
    counters.bytesRead += end - start
    try {
      this.owner.tick()
      this.lastCommandAt = store.now
      this.#beginTurn()
      const session = this.#session ?? this.#chooseSession(buffer[start]!)
      session?.push(buffer, start, end)
      return this.#finishReplies()
    } catch (error) {
      return this.#fail(error)
    }
  }

  /** Ends with the stream: releases the memory that was reserved for an incomplete value, and ends a long response. */
  dispose(): void {
    this.#session?.dispose()
    this.#longReply?.end()
    this.#longReply = undefined
  }

  // SessionHost

  get isClosing(): boolean {
    return this.#closing
  }

  get hasLongReply(): boolean {
    return this.#longReply !== undefined
  }

  get isPipelining(): boolean {
    return this.context.replies.pendingBytes > 0 || this.#requestsLeft < this.owner.maxRequestsPerTurn
  }

  countRequest(): boolean {
    return --this.#requestsLeft <= 0 || this.context.replies.pendingBytes > MAX_PENDING_REPLY_BYTES
  }

  endTurn(): void {
    this.#requestsLeft = 0
    this.#hasEndedTurn = true
  }

  beginLongReply(reply: LongReply): void {
    this.endTurn()
    this.#longReply = reply
  }

  watch(streams: number): void {
    const { events } = this.context
    const watcher = new Watcher(this.stream, {
      streams,
      bufferBytes: this.owner.options.watcherBufferBytes,
      firstEvent: events.nextEvent(),
    })
    this.become(new WatchSession(events, watcher))
  }

  become(session: Session): void {
    this.#session?.dispose()
    this.#session = session
  }

  close(reason: CloseReason): void {
    this.#closing = true
    this.#closeReason = reason
    this.#session?.dispose()
  }

  /** Handles the end of the client's side: the other side ends after the responses to its requests were sent. */
  ended(): void {
    if (!this.#closing) this.#closeReason = 'normal'
    this.#hasEnded = true
    if (this.#longReply === undefined && this.#session?.isPaused !== true) this.stream.end()
  }

  /** Closes the connection of a client that has sent nothing for too long. */
  kick(): void {
    this.#closeReason = 'idle_timeout'
    const { stream } = this
    // TLS sends close_notify, unless the client does not read the data before it.
    if (stream.writableLength > 0) stream.destroy()
    else stream.end(() => stream.destroy())
  }

  get closeReason(): CloseReason {
    return this.#closeReason
  }

  #chooseSession(firstByte: number): Session | undefined {
    if (this.#closing) return undefined
    const { credentials } = this.owner
    if (credentials !== undefined) return (this.#session = new AuthSession(this, credentials))
    const { protocol } = this.owner.options
    const isBinary = protocol === 'binary' || (protocol === 'auto' && firstByte === BINARY_REQUEST_MAGIC)
    return (this.#session = isBinary ? new BinarySession(this) : new TextSession(this))
  }

  /**
   * Handles a fault of the server, which ends only this connection. Its partial response is dropped, so that no other
   * connection gets it.
   */
  #fail(error: unknown): false {
    this.#closing = true
    this.context.replies.discard()
    this.owner.failed(error, this.ends.peer)
    this.stream.destroy()
    return false
  }

  #finishReplies(): boolean {
    const { stream } = this
    const session = this.#session
    if (this.#requestsLeft <= 0) this.#checkPendingResponses()
    this.context.replies.flush(this)
    if (this.#closing) {
      this.#uncork()
      stream.end(() => stream.destroy())
      return false
    }
    if (stream.writableNeedDrain) {
      this.#uncork()
      if (stream.writableNeedDrain) {
        stream.pause()
        // A stream within this process drains immediately; other connections still have their turn first.
        stream.once('drain', this.#waitForTurn)
        return false
      }
    }
    if (session?.isPaused === true || this.#longReply !== undefined) {
      // Other connections have their turn before the rest of this read. No more is read until it is done, because the
      // unprocessed rest would grow without bound.
      stream.pause()
      if (this.#longReply === undefined) {
        this.context.counters.connYields++
        // The responses of cheap requests are sent together. Those of expensive requests are written at once, to notice
        // a client that has gone.
        if (this.#hasEndedTurn) this.#uncork()
        else if (!this.#corked) stream.cork()
        this.#corked = !this.#hasEndedTurn
      }
      this.#waitForTurn()
      return false
    }
    this.#uncork()
    return true
  }

  /** Closes a connection, as memcached does, that has pipelined more requests than responses may be pending. */
  #checkPendingResponses(): void {
    const { replies, counters } = this.context
    if (this.#hasEndedTurn || !this.owner.limitsResponses) return
    counters.responseObjOom++
    replies.discard()
    this.close('error')
  }

  #beginTurn(): void {
    this.#requestsLeft = this.owner.maxRequestsPerTurn
    this.#hasEndedTurn = false
    this.context.replies.begin(this)
    this.context.events.connectionId = this.ends.id
  }

  #uncork(): void {
    if (this.#corked) this.stream.uncork()
    this.#corked = false
  }

  #goOn(): void {
    if (this.stream.destroyed || this.#closing) return
    try {
      if (!this.#work()) return
    } catch (error) {
      this.#fail(error)
      return
    }
    if (this.#hasEnded) this.stream.end()
    else if (this.stream.isPaused()) this.stream.resume()
  }

  /** Continues with the long response, or with the received bytes; returns whether more should be read. */
  #work(): boolean {
    if (this.#longReply === undefined && this.#session?.isPaused !== true) return true
    this.owner.tick()
    this.#beginTurn()
    if (this.#longReply === undefined) this.#session!.resume()
    else this.#goOnReplying(this.#longReply)
    return this.#finishReplies()
  }

  #goOnReplying(reply: LongReply): void {
    const progress = reply.next()
    if (progress === Progress.more) return
    this.#longReply = undefined
    if (progress === Progress.failed) this.close('error')
  }
}
