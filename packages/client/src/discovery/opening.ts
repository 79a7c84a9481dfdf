import { MemcacheClosedError } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import type { CallDeadline } from '../call-deadline.ts'
import { WaitingCalls } from '../waiting-calls.ts'

/**
 * Whether calls may begin. With a fixed list of servers it is open from the start; with discovery, calls wait for its
 * first response, each for its own time, and are rejected with its error while it fails. Once closed, it rejects every
 * call.
 */
export class Opening {
  /** Whether calls may begin. */
  isOpen = false
  /** Why calls are rejected at once; `undefined` while they may wait. */
  #refusal: MemcacheError | undefined
  readonly #waiting = new WaitingCalls((timeoutMs) => `no servers are known after ${timeoutMs} ms: discovery goes on`)

  /** Discovery has sent a request: calls wait for its response. */
  wait(): void {
    if (!(this.#refusal instanceof MemcacheClosedError)) this.#refusal = undefined
  }

  /** The servers are known. */
  open(): void {
    if (this.#refusal instanceof MemcacheClosedError) return
    this.#refusal = undefined
    this.isOpen = true
    this.#waiting.pass()
  }

  /** Discovery has failed: waiting calls are rejected, and so are later calls until its next request. */
  fail(error: MemcacheError): void {
    if (this.isOpen || this.#refusal instanceof MemcacheClosedError) return
    this.#refusal = error
    this.#waiting.fail(error)
  }

  /** The client was closed: calls that wait are rejected, and so are all later ones. */
  close(): void {
    this.isOpen = false
    this.fail(new MemcacheClosedError('this client was closed'))
  }

  /** Resolves when the call may begin; rejects when its time is over, its signal is aborted, or discovery has failed. */
  pass(call: CallDeadline): Promise<void> {
    return this.#refusal === undefined ? this.#waiting.wait(call) : Promise.reject(this.#refusal)
  }
}
