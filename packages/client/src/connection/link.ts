import { connect as connectTcp, Socket } from 'node:net'
import type { OnReadOpts } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { kindOf, MAX_REQUEST_LINE_BYTES, MemcacheOptionError, writeLineEnd } from 'memcache-ts-protocol'
import type { ServerAddress } from '../server-address.ts'

const RECEIVE_BUFFER_BYTES = 256 * 1024

/**
 * All plain connections read into this one buffer: what is read is handled before anything else is, and what is kept is
 * copied.
 */
const receiveBuffer = Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES)

/** What a link tells its connection, until it is ended. */
export interface LinkEvents {
  /** Bytes may be sent. It is not called before the constructor has returned. */
  opened(): void
  /** Takes received bytes, which are only lent for the call. */
  received(buffer: Buffer, length: number): void
  /** The stream has ended, by itself or with an error. */
  gone(cause: Error | undefined): void
}

/**
 * One stream to a server (TCP, TLS, a unix socket, or one of the caller's making), and the requests that are gathered
 * for it.
 */
export class Link {
  /** Codecs write here; `flush` sends what was gathered in one write. */
  readonly requests = new RequestBuffer()
  readonly #stream: Duplex
  /** Whether a write that leaves nothing queued in the stream has been copied by the kernel. */
  readonly #copiesOnWrite: boolean
  #isEnded = false

