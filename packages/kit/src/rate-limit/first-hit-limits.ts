import { Blocks } from './blocks.ts'
import { BoundedMap } from '../bounded-map.ts'
import { CounterLayout } from './counter-layout.ts'
import type { WindowCount } from './counter-layout.ts'
import { FirstHitCounter } from './first-hit-counter.ts'
import { blockedResult } from './limits.ts'
import type { ConsumedAmount, Limits, LimitsOptions } from './limits.ts'
import { tighter } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import { FirstHitClientState } from './client-state.ts'
import { policiesOf } from './rate-limit-window.ts'
import { fixedWindow } from './window-algorithms.ts'
import type { TimedCall } from './window-algorithms.ts'

/** A denial, and the state of the counters with the denied cost. */
interface CountedDenial {
  readonly found: readonly WindowCount[]
  readonly result: RateLimitResult
}

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
    const call = { cost, isConsumed: true, nowMs }
    const result = this.#resultOf(state, found, call)
    if (!result.allowed) return this.#deny(state, { found, result }, call)
    const restarted = await this.#restartEmpty(state, found, call)
    return restarted === undefined ? result : this.#resultOf(state, restarted, call)
  }

  async peek(id: string, cost: number, nowMs: number): Promise<RateLimitResult> {
    const state = this.#stateOf(id)
    const [found] = await Promise.all([
      Promise.all(state.keys.map((key, index) => this.#counters[index]!.get(key, nowMs))),
      this.#read(state, nowMs),
    ])
    const nothing = { startMs: nowMs, count: 0, marks: 0 }
    const counts = found.map((count) => (count === undefined || count.count <= 0 ? nothing : count))
    return this.#resultOf(state, counts, { cost, isConsumed: false, nowMs })
  }

  async penalty(id: string, amount: number, nowMs: number): Promise<void> {
    const state = this.#stateOf(id)
    const found = await Promise.all(state.keys.map((key, index) => this.#counters[index]!.penalize(key, amount, nowMs)))
    await this.#restartEmpty(state, found, { cost: amount, nowMs })
  }

  async reward(id: string, { amount, atMs }: ConsumedAmount, nowMs: number): Promise<void> {
    const { keys } = this.#stateOf(id)
    const counted = { amount, countedAtMs: atMs }
    await Promise.all(keys.map((key, index) => this.#counters[index]!.giveBack(key, counted, nowMs)))
  }

  async block(id: string, untilMs: number, nowMs: number): Promise<void> {
    await this.#blocks.set(this.#stateOf(id), untilMs, nowMs)
  }

  async reset(id: string): Promise<void> {
    const { keys, blockKey } = this.#stateOf(id)
    this.#states.delete(id)
    await Promise.all([...keys, blockKey].map((key) => this.#options.store.delete(key)))
  }

  #add({ keys }: FirstHitClientState, amount: number, nowMs: number): Promise<WindowCount[]> {
    return Promise.all(keys.map((key, index) => this.#counters[index]!.add(key, amount, nowMs)))
  }

  #resultOf(state: FirstHitClientState, found: readonly WindowCount[], call: TimedCall): RateLimitResult {
    const { windows } = this.#options
    const { nowMs } = call
    // The counters contain the cost of a call that is being consumed.
    const added = call.isConsumed ? call.cost : 0
    let result: RateLimitResult | undefined
    for (let index = 0; index < windows.length; index++) {
      const { startMs, count } = found[index]!
      const counts = { current: Math.max(0, count - added), previous: 0, elapsedMs: nowMs - startMs }
      const one = fixedWindow.evaluate(windows[index]!, counts, call)
      result = result === undefined ? one : tighter(result, one)
    }
    return state.blockedUntilMs > nowMs ? blockedResult(windows, state.blockedUntilMs - nowMs, result!) : result!
  }

  async #deny(
    state: FirstHitClientState,
    { found, result }: CountedDenial,
    { cost, nowMs }: TimedCall,
  ): Promise<RateLimitResult> {
    // Awaited, so that a denial no longer changes the counters once its caller knows of it: any process may reset them.
    const takenBack = found.map(({ startMs }, index) =>
      this.#counters[index]!.takeBack(state.keys[index]!, { amount: cost, countedAtMs: startMs }, nowMs),
    )
    const denial = await this.#blocks.afterDenial(state, result, nowMs)
    await Promise.all(takenBack)
    return denial
  }

  async #mark(state: FirstHitClientState, nowMs: number): Promise<void> {
    const marked = await this.#counters[0]!.mark(state.keys[0]!, nowMs)
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
    { cost, nowMs }: Pick<TimedCall, 'cost' | 'nowMs'>,
  ): Promise<WindowCount[] | undefined> {
    let restarted: WindowCount[] | undefined
    for (let index = 0; index < found.length; index++) {
      const { count, startMs } = found[index]!
      if (count > cost || startMs >= nowMs) continue
      const restartedMs = await this.#counters[index]!.restart(state.keys[index]!, found[index]!, nowMs)
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
    const counters = windows.map(({ limit, windowMs }) => key([name, 'fixed', limit, windowMs, id]))
    const block = key([name, 'fixed', 'block', policiesOf(windows), id])
    const state = new FirstHitClientState({ id, counters, block, group: key([name, id]) })
    this.#states.set(id, state)
    return state
  }
}
