import { STATUS_CODES } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { types } from 'node:util'
import { addListener } from '../../extra-listener.ts'
import { ClientLeave } from './client-leave.ts'
import { setHeadArguments, statusOf, toFields } from '../fields.ts'
import type { Fields, WriteHead } from '../fields.ts'
import { reasonOf } from '../send-stored.ts'

/** The treatment of a response whose head is known. */
export type HeadAction =
  /** It is sent to the client unchanged. */
  | 'send'
  /** The client already has it, and gets 304 without a body. */
  | 'notModified'
  /** The client gets another response when the handler is done. */
  | 'withhold'

/** The observer's decision when the head of a captured response is known. */
export interface HeadDecision {
  readonly action: HeadAction
  /** Whether the observer wants a copy of the body. */
  readonly isBodyWanted: boolean
}

/** Observes the response of a handler. */
export interface CaptureObserver {
  /**
   * Called when the handler has written the head. The observer may still set header fields.
   *
   * @param reason the handler's own reason phrase; `undefined` for the usual one.
   */
  onHead(status: number, fields: Fields, reason: string | undefined): HeadDecision
  /** Called when the handler adds trailers, which follow the body. */
  onTrailers(): void
  /** Called for each part of a wanted body. */
  onPart(part: Buffer): void
  /** Called when the response is complete. The body is `undefined` if it was not wanted or was over `maxBytes`. */
  onEnd(body: Buffer | undefined): void
  /** Called when the body is over `maxBytes`. */
  onOverflow(): void
  /** Called when the response ended before it was complete. */
  onAbort(): void
  /**
   * Returns whether other requests wait for the response, so that its handler continues when its own client has
   * disconnected.
   */
  isFollowed(): boolean
  /** Runs code outside of the captured layer: the response's own methods, or the wrappers of outer middleware. */
  outside<Result>(run: () => Result): Result
}

/** The methods by which the client's response is written, below a handler whose response was withheld. */
export interface ClientOutput {
  readonly response: ServerResponse
  readonly writeHead: (status: number) => void
  readonly write: (chunk: unknown) => boolean
  readonly end: (chunk?: unknown) => void
}

type Write = (...args: unknown[]) => boolean
type End = (...args: unknown[]) => ServerResponse
type Callback = () => void

/** Content that a 304 does not have (RFC 9110, section 15.4.5). */
const NOT_IN_304 = [
  'content-length',
  'content-type',
  'content-encoding',
  'content-language',
  'content-range',
  'transfer-encoding',
]
/** Statuses that have no content. */
const WITHOUT_CONTENT = new Set([204, 205, 304])

/** Stands for the parts of a body that is over `maxBytes`: none is kept. */
const TOO_LARGE: Buffer[] = []

/**
 * Captures the response of a handler on a `ServerResponse`, below any framework: its head and a copy of its body, as
 * they are written at this layer. Outer middleware, which changes the head or compresses the body, does this for each
 * client.
 */
export class ResponseCapture {
  readonly #response: ServerResponse
  readonly #observer: CaptureObserver
  readonly #maxBytes: number
  /** The methods of the outer layer. */
  readonly #writeHead: WriteHead
  readonly #write: Write
  readonly #end: End
  readonly #leave: ClientLeave
  #action: HeadAction | undefined
  #isWanted = false
  #hasEnded = false
  #isTakenOver = false
  #chunks: Buffer[] = []
  #size = 0

