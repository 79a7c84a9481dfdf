import { STATUS_CODES } from 'node:http'
import type { ServerResponse } from 'node:http'
import { setHeadArguments, toFields } from './fields.ts'
import type { Fields, WriteHead } from './fields.ts'

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
  readonly #write: Write
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
    this.#writeHead = Reflect.get(response, 'writeHead') as WriteHead
    this.#write = Reflect.get(response, 'write') as Write
    this.#end = Reflect.get(response, 'end') as End
    response.writeHead = (status: number, ...rest: readonly unknown[]) => this.#onWriteHead(status, rest)
    response.write = (...args: unknown[]) => this.#onWrite(args)
    response.end = (...args: unknown[]) => this.#onEnd(args)
    response.once('close', () => this.#onClose())
  }

  /** Sends what the client gets in place of a response that was withheld. */
  replace(status: number, body: Buffer | undefined): void {
    this.#writeHead.call(this.#response, status, STATUS_CODES[status])
    this.#end.call(this.#response, body)
  }

  #onWriteHead(status: number, rest: readonly unknown[]): ServerResponse {
    const response = this.#response
    if (this.#isHeadDone) return this.#writeHead.call(response, status, ...rest)
    const others = setHeadArguments(response, rest)
    const action = this.#decide(status)
    const told = toFields(response.getHeaders())
    if (action === 'send') {
      this.#writeHead.call(response, status, ...others)
    } else if (action === 'notModified') {
      for (const name of NOT_IN_304) response.removeHeader(name)
      this.#writeHead.call(response, 304, STATUS_CODES[304])
    }
    if (!this.#isHeadDone) {
      this.#isHeadDone = true
      // Others add their fields as late as when the head is written: a session its cookie. A 304 has less than was told.
      const sent = toFields(response.getHeaders())
      this.#isWanted = this.#observer.onHeadDone(status, action === 'notModified' ? { ...told, ...sent } : sent)
    }
    return response
  }

  #onWrite(args: unknown[]): boolean {
    const response = this.#response
    // The head has to be known first; where nobody has written it, Node does, by the status and the fields that were set.
    if (this.#action === undefined) response.writeHead(response.statusCode)
    this.#take(args)
    if (this.#action === 'send') return this.#write.apply(response, args)
    const callback = callbackOf(args)
    if (callback !== undefined) process.nextTick(callback)
    return true
  }

  #onEnd(args: unknown[]): ServerResponse {
    const response = this.#response
    if (this.#hasEnded) return this.#end.apply(response, args)
    // Not by writeHead: Node still has to see that the body comes in one piece, whose length it can tell.
    const action = this.#decide(response.statusCode)
    this.#hasEnded = true
    if (action === 'send') {
      this.#end.apply(response, args)
      this.#take(args)
    } else {
      if (!this.#isHeadDone) response.writeHead(response.statusCode)
      this.#take(args)
      if (action === 'notModified') this.#end.call(response)
      const callback = callbackOf(args)
      if (callback !== undefined) response.once('finish', callback)
    }
    const body = this.#isWanted ? Buffer.concat(this.#chunks) : undefined
    this.#chunks = []
    this.#observer.onEnd(body)
    return response
  }

  #decide(status: number): HeadAction {
    this.#action ??= this.#observer.onHead(status, toFields(this.#response.getHeaders()))
    return this.#action
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

function callbackOf(args: readonly unknown[]): Callback | undefined {
  return args.find((argument) => typeof argument === 'function') as Callback | undefined
}
