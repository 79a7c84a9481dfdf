import { connect as connectTcp, Socket } from 'node:net'
import type { OnReadOpts } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { types } from 'node:util'
import {
  kindOf,
  MAX_REQUEST_LINE_BYTES,
  MemcacheConnectionError,
  MemcacheOptionError,
  writeLineEnd,
} from 'memcache-ts-protocol'
import { asError } from '../errors.ts'
import type { ServerAddress } from '../server-address.ts'
import { tlsConnectOptions, tlsProblem } from './tls.ts'

const RECEIVE_BUFFER_BYTES = 256 * 1024

/**
 * The one buffer that all plain connections read into: received bytes are handled before the next read, and copied if
 * they are kept.
 */
const receiveBuffer = Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES)

/** The events of a link, until it is ended. */
export interface LinkEvents {
  /** Called when the stream is open, so that bytes may be sent. Never called before the constructor has returned. */
  opened(): void
  /** Receives bytes, which are valid only during the call. */
  received(buffer: Buffer, length: number): void
  /** Called when the stream has ended, with or without an error. */
  gone(cause: Error | undefined): void
}

/** One stream to a server (TCP, TLS, a unix socket, or a custom stream), and the requests that are gathered for it. */
export class Link {
  /** The buffer that codecs write to; `flush` sends it in one write. */
  readonly requests: RequestBuffer
  readonly #stream: Duplex
  #isEnded = false

