/** One run of work that several callers wait for. */
interface Flight {
  readonly result: Promise<unknown>
  readonly controller: AbortController
  waiters: number
}

/**
 * Request coalescing: concurrent calls for one key share one run. A caller's signal ends its own wait; the run is
 * aborted when nobody waits any more.
 */
export class SingleFlight {
  readonly #flights = new Map<string, Flight>()

  /** Runs that are under way. */
  get size(): number {
    return this.#flights.size
  }

  /**
   * Joins the run for `key`, or starts one. `joined` tells whether there was one already.
   */
  async run<Result>(
    key: string,
    work: (signal: AbortSignal) => Promise<Result>,
    signal: AbortSignal | undefined,
    joined: () => void,
  ): Promise<Result> {
    signal?.throwIfAborted()
    let flight = this.#flights.get(key)
    if (flight === undefined) flight = this.#start(key, work)
    else joined()
    flight.waiters++
    if (signal === undefined) return flight.result as Promise<Result>
    return this.#wait(key, flight, signal) as Promise<Result>
  }

  /** Lets nobody else join the run for `key` that is under way: what it brings is out of date. */
  detach(key: string): void {
    this.#flights.delete(key)
  }

  #start(key: string, work: (signal: AbortSignal) => Promise<unknown>): Flight {
    const controller = new AbortController()
    const result = work(controller.signal).finally(() => this.#forget(key, flight))
    // Those who wait hear of the error; when all have left, nobody has to.
    result.catch(() => {})
    const flight: Flight = { result, controller, waiters: 0 }
    this.#flights.set(key, flight)
    return flight
  }

  #wait(key: string, flight: Flight, signal: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        flight.waiters--
        if (flight.waiters === 0) {
          // The next caller starts anew instead of joining a run that is being given up.
          this.#forget(key, flight)
          flight.controller.abort(signal.reason)
        }
        reject(signal.reason as Error)
      }
      signal.addEventListener('abort', leave, { once: true })
      flight.result.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
    })
  }

  #forget(key: string, flight: Flight): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key)
  }
}
