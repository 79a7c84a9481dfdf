import { setImmediate } from 'node:timers'
/** Turns between two polls of the sockets. */
const TURNS_PER_ROUND = 16

/**
 * The connections that have more to do, in their order. The event loop would give all of them a turn before it reads
 * from a socket again. Here it reads after a bounded number of turns, so that a client with one request does not wait
 * for hundreds of busy clients.
 */
export class TurnQueue {
  readonly #run = (): void => this.#round()
  #waiting: (() => void)[] = []
  #next = 0
  #isScheduled = false

  /** Calls back when the connection has its turn. */
  wait(turn: () => void): void {
    this.#waiting.push(turn)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(this.#run)
  }

  #round(): void {
    this.#isScheduled = false
    // Connections that are added meanwhile wait for the next round.
    const end = Math.min(this.#waiting.length, this.#next + TURNS_PER_ROUND)
    try {
      while (this.#next < end) this.#waiting[this.#next++]!()
    } finally {
      if (this.#next * 2 >= this.#waiting.length) {
        this.#waiting = this.#waiting.slice(this.#next)
        this.#next = 0
      }
      if (this.#waiting.length > this.#next) this.#schedule()
    }
  }
}
