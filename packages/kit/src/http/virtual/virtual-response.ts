import { EventEmitter } from 'node:events'
import type { IncomingMessage, OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { setImmediate } from 'node:timers'
import { setHeadArguments } from '../fields.ts'

/** The head of a response that was written without a socket, with its body. */
export interface VirtualResult<Body> {
  readonly status: number
  readonly statusMessage: string
  readonly headers: OutgoingHttpHeaders
  /** The whole body if it was written at once, or a stream of it; `undefined` if there is none. */
  readonly body: Buffer | Body | undefined
}

/** The destination of a body. */
export interface BodyWriter {
  /** Takes a chunk; returns whether the writer may continue before `onDrain`. */
  push(chunk: Buffer): boolean
  end(): void
  fail(error: Error): void
  /** The number of bytes that its reader has not read yet. */
  readonly pendingBytes: number
}

/** Opens a stream for a body. */
export type OpenBody<Body> = (reader: {
  /** Called when the reader wants more. */
  readonly onDrain: () => void
  /** Called when the reader has cancelled. */
  readonly onCancel: () => void
}) => { readonly body: Body; readonly writer: BodyWriter }

/** Statuses that have no content. */
const WITHOUT_CONTENT = new Set([204, 205, 304])

/**
 * A response without a socket, with the methods of `ServerResponse` that the response cache and its handlers use. It
 * becomes the response of a framework that does not write to a `ServerResponse`, for example a `Response` of the Fetch
 * standard.
 */
export class VirtualResponse<Body> extends EventEmitter {
  readonly req: IncomingMessage
  statusCode = 200
  statusMessage = ''
  /** A writable own property: `ClientLeave` sets it if the handler must not notice that its client has disconnected. */
  destroyed = false
  writableEnded = false
  /** Resolves to the response when its head is written; rejects if it is destroyed before. */
  readonly result: Promise<VirtualResult<Body>>
  readonly #fields = new Map<string, { readonly name: string; readonly value: OutgoingHttpHeader }>()
  readonly #open: OpenBody<Body>
  readonly #works: Promise<unknown>[] = []
  #resolve!: (result: VirtualResult<Body> | Promise<VirtualResult<Body>>) => void
  #reject!: (error: Error) => void
  #isHeadWritten = false
  #isResolved = false
  #isRead = false
  readonly #onBegun: (() => void)[] = []
  #writer: BodyWriter | undefined

  constructor(request: IncomingMessage, open: OpenBody<Body>) {
    super()
    // Each following request listens for `close`.
    this.setMaxListeners(0)
    this.req = request
    this.#open = open
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.result.catch(() => {})
  }

  /** This object, typed as a response of `node:http`. */
  get asServerResponse(): ServerResponse {
    return this as unknown as ServerResponse
  }

  get headersSent(): boolean {
    return this.#isHeadWritten
  }

  get writableFinished(): boolean {
    return this.writableEnded
  }

  get writableLength(): number {
    return this.#writer?.pendingBytes ?? 0
  }

  getHeader(name: string): OutgoingHttpHeader | undefined {
    return this.#fields.get(name.toLowerCase())?.value
  }

  getHeaders(): OutgoingHttpHeaders {
    const headers = Object.create(null) as OutgoingHttpHeaders
    for (const [key, { value }] of this.#fields) headers[key] = value
    return headers
  }

  getHeaderNames(): string[] {
    return [...this.#fields.keys()]
  }

  hasHeader(name: string): boolean {
    return this.#fields.has(name.toLowerCase())
  }

  setHeader(name: string, value: OutgoingHttpHeader): this {
    if (this.#isHeadWritten) throw headersSentError()
    this.#fields.set(name.toLowerCase(), { name, value })
    return this
  }

  removeHeader(name: string): void {
    this.#fields.delete(name.toLowerCase())
  }

  /** Trailers are sent by the framework; the response cache only notices that there are some. */
  addTrailers(): void {}

  /** Delays the response until work has succeeded or failed. */
  waitFor(work: Promise<unknown>): void {
    this.#works.push(work)
  }

  /**
   * Resolves when the reader of the body begins to read, or when the body will not be read, since there is none or
   * another response is sent.
   */
  begun(): Promise<void> {
    if (this.#isRead || this.destroyed) return Promise.resolve()
    const begun = new Promise<void>((resolve) => this.#onBegun.push(resolve))
    this.once('close', () => this.#begin())
    setImmediate(() => {
      if (this.#writer === undefined) this.#begin()
    })
    return begun
  }

  #begin(): void {
    this.#isRead = true
    for (const resolve of this.#onBegun.splice(0)) resolve()
  }

  writeHead(status: number, ...rest: readonly unknown[]): this {
    if (this.#isHeadWritten) throw headersSentError()
    const [message] = setHeadArguments(this.asServerResponse, rest)
    this.statusCode = status
    if (message !== undefined) this.statusMessage = message
    this.#isHeadWritten = true
    // A body that is written in the same tick is passed on as one buffer, without a stream.
    process.nextTick(() => this.flushHeaders())
    return this
  }

  flushHeaders(): void {
    if (!this.#isHeadWritten || this.#isResolved || this.destroyed) return
    this.#resolveHead(this.#hasContent ? this.#stream() : undefined)
  }

  write(chunk: unknown, encoding?: unknown): boolean {
    if (this.destroyed || this.writableEnded) return false
    if (!this.#isHeadWritten) this.writeHead(this.statusCode)
    if (!this.#hasContent) return true
    this.flushHeaders()
    return this.#writer!.push(toBuffer(chunk, encoding))
  }

  end(chunk?: unknown, encoding?: unknown): this {
    if (this.destroyed || this.writableEnded) return this
    if (!this.#isHeadWritten) this.writeHead(this.statusCode)
    this.writableEnded = true
    const isNone = chunk === undefined || chunk === null || typeof chunk === 'function' || !this.#hasContent
    const part = isNone ? undefined : toBuffer(chunk, encoding)
    if (!this.#isResolved) this.#resolveHead(part)
    else if (this.#writer !== undefined) {
      if (part !== undefined) this.#writer.push(part)
      this.#writer.end()
    }
    process.nextTick(() => {
      this.emit('finish')
      this.emit('close')
    })
    return this
  }

  destroy(error: Error = abortedError()): this {
    if (this.destroyed) return this
    this.destroyed = true
    if (!this.#isResolved) this.#reject(error)
    else if (!this.writableEnded) this.#writer?.fail(error)
    process.nextTick(() => this.emit('close'))
    return this
  }

  /** Called when the client has disconnected: emits `close`, like a response whose socket was closed. */
  leave(): void {
    if (this.destroyed || this.writableEnded) return
    this.destroyed = true
    if (!this.#isResolved) this.#reject(abortedError())
    this.emit('close')
  }

  get #hasContent(): boolean {
    return this.req.method !== 'HEAD' && !WITHOUT_CONTENT.has(this.statusCode)
  }

  #stream(): Body {
    const { body, writer } = this.#open({
      onDrain: () => {
        if (!this.#isRead) this.#begin()
        this.emit('drain')
      },
      onCancel: () => this.leave(),
    })
    this.#writer = writer
    return body
  }

  #resolveHead(body: Buffer | Body | undefined): void {
    this.#isResolved = true
    const { statusCode: status, statusMessage } = this
    const result: VirtualResult<Body> = { status, statusMessage, headers: this.getHeaders(), body }
    this.#resolve(this.#works.length === 0 ? result : Promise.allSettled(this.#works).then(() => result))
  }
}

function toBuffer(chunk: unknown, encoding: unknown): Buffer {
  if (typeof chunk === 'string')
    return Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
  if (!ArrayBuffer.isView(chunk)) throw new TypeError('a part of a body must be a string or a Uint8Array')
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
}

function headersSentError(): Error {
  const error = new Error('Cannot write headers after they are sent to the client')
  return Object.assign(error, { code: 'ERR_HTTP_HEADERS_SENT' })
}

function abortedError(): Error {
  return Object.assign(new Error('the response ended before it was complete'), { code: 'ECONNRESET' })
}
