import { MemcacheTimeoutError } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import { errorForKey } from '../operations/error-for-key.ts'
import type { Operation } from '../operations/operation.ts'
import { OperationQueue } from './operation-queue.ts'

/** What a look at the deadlines came to. */
export interface Expiry {
  /** The next deadline; `Infinity` when nothing waits. */
  readonly next: number
  /** Why the server is to be given up, if it is. */
  readonly reason: MemcacheTimeoutError | undefined
}

/** What waits on a connection: what was written, in the order of its answers, and what the greeting holds back. */
export class PendingOperations {
  readonly #server: string
  readonly #timeoutMs: number
  readonly #written = new OperationQueue()
  readonly #unwritten = new OperationQueue()
  #callers = 0

  /** @param timeoutMs how long a server may be silent while it is asked. */
  constructor(server: string, timeoutMs: number) {
    this.#server = server
    this.#timeoutMs = timeoutMs
  }

  /** How many callers wait. */
  get callers(): number {
    return this.#callers
  }

  /** Another caller waits; an operation may have several. Returns whether it is the first. */
  addCaller(): boolean {
    return this.#callers++ === 0
  }

  addWritten(operation: Operation): void {
    this.#written.push(operation)
  }

  addUnwritten(operation: Operation): void {
    this.#unwritten.push(operation)
  }

  /** The operation that the next answer belongs to. */
  first(): Operation | undefined {
    return this.#written.first()
  }

  /** The first operation has its answer. */
  shift(): void {
    this.#callers -= this.#written.shift()!.size
  }

  /**
   * Writes what was held back, in its order.
   * @param write returns whether there were words for it; it has failed otherwise.
   */
  release(write: (operation: Operation) => boolean): void {
    for (let operation = this.#unwritten.shift(); operation !== undefined; operation = this.#unwritten.shift()) {
      if (!operation.settled && write(operation)) this.#written.push(operation)
      else this.#callers -= operation.size
    }
  }

  /** Fails what was written: the connection is gone. */
  failWritten(error: MemcacheError): void {
    for (let operation = this.#written.shift(); operation !== undefined; operation = this.#written.shift()) {
      this.#callers -= operation.size
      // Whether a write was carried out, nobody knows.
      if (!operation.settled) operation.fail(errorForKey(error, operation.key, operation.writes))
    }
  }

  failAll(error: MemcacheError): void {
    this.failWritten(error)
    for (let operation = this.#unwritten.shift(); operation !== undefined; operation = this.#unwritten.shift()) {
      this.#callers -= operation.size
      if (!operation.settled) operation.fail(errorForKey(error, operation.key, false))
    }
  }

  /** Moves what was asked at a time so much later: it leaves only now. */
  postpone(askedAt: number, byMs: number): void {
    for (const operation of this.#written) if (operation.sentAt === askedAt) operation.postpone(byMs)
  }

  /**
   * Fails what has waited too long. What was sent keeps its place in the queue, since the answer may still come and must
   * not be taken for the next one's. When the server has been silent for a whole timeout, or an answer stays out for
   * twice its time, the server is to be given up.
   */
  expire(now: number, lastReceived: number): Expiry {
    let next = Infinity
    for (const operation of this.#unwritten) {
      if (operation.settled) continue
      if (operation.deadline <= now) operation.expire(now, (key, ms) => this.#timeout(key, ms, false))
      if (!operation.settled) next = Math.min(next, operation.deadline)
    }
    for (const operation of this.#written) {
      if (operation.deadline <= now) {
        operation.expire(now, (key, ms) => this.#timeout(key, ms, operation.writes))
        const silentMs = now - Math.max(lastReceived, operation.sentAt)
        if (operation.isOverdue || silentMs >= this.#timeoutMs) {
          return { next, reason: this.#timeout(undefined, operation.timeoutMs, false) }
        }
        if (operation.settled) {
          operation.isOverdue = true
          operation.deadline = now + Math.max(this.#timeoutMs, operation.timeoutMs)
        }
      }
      next = Math.min(next, operation.deadline)
    }
    return { next, reason: undefined }
  }

  #timeout(key: string | undefined, timeoutMs: number, ambiguous: boolean): MemcacheTimeoutError {
    const server = this.#server
    return new MemcacheTimeoutError(`${server} did not answer in ${timeoutMs} ms`, { server, key, ambiguous })
  }
}
