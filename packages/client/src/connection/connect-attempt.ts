import { MemcacheAuthError, MemcacheConnectionError, MemcacheTimeoutError } from 'memcache-ts-protocol'
import type { MemcacheError } from 'memcache-ts-protocol'
import type { LinesRequest } from '../operations/lines-operation.ts'
import type { Protocol } from '../protocols/protocol.ts'
import { DeadlineTimer } from './deadline-timer.ts'
import { isFull } from './handshake.ts'
import type { HandshakeFailure, HandshakePlan } from './handshake-plan.ts'

/** How long a server that has told its version may take for `mn`: some proxies do not respond to unknown commands. */
const META_ANSWER_MS = 1000

/** What an attempt needs of its connection, and tells it while it is the current one. */
export interface AttemptHost {
  /** The server's name, for errors. */
  readonly server: string
  /** Sends a request of the handshake. */
  request(request: LinesRequest): Promise<string[]>
  /** What a server said, without the password, for errors. */
  redact(said: string): string
  /** The handshake is done. What it throws is a failure of the attempt. */
  succeeded(protocol: Protocol): Promise<void>
  /** @param isRefused whether the server turned this one connection away. */
  failed(failure: HandshakeFailure, error: MemcacheError, isRefused: boolean): void
}

/** Options of a `ConnectAttempt`. */
export interface AttemptOptions {
  /** How long the stream and the handshake may take together. */
  readonly timeoutMs: number
  /** Whether no caller waits for it, so that it does not keep the process alive. */
  readonly isBackground: boolean
}

/**
 * One attempt to connect. The handshake is part of connecting: a server that accepts a connection and says nothing is
 * away. Time in which this process was busy is not the server's.
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

  /** Whether it has ended, one way or the other: nothing more is sent, and the connection is told nothing more. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Makes the handshake on the stream that has been opened. */
  async shakeHands(): Promise<void> {
    try {
      const protocol = await this.#plan.shakeHands({
        request: (request) => this.#host.request(request),
        asksForMeta: () => this.#limit(Math.min(META_ANSWER_MS, this.#timeoutMs)),
        redact: (said) => this.#host.redact(said),
      })
      if (this.#isOver) return
      this.#timer.clear()
      await this.#host.succeeded(protocol)
    } catch (error) {
      this.#failed(error as MemcacheError)
    }
  }

  /** Ends it: the stream is gone, or in use. */
  end(): void {
    this.#isOver = true
    this.#timer.clear()
  }

  #failed(cause: MemcacheError): void {
    if (this.#isOver) return
    const Kind = cause instanceof MemcacheAuthError ? MemcacheAuthError : MemcacheConnectionError
    const error = new Kind(cause.message, { server: this.#host.server, cause })
    this.#host.failed('nonsense', error, isFull(cause))
  }

  #limit(limitMs: number): void {
    this.#limitMs = limitMs
    this.#timer.clear()
    this.#timer.by(performance.now() + limitMs)
  }

  #timedOut(): void {
    const { server } = this.#host
    const error = new MemcacheTimeoutError(`${server} took over ${this.#limitMs} ms to connect`, { server })
    this.#host.failed('silent', error, false)
  }
}
