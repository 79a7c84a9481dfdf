import { setTimeout as delay } from 'node:timers/promises'
import { MemcacheServerError } from 'memcache-ts-protocol'
import { Gcra } from './gcra.ts'
import { blockEndMs } from './blocks.ts'
import { blockedResult } from './limits.ts'
import type { ConsumedAmount, Limits, LimitsOptions } from './limits.ts'
import { tighter } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import { aloneKey } from './rate-limit-store.ts'
import { lifetimeOver, MAX_CLOCK_SKEW_MS, policiesOf } from './rate-limit-window.ts'
import type { LimitedCall } from './window-algorithms.ts'

/** How often a compare-and-swap may lose against other processes before the call is denied. */
const MAX_ATTEMPTS = 64
const MAX_PAUSE_MS = 5
/** Clocks that differ by less do not need to be corrected. */
const MIN_CLOCK_SKEW_MS = 1000

/** The stored state of an id: the end of its block, and the theoretical arrival time of each window. */
type GcraState = readonly [blockedUntilMs: number, ...arrivalsUs: number[]]

/** One call's turn at the state. */
interface Turn<Result = unknown> {
  readonly nowMs: number
  /**
   * Returns the new state and the call's result; the same state if it changes nothing.
   *
   * @param nowMs the time of the call by the clock of the state.
   */
  take(state: GcraState, nowMs: number): { readonly state: GcraState; readonly result: Result }
  /**
   * Returns the result if other processes were always faster.
   *
   * @throws MemcacheServerError if the call has no such result.
   */
  giveUp(): Result
}

interface Waiting {
  readonly turn: Turn
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

/**
 * Limits by GCRA. The whole state of an id is one item, which is changed by compare-and-swap. The calls of a process
 * take their turns together, so that only processes compete.
 *
 * The state contains the time of its write. If that is in the future, one of two clocks is wrong, and this process
 * counts by the later clock from then on: otherwise each process would see the calls of the other as past.
 */
export class GcraLimits implements Limits {
  readonly #options: LimitsOptions
  readonly #gcras: readonly Gcra[]
  readonly #policies: string
  readonly #waiting = new Map<string, Waiting[]>()
  /** How far the latest clock that has written a state is ahead of this process's clock, in milliseconds. */
  #aheadMs = 0

  /** @param burst how many calls are allowed at once. Default: the limit. */
  constructor(options: LimitsOptions, burst: number | undefined) {
    this.#options = options
    this.#gcras = options.windows.map((window) => new Gcra(window, burst ?? window.limit))
    this.#policies = policiesOf(options.windows)
  }

  consume(id: string, cost: number, nowMs: number): Promise<RateLimitResult> {
    const { windows, blockMs } = this.#options
    return this.#queue(id, {
      nowMs,
      take: (state, atMs) => {
        const result = this.#resultOf(state, atMs, { cost, isConsumed: true })
        if (result.allowed) return { state: this.#after(state, cost, atMs), result }
        if (blockMs === undefined || state[0] > atMs) return { state, result }
        const untilMs = blockEndMs(atMs, blockMs)
        return { state: [untilMs, ...state.slice(1)], result: blockedResult(windows, untilMs - atMs, result) }
      },
      giveUp: () => this.#resultOf(this.#full(nowMs), nowMs, { cost, isConsumed: true }),
    })
  }

  async peek(id: string, cost: number, nowMs: number): Promise<RateLimitResult> {
    const found = await this.#options.store.gets(aloneKey(this.#key(id)))
    const state = this.#stateIn(found?.value, nowMs)
    return this.#resultOf(state, nowMs + this.#aheadMs, { cost, isConsumed: false })
  }

  penalty(id: string, amount: number, nowMs: number): Promise<void> {
    return this.#change(id, nowMs, (state, atMs) => this.#after(state, amount, atMs))
  }

