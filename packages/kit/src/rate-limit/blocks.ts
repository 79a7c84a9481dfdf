import { blockedResult } from './limits.ts'
import type { LimitsOptions } from './limits.ts'
import type { RateLimitResult } from './rate-limit-result.ts'
import { lifetimeOver } from './rate-limit-window.ts'
import type { ClientState } from './client-state.ts'

const MAX_ATTEMPTS = 16

/** The operations on an id's counter and on its remembered state that blocks need. */
export interface BlockHost<Of extends ClientState> {
  /**
   * Marks the id's first counter, so that the next process that counts there reads the block; records the mark in the
   * state.
   */
  mark(state: Of, nowMs: number): Promise<void>
  /** Reads the block, and the other state that is not in the counters. */
  read(state: Of, nowMs: number): Promise<void>
}

/** Blocks ids: all their calls are denied until a time. The end of a block is stored under a separate key. */
export class Blocks<Of extends ClientState> {
  readonly #options: LimitsOptions
  readonly #host: BlockHost<Of>

  constructor(options: LimitsOptions, host: BlockHost<Of>) {
    this.#options = options
    this.#host = host
  }

  /** Reads the end of an id's block. */
  async read(state: Of): Promise<void> {
    const { blockedUntilMs, blockKey } = state
    const stored = await this.#options.store.get(blockKey)
    // This process may have blocked the id meanwhile.
    if (state.blockedUntilMs === blockedUntilMs) state.blockedUntilMs = blockEnd(stored)
  }

  /** Reads the block again if the counter's marks show that it was set or lifted since this process last read it. */
  async readIfMarked(state: Of, marks: number, nowMs: number): Promise<void> {
    // A running read may have been sent before the mark was set.
    await state.reading
    if (marks === state.marks) return
    await this.#host.read(state, nowMs)
    state.marks = marks
  }

  /** Blocks an id, replacing any stored block. */
  async set(state: Of, untilMs: number, nowMs: number): Promise<void> {
    const { blockKey } = state
    state.blockedUntilMs = untilMs
    await Promise.all([
      this.#options.store.set(blockKey, untilMs, lifetimeOver(untilMs - nowMs)),
      this.#host.mark(state, nowMs),
    ])
  }

  /** Blocks a denied id if the limiter has a `blockMs`; returns the result for the call. */
  async afterDenial(state: Of, denial: RateLimitResult, nowMs: number): Promise<RateLimitResult> {
    const { windows, blockMs } = this.#options
    if (blockMs === undefined || state.blockedUntilMs > nowMs) return denial
    state.blocking ??= this.#begin(state, blockEndMs(nowMs, blockMs), nowMs).finally(() => {
      state.blocking = undefined
    })
    await state.blocking.catch(ignore)
    return state.blockedUntilMs > nowMs ? blockedResult(windows, state.blockedUntilMs - nowMs, denial) : denial
  }

  async #begin(state: Of, untilMs: number, nowMs: number): Promise<void> {
    const stored = await this.#storeUnlessBlocked(state, untilMs, nowMs)
    state.blockedUntilMs = stored
    if (stored === untilMs) await this.#host.mark(state, nowMs)
  }

  /**
   * Stores the end of a block, unless another process has set it, so that all processes report the same end. Resolves
   * to the stored end.
   */
  async #storeUnlessBlocked({ blockKey }: Of, untilMs: number, nowMs: number): Promise<number> {
    const { store } = this.#options
    const ttl = lifetimeOver(untilMs - nowMs)
    let casUnique: bigint | undefined
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (await store.swap(blockKey, { value: untilMs, casUnique }, ttl)) break
      const found = await store.gets(blockKey)
      const foundMs = blockEnd(found?.value)
      if (foundMs > nowMs) return foundMs
      casUnique = found?.casUnique
    }
    return untilMs
  }
}

/** Returns the end of a block that begins now, limited to exact integers. */
export function blockEndMs(nowMs: number, blockMs: number): number {
  return Math.min(nowMs + blockMs, Number.MAX_SAFE_INTEGER)
}

/** Returns the end of a stored block, in milliseconds since 1970; 0 if there is none. */
function blockEnd(stored: unknown): number {
  return typeof stored === 'number' && Number.isFinite(stored) ? stored : 0
}

function ignore(): void {}
