import type { ServerResponse } from 'node:http'
import { addListener } from '../extra-listener.ts'
import { BoundedMap } from '../bounded-map.ts'
import type { LiveRun } from './capture/follow-live.ts'
import type { HandlerRun } from './capture/handler-run.ts'
import { Abandonment } from '../engine/engine.ts'
import type { StopSource } from '../engine/engine.ts'

/** How long requests for a key do not wait for each other after a response that could not be shared, in seconds. */
export const PASS_SECONDS = 10
const MAX_REMEMBERED = 10_000

/** Keeps the running handler calls of one response cache, and decides which of them other requests may wait for. */
export class CallsUnderWay {
  readonly #nowMs: () => number
  /** Calls under a lease, by key. */
  readonly #live = new Map<string, LiveRun>()
  /** The keys of running calls for a range or for a HEAD: other requests do not wait for them. */
  readonly #aside = new Set<string>()
  /** The time until which requests do not wait for each other, since a response could not be shared; by key. */
  readonly #alone = new BoundedMap<number>(MAX_REMEMBERED)
  /** The time, by `performance.now()`, when the last call ended; by key. */
  readonly #ended = new BoundedMap<number>(MAX_REMEMBERED)

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Returns the call for a key that others may follow. */
  live(name: string): LiveRun | undefined {
    return this.#live.get(name)
  }

  /** Lets other requests follow a call until it ends. */
  offer(live: LiveRun, run: HandlerRun): void {
    const { name } = live.lookup
    this.#live.set(name, live)
    const end = (): void => {
      if (this.#live.get(name) === live) this.#live.delete(name)
    }
    run.outcome.then(end, end)
  }

  /** Keeps other requests from waiting for a call until it ends. */
  setAside(name: string, run: HandlerRun): void {
    this.#aside.add(name)
    const end = (): void => void this.#aside.delete(name)
    run.outcome.then(end, end)
  }

  /** Returns whether a request waits for the handler call of another request. */
  isShared(name: string): boolean {
    return !this.#aside.has(name) && !this.isAlone(name)
  }

  /** Returns whether a response to this key could not be shared within the last seconds. */
  isAlone(name: string): boolean {
    return (this.#alone.get(name) ?? 0) > this.#nowMs()
  }

  /** Lets requests for a key run their own handlers for the next `PASS_SECONDS`. */
  leaveAlone(name: string): void {
    this.#alone.set(name, this.#nowMs() + PASS_SECONDS * 1000)
  }

  /** Records that a call has ended, and whether its response can be reused. */
  ended(name: string, { isReusable }: { isReusable: boolean }): void {
    this.#ended.set(name, performance.now())
    if (isReusable) this.#alone.delete(name)
    else this.leaveAlone(name)
  }

  /**
   * Returns whether the last call ended after this time, so that a request that began then has waited for it; `true` if
   * the end of the last call is not known.
   */
  hasWaited(name: string, startedMs: number): boolean {
    return (this.#ended.get(name) ?? Infinity) > startedMs
  }
}

/** How long a request waits for another request's response before it runs its own handler. */
const MAX_WAIT_MS = 10_000

/**
 * The wait of a request for another request's response: until its client disconnects, and at most for a limited time.
 * Most requests are hits and do not wait, so the timer and the listener are added with the first listener.
 */
export class Waiting implements StopSource {
  readonly #response: ServerResponse
  readonly #startedMs = performance.now()
  #stop: Abandonment | undefined
  #timer: NodeJS.Timeout | undefined
  readonly #leave = (): void => this.#stop!.abort(this.reason)

  constructor(response: ServerResponse) {
    this.#response = response
  }

  get aborted(): boolean {
    return this.#stop?.aborted === true || this.isGone || performance.now() - this.#startedMs >= MAX_WAIT_MS
  }

  get reason(): unknown {
    return new Error('the request has stopped waiting for the response of another request')
  }

  /** Whether the client has disconnected. */
  get isGone(): boolean {
    return this.#response.destroyed
  }

  addEventListener(type: 'abort', listener: () => void): void {
    if (this.#stop === undefined) {
      this.#stop = new Abandonment()
      this.#timer = setTimeout(this.#leave, this.#startedMs + MAX_WAIT_MS - performance.now())
      addListener(this.#response, 'close', this.#leave)
    }
    this.#stop.addEventListener(type, listener)
  }

  removeEventListener(type: 'abort', listener: () => void): void {
    this.#stop?.removeEventListener(type, listener)
  }

  end(): void {
    if (this.#stop === undefined) return
    clearTimeout(this.#timer)
    this.#response.off('close', this.#leave)
  }
}
