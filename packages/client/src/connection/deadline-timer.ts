import { LongTimer } from 'memcache-ts-protocol'

/** A timer that fires later than this was held up by the caller's own work. */
const BLOCKED_MS = 10
/** What the server is given back at most, however often the loop was blocked. */
const MAX_GRACE_MS = 1000

/** One timer for all that wait on a connection: it is set for the earliest deadline, not for each. */
export class DeadlineTimer {
  readonly #expire: () => void
  readonly #keepsAlive: boolean
  #timer: LongTimer | undefined
  /** What has been given back since the deadline was set. */
  #graceMs = 0
  /** The next deadline; a later one need not be handed to `by`. */
  deadline = Infinity

  /**
   * @param expire is called when a deadline may have passed; what still waits is to be handed to `by` again.
   * @param options.keepsAlive whether it keeps the process alive while something waits. Default false.
   */
  constructor(expire: () => void, { keepsAlive = false } = {}) {
    this.#keepsAlive = keepsAlive
    this.#expire = expire
  }

  /** Something is to be looked at by this time, in the milliseconds of `performance.now()`. */
  by(deadline: number): void {
    if (deadline >= this.deadline) return
    this.#timer?.clear()
    this.deadline = deadline
    this.#graceMs = 0
    this.#wait(deadline)
  }

  /** Nothing waits. */
  clear(): void {
    this.#timer?.clear()
    this.#timer = undefined
    this.deadline = Infinity
  }

  #wait(until: number): void {
    const delayMs = Math.max(1, Math.ceil(until - performance.now()))
    // If the loop was blocked, timers run before received responses are read. The responses go first.
    const timer = new LongTimer(() => setImmediate(() => this.#timer === timer && this.#fire(until)), delayMs)
    this.#timer = this.#keepsAlive ? timer : timer.unref()
  }

  /** Time in which the loop was blocked is not the server's fault: operations get it back before they are given up. */
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
