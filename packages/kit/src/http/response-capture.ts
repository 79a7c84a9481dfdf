import { STATUS_CODES } from 'node:http'
import type { ServerResponse } from 'node:http'
import { toFields, withHeadArguments } from './fields.ts'
import type { Fields } from './fields.ts'

/** What becomes of a response whose head is known. */
export type HeadAction =
  /** It goes to the client as it is. */
  | 'send'
  /** The client has it already: it gets 304, and no body. */
  | 'notModified'
  /** The client gets something else, when the handler is done. */
  | 'withhold'

/** Who looks on while a handler answers. */
export interface CaptureObserver {
  /** The head is about to be sent; may still set header fields. */
  onHead(status: number, fields: Fields): HeadAction
  /** The head was sent, or withheld, with all that others have added to it; whether its body is wanted. */
  onHeadDone(status: number, fields: Fields): boolean
  /** The response is whole. `undefined`: its body was not wanted, or was more than `maxBytes`. */
  onEnd(body: Buffer | undefined): void
  /** The body is more than `maxBytes`. */
  onOverflow(): void
  /** The response ended before it was whole. */
  onAbort(): void
}

type WriteHead = (status: number, ...rest: unknown[]) => ServerResponse
type Write = ServerResponse['write']
type End = ServerResponse['end']
type Callback = (error?: Error | null) => void

/** Content that a 304 does not have (RFC 9110, section 15.4.5). */
const NOT_IN_304 = [
  'content-length',
  'content-type',
  'content-encoding',
  'content-language',
  'content-range',
  'transfer-encoding',
]

/**
 * Looks on while a handler answers on a `ServerResponse`, below whatever framework: its head, then a copy of its body. What
 * goes to the client, and when, stays as it is: return values, backpressure, flushes, trailers.
 */
export class ResponseCapture {
  readonly #response: ServerResponse
  readonly #observer: CaptureObserver
  readonly #maxBytes: number
  /** As they were before: what others have put in their place counts. */
  readonly #writeHead: WriteHead
  readonly #end: End
  #action: HeadAction | undefined
  #isHeadDone = false
  #isWanted = false
  #hasEnded = false
  #chunks: Buffer[] = []
  #size = 0

  constructor(response: ServerResponse, observer: CaptureObserver, maxBytes: number) {
    this.#response = response
    this.#observer = observer
    this.#maxBytes = maxBytes
    const { writeHead, write, end } = response
    this.#writeHead = writeHead as WriteHead
    this.#end = end
    response.writeHead = ((...args: unknown[]) => this.#onWriteHead(args)) as ServerResponse['writeHead']
    response.write = ((...args: unknown[]) => this.#onWrite(args, write)) as Write
    response.end = ((...args: unknown[]) => this.#onEnd(args)) as End
    response.once('close', () => this.#onClose())
  }

  /** Sends what the client gets in place of a response that was withheld. */
  replace(status: number, body: Buffer | undefined): void {
    this.#writeHead.call(this.#response, status, STATUS_CODES[status])
    this.#end.call(this.#response, body, 'utf8')
  }

  #onWriteHead(args: unknown[]): ServerResponse {
    const response = this.#response
    if (this.#isHeadDone && response.headersSent) return this.#writeHead.apply(response, args as [number])
    const status = args[0] as number
    const given = typeof args[1] === 'string' ? args[2] : args[1]
    const action = this.#decide(status, given)
    if (action === 'withhold') {
      this.#headDone(status, given)
      return response
    }
    if (action === 'send') {
      this.#writeHead.apply(response, args as [number])
    } else {
      for (const [name, value] of Object.entries(withHeadArguments({}, given))) response.setHeader(name, value)
      for (const name of NOT_IN_304) response.removeHeader(name)
      this.#writeHead.call(response, 304, STATUS_CODES[304])
    }
    this.#headDone(status, given)
    return response
  }

  #onWrite(args: unknown[], write: Write): boolean {
    const response = this.#response
    // The head has to be known first; where nobody has written it, Node does, by the status and the fields that were set.
    if (this.#action === undefined) response.writeHead(response.statusCode)
    this.#take(args)
    if (this.#action === 'send') return write.apply(response, args as Parameters<Write>)
    const callback = args.findLast((argument) => typeof argument === 'function') as Callback | undefined
    if (callback !== undefined) process.nextTick(callback)
    return true
  }

  #onEnd(args: unknown[]): ServerResponse {
    const response = this.#response
    if (this.#hasEnded) return this.#end.apply(response, args as unknown as Parameters<End>)
    // Not by writeHead: Node still has to see that the body comes in one piece, whose length it can tell.
    const action = this.#action ?? this.#decide(response.statusCode, undefined)
    this.#hasEnded = true
    if (action === 'send') {
      this.#end.apply(response, args as unknown as Parameters<End>)
      this.#take(args)
    } else {
      if (!this.#isHeadDone) response.writeHead(response.statusCode)
      this.#take(args)
      if (action === 'notModified') this.#end.call(response, undefined, 'utf8')
      const callback = args.findLast((argument) => typeof argument === 'function') as (() => void) | undefined
      if (callback !== undefined) response.once('finish', callback)
    }
    const body = this.#isWanted ? Buffer.concat(this.#chunks) : undefined
    this.#chunks = []
    this.#observer.onEnd(body)
    return response
  }

  #decide(status: number, given: unknown): HeadAction {
    this.#action ??= this.#observer.onHead(status, withHeadArguments(toFields(this.#response.getHeaders()), given))
    return this.#action
  }

  #headDone(status: number, given: unknown): void {
    if (this.#isHeadDone) return
    this.#isHeadDone = true
    // Others add their fields as late as when the head is written: a session its cookie.
    const fields = withHeadArguments(toFields(this.#response.getHeaders()), given)
    this.#isWanted = this.#observer.onHeadDone(status, fields)
  }

  #take([chunk, encoding]: unknown[]): void {
    if (!this.#isWanted || chunk === undefined || chunk === null || typeof chunk === 'function') return
    const bytes =
      typeof chunk === 'string'
        ? Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
        : Buffer.from(chunk as Uint8Array)
    this.#size += bytes.length
    if (this.#size <= this.#maxBytes) {
      this.#chunks.push(bytes)
      return
    }
    this.#isWanted = false
    this.#chunks = []
    this.#observer.onOverflow()
  }

  #onClose(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#chunks = []
    this.#observer.onAbort()
  }
}
