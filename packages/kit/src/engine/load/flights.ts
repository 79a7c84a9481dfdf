import { AsyncLocalStorage } from 'node:async_hooks'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import { Abandonment, reasonOf } from './abandonment.ts'
import type { StopSource } from './abandonment.ts'
import { onAbort } from './waiting.ts'

/** One run of work that several callers can wait for. */
export interface Flight<Result> {
  readonly result: Promise<Result>
  /** It runs in the background: it continues even if no caller waits for it. */
  readonly background: boolean
  readonly stop: Abandonment
  /** The load that runs, if its callers could wait for themselves. */
  readonly node: LoadNode | undefined
  /** The number of callers that wait; when the work ends, that of the callers that get its result. */
  waiters: number
}

/**
 * Request coalescing: running work by key, shared by concurrent callers. A caller's signal ends only that caller's
 * wait; the work is aborted when its last caller has left, unless it runs in the background.
 */
export class Flights<Result> {
  readonly #flights = new Map<string, Flight<Result>>()

  get(key: string): Flight<Result> | undefined {
    return this.#flights.get(key)
  }

  /** Returns the running work of a key, unless it runs in the background. */
  joinable(key: string): Flight<Result> | undefined {
    const flight = this.#flights.get(key)
    return flight?.background === false ? flight : undefined
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
    // Registered first, so that the flight is gone before its callers continue. It also handles the rejection if all
    // callers have left.
    const end = (): void => this.#forget(key, flight)
    result.then(end, end)
    return flight
  }

  /**
   * Waits for the result.
   *
   * @throws the signal's reason if the signal is aborted first.
   */
  wait(key: string, flight: Flight<Result>, signal: StopSource | undefined): Promise<Result> {
    const waiting = flight.node === undefined ? undefined : currentLoad()?.waitFor(flight.node)
    const result = this.#wait(key, flight, signal)
    if (waiting !== undefined) result.then(waiting, waiting)
    return result
  }

  #wait(key: string, flight: Flight<Result>, signal: StopSource | undefined): Promise<Result> {
    flight.waiters++
    if (signal === undefined) return flight.result
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        flight.waiters--
        if (flight.waiters === 0 && !flight.background) {
          // The next caller starts new work instead of joining aborted work.
          this.#forget(key, flight)
          flight.stop.abort(reasonOf(signal))
        }
        reject(reasonOf(signal))
      }
      if (signal.aborted) return leave()
      const unwatch = onAbort(signal, leave)
      flight.result.then(resolve, reject).finally(unwatch)
    })
  }

  /** Keeps later callers from joining the running work of a key: its result may be out of date for them. */
  detach(key: string, flight: Flight<Result> | undefined = this.#flights.get(key)): void {
    if (flight !== undefined) this.#forget(key, flight)
  }

  /** Lets callers join detached work again, unless there is other work for its key meanwhile. */
  attach(key: string, flight: Flight<Result>): void {
    // Aborted work would fail for the callers that join it.
    if (!this.#flights.has(key) && !flight.stop.aborted) this.#flights.set(key, flight)
  }

  detachAll(): void {
    this.#flights.clear()
  }

  #forget(key: string, flight: Flight<Result>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key)
  }
}

/**
 * Returns whether the caller is part of a load that this flight waits for, so that they would wait for each other
 * forever.
 */
export function wouldWaitForItself({ node }: Flight<unknown>): boolean {
  return node !== undefined && currentLoad()?.wouldWaitFor(node) === true
}

/**
 * How deep a key may be loaded within its own load. An override that calls a cached `super` method does that; a cycle
 * in the data never ends.
 */
const MAX_NESTED = 8
/**
 * How many such loads may run within one outermost load: in a dense graph of keys that need each other, they would
 * become countless before they reach the maximum depth.
 */
const MAX_ALONE = 100

const running = new AsyncLocalStorage<LoadNode>()
/** The running loads of this process. While there are none, the storage is disabled, so that no promise pays for it. */
let underWay = 0