  constructor(response: ServerResponse, observer: CaptureObserver, maxBytes: number) {
    this.#response = response
    this.#observer = observer
    this.#maxBytes = maxBytes
    this.#writeHead = Reflect.get(response, 'writeHead') as WriteHead
    this.#write = Reflect.get(response, 'write') as Write
    this.#end = Reflect.get(response, 'end') as End
    response.writeHead = (status: number, ...rest: readonly unknown[]) => this.#onWriteHead(status, rest)
    response.write = (...args: unknown[]) => this.#onWrite(args)
    response.end = (...args: unknown[]) => this.#onEnd(args)
    this.#watchTrailers()
    addListener(response, 'close', () => this.#onClose())
    this.#leave = new ClientLeave(response, {
      goesOn: () => !this.#hasEnded && this.#isOfUse && observer.isFollowed(),
      onStopped: () => this.#leave.release(),
    })
  }

  /** Whether other requests may still get the response. */
  get #isOfUse(): boolean {
    return this.#action === undefined || this.#action === 'withhold' || this.#isWanted
  }

  /** Called when no request waits for the response any more. */
  onUnfollowed(): void {
    if (this.#leave.isHidden && this.#action !== 'withhold') this.#leave.release()
  }

  /** Sends the client another response in place of the withheld response. */
  replace(status: number, body: Buffer | undefined, reason: string | undefined): void {
    Reflect.deleteProperty(this.#response, 'headersSent')
    this.#observer.outside(() => {
      this.#writeHead.call(this.#response, status, ...reasonOf(this.#response, status, reason))
      this.#end.call(this.#response, body)
    })
  }

  /**
   * Lets other code write the client's response in place of the withheld response; further writes of the handler are
   * ignored.
   */
  takeOver(): ClientOutput {
    Reflect.deleteProperty(this.#response, 'headersSent')
    this.#isTakenOver = true
    const response = this.#response
    const outside = <Result>(run: () => Result): Result => this.#observer.outside(run)
    return {
      response,
      writeHead: (status) => void outside(() => this.#writeHead.call(response, status, ...reasonOf(response, status))),
      write: (chunk) => outside(() => this.#write.call(response, chunk)),
      end: (chunk) => void outside(() => this.#end.call(response, chunk)),
    }
  }

  #onWriteHead(status: number, rest: readonly unknown[]): ServerResponse {
    const response = this.#response
    const outside = (run: () => unknown): unknown => this.#observer.outside(run)
    if (this.#isTakenOver || this.#action === 'withhold') throw headersSentError()
    if (this.#action !== undefined) {
      outside(() => this.#writeHead.call(response, status, ...rest))
      return response
    }
    const others = setHeadArguments(response, rest)
    const code = statusOf(status)
    const reason = ownReason(response, code, others[0])
    const { action, isBodyWanted } = this.#observer.onHead(code, toFields(response.getHeaders()), reason)
    this.#action = action
    this.#isWanted = isBodyWanted
    // The handler must see a head that is sent and cannot be changed.
    if (action === 'withhold') Object.defineProperty(response, 'headersSent', { configurable: true, value: true })
    if (action === 'send') {
      try {
        outside(() => this.#writeHead.call(response, status, ...others))
      } catch (error) {
        // A page about the error may be sent instead, which is not the response that the observer knows.
        this.#giveUp()
        throw error
      }
    }
    if (action === 'notModified') {
      for (const name of NOT_IN_304) response.removeHeader(name)
      outside(() => this.#writeHead.call(response, 304, ...reasonOf(response, 304)))
    }
    // The waiting requests cannot use the response.
    if (this.#leave.isHidden && !this.#isOfUse) this.#leave.release()
    return response
  }

  #onWrite(args: unknown[]): boolean {
    const response = this.#response
    if (this.#isTakenOver) return false
    if (this.#hasEnded) return this.#observer.outside(() => this.#write.apply(response, args))
    // For an invalid chunk Node throws before it writes the head, so that an error can still be sent.
    if (this.#action === undefined && !isChunk(args[0]))
      return this.#observer.outside(() => this.#write.apply(response, args))
    // If the head is not written yet, Node writes it, with the status and the fields that were set.
    if (this.#action === undefined) response.writeHead(response.statusCode)
    this.#take(args)
    if (this.#leave.isHidden) this.#leave.touch()
    else if (this.#action === 'send') {
      const isTaken = this.#observer.outside(() => this.#write.apply(response, args))
      // A handler whose response is stored runs at the cache's speed, so that a slow client does not delay others.
      return isTaken || (this.#isWanted && this.#chunks !== TOO_LARGE && !response.destroyed)
    }
    const callback = callbackOf(args)
    if (callback !== undefined) process.nextTick(callback)
    return true
  }

  #onEnd(args: unknown[]): ServerResponse {
    const response = this.#response
    if (this.#isTakenOver) return response
    if (this.#hasEnded) return this.#observer.outside(() => this.#end.apply(response, args))
    if (this.#action === undefined) {
      const [chunk] = args
      const isNone = chunk === undefined || chunk === null || typeof chunk === 'function'
      if (!isNone && !isChunk(chunk)) return this.#observer.outside(() => this.#end.apply(response, args))
      this.#setLength(args)
      response.writeHead(response.statusCode)
    }
    this.#hasEnded = true
    this.#take(args)
    if (this.#action === 'send' && !this.#leave.isHidden) {
      this.#observer.outside(() => this.#end.apply(response, args))
    } else {
      if (this.#action === 'notModified' && !this.#leave.isHidden)
        this.#observer.outside(() => this.#end.call(response))
      const callback = callbackOf(args)
      if (callback !== undefined) response.once('finish', callback)
    }
    const body = this.#isWanted && this.#chunks !== TOO_LARGE ? Buffer.concat(this.#chunks) : undefined
    this.#chunks = []
    // Listeners of the held `close` event must see that the handler has ended the response.
    if (this.#leave.isHidden) Object.defineProperty(response, 'writableEnded', { configurable: true, value: true })
    this.#observer.onEnd(body)
    this.#leave.release()
    return response
  }

  /** Sets the length of a body that is written at once, as Node does if it writes the head and the body together. */
  #setLength([chunk, encoding]: unknown[]): void {
    const response = this.#response
    const status = statusOf(response.statusCode)
    if (WITHOUT_CONTENT.has(status) || status < 200) return
    if ((response as { req?: IncomingMessage }).req?.method === 'HEAD') return
    if (response.hasHeader('content-length') || response.hasHeader('transfer-encoding')) return
    // Trailers follow a chunked body only.
    if (response.hasHeader('trailer')) return
    response.setHeader('Content-Length', String(lengthOf(chunk, encoding)))
  }

  /** Observes `addTrailers`, which of a response of HTTP/2 calls `setTrailer`. */
  #watchTrailers(): void {
    const name = 'setTrailer' in this.#response ? 'setTrailer' : 'addTrailers'
    const before = Reflect.get(this.#response, name) as ((...args: unknown[]) => void) | undefined
    if (before === undefined) return
    Reflect.set(this.#response, name, (...args: unknown[]) => {
      this.#observer.onTrailers()
      before.apply(this.#response, args)
    })
  }

  #take([chunk, encoding]: unknown[]): void {
    if (!this.#isWanted) return
    const bytes = bytesOf(chunk, encoding)
    if (bytes === undefined) return
    this.#size += bytes.length
    if (this.#size <= this.#maxBytes) {
      // A copy: the handler may overwrite its buffer.
      const part = typeof chunk === 'string' ? bytes : Buffer.from(bytes)
      this.#chunks.push(part)
      this.#observer.onPart(part)
      return
    }
    if (this.#chunks !== TOO_LARGE) this.#observer.onOverflow()
    this.#chunks = TOO_LARGE
    this.#observer.onPart(Buffer.from(bytes))
  }

  #giveUp(): void {
    this.#isWanted = false
    this.#hasEnded = true
    this.#chunks = []
    this.#observer.onAbort()
  }

  #onClose(): void {
    if (!this.#hasEnded) this.#giveUp()
  }
}

/** Returns the reason phrase that a handler has chosen; `undefined` for the usual one. HTTP/2 has none. */
function ownReason(response: ServerResponse, status: number, given: string | undefined): string | undefined {
  if ('stream' in response) return undefined
  const reason = given ?? response.statusMessage
  return reason === '' || reason === STATUS_CODES[status] ? undefined : reason
}

/** Returns the error that Node throws. */
function headersSentError(): Error {
  const error = new Error('Cannot write headers after they are sent to the client')
  return Object.assign(error, { code: 'ERR_HTTP_HEADERS_SENT' })
}

/** Returns the bytes of a chunk as they are written; `undefined` if there are none. */
function bytesOf(chunk: unknown, encoding: unknown): Buffer | undefined {
  if (typeof chunk === 'string') {
    return Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
  }
  if (!ArrayBuffer.isView(chunk)) return undefined
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
}

/** Returns whether Node accepts a value as a chunk of a body. */
function isChunk(chunk: unknown): boolean {
  return typeof chunk === 'string' || types.isUint8Array(chunk)
}

function lengthOf(chunk: unknown, encoding: unknown): number {
  if (typeof chunk === 'string') {
    return Buffer.byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
  }
  return ArrayBuffer.isView(chunk) ? chunk.byteLength : 0
}

function callbackOf(args: readonly unknown[]): Callback | undefined {
  return args.find((argument) => typeof argument === 'function') as Callback | undefined
}
