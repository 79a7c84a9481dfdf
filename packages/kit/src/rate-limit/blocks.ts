import { blockedResult } from './limits.ts'
import type { LimitsOptions } from './limits.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import { lifetimeOver } from './rate-limit-window.ts'
import type { Standing } from './standing.ts'

const MAX_ATTEMPTS = 16

/** The operations on an id's counter and on its remembered state that blocks need. */
export interface BlockHost<Of extends Standing> {
  /**
   * Marks the id's first counter, so that the next process that counts there reads the block; records the mark in the
   * standing.
   */
  mark(standing: Of, nowMs: number): Promise<void>
  /** Reads the block, and the other state that is not in the counters. */
  read(standing: Of, nowMs: number): Promise<void>
}

/** Ids that are denied everything until a time: the end of a block is stored under a key of its own. */
export class Blocks<Of extends Standing> {
  readonly #options: LimitsOptions
  readonly #host: BlockHost<Of>

  constructor(options: LimitsOptions, host: BlockHost<Of>) {
    this.#options = options
    this.#host = host
  }

  /** Reads until when an id is blocked. */
  async read(standing: Of): Promise<void> {
    const { blockedUntilMs, blockKey, groupKey } = standing
    const stored = await this.#options.store.get(blockKey, groupKey)
    // Unless this process has blocked it meanwhile.
    if (standing.blockedUntilMs === blockedUntilMs) standing.blockedUntilMs = blockEnd(stored)
  }

  /** Reads the block again if the counter's marks show that it was set or lifted since this process last read it. */
  async heed(standing: Of, marks: number, nowMs: number): Promise<void> {
    // A running read may have been sent before the mark was set.
    await standing.reading
    if (marks === standing.marks) return
    await this.#host.read(standing, nowMs)
    standing.marks = marks
  }

  /** Blocks an id, replacing any stored block. */
  async set(standing: Of, untilMs: number, nowMs: number): Promise<void> {
    const { blockKey, groupKey } = standing
    standing.blockedUntilMs = untilMs
    await Promise.all([
      this.#options.store.set(blockKey, untilMs, lifetimeOver(untilMs - nowMs), groupKey),
      this.#host.mark(standing, nowMs),
    ])
  }

  /** Blocks a denied id if the limiter has a `blockMs`; returns the result for the call. */
  async afterDenial(standing: Of, denial: RateLimitResult, nowMs: number): Promise<RateLimitResult> {
    const { windows, blockMs } = this.#options
    if (blockMs === undefined || standing.blockedUntilMs > nowMs) return denial
    standing.blocking ??= this.#begin(standing, blockEndMs(nowMs, blockMs), nowMs).finally(() => {
      standing.blocking = undefined
    })
    await standing.blocking.catch(ignore)
    return standing.blockedUntilMs > nowMs ? blockedResult(windows, standing.blockedUntilMs, nowMs, denial) : denial
  }

  async #begin(standing: Of, untilMs: number, nowMs: number): Promise<void> {
    const stored = await this.#storeUnlessBlocked(standing, untilMs, nowMs)
    standing.blockedUntilMs = stored
    if (stored === untilMs) await this.#host.mark(standing, nowMs)
  }

  /** The first process sets the end of the block, so that all processes report the same end. Resolves to that end. */
  async #storeUnlessBlocked({ blockKey, groupKey }: Of, untilMs: number, nowMs: number): Promise<number> {
    const { store } = this.#options
    const ttl = lifetimeOver(untilMs - nowMs)
    let casUnique: bigint | undefined
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (await store.swap(blockKey, untilMs, casUnique, ttl, groupKey)) break
      const found = await store.gets(blockKey, groupKey)
      const foundMs = blockEnd(found?.value)
      if (foundMs > nowMs) return foundMs
      casUnique = found?.casUnique
    }
    return untilMs
  }
}

/** The end of a block that begins now, limited to exact integers. */
export function blockEndMs(nowMs: number, blockMs: number): number {
  return Math.min(nowMs + blockMs, Number.MAX_SAFE_INTEGER)
}

/** The end of a stored block, in milliseconds since 1970; 0 if there is none. */
function blockEnd(stored: unknown): number {
  return typeof stored === 'number' && Number.isFinite(stored) ? stored : 0
}

function ignore(): void {}
