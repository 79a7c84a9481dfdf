import { MemcacheTimeoutError } from 'memcache-ts-protocol'
import type { CallDeadline } from './call-deadline.ts'
import type { WireKey } from './client-key.ts'
import { DeadlineTimer } from './connection/timers.ts'
import { unwatch, watch } from './operations/waiter.ts'
import type { Waiter } from './operations/waiter.ts'

/**
 * Keeps the order of calls on a key: later calls wait for calls with more than one step. Calls of one step need no
 * entry here, since the connection of their key keeps their order. When a call is given up, its turn ends although its
 * last request may still be under way: the next call's request follows it on the same connection.
 */
export class KeyOrder {
  /** The calls that wait, by the key on which a call of several steps is under way. */
  readonly #lanes = new Map<string, Turn[]>()
  /** Whether no call of several steps is under way. */
  isIdle = true
  readonly #timer = new DeadlineTimer(() => this.#expire())
  readonly #idle: (() => void)[] = []
  readonly #borrowed = new BorrowedReads()

  /** Returns whether calls on a key must wait. For a write, use `isBusyForWrite`. */
  isBusy(key: WireKey): boolean {
    return this.#lanes.size > 0 && this.#lanes.has(laneOf(key))
  }

  /** Returns whether a write on a key must wait for a call of several steps or for a batch that reads the key. */
  isBusyForWrite(key: WireKey): boolean {
    const read = this.#borrowed.whenDone(key)
    if (read !== undefined) this.#waitFor(read, laneOf(key))
    return this.isBusy(key)
  }

  /** Makes writes on keys wait until a batch that reads them on other connections is done. */
  borrowed(keys: readonly string[], done: Promise<unknown>): void {
    this.#borrowed.add(keys, done)
  }

  /**
   * Begins a call of one step after the earlier calls on its key. Must be called only while the key is busy.
   *
   * @param steps.begin passes the request to its connection immediately; if it throws, the call is rejected.
   */
  after(key: WireKey, call: CallDeadline, { begin, reject }: Steps): void {
    this.#wait(this.#lanes.get(laneOf(key))!, new Turn({ call, isAlone: false, begin, reject }))
  }

  /** Begins a call of several steps, after the earlier calls on its key and before all later ones. */
  alone<Result>(key: WireKey, call: CallDeadline, begin: () => Promise<Result>): Promise<Result> {
    const lane = laneOf(key)
    const waiting = this.isBusyForWrite(key) ? this.#lanes.get(lane) : undefined
    const steps = async (): Promise<Result> => {
      try {
        return await begin()
      } finally {
        this.#next(lane)
      }
    }
    if (waiting === undefined) {
      this.#begin(lane)
      return steps()
    }
    return new Promise((resolve, reject) => {
      this.#wait(waiting, new Turn({ call, isAlone: true, begin: () => resolve(steps()), reject }))
    })
  }

  /** Resolves when no call of several steps is under way. */
  whenIdle(): Promise<void> {
    return this.isIdle ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve))
  }

  /** Makes later calls on the key wait for the batches that read it. */
  #waitFor(reads: Promise<unknown>, lane: string): void {
    // The first waiting call already waits for them, since batches omit busy keys.
    if (this.#lanes.has(lane)) return
    this.#begin(lane)
    void reads.then(() => this.#next(lane))
  }

  #begin(lane: string): void {
    this.#lanes.set(lane, [])
    this.isIdle = false
  }

  #wait(waiting: Turn[], turn: Turn): void {
    waiting.push(turn)
    if (turn.call.signal !== undefined) watch(turn.call.signal, turn)
    this.#timer.by(turn.deadline)
  }

  /** Begins the next calls after a call of several steps has ended, up to another call of several steps. */
  #next(lane: string): void {
    const waiting = this.#lanes.get(lane)!
    for (let turn = waiting.shift(); turn !== undefined; turn = waiting.shift()) {
      if (turn.begin() && turn.isAlone) return
    }
    this.#lanes.delete(lane)
    this.isIdle = this.#lanes.size === 0
    if (!this.isIdle) return
    this.#timer.clear()
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  #expire(): void {
    const now = performance.now()
    let next = Infinity
    for (const waiting of this.#lanes.values()) {
      for (const turn of waiting) {
        if (turn.deadline <= now) turn.expire()
        else if (!turn.settled) next = Math.min(next, turn.deadline)
      }
    }
    this.#timer.by(next)
  }
}

/** How a call that waits for its turn begins, or ends without having begun. */
interface Steps {
  readonly begin: () => void
  readonly reject: (error: unknown) => void
}

interface WaitingCall extends Steps {
  readonly call: CallDeadline
  /** Whether the call has several steps, so that later calls wait for it. */
  readonly isAlone: boolean
}

/** A call that waits for an earlier one on its key. */
class Turn implements Waiter {
  signal: AbortSignal | undefined
  settled = false
  readonly call: CallDeadline
  readonly isAlone: boolean
  readonly #begin: () => void
  readonly #reject: (error: unknown) => void

  constructor({ call, isAlone, begin, reject }: WaitingCall) {
    this.call = call
    this.isAlone = isAlone
    this.#begin = begin
    this.#reject = reject
  }

  get deadline(): number {
    return this.call.at
  }

  get timeoutMs(): number {
    return this.call.timeoutMs
  }

  /** Begins the call; returns false if it was given up before. */
  begin(): boolean {
    if (!this.#settle()) return false
    try {
      this.#begin()
    } catch (error) {
      this.#reject(error)
    }
    return true
  }

  fail(error: unknown): void {
    if (this.#settle()) this.#reject(error)
  }

  expire(): void {
    this.fail(new MemcacheTimeoutError(`the call waited ${this.timeoutMs} ms for earlier calls on its key`))
  }

  #settle(): boolean {
    if (this.settled) return false
    this.settled = true
    unwatch(this)
    return true
  }
}

/** Returns one name for text and bytes that are the same key on the server. */
function laneOf(key: WireKey): string {
  return typeof key === 'string' ? key : key.toString()
}

/** A read of many keys by one connection, which is not the usual connection of some of them. */
interface BorrowedRead {
  readonly keys: readonly string[]
  readonly done: Promise<unknown>
  /** The keys as a set, created by the first write during the read; without a write it is not needed. */
  lookup: ReadonlySet<string> | undefined
}

/**
 * The keys that are being read in batches, each by one connection, which is not the usual connection of some keys. The
 * connections do not keep such a read in order with a later write, so a write on one of the keys must wait for the
 * response.
 */
class BorrowedReads {
  readonly #reads = new Set<BorrowedRead>()

  /** Adds the keys of a read until it has succeeded or failed. */
  add(keys: readonly string[], done: Promise<unknown>): void {
    const read: BorrowedRead = { keys, done, lookup: undefined }
    this.#reads.add(read)
    const end = (): void => void this.#reads.delete(read)
    done.then(end, end)
  }

  /** Resolves when the reads of a key are done; returns `undefined` if there are none. */
  whenDone(key: WireKey): Promise<unknown> | undefined {
    if (this.#reads.size === 0) return undefined
    const text = typeof key === 'string' ? key : key.toString()
    let found: Promise<unknown>[] | undefined
    for (const read of this.#reads) {
      read.lookup ??= new Set(read.keys)
      if (read.lookup.has(text)) (found ??= []).push(read.done)
    }
    return found && Promise.allSettled(found)
  }
}
