import { AsyncLocalStorage } from 'node:async_hooks'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import { Abandonment } from './abandonment.ts'

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

/** How often a key may be loaded within its own load: an override that calls a cached super does, a cycle in the data never ends. */
const MAX_NESTED = 8
/** How many loads may run so within one: in a dense graph of keys that need each other they would become countless before they are nested. */
const MAX_ALONE = 100

const running = new AsyncLocalStorage<LoadNode>()
/** Loads under way in this process. While there are none, no promise pays for the storage: it is switched off. */
let underWay = 0

/**
 * A load under way, as far as it is known who waits for whom: its loader runs in a context that names it, so that a call which
 * would wait for its own load is seen, through however many others it goes.
 */
export class LoadNode {
  readonly #owner: object
  readonly #names: readonly string[]
  #parent: LoadNode | undefined
  /** The load that all of these began in. */
  readonly #outermost: LoadNode
  #alone = 0
  readonly #waitsFor = new Map<LoadNode, number>()
  #isRunning = false
  #isDone = false

  /**
   * @param owner whose keys these are.
   * @param names the keys that the loader loads.
   */
  constructor(owner: object, names: readonly string[]) {
    this.#owner = owner
    this.#names = names
    this.#parent = currentLoad()
    this.#outermost = this.#parent === undefined ? this : this.#parent.#outermost
  }

  /** Runs a loader in the context of this load, until `end`. */
  run<Result>(load: () => Result): Result {
    this.#isRunning = true
    underWay++
    return running.run(this, load)
  }

  /** It is over, or nobody waits for it any more: what its loader goes on with by itself is part of no load. */
  end(): void {
    this.#isDone = true
    this.#parent = undefined
    this.#waitsFor.clear()
    if (!this.#isRunning) return
    this.#isRunning = false
    underWay--
    if (underWay === 0) running.disable()
  }

  /** Whether this load is for one of the keys, or is part of one that is. */
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
   * Whether waiting for another load would never end: it is this one, or one that this one is part of, or it waits for such a one.
   * A load counts as waiting for those that its loader starts, since they run before it begins to wait.
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

  /** This load, or the one that it was part of where it is over. */
  get active(): LoadNode | undefined {
    return this.#isDone ? undefined : this
  }

  #count(owner: object, name: string): number {
    const own = !this.#isDone && this.#owner === owner && this.#names.includes(name) ? 1 : 0
    return this.#parent === undefined ? own : own + this.#parent.#count(owner, name)
  }

  /** Notes that it runs within a load that it would have to wait for. @throws MemcacheOptionError if that has no end. */
  checkNesting(): void {
    const [name] = this.#names
    const outermost = this.#outermost
    if (++outermost.#alone <= MAX_ALONE && this.#count(this.#owner, name!) <= MAX_NESTED) return
    throw new MemcacheOptionError(
      `the loader of ${name} asks for ${name} again and again: it must not need its own value, unless the data end somewhere`,
    )
  }
}

/** The load whose loader makes this call. */
export function currentLoad(): LoadNode | undefined {
  return underWay === 0 ? undefined : running.getStore()?.active
}

/**
 * Runs what nobody waits for outside of the context of the caller who caused it: a reload in the background has none of the request's
 * users, transactions or traces.
 */
export const runDetached: <Result>(work: () => Result) => Result = AsyncLocalStorage.snapshot()
