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