  /** Opens the stream; host names are resolved each time. It throws what `connect` of a custom stream throws. */
  constructor(address: ServerAddress, tls: TlsOptions | undefined, events: LinkEvents) {
    const received = (buffer: Buffer, length: number): void => {
      if (!this.#isEnded) events.received(buffer, length)
    }
    const opened = (): void => {
      if (!this.#isEnded) events.opened()
    }
    const stream = openStream(address, tls, opened, received)
    const gone = (cause?: Error): void => {
      if (!this.#isEnded) events.gone(cause)
    }
    stream.once('error', gone)
    // A second error of a stream that is already given up must not end the process.
    stream.on('error', () => {})
    stream.once('end', () => gone())
    stream.once('close', () => gone())
    this.#stream = stream
    this.#copiesOnWrite = address.stream === undefined && tls === undefined
  }

  /** Sends the gathered requests in one write. It throws what a custom stream throws. */
  flush(): void {
    const { requests } = this
    if (!requests.isEmpty && !this.#stream.destroyed) requests.flush(this.#stream, this.#copiesOnWrite)
  }

  /** The stream keeps the process alive, unless it is one of the caller's making, which decides that itself. */
  ref(): void {
    if (this.#stream instanceof Socket) this.#stream.ref()
  }

  /** The stream does not keep the process alive. */
  unref(): void {
    if (this.#stream instanceof Socket) this.#stream.unref()
  }

  /** Ends the stream, and tells nothing more. */
  end(): void {
    this.#isEnded = true
    const stream = this.#stream
    try {
      if (stream instanceof Socket) stream.destroy()
      // A stream in memory tells its other end that it ended, but not that it was destroyed.
      else stream.end(() => stream.destroy())
    } catch {
      // A stream of the caller's making, which is of no more use.
    }
  }
}

function openStream(
  address: ServerAddress,
  tls: TlsOptions | undefined,
  opened: () => void,
  received: (buffer: Buffer, length: number) => void,
): Duplex {
  if (address.stream !== undefined) {
    const stream = address.stream.connect()
    if (typeof (stream as Partial<Duplex> | null | undefined)?.on !== 'function') {
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
    const stream = connectTls({ ...tls, ...endpoint(address), ...serverName(address, tls) })
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

/** What a stream of the caller's making hands over: not all such streams keep to bytes. */
function bytesOf(chunk: unknown): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk
  if (chunk instanceof Uint8Array) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  return Buffer.from(typeof chunk === 'string' ? chunk : `a stream's ${kindOf(chunk)}`)
}

function endpoint({ host, ip, port, path }: ServerAddress) {
  if (path !== undefined) return { path }
  return { host: ip ?? host!, port: port!, noDelay: true, keepAlive: true }
}

/** The name that the certificate is checked against. An address cannot be sent as a server name. */
function serverName({ host }: ServerAddress, tls: TlsOptions): { servername?: string; host?: string } {
  return tls.servername !== undefined || host === undefined || /^[\d.]+$|:/.test(host) ? {} : { servername: host }
}

/** What an error of a stream says. OpenSSL's own messages name lines of its source. */
export function streamProblem(error: Error): string {
  const { code, reason } = error as { code?: unknown; reason?: unknown }
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER') return 'it does not speak TLS: leave tls out, or use its TLS port'
  return typeof code === 'string' && code.startsWith('ERR_SSL_') ? `TLS failed: ${String(reason)}` : error.message
}

let isReacting = false
const resolved = Promise.resolve()

/**
 * Notes that a response has come, whose callers go on now. Their next requests are flushed immediately after all of
 * them, since they are what keeps the server busy. Requests of others, each made in a tick of its own as an HTTP
 * server's many sockets do, are flushed together at the end of the loop's turn. One flag for the process: a caller may
 * react to a response of one connection by a request on another.
 */
export function responseComes(): void {
  if (isReacting) return
  isReacting = true
  // Behind all the microtasks, which the callers that go on are. Cheaper than `queueMicrotask`, which makes an async
  // resource.
  void resolved.then(afterMicrotasks)
}

function afterMicrotasks(): void {
  process.nextTick(reactionEnds)
}

function reactionEnds(): void {
  isReacting = false
}

/** Whether what runs now was set going by a response. */
export function isReactionToResponse(): boolean {
  return isReacting
}

const BUFFER_BYTES = 64 * 1024
/** Values up to this size are copied in; larger ones become a part of the write by themselves. */
const COPY_BYTES = 16 * 1024

/** Gathers the requests of one turn of the loop, so that they leave in one write. */
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

  get isEmpty(): boolean {
    return this.at === this.#from && this.#parts.length === 0
  }

  /** Makes sure that a request's line fits behind `at`. */
  room(): void {
    this.reserve(MAX_REQUEST_LINE_BYTES)
  }

  /** Makes sure that so many bytes, at most 64 kB, fit behind `at`. */
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

  /** Whether a text, however it is encoded, fits behind a request's line without another buffer. */
  mayHold(text: string): boolean {
    return this.buffer.length - this.at >= MAX_REQUEST_LINE_BYTES + text.length * 3 + 2
  }

  /** A data block and its line end, if the text is ASCII; else nothing. Returns whether it was. `mayHold` was asked. */
  appendAscii(text: string): boolean {
    const { buffer } = this
    const end = this.at + buffer.write(text, this.at, 'utf8')
    if (end - this.at !== text.length) return false
    this.at = writeLineEnd(buffer, end)
    return true
  }

  /** A data block of so many bytes, and its line end. */
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
    // As many bytes as characters: every one is ASCII, and needs no encoding.
    if (typeof value !== 'string') value.copy(this.buffer, this.at)
    else this.buffer.write(value, this.at, length === value.length ? 'latin1' : 'utf8')
    this.at += length
  }

  /** A request begins here, for `rewind`. */
  begin(): void {
    this.#begunParts = this.#parts.length
    this.#begunBuffer = this.buffer
    this.#begunAt = this.at
    this.#begunFrom = this.#from
  }

  /** Forgets the request that was begun last: it could not be finished. */
  rewind(): void {
    this.#parts.length = this.#begunParts
    this.buffer = this.#begunBuffer
    this.at = this.#begunAt
    this.#from = this.#begunFrom
  }

  /** Forgets what was gathered: the connection is gone. */
  clear(): void {
    this.at = 0
    this.#from = 0
    this.#parts = []
  }

  /**
   * Writes what was gathered.
   *
   * @param copiesOnWrite whether a write that leaves nothing queued in the stream has been copied by the kernel.
   */
  flush(stream: Duplex, copiesOnWrite: boolean): void {
    const { buffer } = this
    const last = buffer.subarray(this.#from, this.at)
    const parts = this.#parts
    this.clear()
    // Behind a write that is still to come, a copy just as long as the requests goes, and the buffer stays.
    const direct = copiesOnWrite && stream.writableLength === 0
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