  /** Opens the stream; host names are resolved each time. Throws the error that `connect` of a custom stream throws. */
  constructor(address: ServerAddress, tls: TlsOptions | undefined, events: LinkEvents) {
    const received = (buffer: Buffer, length: number): void => {
      if (!this.#isEnded) events.received(buffer, length)
    }
    const opened = (): void => {
      if (!this.#isEnded) events.opened()
    }
    const stream = openStream(address, tls, { opened, received })
    const gone = (cause?: Error): void => {
      if (!this.#isEnded) events.gone(cause)
    }
    // A custom stream may give anything as its error, such as null.
    stream.once('error', (cause: unknown) => gone(asError(cause)))
    // A second error of a stream that was already given up must not crash the process.
    stream.on('error', () => {})
    stream.once('end', () => gone())
    stream.once('close', () => gone())
    this.#stream = stream
    this.requests = new RequestBuffer({ copiesOnWrite: address.stream === undefined && tls === undefined })
  }

  /** Sends the gathered requests in one write. Throws the error that a custom stream throws. */
  flush(): void {
    const { requests } = this
    if (!requests.isEmpty && !this.#stream.destroyed) requests.flush(this.#stream)
  }

  /** Lets the stream keep the process alive; a custom stream decides that itself. */
  ref(): void {
    if (this.#stream instanceof Socket) this.#stream.ref()
  }

  /** Lets the process end while the stream is open. */
  unref(): void {
    if (this.#stream instanceof Socket) this.#stream.unref()
  }

  /** Ends the stream; no more events follow. */
  end(): void {
    this.#isEnded = true
    const stream = this.#stream
    try {
      if (stream instanceof Socket) stream.destroy()
      // A stream in memory notifies its other end when it ends, but not when it is destroyed.
      else stream.end(() => destroySafely(stream))
    } catch {
      // A custom stream may throw; it is no longer needed.
    }
  }
}

function destroySafely(stream: Duplex): void {
  try {
    stream.destroy()
  } catch {
    // As in `Link.end`.
  }
}

function openStream(
  address: ServerAddress,
  tls: TlsOptions | undefined,
  { opened, received }: Pick<LinkEvents, 'opened' | 'received'>,
): Duplex {
  if (address.stream !== undefined) {
    const stream = address.stream.connect()
    if (typeof (stream as Partial<Duplex> | null | undefined)?.on !== 'function') {
      // No other code handles its rejection.
      if (types.isPromise(stream)) stream.catch(() => {})
      throw new MemcacheOptionError(`connect() must return a stream, got ${kindOf(stream)}`)
    }
    stream.on('data', (chunk: unknown) => {
      const bytes = bytesOf(chunk)
      received(bytes, bytes.length)
    })
    process.nextTick(opened)
    return stream
  }
  if (tls !== undefined) {
    const stream = connectTls({ ...tlsConnectOptions(address, tls), ...endpoint(address) })
    stream.on('data', (chunk: Buffer) => received(chunk, chunk.length))
    stream.once('secureConnect', opened)
    return stream
  }
  const onread: OnReadOpts = {
    buffer: receiveBuffer,
    callback: (length) => {
      received(receiveBuffer, length)
      return true
    },
  }
  const stream = connectTcp({ ...endpoint(address), onread })
  stream.once('connect', opened)
  return stream
}

/** Returns a chunk of a custom stream as bytes, since such streams may deliver other kinds. */
function bytesOf(chunk: unknown): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk
  if (types.isUint8Array(chunk)) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  return Buffer.from(typeof chunk === 'string' ? chunk : `a stream's ${kindOf(chunk)}`)
}

function endpoint({ host, ip, port, path }: ServerAddress) {
  if (path !== undefined) return { path }
  return { host: ip ?? host!, port: port!, noDelay: true, keepAlive: true }
}

/**
 * Returns the error of operations whose stream has ended, with or without an error of Node's.
 *
 * @param place.isOpeningTls whether the handshakes over TLS were not done yet.
 */
export function streamError(
  cause: Error | undefined,
  { server, isOpeningTls }: { readonly server: string; readonly isOpeningTls: boolean },
): MemcacheConnectionError {
  const hangUp = 'the server closed the connection'
  // TLS 1.3 servers check the client's certificate after the handshake, and many close without an alert.
  const mayRefuse = isOpeningTls && (cause === undefined || (cause as { code?: unknown }).code === 'ECONNRESET')
  const advice = mayRefuse ? '; it may not speak TLS, or not accept the client certificate' : ''
  const reason = cause === undefined ? hangUp : (tlsProblem(cause) ?? cause.message)
  return new MemcacheConnectionError(`${server}: ${reason}${advice}`, { server, cause })
}

/** Returns whether the server itself has ended a stream, and not the network. */
export function isHangUp(cause: Error | undefined): boolean {
  const { code } = (cause ?? {}) as { code?: unknown }
  return code === undefined || code === 'ECONNRESET' || code === 'EPIPE'
}

let isReacting = false
const resolved = Promise.resolve()

/**
 * Notes that a response was received, so that its callers continue now. Their next requests are flushed immediately
 * after all of them, which keeps the server busy. Other requests, such as those of an HTTP server's many sockets, each
 * in its own tick, are flushed together at the end of the event loop's turn. There is one flag for the process, since a
 * caller may react to a response of one connection with a request on another.
 */
export function responseComes(): void {
  if (isReacting) return
  isReacting = true
  // Runs after the microtasks of the callers. Cheaper than `queueMicrotask`, which creates an async resource.
  void resolved.then(afterMicrotasks)
}

function afterMicrotasks(): void {
  process.nextTick(reactionEnds)
}

function reactionEnds(): void {
  isReacting = false
}

/** Returns whether the running code reacts to a response. */
export function isReactionToResponse(): boolean {
  return isReacting
}

const BUFFER_BYTES = 64 * 1024
/** Values up to this size are copied into the buffer; larger values are separate parts of the write. */
const COPY_BYTES = 16 * 1024

/** Gathers the requests of one turn of the event loop, so that they are sent in one write. */
export class RequestBuffer {
  /** Requests are written here, from `at` on. */
  buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  at = 0
  #parts: Buffer[] = []
  #from = 0
  #begunParts = 0
  #begunBuffer = this.buffer
  #begunAt = 0
  #begunFrom = 0
  readonly #copiesOnWrite: boolean

  /** @param stream.copiesOnWrite whether a write that leaves nothing queued in the stream was copied by the kernel. */
  constructor({ copiesOnWrite }: { readonly copiesOnWrite: boolean }) {
    this.#copiesOnWrite = copiesOnWrite
  }

  get isEmpty(): boolean {
    return this.at === this.#from && this.#parts.length === 0
  }

  /** Ensures that a request's line fits after `at`. */
  room(): void {
    this.reserve(MAX_REQUEST_LINE_BYTES)
  }

  /** Ensures that this many bytes, at most 64 kB, fit after `at`. */
  reserve(bytes: number): void {
    if (this.buffer.length - this.at >= bytes) return
    this.#finishPart()
    this.buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
    this.at = 0
    this.#from = 0
  }

  append(text: string): void {
    const length = Buffer.byteLength(text)
    if (length > BUFFER_BYTES) {
      this.#appendPart(Buffer.from(text))
      return
    }
    this.reserve(length)
    this.at += this.buffer.write(text, this.at)
  }

  /** Returns whether a text of any encoding fits after a request's line without another buffer. */
  mayHold(text: string): boolean {
    return this.buffer.length - this.at >= MAX_REQUEST_LINE_BYTES + text.length * 3 + 2
  }

  /**
   * Writes a data block and its line end if the text is ASCII, and returns whether it is. Requires that `mayHold`
   * returned true.
   */
  appendAscii(text: string): boolean {
    const { buffer } = this
    const end = this.at + buffer.write(text, this.at, 'utf8')
    if (end - this.at !== text.length) return false
    this.at = writeLineEnd(buffer, end)
    return true
  }

  /** Writes a data block of this many bytes, and its line end. */
  appendValue(value: Buffer | string, length: number): void {
    this.appendBytes(value, length)
    this.reserve(2)
    this.at = writeLineEnd(this.buffer, this.at)
  }

  appendBytes(value: Buffer | string, length: number): void {
    if (length > COPY_BYTES) {
      this.#appendPart(typeof value === 'string' ? Buffer.from(value) : value)
      return
    }
    this.reserve(length + 2)
    // If there are as many bytes as characters, every character is ASCII and needs no encoding.
    if (typeof value !== 'string') value.copy(this.buffer, this.at)
    else this.buffer.write(value, this.at, length === value.length ? 'latin1' : 'utf8')
    this.at += length
  }

  /** Marks the begin of a request, for `rewind`. */
  begin(): void {
    this.#begunParts = this.#parts.length
    this.#begunBuffer = this.buffer
    this.#begunAt = this.at
    this.#begunFrom = this.#from
  }

  /** Removes the request that was begun last, since it could not be finished. */
  rewind(): void {
    this.#parts.length = this.#begunParts
    this.buffer = this.#begunBuffer
    this.at = this.#begunAt
    this.#from = this.#begunFrom
  }

  /** Removes all gathered requests, since the connection was closed. */
  clear(): void {
    this.at = 0
    this.#from = 0
    this.#parts = []
  }

  /** Writes the gathered requests. */
  flush(stream: Duplex): void {
    const { buffer } = this
    const last = buffer.subarray(this.#from, this.at)
    const parts = this.#parts
    this.clear()
    // Unless the kernel copies the bytes during the write, a copy is written, so that the buffer can be reused.
    const direct = this.#copiesOnWrite && stream.writableLength === 0
    if (parts.length === 0) {
      stream.write(direct ? last : Buffer.from(last))
    } else {
      stream.cork()
      for (const part of parts) stream.write(part)
      if (last.length > 0) stream.write(last)
      stream.uncork()
    }
    const free = direct ? stream.writableLength === 0 : parts.length === 0
    if (!free) this.buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  }

  #appendPart(part: Buffer): void {
    this.#finishPart()
    this.#parts.push(part)
  }

  #finishPart(): void {
    if (this.at > this.#from) this.#parts.push(this.buffer.subarray(this.#from, this.at))
    this.#from = this.at
  }
}
