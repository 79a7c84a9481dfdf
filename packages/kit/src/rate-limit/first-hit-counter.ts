import { MemcacheServerError } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import { CounterLayout } from './counter-layout.ts'
import type { WindowCount } from './counter-layout.ts'
import type { GroupedKey, RateLimitStore } from './rate-limit-store.ts'
import { lifetimeOver, MAX_CLOCK_SKEW_MS } from './rate-limit-window.ts'

/** How often a process tries to start the next window of a counter while others change it. */
const MAX_ATTEMPTS = 64

/** An amount that was counted before. */
interface CountedAmount {
  readonly amount: number
  /** The time when it was counted. Default: in the current window. */
  readonly countedAtMs?: number
}

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
  async add(key: GroupedKey, amount: number, nowMs: number): Promise<WindowCount> {
    const { layout } = this
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const initial = this.#word({ startMs: nowMs, count: amount, marks: 0 })
      const word = await this.#store.addToWord(key, { delta: BigInt(amount), initial }, this.#ttl)
      const found = this.#read(word, nowMs)
      if (!layout.isOver(found, nowMs)) {
        // Far over any limit: further hits must not reach the start.
        if (found.count > layout.maxHeld) void this.takeBack(key, { amount, countedAtMs: found.startMs }, nowMs)
        return found
      }
      const starting = this.#starting.get(key.key)
      if (starting !== undefined) {
        await starting
        continue
      }
      const started = this.#start(key, amount, nowMs)
      const settled = started.then(ignore, ignore)
      this.#starting.set(key.key, settled)
      try {
        const begun = await started
        if (begun !== undefined) return begun
      } finally {
        this.#starting.delete(key.key)
      }
    }
    throw this.#contended(key)
  }

  /** Adds any amount to the count, up to the highest count that the counter holds; returns its new state. */
  async penalize(key: GroupedKey, amount: number, nowMs: number): Promise<WindowCount> {
    const { maxStep, maxHeld } = this.layout
    if (amount <= maxStep) return this.add(key, amount, nowMs)
    const changed = await this.#change(key, nowMs, (found) => ({
      ...found,
      count: Math.min(found.count + amount, maxHeld),
    }))
    if (changed !== undefined) return changed
    await this.add(key, 1, nowMs)
    return this.penalize(key, amount - 1, nowMs)
  }

  /** Returns a counter's state; `undefined` if nothing was counted in a window that has not ended. */
  async get(key: GroupedKey, nowMs: number): Promise<WindowCount | undefined> {
    const stored = await this.#store.getsWord(key)
    if (stored === undefined) return undefined
    const found = this.#read(stored.word, nowMs)
    return this.layout.isOver(found, nowMs) ? undefined : found
  }

  /** Subtracts from the count, down to 0, if the window has not ended. */
  async giveBack(key: GroupedKey, { amount, countedAtMs }: CountedAmount, nowMs: number): Promise<void> {
    const { layout } = this
    if (amount > layout.maxStep) {
      await this.#change(key, nowMs, (found) => {
        if (countedAtMs !== undefined && found.startMs > countedAtMs) return found
        return { ...found, count: Math.min(found.count, Math.max(0, found.count - amount)) }
      })
      return
    }
    const word = await this.#store.addToWord(key, { delta: BigInt(-amount) }, this.#ttl)
    if (word === undefined) return
    const found = this.#read(word, nowMs)
    const isOther = countedAtMs !== undefined && found.startMs > countedAtMs
    const excess = isOther ? amount : Math.min(amount, -found.count)
    if (excess > 0 && !layout.isOver(found, nowMs)) {
      await this.#store.addToWord(key, { delta: BigInt(excess) }, this.#ttl)
    }
  }

  /** Like `giveBack`, for a hit that was just denied; never rejects. */
  takeBack(key: GroupedKey, counted: CountedAmount, nowMs: number): Promise<void> {
    return this.giveBack(key, counted, nowMs).catch(ignore)
  }

  /** Marks a counter; `undefined` if there is none. */
  async mark(key: GroupedKey, nowMs: number): Promise<WindowCount | undefined> {
    const word = await this.#store.addToWord(key, { delta: CounterLayout.MARK }, this.#ttl)
    return word === undefined ? undefined : this.#read(word, nowMs)
  }

  /** Moves the start of a window, and marks it. */
  async moveAndMark(key: GroupedKey, found: WindowCount, toMs: number): Promise<void> {
    await this.#store.addToWord(key, { delta: this.layout.moveAndMark(found, toMs) }, this.#ttl)
  }

  /**
   * Moves the start of a window that has no marks, and marks it, against concurrent changes; returns the counter's new
   * state, `undefined` if there is none.
   */
  async moveAndMarkOnce(key: GroupedKey, toMs: number, nowMs: number): Promise<WindowCount | undefined> {
    return this.#change(key, nowMs, (found) => (found.marks > 0 ? found : { ...found, startMs: toMs, marks: 1 }))
  }

  /**
   * Restarts a window now if nothing was counted in it before this hit: hits that were denied or given back do not
   * start a window. Returns its start, which stays if other processes are counting in it.
   */
  async restart(key: GroupedKey, found: WindowCount, nowMs: number): Promise<number> {
    const stored = await this.#store.getsWord(key)
    if (stored === undefined) return found.startMs
    const now = this.#read(stored.word, nowMs)
    if (now.startMs !== found.startMs || now.count !== found.count) return now.startMs
    const word = this.#word({ ...now, startMs: nowMs })
    const moved = await this.#store.swapWord(key, { word, casUnique: stored.casUnique }, this.#ttl)
    return moved ? nowMs : found.startMs
  }

  /** Changes a window that has not ended, by compare-and-swap; `undefined` if there is none. */
  async #change(
    key: GroupedKey,
    nowMs: number,
    change: (found: WindowCount) => WindowCount,
  ): Promise<WindowCount | undefined> {
    const { layout } = this
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const stored = await this.#store.getsWord(key)
      if (stored === undefined) return undefined
      const found = this.#read(stored.word, nowMs)
      if (layout.isOver(found, nowMs)) return undefined
      const changed = change(found)
      if (changed.count === found.count && changed.marks === found.marks) return found
      const swapped = { word: this.#word(changed), casUnique: stored.casUnique }
      if (await this.#store.swapWord(key, swapped, this.#ttl)) return changed
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

  #contended({ key }: GroupedKey): MemcacheServerError {
    return new MemcacheServerError(`too many processes change the rate limit counter ${key} at once: try again`, {
      retryable: true,
    })
  }

  /** Starts the next window with a count; `undefined` if another process was faster, or the item is gone. */
  async #start(key: GroupedKey, amount: number, nowMs: number): Promise<WindowCount | undefined> {
    const { layout } = this
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const stored = await this.#store.getsWord(key)
      if (stored === undefined) return undefined
      const found = this.#read(stored.word, nowMs)
      if (!layout.isOver(found, nowMs)) return undefined
      const begun = { startMs: nowMs, count: amount, marks: 0 }
      const swapped = { word: this.#word(begun), casUnique: stored.casUnique }
      if (await this.#store.swapWord(key, swapped, this.#ttl)) return begun
    }
    return undefined
  }
}

function ignore(): void {}
