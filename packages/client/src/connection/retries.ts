import { LongTimer, MemcacheAuthError, MemcacheConnectionError } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'

const FIRST_MS = 50
const MAX_MS = 1000

/** Pauses between attempts: each is twice as long as the previous one, up to a second. */
export class Backoff {
  #attempts = 0

  /** Returns the next pause; half of it is random, so that the processes of a fleet do not reconnect at the same time. */
  nextMs(): number {
    const delayMs = Math.min(MAX_MS, FIRST_MS * 2 ** this.#attempts)
    this.#attempts++
    return delayMs * (0.5 + Math.random() / 2)
  }

  /** Starts with the shortest pause again. */
  reset(): void {
    this.#attempts = 0
  }
}

/** The pause after refused credentials, long enough that the account is not locked. */
const AUTH_RETRY_MS = 10_000

/** The attempts of a connection that is down, one at a time, and the reason why it is down. */
export class Retries {
  readonly #attempt: () => void
  readonly #backoff = new Backoff()
  #timer: LongTimer | undefined
  /** The error of the last attempt. */
  reason: MemcacheError | undefined

  constructor(attempt: () => void) {
    this.#attempt = attempt
  }

  /** Plans the next attempt; returns the delay in milliseconds. */
  plan(): number {
    const delayMs = this.reason instanceof MemcacheAuthError ? AUTH_RETRY_MS : this.#backoff.nextMs()
    this.#timer = new LongTimer(this.#attempt, delayMs).unref()
    return delayMs
  }

  /** Notes that an attempt has succeeded. */
  succeeded(): void {
    this.#backoff.reset()
    this.reason = undefined
  }

  stop(): void {
    this.#timer?.clear()
  }

  /** Returns the error of operations while the connection is down. */
  errorOf(server: string): MemcacheError {
    const { reason } = this
    const Kind = reason instanceof MemcacheAuthError ? MemcacheAuthError : MemcacheConnectionError
    return new Kind(`${server} is down: ${reason?.message ?? 'it does not answer'}`, { server, cause: reason })
  }
}
