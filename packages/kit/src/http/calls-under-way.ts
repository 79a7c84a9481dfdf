import type { ServerResponse } from 'node:http'
import { LRUCache } from 'lru-cache'
import type { LiveRun } from './capture/follow-live.ts'
import type { HandlerRun } from './capture/handler-run.ts'
import { Abandonment } from '../engine/engine.ts'
import type { StopSource } from '../engine/engine.ts'

/** How long requests for a key do not wait for each other after a response that could not be shared. */
export const PASS_SECONDS = 10
const MAX_REMEMBERED = 10_000

/** The running handler calls of one response cache, and which of them other requests may wait for. */
export class CallsUnderWay {
  readonly #nowMs: () => number
  /** Calls under a lease, by key. */
  readonly #live = new Map<string, LiveRun>()
  /** The keys of running calls for a range or for a HEAD: other requests do not wait for them. */
  readonly #aside = new Set<string>()
  /** Until when requests do not wait for each other, since a response cannot be shared; by key. */
  readonly #alone = new LRUCache<string, number>({ max: MAX_REMEMBERED })
  /** When the last call ended whose response is stored, by key and `performance.now()`. */
  readonly #ended = new LRUCache<string, number>({ max: MAX_REMEMBERED })

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

  /** Whether a request waits for the call of another one. */
  isShared(name: string): boolean {
    return !this.#aside.has(name) && !this.isAlone(name)
  }

  /** Whether a response to this key could not be shared a moment ago. */
  isAlone(name: string): boolean {
    return (this.#alone.get(name) ?? 0) > this.#nowMs()
  }

  leaveAlone(name: string): void {
    this.#alone.set(name, this.#nowMs() + PASS_SECONDS * 1000)
  }

  /** Records that a call has ended, and whether its response can be reused. */
  ended(name: string, { isReusable }: { isReusable: boolean }): void {
    this.#ended.set(name, performance.now())
    if (isReusable) this.#alone.delete(name)
    else this.leaveAlone(name)
  }

  /** Whether a request that began at this time has waited for the last call, which ended later. */
  hasWaited(name: string, startedMs: number): boolean {
    return (this.#ended.get(name) ?? Infinity) > startedMs
  }
}

/** How long a request waits for another request's response before it runs the handler itself. */
const MAX_WAIT_MS = 10_000

/** The wait of a request for another request's response: until its client disconnects, and at most for a limited time. */
export class Waiting {
  // Not an AbortController: creating one costs more than the rest of a hit's lookup.
  readonly #stop = new Abandonment()
  readonly #timer: NodeJS.Timeout
  readonly #response: ServerResponse
  readonly #leave = (): void => this.#stop.abort(new Error('the request waits no longer'))

  constructor(response: ServerResponse) {
    this.#response = response
    this.#timer = setTimeout(this.#leave, MAX_WAIT_MS)
    response.once('close', this.#leave)
  }

  get signal(): StopSource {
    return this.#stop
  }

  /** Whether the client has disconnected. */
  get isGone(): boolean {
    return this.#response.destroyed
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#response.off('close', this.#leave)
  }
}
