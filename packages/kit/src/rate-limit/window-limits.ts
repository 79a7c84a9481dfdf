import type { Ttl } from 'memcache-ts-protocol'
import { BoundedMap } from './bounded-map.ts'
import { blockedResult } from './limits.ts'
import type { Limits, LimitsOptions } from './limits.ts'
import { tighter } from './rate-limit-result.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import { lifetimeOver, windowIndex } from './rate-limit-window.ts'
import { Standing } from './standing.ts'
import type { WindowAlgorithm } from './window-algorithms.ts'

/** Ids of which something is remembered between calls. */
const MOST_STANDINGS = 10_000

/**
 * A block adds this to the id's counter of the shortest window, far above any count: whoever counts there next sees that there
 * was a block, and so nobody has to ask for one before.
 */
const BLOCK_MARK = 2 ** 36

/**
 * Limits that count in windows. A call adds its cost to the counter of each window in one pipeline, and is admitted where
 * what the counters then say is within the limits: of any number of parallel calls, never more than the limit. Where it is
 * denied, it is taken back from all of them: counted, denials would starve a client that keeps trying.
 *
 * The counter of the window before, and whether the id is blocked, are asked for in the same pipeline, but not with
 * each call (`Standing`).
 */
export class WindowLimits implements Limits {
  readonly #options: LimitsOptions
  readonly #algorithm: WindowAlgorithm
  readonly #ttls: readonly Ttl[]
  readonly #standings = new BoundedMap<Standing>(MOST_STANDINGS)

  constructor(options: LimitsOptions, algorithm: WindowAlgorithm) {
    this.#options = options
    this.#algorithm = algorithm
    const windowsKept = algorithm.readsPrevious ? 2 : 1
    this.#ttls = options.windows.map(({ windowMs }) => lifetimeOver(windowMs * windowsKept))
  }