/**
 * A running load, and the loads that it waits for. Its loader runs in an async context that names the load, so that a
 * call that would wait for its own load is detected, even through other loads.
 */
export class LoadNode {
  readonly #owner: object
  readonly #names: readonly string[]
  #parent: LoadNode | undefined
  /** The outermost load that this load runs within. */
  readonly #outermost: LoadNode
  #alone = 0
  readonly #waitsFor = new Map<LoadNode, number>()
  #isRunning = false
  #isDone = false

  /**
   * @param owner the engine whose keys these are.
   * @param names the keys that the loader loads.
   */
  constructor(owner: object, names: readonly string[]) {
    this.#owner = owner
    this.#names = names
    this.#parent = currentLoad()
    this.#outermost = this.#parent === undefined ? this : this.#parent.#outermost
  }

  /** Runs a loader in the context of this load. */
  run<Result>(load: () => Result): Result {
    this.#isRunning = true
    underWay++
    return running.run(this, load)
  }

  /**
   * Ends the load, since it is over or no caller waits for it any more: calls that its loader still makes are part of
   * no load.
   */
  end(): void {
    this.#isDone = true
    this.#parent = undefined
    this.#waitsFor.clear()
    if (!this.#isRunning) return
    this.#isRunning = false
    underWay--
    if (underWay === 0) running.disable()
  }

  /** Returns whether this load is for the key, or is part of a load for it. */
  isWithin(owner: object, name: string): boolean {
    return this.#count(owner, name) > 0
  }

  /** Notes that this load waits for another one, until the returned function is called. */
  waitFor(other: LoadNode): () => void {
    this.#waitsFor.set(other, (this.#waitsFor.get(other) ?? 0) + 1)
    return () => {
      const count = (this.#waitsFor.get(other) ?? 0) - 1
      if (count > 0) this.#waitsFor.set(other, count)
      else this.#waitsFor.delete(other)
    }
  }

  /**
   * Returns whether waiting for another load would never end: it is this load, or one that this load is part of, or it
   * waits for such a load. A load counts as waiting for the loads that its loader starts, since they run before it
   * begins to wait.
   */
  wouldWaitFor(other: LoadNode): boolean {
    const outer = new Set<LoadNode>([this])
    for (let at = this.#parent; at !== undefined; at = at.#parent) outer.add(at)
    return other.#leadsTo(outer, new Set())
  }

  #leadsTo(targets: ReadonlySet<LoadNode>, seen: Set<LoadNode>): boolean {
    if (targets.has(this)) return true
    seen.add(this)
    for (const next of this.#waitsFor.keys()) if (!seen.has(next) && next.#leadsTo(targets, seen)) return true
    return false
  }

  /** This load; `undefined` once it is over. */
  get active(): LoadNode | undefined {
    return this.#isDone ? undefined : this
  }

  #count(owner: object, name: string): number {
    const own = !this.#isDone && this.#owner === owner && this.#names.includes(name) ? 1 : 0
    return this.#parent === undefined ? own : own + this.#parent.#count(owner, name)
  }

  /**
   * Counts a load that runs alone within a load that it would have to wait for.
   *
   * @throws MemcacheOptionError if such loads do not end.
   */
  checkNesting(): void {
    const [name] = this.#names
    const outermost = this.#outermost
    if (++outermost.#alone <= MAX_ALONE && this.#count(this.#owner, name!) <= MAX_NESTED) return
    throw new MemcacheOptionError(
      `the loader of ${name} requests ${name} again and again: end the recursion, since a loader must not need its own value`,
    )
  }
}

/** Returns the load whose loader makes this call. */
export function currentLoad(): LoadNode | undefined {
  return underWay === 0 ? undefined : running.getStore()?.active
}

/**
 * Runs background work outside the async context of the caller that caused it, so that a reload does not see the
 * request's user, transaction or trace.
 */
export const runDetached: <Result>(work: () => Result) => Result = AsyncLocalStorage.snapshot()
