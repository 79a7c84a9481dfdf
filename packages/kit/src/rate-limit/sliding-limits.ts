import type { Ttl } from 'memcache-ts-protocol'
import { Blocks } from './blocks.ts'
import { BoundedMap } from '../bounded-map.ts'
import { blockedResult } from './limits.ts'
import type { ConsumedAmount, Limits, LimitsOptions } from './limits.ts'
import { tighter } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import { lifetimeOver, policiesOf, windowIndex } from './rate-limit-window.ts'
import { AlignedClientState } from './client-state.ts'
import type { GroupedKey } from './rate-limit-store.ts'
import { slidingWindow } from './window-algorithms.ts'
import type { TimedCall } from './window-algorithms.ts'

/**
 * A block adds this to the id's counter of the shortest window, far above any count. The next process that counts there
 * sees that there was a block, so blocks are not read before each call.
 */
const BLOCK_MARK = 2 ** 36
/** Far over any limit. Further additions are taken back, since they would look like a mark. */
const MAX_HELD = 2 ** 33

/**
 * Limits by the sliding-window counter, over windows that are aligned to 1970. A call adds its cost to the counter of
 * each window in one pipeline, and is allowed if the counters are then within the limits: of any number of parallel
 * calls, never more than the limit are allowed. If the call is denied, its cost is taken back from all counters, since
 * counted denials would starve a client that keeps trying.
 *
 * The counter of the previous window and the block are read in the same pipeline, but not with each call
 * (`ClientState`).
 */
export class SlidingLimits implements Limits {
  readonly #options: LimitsOptions
  readonly #ttls: readonly Ttl[]
  readonly #blocks: Blocks<AlignedClientState>
  readonly #states: BoundedMap<AlignedClientState>