  async consume(id: string, cost: number, nowMs: number): Promise<RateLimitResult> {
    const { store } = this.#options
    const standing = this.#standing(id, nowMs)
    // Sent first: the answers come in order, and this one is awaited last.
    const reading = standing.isBelieved(nowMs) ? undefined : this.#read(standing, nowMs)
    const { keys, groupKey } = standing
    const raw =
      keys.length === 1
        ? [await store.incr(keys[0]!, cost, this.#ttls[0]!, groupKey)]
        : await Promise.all(keys.map((key, index) => store.incr(key, cost, this.#ttls[index]!, groupKey)))
    if (reading !== undefined) await reading
    const marks = marksIn(raw[0]!)
    if (marks !== standing.marks) await this.#heedMark(standing, marks, nowMs)
    const result = this.#judge(standing, raw, cost, nowMs)
    if (!result.allowed) return this.#deny(standing, result, cost, nowMs)
    return result
  }

  async peek(id: string, nowMs: number): Promise<RateLimitResult> {
    const { store } = this.#options
    const standing = this.#standing(id, nowMs)
    const [raw] = await Promise.all([
      Promise.all(standing.keys.map((key) => store.count(key, standing.groupKey))),
      this.#read(standing, nowMs),
    ])
    return this.#judge(standing, raw, 0, nowMs)
  }

  async penalty(id: string, amount: number, nowMs: number): Promise<void> {
    const { store } = this.#options
    const { keys, groupKey } = this.#standing(id, nowMs)
    await Promise.all(keys.map((key, index) => store.incr(key, amount, this.#ttls[index]!, groupKey)))
  }

  async reward(id: string, amount: number, atMs: number, nowMs: number): Promise<void> {
    const { store, windows } = this.#options
    const standing = this.#standing(id, nowMs)
    const { groupKey } = standing
    await Promise.all(
      windows.map(async (window, index) => {
        const key = this.#counterKey(index, windowIndex(window.windowMs, atMs), id)
        const left = countIn(await store.decr(key, amount, groupKey))
        // Below a block's mark there is no 0 at which it would have stopped.
        if (left < 0) await store.incr(key, -left, this.#ttls[index]!, groupKey)
      }),
    )
    // It may have changed a window before, which is not asked for with every call.
    if (!standing.isIn(windows, atMs)) this.#standings.delete(id)
  }

  async block(id: string, untilMs: number, nowMs: number): Promise<void> {
    await this.#block(this.#standing(id, nowMs), untilMs, nowMs)
  }

  async reset(id: string, nowMs: number): Promise<void> {
    const { store } = this.#options
    const standing = this.#standing(id, nowMs)
    this.#standings.delete(id)
    const keys = [...standing.keys, ...this.#previousKeys(standing, id), standing.blockKey]
    await Promise.all(keys.map((key) => store.delete(key, standing.groupKey)))
  }

  #judge(standing: Standing, raw: readonly number[], cost: number, nowMs: number): RateLimitResult {
    const { windows } = this.#options
    if (standing.blockedUntilMs > nowMs) return blockedResult(windows, standing.blockedUntilMs, nowMs)
    let result = this.#judgeWindow(standing, 0, raw[0]!, cost, nowMs)
    for (let index = 1; index < windows.length; index++) {
      result = tighter(result, this.#judgeWindow(standing, index, raw[index]!, cost, nowMs))
    }
    return result
  }

  /** @param cost what the call has added to the counter; 0 asks about a call at cost 1. */
  #judgeWindow(standing: Standing, index: number, raw: number, cost: number, nowMs: number): RateLimitResult {
    const window = this.#options.windows[index]!
    const counts = {
      current: Math.max(0, countIn(raw) - cost),
      previous: standing.previous[index]!,
      elapsedMs: nowMs - standing.indexes[index]! * window.windowMs,
    }
    return this.#algorithm.judge(window, counts, cost === 0 ? 1 : cost, cost > 0)
  }

  async #deny(standing: Standing, result: RateLimitResult, cost: number, nowMs: number): Promise<RateLimitResult> {
    const { store, windows, blockMs } = this.#options
    // Nobody waits for it, but what this process asks next comes behind it.
    for (const key of standing.keys) store.decr(key, cost, standing.groupKey).catch(ignore)
    if (blockMs === undefined) return result
    if (standing.blockedUntilMs <= nowMs) await this.#block(standing, nowMs + blockMs, nowMs).catch(ignore)
    return blockedResult(windows, standing.blockedUntilMs, nowMs)
  }

  async #block(standing: Standing, untilMs: number, nowMs: number): Promise<void> {
    const { store } = this.#options
    const { keys, groupKey, blockKey } = standing
    // At once, so that of parallel calls one tells it.
    standing.blockedUntilMs = untilMs
    const [, raw] = await Promise.all([
      store.set(blockKey, untilMs, lifetimeOver(untilMs - nowMs), groupKey),
      store.incr(keys[0]!, BLOCK_MARK, this.#ttls[0]!, groupKey),
    ])
    standing.marks = marksIn(raw)
  }

  /** Asks for the block that a counter says there was, or was lifted, since this process last asked. */
  async #heedMark(standing: Standing, marks: number, nowMs: number): Promise<void> {
    // What is under way may have been asked before the mark was made.
    await standing.reading
    if (marks === standing.marks) return
    await this.#read(standing, nowMs)
    standing.marks = marks
  }

  /** Asks for what is not in the counters themselves; callers that come meanwhile wait for the same. */
  #read(standing: Standing, nowMs: number): Promise<void> {
    return standing.read(nowMs, async () => {
      const { store } = this.#options
      const { id, groupKey, blockKey, previous, blockedUntilMs } = standing
      const asked = store.get(blockKey, groupKey)
      if (this.#algorithm.readsPrevious) {
        // Who waits for a counter that fails first does not come to wait for this.
        asked.catch(ignore)
        const keys = this.#previousKeys(standing, id)
        const counts = await Promise.all(keys.map((key) => store.count(key, groupKey)))
        for (const [index, count] of counts.entries()) previous[index] = Math.max(0, countIn(count))
      }
      const untilMs = await asked
      // Unless this process has blocked it meanwhile.
      if (standing.blockedUntilMs === blockedUntilMs)
        standing.blockedUntilMs = typeof untilMs === 'number' ? untilMs : 0
    })
  }

  #previousKeys({ indexes }: Standing, id: string): string[] {
    return indexes.map((at, index) => this.#counterKey(index, at - 1, id))
  }

  #standing(id: string, nowMs: number): Standing {
    const { windows, name, key } = this.#options
    const known = this.#standings.get(id)
    if (known?.isIn(windows, nowMs) === true) return known
    const indexes = windows.map(({ windowMs }) => windowIndex(windowMs, nowMs))
    const keys = indexes.map((at, index) => this.#counterKey(index, at, id))
    const standing = new Standing(id, indexes, keys, key([name, 'block', id]), key([name, id]))
    this.#standings.set(id, standing)
    return standing
  }

  #counterKey(window: number, at: number, id: string): string {
    const { windows, name, key } = this.#options
    const { limit, windowMs } = windows[window]!
    return key([name, limit, windowMs, at, id])
  }
}

/** The count in a counter that may bear marks; below 0 where it was given back more than it had. */
function countIn(raw: number): number {
  return raw < BLOCK_MARK / 2 ? raw : ((raw + BLOCK_MARK / 2) % BLOCK_MARK) - BLOCK_MARK / 2
}

function marksIn(raw: number): number {
  return raw < BLOCK_MARK / 2 ? 0 : Math.floor((raw + BLOCK_MARK / 2) / BLOCK_MARK)
}

function ignore(): void {}
