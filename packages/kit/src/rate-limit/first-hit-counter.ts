import { MemcacheServerError } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import { CounterLayout } from './counter-layout.ts'
import type { WindowCount } from './counter-layout.ts'
import type { RateLimitStore } from './rate-limit-store.ts'
import { lifetimeOver, MAX_CLOCK_SKEW_MS } from './rate-limit-window.ts'

/** How often a process tries to start the next window of a counter while others change it. */
const MAX_ATTEMPTS = 64

/**
 * Counts in windows that start at the first hit. The windows are exact to the millisecond, although the lifetimes of
 * items are coarse. A hit takes one round trip. The first hit after the end of a window whose item still exists takes
 * three: it reads the counter, and starts the next window by compare-and-swap. If several processes do so, one
 * succeeds, and the others count in its window.
 *
 * All times in parameters and results are by the clock of this process. If another process has started a window far in
 * the future, one of the two clocks is wrong, and this process counts by the later clock from then on: two processes
 * that each restarted the other's windows would never limit anything.
 */
export class FirstHitCounter {
  readonly layout: CounterLayout
  readonly #store: RateLimitStore
  readonly #ttl: Ttl
  /** The counters whose next window this process is starting; its other hits wait for that. */
  readonly #starting = new Map<string, Promise<void>>()
  /** How far the latest clock that has started a window is ahead of this process's clock, in milliseconds. */
  #aheadMs = 0

  /** @param keptMs how long an item is needed, in milliseconds. Default: as long as its window. */
  constructor(store: RateLimitStore, layout: CounterLayout, keptMs: number = layout.windowMs) {
    this.#store = store
    this.layout = layout
    this.#ttl = lifetimeOver(keptMs)
  }

