import type { ServerResponse } from 'node:http'
import { Abandonment } from '../engine/engine.ts'
import type { StopSource } from '../engine/engine.ts'

/** How long a request waits for the answer to another one before it runs the handler for itself. */
const MAX_WAIT_MS = 10_000

/** A request that waits for another one's answer: for as long as its client does, and not for ever. */
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

  /** Whether the client has left. */
  get isGone(): boolean {
    return this.#response.destroyed
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#response.off('close', this.#leave)
  }
}