  /** @param maxIds how many ids are remembered between calls. */
  constructor(options: LimitsOptions, maxIds: number) {
    this.#options = options
    this.#states = new BoundedMap(maxIds)
    this.#blocks = new Blocks(options, {
      mark: (state: AlignedClientState) => this.#mark(state),
      read: (state: AlignedClientState, nowMs) => this.#read(state, nowMs),
    })
    this.#ttls = options.windows.map(({ windowMs }) => lifetimeOver(2 * windowMs))
  }

  async consume(id: string, cost: number, nowMs: number): Promise<RateLimitResult> {
    const { store } = this.#options
    const state = this.#stateOf(id, nowMs)
    // Sent first: responses come in order, and this one is awaited last.
    const reading = state.isFresh(nowMs) ? undefined : this.#read(state, nowMs)
    const { keys } = state
    const raw =
      keys.length === 1
        ? [await store.incr(keys[0]!, cost, this.#ttls[0]!)]
        : await Promise.all(keys.map((key, index) => store.incr(key, cost, this.#ttls[index]!)))
    if (reading !== undefined) await reading
    const marks = marksIn(raw[0]!)
    if (marks !== state.marks) await this.#blocks.readIfMarked(state, marks, nowMs)
    const call = { cost, isConsumed: true, nowMs }
    const result = this.#resultOf(state, raw, call)
    return result.allowed ? result : this.#deny(state, result, call)
  }

  async peek(id: string, cost: number, nowMs: number): Promise<RateLimitResult> {
    const { store } = this.#options
    const state = this.#stateOf(id, nowMs)
    const [raw] = await Promise.all([Promise.all(state.keys.map((key) => store.count(key))), this.#read(state, nowMs)])
    return this.#resultOf(state, raw, { cost, isConsumed: false, nowMs })
  }

  async penalty(id: string, amount: number, nowMs: number): Promise<void> {
    const { store } = this.#options
    const { keys } = this.#stateOf(id, nowMs)
    await Promise.all(
      keys.map(async (key, index) => {
        const raw = await store.incr(key, amount, this.#ttls[index]!)
        if (countIn(raw) > MAX_HELD) await store.decr(key, amount)
      }),
    )
  }

  async reward(id: string, { amount, atMs }: ConsumedAmount, nowMs: number): Promise<void> {
    const { store, windows } = this.#options
    const state = this.#stateOf(id, nowMs)
    const { groupKey } = state
    await Promise.all(
      windows.map(async (window, index) => {
        const key = { key: this.#counterKey(index, windowIndex(window.windowMs, atMs), id), groupKey }
        const left = countIn(await store.decr(key, amount))
        // With a block's mark, the counter is not stopped at 0.
        if (left < 0) await store.incr(key, -left, this.#ttls[index]!)
      }),
    )
    // This may have changed a previous window, which is not read with every call.
    if (!state.isIn(windows, atMs)) this.#states.delete(id)
  }

  async block(id: string, untilMs: number, nowMs: number): Promise<void> {
    await this.#blocks.set(this.#stateOf(id, nowMs), untilMs, nowMs)
  }

  async reset(id: string, nowMs: number): Promise<void> {
    const { store } = this.#options
    const state = this.#stateOf(id, nowMs)
    this.#states.delete(id)
    const keys = [...state.keys, ...this.#previousKeys(state), state.blockKey]
    await Promise.all(keys.map((key) => store.delete(key)))
  }

  #resultOf(state: AlignedClientState, raw: readonly number[], call: TimedCall): RateLimitResult {
    const { windows } = this.#options
    const { nowMs } = call
    // The counters contain the cost of a call that is being consumed.
    const added = call.isConsumed ? call.cost : 0
    let result: RateLimitResult | undefined
    for (let index = 0; index < windows.length; index++) {
      const window = windows[index]!
      const counts = {
        current: Math.max(0, countIn(raw[index]!) - added),
        previous: state.previous[index]!,
        elapsedMs: nowMs - state.indexes[index]! * window.windowMs,
      }
      const one = slidingWindow.evaluate(window, counts, call)
      result = result === undefined ? one : tighter(result, one)
    }
    return state.blockedUntilMs > nowMs ? blockedResult(windows, state.blockedUntilMs - nowMs, result!) : result!
  }

  async #deny(
    state: AlignedClientState,
    result: RateLimitResult,
    { cost, nowMs }: TimedCall,
  ): Promise<RateLimitResult> {
    const { store } = this.#options
    // Awaited, so that a denial no longer changes the counters once its caller knows of it: any process may reset them.
    const takenBack = state.keys.map((key) => store.decr(key, cost).catch(ignore))
    const denial = await this.#blocks.afterDenial(state, result, nowMs)
    await Promise.all(takenBack)
    return denial
  }

  async #mark(state: AlignedClientState): Promise<void> {
    state.marks = marksIn(await this.#options.store.incr(state.keys[0]!, BLOCK_MARK, this.#ttls[0]!))
  }

  /** Reads the state that is not in the current counters; callers that come meanwhile share the read. */
  #read(state: AlignedClientState, nowMs: number): Promise<void> {
    return state.read(nowMs, async () => {
      const { store, windows } = this.#options
      const { previous } = state
      const keys = this.#previousKeys(state)
      const [counts] = await Promise.all([Promise.all(keys.map((key) => store.count(key))), this.#blocks.read(state)])
      // A count over the limit is a penalty, or is about to be taken back; the limit itself was never exceeded.
      for (const [index, count] of counts.entries()) {
        previous[index] = Math.min(Math.max(0, countIn(count)), windows[index]!.limit)
      }
    })
  }

  #previousKeys({ id, indexes, groupKey }: AlignedClientState): GroupedKey[] {
    return indexes.map((at, index) => ({ key: this.#counterKey(index, at - 1, id), groupKey }))
  }

  #stateOf(id: string, nowMs: number): AlignedClientState {
    const { windows, name, key } = this.#options
    const known = this.#states.get(id)
    if (known?.isIn(windows, nowMs) === true) return known
    const indexes = windows.map(({ windowMs }) => windowIndex(windowMs, nowMs))
    const counters = indexes.map((at, index) => this.#counterKey(index, at, id))
    const block = key([name, 'block', policiesOf(windows), id])
    const state = new AlignedClientState({ id, counters, block, group: key([name, id]) }, indexes)
    this.#states.set(id, state)
    return state
  }

  #counterKey(window: number, at: number, id: string): string {
    const { windows, name, key } = this.#options
    const { limit, windowMs } = windows[window]!
    return key([name, limit, windowMs, at, id])
  }
}

/** Returns the count in a counter that may have marks; below 0 if more was given back than was counted. */
function countIn(raw: number): number {
  return raw < BLOCK_MARK / 2 ? raw : ((raw + BLOCK_MARK / 2) % BLOCK_MARK) - BLOCK_MARK / 2
}

function marksIn(raw: number): number {
  return raw < BLOCK_MARK / 2 ? 0 : Math.floor((raw + BLOCK_MARK / 2) / BLOCK_MARK)
}

function ignore(): void {}