  reward(id: string, { amount }: ConsumedAmount, nowMs: number): Promise<void> {
    return this.#change(id, nowMs, ([blocked, ...arrivals]) => [
      blocked,
      ...arrivals.map((arrival, index) => this.#gcras[index]!.before(arrival, amount)),
    ])
  }

  block(id: string, untilMs: number, nowMs: number): Promise<void> {
    return this.#change(id, nowMs, ([, ...arrivals], atMs) => [
      Math.min(untilMs - nowMs + atMs, Number.MAX_SAFE_INTEGER),
      ...arrivals,
    ])
  }

  async reset(id: string): Promise<void> {
    await this.#options.store.delete(aloneKey(this.#key(id)))
  }

  #resultOf(state: GcraState, nowMs: number, call: LimitedCall): RateLimitResult {
    const [blockedUntilMs, ...arrivals] = state
    const result = this.#gcras
      .map((gcra, index) => gcra.evaluate(arrivals[index]!, nowMs, call))
      .reduce((a, b) => tighter(a, b))
    if (blockedUntilMs <= nowMs) return result
    return blockedResult(this.#options.windows, blockedUntilMs - nowMs, result)
  }

  #after([blocked, ...arrivals]: GcraState, cost: number, nowMs: number): GcraState {
    return [blocked, ...arrivals.map((arrival, index) => this.#gcras[index]!.after(arrival, nowMs, cost))]
  }

  /** Returns the state of an id that has just used up its limit. */
  #full(nowMs: number): GcraState {
    return [0, ...this.#gcras.map((gcra) => gcra.full(nowMs))]
  }

  #change(id: string, nowMs: number, change: (state: GcraState, nowMs: number) => GcraState): Promise<void> {
    return this.#queue(id, {
      nowMs,
      take: (state, atMs) => ({ state: change(state, atMs), result: undefined }),
      giveUp: () => {
        throw new MemcacheServerError(
          `too many processes change the rate limit '${this.#options.name}' of ${id} at once: try again`,
          {
            retryable: true,
          },
        )
      },
    })
  }

  #queue<Result>(id: string, turn: Turn<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const key = this.#key(id)
      const caller = { turn, resolve: resolve as (result: unknown) => void, reject }
      const waiting = this.#waiting.get(key)
      if (waiting !== undefined) {
        waiting.push(caller)
        return
      }
      this.#waiting.set(key, [caller])
      void this.#run(key)
    })
  }

  /** Lets all waiting calls take their turns together, until no call waits. */
  async #run(key: string): Promise<void> {
    const waiting = this.#waiting.get(key)!
    while (waiting.length > 0) {
      const callers = waiting.splice(0)
      try {
        const results = await this.#swap(
          key,
          callers.map(({ turn }) => turn),
        )
        for (const [index, { resolve }] of callers.entries()) resolve(results[index])
      } catch (error) {
        for (const { reject } of callers) reject(error)
      }
    }
    this.#waiting.delete(key)
  }

  async #swap(id: string, turns: readonly Turn[]): Promise<unknown[]> {
    const { store } = this.#options
    const key = aloneKey(id)
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const found = await store.gets(key)
      const { nowMs } = turns[0]!
      const before = this.#stateIn(found?.value, nowMs)
      let state = before
      const results = turns.map((turn) => {
        const taken = turn.take(state, turn.nowMs + this.#aheadMs)
        state = taken.state
        return taken.result
      })
      if (state === before) return results
      const atMs = nowMs + this.#aheadMs
      const ttl = lifetimeOver(Math.max(0, this.#lastMs(state) - atMs))
      if (await store.swap(key, { value: [...state, atMs], casUnique: found?.casUnique }, ttl)) return results
      if (attempt > 0) await delay(Math.random() * Math.min(attempt, MAX_PAUSE_MS))
    }
    return turns.map((turn) => turn.giveUp())
  }

  /** Returns the time when a state has no effect any more. */
  #lastMs([blockedUntilMs, ...arrivals]: GcraState): number {
    return Math.max(blockedUntilMs, ...arrivals.map((arrival) => arrival / 1000))
  }

  /** Parses a stored state, and adopts its clock if that is later; an invalid state is empty. */
  #stateIn(stored: unknown, nowMs: number): GcraState {
    const { length } = this.#gcras
    const empty: GcraState = [0, ...this.#gcras.map(() => 0)]
    if (!Array.isArray(stored) || stored.length !== length + 2 || !stored.every(Number.isSafeInteger)) return empty
    const [blockedUntilMs, ...arrivals] = stored as [number, ...number[]]
    const writtenMs = arrivals.pop()!
    const aheadMs = writtenMs - nowMs - this.#aheadMs
    if (aheadMs > MAX_CLOCK_SKEW_MS) return empty
    if (aheadMs > MIN_CLOCK_SKEW_MS) this.#aheadMs += aheadMs
    return [blockedUntilMs, ...arrivals]
  }

  #key(id: string): string {
    return this.#options.key([this.#options.name, 'gcra', this.#policies, id])
  }
}
