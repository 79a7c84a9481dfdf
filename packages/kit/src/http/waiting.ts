import type { ServerResponse } from 'node:http'
import { Abandonment } from '../engine/engine.ts'
import type { StopSource } from '../engine/engine.ts'

/** How long a request waits for another request's response before it runs the handler itself. */
const MAX_WAIT_MS = 10_000

/** The wait of a request for another request's response: until its client disconnects, and at most for a limited time. */
export class Waiting {
  // Not an AbortController: creating one costs more than the rest of a hit's lookup.
  readonly #stop = new Abandonment()
  readonly #timer: NodeJS.Timeout
  readonly #response: ServerResponse
  readonly #leave = (): void => this.#stop.abort(new Error('the request waits no longer'))

  constructor(response: ServerResponse) {
    this.#response = response
    this.#timer = setTimeout(this.#leave, MAX_WAIT_MS)
    response.once('close', this.#leave)
  }

  get signal(): StopSource {
    return this.#stop
  }

  /** Whether the client has disconnected. */
  get isGone(): boolean {
    return this.#response.destroyed
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#response.off('close', this.#leave)
  }
}
