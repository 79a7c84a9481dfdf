import { setImmediate } from 'node:timers'
import { LongTimer } from 'memcache-ts-protocol'

/** A timer that fires later than this was delayed by the application's own work. */
const BLOCKED_MS = 10
/** The maximum time that is added to the deadlines, however often the event loop was blocked. */
const MAX_GRACE_MS = 1000

/** One timer for all operations of a connection, set for the earliest deadline. */
export class DeadlineTimer {
  readonly #expire: () => void
  readonly #keepsAlive: boolean
  #timer: LongTimer | undefined
  /** The time that was added since the deadline was set. */
  #graceMs = 0
  /** The next deadline; a later one need not be handed to `by`. */
  deadline = Infinity

  /**
   * @param expire is called when a deadline may have passed; it must call `by` again for operations that still wait.
   * @param options.keepsAlive whether a waiting operation keeps the process alive. Default false.
   */
  constructor(expire: () => void, { keepsAlive = false } = {}) {
    this.#keepsAlive = keepsAlive
    this.#expire = expire
  }

  /** Sets the timer for a deadline, in milliseconds of `performance.now()`, if it is earlier than the current one. */
  by(deadline: number): void {
    if (deadline >= this.deadline) return
    this.#timer?.clear()
    this.deadline = deadline
    this.#graceMs = 0
    this.#wait(deadline)
  }

  /** Clears the timer: no operation waits. */
  clear(): void {
    this.#timer?.clear()
    this.#timer = undefined
    this.deadline = Infinity
  }

  #wait(until: number): void {
    const delayMs = Math.max(1, Math.ceil(until - performance.now()))
    // If the event loop was blocked, timers run before received responses are read. Responses must be read first.
    const timer = new LongTimer(() => setImmediate(() => this.#timer === timer && this.#fire(until)), delayMs)
    this.#timer = this.#keepsAlive ? timer : timer.unref()
  }

  /** Extends the deadlines by the time in which the event loop was blocked, since the server is not at fault. */
  #fire(due: number): void {
    const now = performance.now()
    const lateMs = now - due
    const graceMs = Math.min(lateMs, MAX_GRACE_MS - this.#graceMs)
    if (lateMs >= BLOCKED_MS && graceMs > 0) {
      this.#graceMs += graceMs
      this.#wait(now + graceMs)
      return
    }
    this.deadline = Infinity
    this.#expire()
  }
}

/** Calls back after a time without activity: some networks silently drop idle connections. */
export class IdleTimer {
  readonly #idleMs: number
  readonly #restedMs: () => number
  readonly #idle: () => void
  #timer: LongTimer | undefined

  /**
   * @param idleMs the time in milliseconds; `Infinity` never calls back.
   * @param restedMs returns the time without activity until now; 0 while an operation is under way.
   * @param idle is called when the time has passed.
   */
  constructor(idleMs: number, restedMs: () => number, idle: () => void) {
    this.#idleMs = idleMs
    this.#restedMs = restedMs
    this.#idle = idle
  }

  start(): void {
    this.#wait(this.#idleMs)
  }

  stop(): void {
    this.#timer?.clear()
  }

  #wait(delayMs: number): void {
    this.#timer = new LongTimer(() => {
      const restedMs = this.#restedMs()
      if (restedMs >= this.#idleMs) this.#idle()
      else this.#wait(Math.max(1, this.#idleMs - restedMs))
    }, delayMs).unref()
  }
}

/** The maximum time that callers wait for operations without a time limit. */
const DRAIN_LIMIT_MS = 5000

/** Callers that wait until no operation is under way on a connection. */
export class Drain {
  readonly #waiting: (() => void)[] = []
  /** Whether a caller waits. */
  isAwaited = false

  /**
   * Resolves at the next `end`, or after a limit.
   *
   * @param mayEnd whether the limit ends the wait.
   */
  async wait(mayEnd: () => boolean): Promise<void> {
    const limit = new LongTimer(() => {
      if (mayEnd()) this.end()
    }, DRAIN_LIMIT_MS)
    this.isAwaited = true
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
    limit.clear()
  }

  /** Resolves the waiting callers: no operation is under way. */
  end(): void {
    this.isAwaited = false
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
