import { Blocks } from './blocks.ts'
import { BoundedMap } from '../bounded-map.ts'
import { CounterLayout } from './counter-layout.ts'
import type { WindowCount } from './counter-layout.ts'
import { FirstHitCounter } from './first-hit-counter.ts'
import { blockedResult } from './limits.ts'
import type { Limits, LimitsOptions } from './limits.ts'
import { tighter } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import { FirstHitStanding } from './standing.ts'
import { policiesOf } from './rate-limit-window.ts'
import { fixedWindow } from './window-algorithms.ts'

/**
 * Fixed windows that start at an id's first hit. A call adds its cost to the counter of each window in one pipeline,
 * and is allowed if the counters are then within the limits: of any number of parallel calls, never more than the limit
 * are allowed. If it is denied, its cost is taken back from all counters.
 *
 * Whether the id is blocked is read with the first hit of a window, once a second, and when a counter has another mark.
 */
export class FirstHitLimits implements Limits {
  readonly #options: LimitsOptions
  readonly #blocks: Blocks<FirstHitStanding>
  readonly #counters: readonly FirstHitCounter[]
  readonly #standings: BoundedMap<FirstHitStanding>

  /**
   * @param maxIds how many ids are remembered between calls.
   * @throws MemcacheOptionError if a window of this length cannot count up to its limit.
   */
  constructor(options: LimitsOptions, maxIds: number) {
    this.#options = options
    this.#standings = new BoundedMap(maxIds)
    this.#blocks = new Blocks(options, {
      mark: (standing: FirstHitStanding, nowMs) => this.#mark(standing, nowMs),
      read: (standing: FirstHitStanding, nowMs) => this.#read(standing, nowMs),
    })
    this.#counters = options.windows.map(
      ({ limit, windowMs }) => new FirstHitCounter(options.store, new CounterLayout(windowMs, limit)),
    )
  }

  async consume(id: string, cost: number, nowMs: number): Promise<RateLimitResult> {
    const standing = this.#standing(id)
    const isNextWindow = nowMs - standing.startMs >= this.#options.windows[0]!.windowMs
    // Sent first: responses come in order, and this one is awaited last.
    let reading = standing.isBelieved(nowMs) && !isNextWindow ? undefined : this.#read(standing, nowMs)
    const found = await this.#add(standing, cost, nowMs)
    const first = found[0]!
    if (first.startMs !== standing.startMs) {
      standing.startMs = first.startMs
      standing.marks = 0
      reading ??= this.#read(standing, nowMs)
    }
    if (reading !== undefined) await reading
    if (first.marks !== standing.marks) await this.#blocks.heed(standing, first.marks, nowMs)
    const result = this.#judge(standing, found, cost, cost, nowMs)
    if (!result.allowed) return this.#deny(standing, found, result, cost, nowMs)
    const restarted = await this.#restartEmpty(standing, found, cost, nowMs)
    return restarted === undefined ? result : this.#judge(standing, restarted, cost, cost, nowMs)
  }

  async peek(id: string, cost: number, nowMs: number): Promise<RateLimitResult> {
    const standing = this.#standing(id)
    const [found] = await Promise.all([
      Promise.all(standing.keys.map((key, index) => this.#counters[index]!.get(key, nowMs, standing.groupKey))),
      this.#read(standing, nowMs),
    ])
    const nothing = { startMs: nowMs, count: 0, marks: 0 }
    return this.#judge(
      standing,
      found.map((count) => (count === undefined || count.count <= 0 ? nothing : count)),
      0,
      cost,
      nowMs,
    )
  }

  async penalty(id: string, amount: number, nowMs: number): Promise<void> {
    const standing = this.#standing(id)
    const { keys, groupKey } = standing
    const found = await Promise.all(
      keys.map((key, index) => this.#counters[index]!.penalize(key, amount, nowMs, groupKey)),
    )
    await this.#restartEmpty(standing, found, amount, nowMs)
  }

  async reward(id: string, amount: number, atMs: number, nowMs: number): Promise<void> {
    const { keys, groupKey } = this.#standing(id)
    await Promise.all(keys.map((key, index) => this.#counters[index]!.giveBack(key, amount, atMs, nowMs, groupKey)))
  }

  async block(id: string, untilMs: number, nowMs: number): Promise<void> {
    await this.#blocks.set(this.#standing(id), untilMs, nowMs)
  }

  async reset(id: string): Promise<void> {
    const { keys, blockKey, groupKey } = this.#standing(id)
    this.#standings.delete(id)
    await Promise.all([...keys, blockKey].map((key) => this.#options.store.delete(key, groupKey)))
  }

  #add({ keys, groupKey }: FirstHitStanding, amount: number, nowMs: number): Promise<WindowCount[]> {
    return Promise.all(keys.map((key, index) => this.#counters[index]!.add(key, amount, nowMs, groupKey)))
  }

  /** @param added the amount that this call has added to the counters. */
  #judge(
    standing: FirstHitStanding,
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
      const one = fixedWindow.judge(
        windows[index]!,
        { current, previous: 0, elapsedMs: nowMs - startMs },
        cost,
        added > 0,
      )
      result = result === undefined ? one : tighter(result, one)
    }
    return standing.blockedUntilMs > nowMs ? blockedResult(windows, standing.blockedUntilMs, nowMs, result!) : result!
  }

  async #deny(
    standing: FirstHitStanding,
    found: readonly WindowCount[],
    result: RateLimitResult,
    cost: number,
    nowMs: number,
  ): Promise<RateLimitResult> {
    // No caller waits for this, but later requests of this process are executed after it.
    for (const [index, { startMs }] of found.entries()) {
      this.#counters[index]!.takeBack(standing.keys[index]!, cost, startMs, nowMs, standing.groupKey)
    }
    return this.#blocks.afterDenial(standing, result, nowMs)
  }

  async #mark(standing: FirstHitStanding, nowMs: number): Promise<void> {
    const marked = await this.#counters[0]!.mark(standing.keys[0]!, nowMs, standing.groupKey)
    if (marked?.startMs === standing.startMs) standing.marks = marked.marks
  }

  #read(standing: FirstHitStanding, nowMs: number): Promise<void> {
    return standing.read(nowMs, () => this.#blocks.read(standing))
  }

  /**
   * Restarts windows whose hits were all denied or given back, since such hits do not start a window. Resolves to the
   * counters' new state if there were such windows; a window that other processes count in keeps its start.
   */
  async #restartEmpty(
    standing: FirstHitStanding,
    found: readonly WindowCount[],
    added: number,
    nowMs: number,
  ): Promise<WindowCount[] | undefined> {
    const { keys, groupKey } = standing
    let restarted: WindowCount[] | undefined
    for (let index = 0; index < found.length; index++) {
      const { count, startMs } = found[index]!
      if (count > added || startMs >= nowMs) continue
      const restartedMs = await this.#counters[index]!.restart(keys[index]!, found[index]!, nowMs, groupKey)
      if (index === 0 && standing.startMs === startMs) standing.startMs = restartedMs
      restarted ??= [...found]
      restarted[index] = { ...found[index]!, startMs: restartedMs }
    }
    return restarted
  }

  #standing(id: string): FirstHitStanding {
    const known = this.#standings.get(id)
    if (known !== undefined) return known
    const { windows, name, key } = this.#options
    const keys = windows.map(({ limit, windowMs }) => key([name, 'fixed', limit, windowMs, id]))
    const standing = new FirstHitStanding(
      id,
      keys,
      key([name, 'fixed', 'block', policiesOf(windows), id]),
      key([name, id]),
    )
    this.#standings.set(id, standing)
    return standing
  }
}
