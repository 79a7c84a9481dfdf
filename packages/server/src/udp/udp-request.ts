import { BINARY_REQUEST_MAGIC, Status, writeBinaryResponseHeader } from 'memcache-ts-protocol'
import { BinarySession } from '../binary/binary-session.ts'
import type { CommandContext } from '../commands/command-context.ts'
import type { ConnectionOwner, SessionHost } from '../session.ts'
import { Progress } from '../long-reply.ts'
import type { LongReply } from '../long-reply.ts'
import { TextSession } from '../text-session.ts'

const NOT_OVER_UDP = Buffer.from('CLIENT_ERROR not available over UDP\r\n')
const TOO_LONG = Buffer.from('SERVER_ERROR reply too long for UDP\r\n')
const NOTHING = Buffer.alloc(0)
const HEADER_BYTES = 24

/** A datagram, without its frame header. */
export interface UdpRequestOptions {
  readonly id: number
  readonly payload: Buffer
  /** The longest response; a request for more is refused. */
  readonly maxReplyBytes: number
}

/**
 * The requests of one datagram, run to their end. Each datagram has its own session, so that no sender can continue a
 * request of another sender.
 */
export class UdpRequest implements SessionHost {
  readonly id: number
  readonly owner: ConnectionOwner
  readonly context: CommandContext
  readonly #payload: Buffer
  readonly #maxReplyBytes: number
  readonly #isBinary: boolean
  #isClosing = false
  #isTooLong = false
  #requests = 0
  #longReply: LongReply | undefined

  constructor(owner: ConnectionOwner, { id, payload, maxReplyBytes }: UdpRequestOptions) {
    this.id = id
    this.owner = owner
    this.context = owner.context
    this.#payload = payload
    this.#maxReplyBytes = maxReplyBytes
    this.#isBinary = payload[0] === BINARY_REQUEST_MAGIC
  }

  /** Runs the requests. Returns the response, which may be empty. */
  run(): Buffer {
    const { replies, events } = this.context
    const { protocol } = this.owner.options
    if (protocol !== 'auto' && (protocol === 'binary') !== this.#isBinary) return NOTHING
    // Large values are not copied before it is certain that they are sent.
    replies.begin({ consumesOnWrite: true })
    events.connectionId = this.id
    const session = this.#isBinary ? new BinarySession(this) : new TextSession(this)
    try {
      session.push(this.#payload, 0, this.#payload.length)
      while (!this.#isOver()) {
        if (this.#longReply !== undefined) this.#goOn(this.#longReply)
        else if (session.isPaused) session.resume()
        else break
      }
      if (this.#isTooLong) return this.refusal()
      if (!this.#isClosing) session.endInput()
      return replies.take()
    } finally {
      this.#longReply?.end()
      session.dispose()
      replies.discard()
    }
  }

  /** Returns the response to a request whose own response would be too long. */
  refusal(): Buffer {
    if (!this.#isBinary) return TOO_LONG
    const header = Buffer.alloc(HEADER_BYTES)
    const opaque = this.#payload.length < HEADER_BYTES ? 0 : this.#payload.readUInt32BE(12)
    const response = { opcode: this.#payload[1] ?? 0, status: Status.tooLarge, opaque, cas: undefined }
    writeBinaryResponseHeader(header, 0, response, { extras: 0, key: 0, value: 0 })
    return header
  }

  // SessionHost

  get isClosing(): boolean {
    return this.#isClosing
  }

  get hasLongReply(): boolean {
    return this.#longReply !== undefined
  }

  get isPipelining(): boolean {
    return this.#requests > 0
  }

  countRequest(): boolean {
    this.#requests++
    return this.context.replies.pendingBytes > this.#maxReplyBytes
  }

  endTurn(): void {}

  beginLongReply(reply: LongReply): void {
    this.#longReply = reply
    // A dump has no bound, and adapts to the speed of its reader, which is unknown here.
    if (reply.state === 'conn_watch') this.#isTooLong = true
  }

  become(): void {
    this.#isClosing = true
  }

  watch(): void {
    this.context.replies.append(NOT_OVER_UDP)
  }

  close(): void {
    this.#isClosing = true
  }

  #isOver(): boolean {
    if (this.context.replies.pendingBytes > this.#maxReplyBytes) this.#isTooLong = true
    return this.#isClosing || this.#isTooLong
  }

  #goOn(reply: LongReply): void {
    const progress = reply.next()
    if (progress === Progress.more) return
    this.#longReply = undefined
    if (progress === Progress.failed) this.#isTooLong = true
  }
}
