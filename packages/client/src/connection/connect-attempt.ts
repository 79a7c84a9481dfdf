import { LongTimer, MemcacheAuthError, MemcacheConnectionError, MemcacheTimeoutError } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import type { LinesRequest } from '../operations/lines-operation.ts'
import type { Protocol } from '../protocols/protocol.ts'
import { DeadlineTimer } from './timers.ts'
import { isFull } from './handshake.ts'
import type { HandshakeFailure, HandshakePlan } from './handshake-plan.ts'

/** The time limit of `mn` after a server has sent its version: some proxies do not respond to unknown commands. */
const META_RESPONSE_MS = 1000

/** The connection of an attempt; its methods are called while the attempt is the current one. */
export interface AttemptHost {
  /** The server's name, for errors. */
  readonly server: string
  /** Sends a request of the handshake. */
  request(request: LinesRequest): Promise<string[]>
  /** Returns a text of a server without the password, for errors. */
  redact(text: string): string
  /** Called when the handshake is done; if it throws, the attempt has failed. */
  succeeded(protocol: Protocol): Promise<void>
  failed(attempt: FailedAttempt): void
}

/** How an attempt has failed. */
export interface FailedAttempt {
  readonly failure: HandshakeFailure
  readonly error: MemcacheError
  /** Whether the server refused this connection alone. */
  readonly isRefused: boolean
}

/** Options of a `ConnectAttempt`. */
export interface AttemptOptions {
  /** The time limit for opening the stream and for the handshake together. */
  readonly timeoutMs: number
  /** Whether no caller waits for the attempt, so that it does not keep the process alive. */
  readonly isBackground: boolean
}

/**
 * One attempt to connect. The handshake is part of connecting: a server that accepts a connection and says nothing is
 * away. Time in which this process was busy does not count.
 */
export class ConnectAttempt {
  readonly #plan: HandshakePlan
  readonly #host: AttemptHost
  readonly #timeoutMs: number
  readonly #timer: DeadlineTimer
  #limitMs: number
  #isOver = false

  constructor(plan: HandshakePlan, host: AttemptHost, { timeoutMs, isBackground }: AttemptOptions) {
    this.#plan = plan
    this.#host = host
    this.#timeoutMs = timeoutMs
    this.#limitMs = timeoutMs
    this.#timer = new DeadlineTimer(() => this.#timedOut(), { keepsAlive: !isBackground })
    this.#limit(timeoutMs)
  }

  /** Whether the attempt has succeeded or failed: nothing more is sent, and the connection is not called again. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Performs the handshake on the open stream. */
  async shakeHands(): Promise<void> {
    try {
      const protocol = await this.#plan.shakeHands({
        request: (request) => this.#host.request(request),
        triesMeta: () => this.#limit(Math.min(META_RESPONSE_MS, this.#timeoutMs)),
        redact: (text) => this.#host.redact(text),
      })
      if (this.#isOver) return
      this.#timer.clear()
      await this.#host.succeeded(protocol)
    } catch (error) {
      this.#failed(error as MemcacheError)
    }
  }

  /** Ends the attempt: its stream was closed, or is in use. */
  end(): void {
    this.#isOver = true
    this.#timer.clear()
  }

  #failed(cause: MemcacheError): void {
    if (this.#isOver) return
    const Kind = cause instanceof MemcacheAuthError ? MemcacheAuthError : MemcacheConnectionError
    const error = new Kind(cause.message, { server: this.#host.server, cause })
    this.#host.failed({ failure: 'invalid', error, isRefused: isFull(cause) })
  }

  #limit(limitMs: number): void {
    this.#limitMs = limitMs
    this.#timer.clear()
    this.#timer.by(performance.now() + limitMs)
  }

  #timedOut(): void {
    const { server } = this.#host
    const error = new MemcacheTimeoutError(`${server} took over ${this.#limitMs} ms to connect`, { server })
    this.#host.failed({ failure: 'silent', error, isRefused: false })
  }
}

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
    return new Kind(`${server} is down: ${reason?.message ?? 'it does not respond'}`, { server, cause: reason })
  }
}
