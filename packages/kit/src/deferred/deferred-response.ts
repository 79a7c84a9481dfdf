import type { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import { Http1Output, isHttp1 } from './http1-output.ts'
import { Http2Output, isHttp2 } from './http2-output.ts'
import { methodOutputOf } from './method-output.ts'

/** A response of `node:http` or of the compatibility API of `node:http2`. */
export type AnyResponse = ServerResponse | Http2ServerResponse

/** The output of a response, below everything that the application can see of it. */
export interface ResponseOutput {
  /** Whether the head was passed to the connection, so that it cannot be withdrawn. */
  readonly isHeadSent: boolean
  /** Holds everything that is sent from now on. */
  hold(): void
  /** Sends the held output, and everything that follows. */
  release(): void
  /** Drops the held output and everything that follows, and calls back when the application has ended the response. */
  drop(onEnded: () => void): void
  /** Drops the held output; afterwards the response is as if nothing had been written to it. */
  discard(): void
  /** Removes one value of a field from a held head. */
  withdraw(name: string, value: string): void
  /** Ends the connection, or the stream in HTTP/2, without a complete response. */
  abort(): void
}

/** Called with the error of failed work. The response is fresh again, or aborted if its head had been sent. */
export type DeferredFailure = (error: unknown) => void

/** How long the application may still write to a response that is being discarded, before its connection is closed. */
const MAX_DROPPING_MS = 1000

/** Fields that describe the body of a response that was discarded. */
const BODY_FIELDS = [
  'Accept-Ranges',
  'Cache-Control',
  'Content-Digest',
  'Content-Disposition',
  'Content-Encoding',
  'Content-Language',
  'Content-Length',
  'Content-Location',
  'Content-Range',
  'Content-Type',
  'ETag',
  'Expires',
  'Last-Modified',
  'Location',
  'Repr-Digest',
  'Trailer',
  'Transfer-Encoding',
]

/** The methods that write to a Node response; middlewares replace them with their own. */
const WRITING_METHODS = [
  'addListener',
  'addTrailers',
  'end',
  'flush',
  'flushHeaders',
  'on',
  'once',
  'write',
  'writeHead',
] as const

const deferredResponses = new WeakMap<AnyResponse, DeferredResponse>()

/**
 * Holds a response until some work is done. The application may continue: it sees a response that was written and
 * ended, as Node reports it (`headersSent`, `writableEnded`, a `setHeader` that throws), while the bytes wait to be
 * sent, after the bytes of earlier responses on the connection. Several pieces of work run concurrently, and the
 * response waits for all of them.
 *
 * If one fails and the head has not been sent, the response is discarded: its status, its body and the fields that
 * describe the body never reach the client, the methods that middlewares have wrapped are Node's again, and `onFailure`
 * sends the response. The application may continue to write for a second; then the connection is closed. If the head
 * has been sent, the connection is closed, so that the client does not take a part of the response for the whole, and
 * `onFailure` is called too.
 *
 * Other kinds of responses, for example mocks, are not held: `onFailure` is called as soon as the work fails.
 */
export function deferResponse(response: AnyResponse, work: PromiseLike<unknown>, onFailure: DeferredFailure): void {
  let deferred = deferredResponses.get(response)
  if (deferred === undefined) {
    deferred = new DeferredResponse(response)
    deferredResponses.set(response, deferred)
  }
  deferred.waitFor(work, onFailure)
}

/** Removes one value of a field from the head of a deferred response, such as a cookie that must not be set. */
export function withdrawField(response: AnyResponse, name: string, value: string): void {
  deferredResponses.get(response)?.withdraw(name, value)
}

/** Returns whether a response was discarded because its work failed, so that the client did not get its content. */
export function isDiscarded(response: AnyResponse): boolean {
  return deferredResponses.get(response)?.isDiscarded === true
}

/** Returns whether the head of a response was passed to its connection, rather than only held. */
export function isHeadSent(response: AnyResponse): boolean {
  if (!response.headersSent || deferredResponses.get(response)?.isHeadHeld === true) return false
  // A response has no socket before its turn on the connection, when its head is queued, and after its end.
  return response.socket !== null || response.writableFinished
}

class DeferredResponse {
  readonly #response: AnyResponse
  readonly #output: ResponseOutput | undefined
  #pending = 0
  #isHeld = false
  #failure: { readonly error: unknown; readonly onFailure: DeferredFailure } | undefined
  isDiscarded = false

  constructor(response: AnyResponse) {
    this.#response = response
    this.#output = outputOf(response)
  }

  waitFor(work: PromiseLike<unknown>, onFailure: DeferredFailure): void {
    if (this.#pending++ === 0 && this.#failure === undefined) {
      this.#output?.hold()
      this.#isHeld = true
    }
    work.then(
      () => this.#settle(),
      (error: unknown) => {
        this.#failure ??= { error, onFailure }
        this.#settle()
      },
    )
  }

  withdraw(name: string, value: string): void {
    this.#output?.withdraw(name, value)
  }

  get isHeadHeld(): boolean {
    return this.#isHeld && this.#output?.isHeadSent === false
  }

  #settle(): void {
    if (--this.#pending > 0 || this.isDiscarded) return
    if (this.#failure === undefined) {
      this.#isHeld = false
      this.#output?.release()
    } else this.#fail(this.#failure.error, this.#failure.onFailure)
  }

  #fail(error: unknown, onFailure: DeferredFailure): void {
    const output = this.#output
    if (output === undefined) return onFailure(error)
    this.isDiscarded = true
    if (output.isHeadSent) {
      output.abort()
      return onFailure(error)
    }
    if (this.#response.writableEnded) return this.#discard(output, error, onFailure)
    // The application is still writing: an error response now would be mixed with the rest.
    let isOver = false
    const once = (finish: () => void) => () => {
      clearTimeout(timer)
      if (!isOver) finish()
      isOver = true
    }
    const giveUp = once(() => {
      output.abort()
      onFailure(error)
    })
    const timer = setTimeout(() => giveUp(), MAX_DROPPING_MS)
    output.drop(once(() => this.#discard(output, error, onFailure)))
  }

  #discard(output: ResponseOutput, error: unknown, onFailure: DeferredFailure): void {
    const response = this.#response as ServerResponse
    output.discard()
    this.#isHeld = false
    for (const method of WRITING_METHODS) if (Object.hasOwn(response, method)) Reflect.deleteProperty(response, method)
    for (const name of BODY_FIELDS) response.removeHeader(name)
    response.statusCode = 200
    onFailure(error)
  }
}

function outputOf(response: AnyResponse): ResponseOutput | undefined {
  const gated = methodOutputOf(response)
  if (gated !== undefined) return gated
  if (isHttp1(response)) return new Http1Output(response)
  return isHttp2(response) ? new Http2Output(response) : undefined
}