  /** Adds to the count, and returns the counter's new state. */
  async add(key: string, amount: number, nowMs: number, groupKey: string): Promise<WindowCount> {
    const { layout } = this
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const initial = this.#word({ startMs: nowMs, count: amount, marks: 0 })
      const word = await this.#store.addToWord(key, BigInt(amount), initial, this.#ttl, groupKey)
      const found = this.#read(word, nowMs)
      if (!layout.isOver(found, nowMs)) {
        // Far over any limit: further hits must not reach the start.
        if (found.count > layout.maxHeld) void this.takeBack(key, amount, found.startMs, nowMs, groupKey)
        return found
      }
      const starting = this.#starting.get(key)
      if (starting !== undefined) {
        await starting
        continue
      }
      const started = this.#start(key, amount, nowMs, groupKey)
      const settled = started.then(ignore, ignore)
      this.#starting.set(key, settled)
      try {
        const begun = await started
        if (begun !== undefined) return begun
      } finally {
        this.#starting.delete(key)
      }
    }
    throw this.#contended(key)
  }

  /** Adds any amount to the count, up to the highest count that the counter holds; returns its new state. */
  async penalize(key: string, amount: number, nowMs: number, groupKey: string): Promise<WindowCount> {
    const { maxStep, maxHeld } = this.layout
    if (amount <= maxStep) return this.add(key, amount, nowMs, groupKey)
    const changed = await this.#change(key, nowMs, groupKey, (found) => ({
      ...found,
      count: Math.min(found.count + amount, maxHeld),
    }))
    if (changed !== undefined) return changed
    await this.add(key, 1, nowMs, groupKey)
    return this.penalize(key, amount - 1, nowMs, groupKey)
  }

  /** Returns a counter's state; `undefined` if nothing was counted in a window that has not ended. */
  async get(key: string, nowMs: number, groupKey: string): Promise<WindowCount | undefined> {
    const stored = await this.#store.getsWord(key, groupKey)
    if (stored === undefined) return undefined
    const found = this.#read(stored.word, nowMs)
    return this.layout.isOver(found, nowMs) ? undefined : found
  }

  /**
   * Subtracts from the count, down to 0, if the window has not ended.
   *
   * @param countedAtMs the time when the amount was counted. Default: in the current window.
   */
  async giveBack(
    key: string,
    amount: number,
    countedAtMs: number | undefined,
    nowMs: number,
    groupKey: string,
  ): Promise<void> {
    const { layout } = this
    if (amount > layout.maxStep) {
      await this.#change(key, nowMs, groupKey, (found) => {
        if (countedAtMs !== undefined && found.startMs > countedAtMs) return found
        return { ...found, count: Math.min(found.count, Math.max(0, found.count - amount)) }
      })
      return
    }
    const word = await this.#store.addToWord(key, BigInt(-amount), undefined, this.#ttl, groupKey)
    if (word === undefined) return
    const found = this.#read(word, nowMs)
    const isOther = countedAtMs !== undefined && found.startMs > countedAtMs
    const excess = isOther ? amount : Math.min(amount, -found.count)
    if (excess > 0 && !layout.isOver(found, nowMs)) {
      await this.#store.addToWord(key, BigInt(excess), undefined, this.#ttl, groupKey)
    }
  }

  /** Like `giveBack`, for a hit that was just denied; never rejects. */
  takeBack(key: string, amount: number, startMs: number, nowMs: number, groupKey: string): Promise<void> {
    return this.giveBack(key, amount, startMs, nowMs, groupKey).catch(ignore)
  }

  /** Marks a counter; `undefined` if there is none. */
  async mark(key: string, nowMs: number, groupKey: string): Promise<WindowCount | undefined> {
    const word = await this.#store.addToWord(key, CounterLayout.MARK, undefined, this.#ttl, groupKey)
    return word === undefined ? undefined : this.#read(word, nowMs)
  }

  /** Moves the start of a window, and marks it. */
  async moveAndMark(key: string, found: WindowCount, toMs: number, groupKey: string): Promise<void> {
    await this.#store.addToWord(key, this.layout.moveAndMark(found, toMs), undefined, this.#ttl, groupKey)
  }

  /**
   * Moves the start of a window that has no marks, and marks it, whatever other processes do; returns the counter's new
   * state, `undefined` if there is none.
   */
  async moveAndMarkOnce(key: string, toMs: number, nowMs: number, groupKey: string): Promise<WindowCount | undefined> {
    return this.#change(key, nowMs, groupKey, (found) =>
      found.marks > 0 ? found : { ...found, startMs: toMs, marks: 1 },
    )
  }

  /**
   * Restarts a window now if nothing was counted in it before this hit: hits that were denied or given back do not
   * start a window. Returns its start, which stays if other processes are counting in it.
   */
  async restart(key: string, found: WindowCount, nowMs: number, groupKey: string): Promise<number> {
    const stored = await this.#store.getsWord(key, groupKey)
    if (stored === undefined) return found.startMs
    const now = this.#read(stored.word, nowMs)
    if (now.startMs !== found.startMs || now.count !== found.count) return now.startMs
    const word = this.#word({ ...now, startMs: nowMs })
    const moved = await this.#store.swapWord(key, word, stored.casUnique, this.#ttl, groupKey)
    return moved ? nowMs : found.startMs
  }

  /** Changes a window that has not ended, by compare-and-swap; `undefined` if there is none. */
  async #change(
    key: string,
    nowMs: number,
    groupKey: string,
    change: (found: WindowCount) => WindowCount,
  ): Promise<WindowCount | undefined> {
    const { layout } = this
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const stored = await this.#store.getsWord(key, groupKey)
      if (stored === undefined) return undefined
      const found = this.#read(stored.word, nowMs)
      if (layout.isOver(found, nowMs)) return undefined
      const changed = change(found)
      if (changed.count === found.count && changed.marks === found.marks) return found
      if (await this.#store.swapWord(key, this.#word(changed), stored.casUnique, this.#ttl, groupKey)) return changed
    }
    throw this.#contended(key)
  }

  /** Decodes a counter, in the time of this process. */
  #read(word: bigint, nowMs: number): WindowCount {
    const laterMs = nowMs + this.#aheadMs
    const found = this.layout.read(word, laterMs)
    const aheadMs = found.startMs - laterMs
    if (aheadMs > this.layout.maxAheadMs && aheadMs <= MAX_CLOCK_SKEW_MS) this.#aheadMs += aheadMs
    return this.#aheadMs === 0 ? found : { ...found, startMs: found.startMs - this.#aheadMs }
  }

  #word(count: WindowCount): bigint {
    return this.layout.word(this.#aheadMs === 0 ? count : { ...count, startMs: count.startMs + this.#aheadMs })
  }

  #contended(key: string): MemcacheServerError {
    return new MemcacheServerError(`too many processes change the rate limit counter ${key} at once: try again`, {
      retryable: true,
    })
  }

  /** Starts the next window with a count; `undefined` if another process was faster, or the item is gone. */
  async #start(key: string, amount: number, nowMs: number, groupKey: string): Promise<WindowCount | undefined> {
    const { layout } = this
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const stored = await this.#store.getsWord(key, groupKey)
      if (stored === undefined) return undefined
      const found = this.#read(stored.word, nowMs)
      if (!layout.isOver(found, nowMs)) return undefined
      const begun = { startMs: nowMs, count: amount, marks: 0 }
      if (await this.#store.swapWord(key, this.#word(begun), stored.casUnique, this.#ttl, groupKey)) return begun
    }
    return undefined
  }
}

function ignore(): void {}
