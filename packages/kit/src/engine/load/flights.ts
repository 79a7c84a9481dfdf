import { Abandonment } from './abandonment.ts'
import { currentLoad } from './load-chain.ts'
import type { LoadNode } from './load-chain.ts'

/** One run of work that several callers wait for. */
export interface Flight<Result> {
  readonly result: Promise<Result>
  /** Nobody waits for it: it goes on for those who come after. */
  readonly background: boolean
  readonly stop: Abandonment
  /** The load that it is, where callers could come to wait for themselves. */
  readonly node: LoadNode | undefined
  /** Callers that wait; when it ends, those that are given what it brought. */
  waiters: number
}

/**
 * Request coalescing: work that is under way, by key, so that concurrent callers share it. A caller's signal ends its own
 * wait; the work is aborted when nobody waits any more, unless it is done in the background.
 */
export class Flights<Result> {
  readonly #flights = new Map<string, Flight<Result>>()

  get(key: string): Flight<Result> | undefined {
    return this.#flights.get(key)
  }

  start(
    key: string,
    work: (stop: Abandonment) => Promise<Result>,
    { background = false, node }: { background?: boolean; node?: LoadNode } = {},
  ): Flight<Result> {
    const stop = new Abandonment()
    const result = work(stop)
    const flight: Flight<Result> = { result, background, stop, node, waiters: 0 }
    this.#flights.set(key, flight)
    // Before those who wait hear of it. When all have left, nobody has to hear of an error.
    const end = (): void => this.#forget(key, flight)
    result.then(end, end)
    return flight
  }

  /** @throws the signal's reason, when it is aborted first. */
  wait(key: string, flight: Flight<Result>, signal: AbortSignal | undefined): Promise<Result> {
    const waiting = flight.node === undefined ? undefined : currentLoad()?.waitFor(flight.node)
    const result = this.#wait(key, flight, signal)
    if (waiting !== undefined) result.then(waiting, waiting)
    return result
  }

  #wait(key: string, flight: Flight<Result>, signal: AbortSignal | undefined): Promise<Result> {
    flight.waiters++
    if (signal === undefined) return flight.result
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        flight.waiters--
        if (flight.waiters === 0 && !flight.background) {
          // The next caller starts anew instead of joining work that is being given up.
          this.#forget(key, flight)
          flight.stop.abort(signal.reason)
        }
        reject(signal.reason as Error)
      }
      if (signal.aborted) return leave()
      signal.addEventListener('abort', leave, { once: true })
      flight.result.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
    })
  }

  /** Lets nobody else join the work for a key that is under way: what it brings may be out of date for who asks now. */
  detach(key: string, flight: Flight<Result> | undefined = this.#flights.get(key)): void {
    if (flight !== undefined) this.#forget(key, flight)
  }

  /** Lets others join work again that was detached, unless there is other work for its key meanwhile. */
  attach(key: string, flight: Flight<Result>): void {
    // What was given up meanwhile ends for those who would join it too.
    if (!this.#flights.has(key) && !flight.stop.aborted) this.#flights.set(key, flight)
  }

  detachAll(): void {
    this.#flights.clear()
  }

  #forget(key: string, flight: Flight<Result>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key)
  }
}

/** Whether the caller is part of a load that this one waits for, so that they would wait for each other for ever. */
export function wouldWaitForItself({ node }: Flight<unknown>): boolean {
  return node !== undefined && currentLoad()?.wouldWaitFor(node) === true
}
