import { checkOptions, MAX_TIMER_MS, MemcacheOptionError, systemClock } from 'memcache-ts-protocol'
import type { Clock } from 'memcache-ts-protocol'
import { onAbort, reasonOf, throwIfAborted } from '../engine/engine.ts'
import { describeValue, requireSignal } from '../option-types.ts'
import { WindowResult } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import { countable } from './rate-limiter-options.ts'

/** Options of `blockUntilReady`. */
export interface WaitOptions {
  /** How much the call counts. Default 1. */
  cost?: number | undefined
  /** How long to wait at most, in milliseconds. Default: no limit. */
  waitMs?: number | undefined
  /** Ends the wait with the signal's reason. */
  signal?: AbortSignal | undefined
}

interface Waiter {
  readonly cost: number
  readonly deadlineMs: number
  readonly resolve: (result: RateLimitResult) => void
  readonly reject: (error: unknown) => void
  /** Functions to call when the wait is over. */
  readonly cleanups: (() => void)[]
}

interface Queue {
  readonly waiters: Waiter[]
  /** Ends the pause of the first waiting call. */
  wake: (() => void) | undefined
  /** The last denial. */
  denial: RateLimitResult | undefined
}

/** Queues the callers of this process that wait until they are allowed, separately for each id. */
export class ReadyQueue {
  readonly #consume: (id: string, cost: number) => Promise<RateLimitResult>
  readonly #peek: (id: string, cost: number) => Promise<RateLimitResult>
  readonly #queues = new Map<string, Queue>()

  constructor(
    consume: (id: string, cost: number) => Promise<RateLimitResult>,
    peek: (id: string, cost: number) => Promise<RateLimitResult>,
  ) {
    this.#consume = consume
    this.#peek = peek
  }

  /**
   * Resolves when the call was allowed and counted, or to a denial as soon as it is known that the call must wait
   * longer than `waitMs`.
   */
  async wait(clock: Clock, id: string, options: WaitOptions): Promise<RateLimitResult> {
    checkOptions('blockUntilReady', options, {
      names: ['cost', 'waitMs', 'signal'],
      hints: { timeout: 'waitMs', timeoutMs: 'waitMs' },
    })
    const { cost = 1, waitMs = Infinity, signal } = options
    countable('cost', cost)
    if (typeof waitMs !== 'number' || !(waitMs >= 0)) {
      throw new MemcacheOptionError(`waitMs must be a number of milliseconds, at least 0, got ${describeValue(waitMs)}`)
    }
    requireSignal('blockUntilReady', signal)
    throwIfAborted(signal)
    return new Promise((resolve, reject) => {
      const deadlineMs = clock.nowMs() + waitMs
      const waiter: Waiter = { cost, deadlineMs, resolve, reject, cleanups: [] }
      const queue = this.#queues.get(id) ?? { waiters: [], wake: undefined, denial: undefined }
      queue.waiters.push(waiter)
      if (signal !== undefined) {
        const abort = (): void => this.#leave(queue, waiter, () => reject(reasonOf(signal)))
        waiter.cleanups.push(onAbort(signal, abort))
      }
      if (queue.waiters.length > 1) {
        // The first caller notices by itself when it has waited too long.
        if (waitMs < Infinity) waiter.cleanups.push(callAt(clock, deadlineMs, () => this.#giveUp(queue, id, waiter)))
        return
      }
      this.#queues.set(id, queue)
      void this.#run(clock, id, queue)
    })
  }

  /** Lets the callers that wait for an id consume, one after the other. */
  async #run(clock: Clock, id: string, queue: Queue): Promise<void> {
    for (;;) {
      const waiter = queue.waiters[0]
      if (waiter === undefined) break
      let result: RateLimitResult
      try {
        result = await this.#consume(id, waiter.cost)
      } catch (error) {
        this.#leave(queue, waiter, () => waiter.reject(error))
        continue
      }
      // A caller that has aborted meanwhile is already rejected; its cost is lost.
      if (queue.waiters[0] !== waiter) continue
      queue.denial = result.allowed ? undefined : result
      const againMs = (WindowResult.atMsOf(result) ?? clock.nowMs()) + result.retryAfterMs
      if (result.allowed || againMs > waiter.deadlineMs || result.retryAfterMs === Infinity) {
        this.#leave(queue, waiter, () => waiter.resolve(result))
        continue
      }
      await new Promise<void>((resolve) => {
        const prevent = callAt(clock, againMs, resolve)
        queue.wake = () => {
          prevent()
          resolve()
        }
      })
      queue.wake = undefined
    }
    this.#queues.delete(id)
  }

  #giveUp(queue: Queue, id: string, waiter: Waiter): void {
    // The first caller gets the result of its own call.
    if (queue.waiters[0] === waiter) return
    this.#leave(queue, waiter, () => {
      if (queue.denial === undefined) this.#peek(id, waiter.cost).then(waiter.resolve, waiter.reject)
      else waiter.resolve(queue.denial)
    })
  }

  #leave(queue: Queue, waiter: Waiter, settle: () => void): void {
    const index = queue.waiters.indexOf(waiter)
    if (index < 0) return
    queue.waiters.splice(index, 1)
    for (const cleanup of waiter.cleanups) cleanup()
    settle()
    if (index === 0) queue.wake?.()
  }
}

/** The interval at which the clock of a test is read, in milliseconds. */
const TEST_TICK_MS = 2

/**
 * Calls back once when the clock has reached a time, however far away it is.
 *
 * @returns a function that cancels the call.
 */
export function callAt(clock: Clock, atMs: number, callback: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  const wait = (): void => {
    const leftMs = atMs - clock.nowMs()
    if (leftMs <= 0) {
      callback()
      return
    }
    const delayMs = clock === systemClock ? Math.min(Math.ceil(leftMs), MAX_TIMER_MS) : TEST_TICK_MS
    timer = setTimeout(wait, delayMs)
  }
  wait()
  return () => clearTimeout(timer)
}
