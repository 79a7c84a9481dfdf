import { MemcacheClosedError } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import type { CallDeadline } from '../call-deadline.ts'
import { WaitingCalls } from '../waiting-calls.ts'

/**
 * Decides whether calls may begin. With a fixed list of servers they may begin immediately. With discovery, calls wait
 * for its first response, each with its own time limit, and are rejected with its error while it fails. After `close`,
 * every call is rejected.
 */
export class Opening {
  /** Whether calls may begin. */
  isOpen = false
  /** The error with which calls are rejected immediately; `undefined` while they may wait. */
  #refusal: MemcacheError | undefined
  readonly #waiting = new WaitingCalls((timeoutMs) => `no servers are known after ${timeoutMs} ms: discovery goes on`)

  /** Makes calls wait for the response of discovery. */
  wait(): void {
    if (!(this.#refusal instanceof MemcacheClosedError)) this.#refusal = undefined
  }

  /** Lets calls begin: the servers are known. */
  open(): void {
    if (this.#refusal instanceof MemcacheClosedError) return
    this.#refusal = undefined
    this.isOpen = true
    this.#waiting.pass()
  }

  /** Rejects waiting calls, and later calls until the next request of discovery: discovery has failed. */
  fail(error: MemcacheError): void {
    if (this.isOpen || this.#refusal instanceof MemcacheClosedError) return
    this.#refusal = error
    this.#waiting.fail(error)
  }

  /** Rejects waiting calls and all later calls: the client was closed. */
  close(): void {
    this.isOpen = false
    this.fail(new MemcacheClosedError('this client was closed'))
  }

  /** Resolves when the call may begin; rejects if it times out, its signal is aborted, or discovery fails. */
  pass(call: CallDeadline): Promise<void> {
    return this.#refusal === undefined ? this.#waiting.wait(call) : Promise.reject(this.#refusal)
  }
}
