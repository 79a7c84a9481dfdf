import type { RateLimitAlgorithm, RateLimitWindow } from '../src/rate-limit/index.ts'

/** An amount that was counted, and its time. */
interface Entry {
  readonly atMs: number
  readonly cost: number
}

/** The expected windows of one id, computed from a list of all counted amounts. */
export interface WindowModel {
  allows(nowMs: number, cost: number): boolean
  count(nowMs: number, cost: number): void
  giveBack(nowMs: number, cost: number): void
}

/** A fixed window that starts at the first call which is counted. */
class FixedModel implements WindowModel {
  readonly #window: RateLimitWindow
  #startMs = -Infinity
  #count = 0

  constructor(window: RateLimitWindow) {
    this.#window = window
  }

  allows(nowMs: number, cost: number): boolean {
    return (this.#isOver(nowMs) ? 0 : this.#count) + cost <= this.#window.limit
  }

  count(nowMs: number, cost: number): void {
    if (this.#isOver(nowMs) || this.#count === 0) {
      this.#startMs = nowMs
      this.#count = 0
    }
    this.#count += cost
  }

  giveBack(nowMs: number, cost: number): void {
    if (!this.#isOver(nowMs)) this.#count = Math.max(0, this.#count - cost)
  }

  #isOver(nowMs: number): boolean {
    return nowMs - this.#startMs >= this.#window.windowMs
  }
}

/** The sliding-window counter, over windows that are aligned to 1970. */
class SlidingModel implements WindowModel {
  readonly #window: RateLimitWindow
  readonly #counts = new Map<number, number>()

  constructor(window: RateLimitWindow) {
    this.#window = window
  }

  allows(nowMs: number, cost: number): boolean {
    const { limit, windowMs } = this.#window
    const index = Math.floor(nowMs / windowMs)
    const leftMs = windowMs - (nowMs % windowMs)
    const previous = Math.min(limit, this.#counts.get(index - 1) ?? 0)
    return previous * leftMs + ((this.#counts.get(index) ?? 0) + cost) * windowMs <= limit * windowMs
  }

  count(nowMs: number, cost: number): void {
    const index = Math.floor(nowMs / this.#window.windowMs)
    this.#counts.set(index, (this.#counts.get(index) ?? 0) + cost)
  }

  giveBack(nowMs: number, cost: number): void {
    const index = Math.floor(nowMs / this.#window.windowMs)
    this.#counts.set(index, Math.max(0, (this.#counts.get(index) ?? 0) - cost))
  }
}

/** One at a time, evenly, with a burst of the limit: by what is left in a bucket that fills up again. */
class GcraModel implements WindowModel {
  readonly #window: RateLimitWindow
  readonly #intervalUs: number
  #entries: Entry[] = []

  constructor(window: RateLimitWindow) {
    this.#window = window
    this.#intervalUs = Math.ceil((window.windowMs * 1000) / window.limit)
  }

  allows(nowMs: number, cost: number): boolean {
    return this.#owedUs(nowMs) + cost * this.#intervalUs <= this.#window.limit * this.#intervalUs
  }

  count(nowMs: number, cost: number): void {
    this.#entries.push({ atMs: nowMs, cost })
  }

  giveBack(nowMs: number, cost: number): void {
    this.#entries.push({ atMs: nowMs, cost: -cost })
  }

  /** Returns the content of the bucket, which drains evenly. */
  #owedUs(nowMs: number): number {
    let owedUs = 0
    let lastMs = -Infinity
    for (const { atMs, cost } of this.#entries) {
      owedUs = Math.max(0, owedUs - (atMs - lastMs) * 1000)
      owedUs = Math.max(0, owedUs + cost * this.#intervalUs)
      lastMs = atMs
    }
    return Math.max(0, owedUs - (nowMs - lastMs) * 1000)
  }
}

const MODELS = { fixed: FixedModel, sliding: SlidingModel, gcra: GcraModel }

/** The expected results for the calls of one id, computed from an exact list of them. */
export class LimiterModel {
  readonly #windows: readonly WindowModel[]
  readonly #blockMs: number | undefined
  #blockedUntilMs = 0

  constructor(algorithm: RateLimitAlgorithm, windows: readonly RateLimitWindow[], blockMs: number | undefined) {
    this.#windows = windows.map((window) => new MODELS[algorithm](window))
    this.#blockMs = blockMs
  }

  /** Whether a call is allowed; if so, it is counted, and if not, the id may be blocked by that. */
  consume(nowMs: number, cost: number): { readonly allowed: boolean; readonly blocks: boolean } {
    const isBlocked = nowMs < this.#blockedUntilMs
    const allowed = !isBlocked && this.#windows.every((window) => window.allows(nowMs, cost))
    if (allowed) this.count(nowMs, cost)
    const blocks = !allowed && !isBlocked && this.#blockMs !== undefined
    if (blocks) this.block(nowMs + this.#blockMs!)
    return { allowed, blocks }
  }

  count(nowMs: number, cost: number): void {
    for (const window of this.#windows) window.count(nowMs, cost)
  }

  giveBack(nowMs: number, cost: number): void {
    for (const window of this.#windows) window.giveBack(nowMs, cost)
  }

  block(untilMs: number): void {
    this.#blockedUntilMs = untilMs
  }
}

/**
 * The times at which denied calls may be repeated: a call that waits until then is not denied again, if nothing was
 * counted meanwhile.
 */
export class Promises {
  #promises: { readonly atMs: number; readonly cost: number }[] = []

  /**
   * Records the result of a call; returns the guarantee that it violates.
   *
   * @param blocks whether the id was blocked by this call, which earlier results do not show.
   */
  heard(
    nowMs: number,
    cost: number,
    result: { readonly allowed: boolean; readonly retryAfterMs: number },
    blocks: boolean,
  ): string | undefined {
    if (result.allowed) {
      this.#promises = []
      return undefined
    }
    const broken = this.#promises.find((promise) => promise.cost >= cost && nowMs >= promise.atMs)
    if (blocks) this.#promises = []
    this.#promises.push({ atMs: nowMs + result.retryAfterMs, cost })
    return broken && `a call at cost ${cost} was denied at ${nowMs}, and told ${broken.atMs} for cost ${broken.cost}`
  }

  /** Forgets earlier results, which do not hold after a penalty or a block. */
  forget(): void {
    this.#promises = []
  }
}
