import { Blocks } from './blocks.ts'
import { BoundedMap } from '../bounded-map.ts'
import { CounterLayout } from './counter-layout.ts'
import type { WindowCount } from './counter-layout.ts'
import { FirstHitCounter } from './first-hit-counter.ts'
import { blockedResult } from './limits.ts'
import type { Limits, LimitsOptions } from './limits.ts'
import { tighter } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import { FirstHitClientState } from './client-state.ts'
import { policiesOf } from './rate-limit-window.ts'
import { fixedWindow } from './window-algorithms.ts'

/**
 * Limits by fixed windows that start at an id's first hit. A call adds its cost to the counter of each window in one
 * pipeline, and is allowed if the counters are then within the limits: of any number of parallel calls, never more than
 * the limit are allowed. If it is denied, its cost is taken back from all counters.
 *
 * The block of an id is read with the first hit of a window, once a second, and when the mark of a counter has changed.
 */
export class FirstHitLimits implements Limits {
  readonly #options: LimitsOptions
  readonly #blocks: Blocks<FirstHitClientState>
  readonly #counters: readonly FirstHitCounter[]
  readonly #states: BoundedMap<FirstHitClientState>

  /**
   * @param maxIds how many ids are remembered between calls.
   * @throws MemcacheOptionError if a window of this length cannot count up to its limit.
   */
  constructor(options: LimitsOptions, maxIds: number) {
    this.#options = options
    this.#states = new BoundedMap(maxIds)
    this.#blocks = new Blocks(options, {
      mark: (state: FirstHitClientState, nowMs) => this.#mark(state, nowMs),
      read: (state: FirstHitClientState, nowMs) => this.#read(state, nowMs),
    })
    this.#counters = options.windows.map(
      ({ limit, windowMs }) => new FirstHitCounter(options.store, new CounterLayout(windowMs, limit)),
    )
  }

  async consume(id: string, cost: number, nowMs: number): Promise<RateLimitResult> {
    const state = this.#stateOf(id)
    const isNextWindow = nowMs - state.startMs >= this.#options.windows[0]!.windowMs
    // Sent first: responses come in order, and this one is awaited last.
    let reading = state.isFresh(nowMs) && !isNextWindow ? undefined : this.#read(state, nowMs)
    const found = await this.#add(state, cost, nowMs)
    const first = found[0]!
    if (first.startMs !== state.startMs) {
      state.startMs = first.startMs
      state.marks = 0
      reading ??= this.#read(state, nowMs)
    }
    if (reading !== undefined) await reading
    if (first.marks !== state.marks) await this.#blocks.readIfMarked(state, first.marks, nowMs)
    const result = this.#resultOf(state, found, cost, cost, nowMs)
    if (!result.allowed) return this.#deny(state, found, result, cost, nowMs)
    const restarted = await this.#restartEmpty(state, found, cost, nowMs)
    return restarted === undefined ? result : this.#resultOf(state, restarted, cost, cost, nowMs)
  }

  async peek(id: string, cost: number, nowMs: number): Promise<RateLimitResult> {
    const state = this.#stateOf(id)
    const [found] = await Promise.all([
      Promise.all(state.keys.map((key, index) => this.#counters[index]!.get(key, nowMs, state.groupKey))),
      this.#read(state, nowMs),
    ])
    const nothing = { startMs: nowMs, count: 0, marks: 0 }
    return this.#resultOf(
      state,
      found.map((count) => (count === undefined || count.count <= 0 ? nothing : count)),
      0,
      cost,
      nowMs,
    )
  }

  async penalty(id: string, amount: number, nowMs: number): Promise<void> {
    const state = this.#stateOf(id)
    const { keys, groupKey } = state
    const found = await Promise.all(
      keys.map((key, index) => this.#counters[index]!.penalize(key, amount, nowMs, groupKey)),
    )
    await this.#restartEmpty(state, found, amount, nowMs)
  }

  async reward(id: string, amount: number, atMs: number, nowMs: number): Promise<void> {
    const { keys, groupKey } = this.#stateOf(id)
    await Promise.all(keys.map((key, index) => this.#counters[index]!.giveBack(key, amount, atMs, nowMs, groupKey)))
  }

  async block(id: string, untilMs: number, nowMs: number): Promise<void> {
    await this.#blocks.set(this.#stateOf(id), untilMs, nowMs)
  }

  async reset(id: string): Promise<void> {
    const { keys, blockKey, groupKey } = this.#stateOf(id)
    this.#states.delete(id)
    await Promise.all([...keys, blockKey].map((key) => this.#options.store.delete(key, groupKey)))
  }

  #add({ keys, groupKey }: FirstHitClientState, amount: number, nowMs: number): Promise<WindowCount[]> {
    return Promise.all(keys.map((key, index) => this.#counters[index]!.add(key, amount, nowMs, groupKey)))
  }

  /** @param added the amount that this call has added to the counters. */
  #resultOf(
    state: FirstHitClientState,
    found: readonly WindowCount[],
    added: number,
    cost: number,
    nowMs: number,
  ): RateLimitResult {
    const { windows } = this.#options
    let result: RateLimitResult | undefined
    for (let index = 0; index < windows.length; index++) {
      const { startMs, count } = found[index]!
      const current = Math.max(0, count - added)
      const one = fixedWindow.evaluate(
        windows[index]!,
        { current, previous: 0, elapsedMs: nowMs - startMs },
        cost,
        added > 0,
      )
      result = result === undefined ? one : tighter(result, one)
    }
    return state.blockedUntilMs > nowMs ? blockedResult(windows, state.blockedUntilMs, nowMs, result!) : result!
  }

  async #deny(
    state: FirstHitClientState,
    found: readonly WindowCount[],
    result: RateLimitResult,
    cost: number,
    nowMs: number,
  ): Promise<RateLimitResult> {
    // Awaited, so that a denial no longer changes the counters once its caller knows of it: any process may reset them.
    const takenBack = found.map(({ startMs }, index) =>
      this.#counters[index]!.takeBack(state.keys[index]!, cost, startMs, nowMs, state.groupKey),
    )
    const denial = await this.#blocks.afterDenial(state, result, nowMs)
    await Promise.all(takenBack)
    return denial
  }

  async #mark(state: FirstHitClientState, nowMs: number): Promise<void> {
    const marked = await this.#counters[0]!.mark(state.keys[0]!, nowMs, state.groupKey)
    if (marked?.startMs === state.startMs) state.marks = marked.marks
  }

  #read(state: FirstHitClientState, nowMs: number): Promise<void> {
    return state.read(nowMs, () => this.#blocks.read(state))
  }

  /**
   * Restarts windows whose hits were all denied or given back, since such hits do not start a window. Resolves to the
   * counters' new state if there were such windows; a window that other processes count in keeps its start.
   */
  async #restartEmpty(
    state: FirstHitClientState,
    found: readonly WindowCount[],
    added: number,
    nowMs: number,
  ): Promise<WindowCount[] | undefined> {
    const { keys, groupKey } = state
    let restarted: WindowCount[] | undefined
    for (let index = 0; index < found.length; index++) {
      const { count, startMs } = found[index]!
      if (count > added || startMs >= nowMs) continue
      const restartedMs = await this.#counters[index]!.restart(keys[index]!, found[index]!, nowMs, groupKey)
      if (index === 0 && state.startMs === startMs) state.startMs = restartedMs
      restarted ??= [...found]
      restarted[index] = { ...found[index]!, startMs: restartedMs }
    }
    return restarted
  }

  #stateOf(id: string): FirstHitClientState {
    const known = this.#states.get(id)
    if (known !== undefined) return known
    const { windows, name, key } = this.#options
    const keys = windows.map(({ limit, windowMs }) => key([name, 'fixed', limit, windowMs, id]))
    const state = new FirstHitClientState(
      id,
      keys,
      key([name, 'fixed', 'block', policiesOf(windows), id]),
      key([name, id]),
    )
    this.#states.set(id, state)
    return state
  }
}
