import type { NextFunction, Request, Response } from 'express'
import { MemcacheOptionError } from 'memcache-ts'
import { withoutCookie } from './cache-down.ts'
import type { CacheDown } from './cache-down.ts'
import type { HeldStore, HeldWrite } from './held-store.ts'

/** Headers of the body that is not sent, when an error is sent in its place. */
const OF_THE_BODY = [
  'Cache-Control',
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
]

/** `response.end`, whatever it is given. */
type End = (this: Response, ...args: unknown[]) => Response

/**
 * A response that waits for what its session has to write, and is sent in one piece after that. Where it cannot be written, the
 * error goes to the application's error handlers, which can still send a status of their own.
 */
export class HeldResponse {
  readonly #store: HeldStore
  readonly #down: CacheDown
  readonly #request: Request
  readonly #response: Response
  readonly #send: End
  readonly #endOfEngine: End
  readonly #next: NextFunction
  #isEnded = false

  /** @param send the response's `end` from before express-session put its own there. */
  constructor(
    store: HeldStore,
    down: CacheDown,
    request: Request,
    response: Response,
    send: Response['end'],
    next: NextFunction,
  ) {
    this.#store = store
    this.#down = down
    this.#request = request
    this.#response = response
    this.#send = send as End
    // oxlint-disable-next-line typescript/unbound-method -- it is called on the response
    this.#endOfEngine = response.end as End
    this.#next = next
  }

  /** Takes the place of express-session's `end`. */
  hold(): void {
    this.#response.end = ((...args: unknown[]) => this.#end(args)) as Response['end']
  }

  #end(args: unknown[]): Response {
    const response = this.#response
    if (this.#isEnded) return response
    this.#isEnded = true
    // A head that has been sent cannot be held.
    if (response.headersSent) return this.#endOfEngine.apply(response, args)
    try {
      if (this.#store.hasNothingToWrite(this.#request)) return this.#send.apply(response, args)
      const write = this.#store.hold(() => this.#endOfEngine.apply(response, args))
      if (write !== undefined) void this.#sendAfter(write, args)
    } catch (error) {
      const problem = jsonProblem(this.#request.session)
      if (problem === undefined) {
        this.#letGo()
        throw error
      }
      this.#fail(problem)
    }
    return response
  }

  async #sendAfter(write: HeldWrite, args: unknown[]): Promise<void> {
    try {
      await write.begin()
    } catch (error) {
      if (!this.#down.forgives(error, write.kind)) return this.#fail(error)
      if (write.kind === 'save') withoutCookie(this.#request)
    }
    try {
      this.#send.apply(this.#response, args)
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Takes back what was to be sent, and has the error sent instead. */
  #fail(error: unknown): void {
    this.#letGo()
    for (const header of OF_THE_BODY) this.#response.removeHeader(header)
    this.#next(error)
  }

  #letGo(): void {
    this.#response.end = this.#send as Response['end']
    withoutCookie(this.#request)
  }
}

/** Why a session cannot be stored, which express-session finds when it looks for changes; `undefined` when it can. */
function jsonProblem(session: unknown): MemcacheOptionError | undefined {
  try {
    JSON.stringify(session)
    return undefined
  } catch (cause) {
    const reason = (cause as Error).message.split('\n', 1)[0]!
    return new MemcacheOptionError(`the session cannot be stored: it has to be JSON (${reason})`, { cause })
  }
}
