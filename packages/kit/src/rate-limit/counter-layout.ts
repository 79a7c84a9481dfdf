import { MemcacheOptionError } from 'memcache-ts-protocol'
import { describeValue } from '../option-types.ts'

const MARK_BITS = 4n
const COUNTED_BITS = 64n - MARK_BITS
/** How much longer than its window an item may live, since memcached's seconds are coarse. */
const MAX_OVERDUE_MS = 4000
/** How far a clock may be behind the clock that began the window, for windows shorter than this. */
const MIN_CLOCK_SKEW_MS = 1000
const DEFAULT_COUNT_BITS = 26
/** Bits for parallel hits that each cost the whole of a large limit, if the counter has enough bits. */
const PARALLEL_BITS = 4
/** Limits a single addition, so that many parallel changes do not reach the start. */
const MAX_STEP_BITS = 8

/** The content of a counter whose window starts at its first hit. */
export interface WindowCount {
  /** The time when the window started, in milliseconds since 1970. */
  readonly startMs: number
  /** The counted hits; below 0 if more was given back than was counted. */
  readonly count: number
  /** From 0 to 15, see `CounterLayout`. */
  readonly marks: number
}

/**
 * The layout of a whole window in one counter of memcached, which has 64 bits: from the top, 4 bits of marks, the start
 * of the window in milliseconds, and the count. So one `ma` creates the counter with its start, or adds to it, and
 * returns both.
 *
 * The start is stored modulo a power of 2 that is far longer than the item's lifetime, so it is unambiguous. The count
 * has an offset of a quarter of its range, so that subtracting from an empty counter does not borrow from the start.
 * Adding to the marks never reaches the other fields, since the overflow is lost at the top of the 64 bits.
 */
export class CounterLayout {
  readonly windowMs: number
  /**
   * The highest count that is allowed; the counter has as much room again for parallel hits that are about to be taken
   * back.
   */
  readonly maxCount: number
  readonly #countBits: bigint
  readonly #countMask: bigint
  readonly #countOffset: bigint
  readonly #startModulus: number
  readonly #startMask: bigint
  /** How far a start may be in the future, in milliseconds; at least a second. */
  readonly maxAheadMs: number

  /**
   * @param windowMs how long a window lasts, in milliseconds.
   * @param maxCount the highest count in a window. Default: 2^24, less if times are longer than half a year.
   * @param maxAheadMs how far a start may be in the future, in milliseconds. Default: a window.
   * @throws MemcacheOptionError if these do not fit into 64 bits.
   */
  constructor(windowMs: number, maxCount?: number, maxAheadMs: number = windowMs) {
    for (const milliseconds of [windowMs, maxAheadMs]) {
      if (Number.isSafeInteger(milliseconds) && milliseconds >= 1) continue
      throw new MemcacheOptionError(
        `windowMs must be a whole number of milliseconds greater than 0, got ${describeValue(milliseconds)}`,
      )
    }
    this.windowMs = windowMs
    this.maxAheadMs = Math.max(maxAheadMs, MIN_CLOCK_SKEW_MS)
    const startBits = BigInt(Math.ceil(Math.log2(4 * (Math.max(windowMs, maxAheadMs) + MAX_OVERDUE_MS))))
    const wanted = Math.max(DEFAULT_COUNT_BITS, maxCount === undefined ? 0 : Math.ceil(Math.log2(maxCount + 1)) + 2)
    const available = COUNTED_BITS - startBits
    const roomy = maxCount === undefined || wanted === DEFAULT_COUNT_BITS ? wanted : wanted + PARALLEL_BITS
    this.#countBits = BigInt(roomy) < available ? BigInt(roomy) : available
    this.maxCount = this.#countBits < 3n ? 0 : 2 ** (Number(this.#countBits) - 2)
    if (this.maxCount < (maxCount ?? 1)) {
      throw new MemcacheOptionError(
        `a window of ${windowMs} ms that starts at the first hit can count up to ${this.maxCount}, got a limit of ${maxCount ?? 1}: use algorithm 'sliding' or 'gcra'`,
      )
    }
    this.#countMask = (1n << this.#countBits) - 1n
    this.#countOffset = BigInt(this.maxCount)
    const modulusBits = COUNTED_BITS - this.#countBits
    // Times over 2^53 milliseconds are not exact.
    this.#startModulus = 2 ** Number(modulusBits)
    this.#startMask = (1n << modulusBits) - 1n
  }

  /** The highest amount that is added or subtracted directly; larger changes are a compare-and-swap. */
  get maxStep(): number {
    return Math.max(1, this.maxCount / 2 ** MAX_STEP_BITS)
  }

  /** The highest count that a counter holds, far over any limit. */
  get maxHeld(): number {
    return 2 * this.maxCount
  }

  /**
   * Checks a window.
   *
   * @throws MemcacheOptionError if it cannot count up to `maxCount`.
   */
  static check(windowMs: number, maxCount: number): CounterLayout {
    return new CounterLayout(windowMs, maxCount)
  }

  /** The number that adds one mark to a counter. */
  static readonly MARK = 1n << COUNTED_BITS

  /** Returns the counter of a window. */
  word({ startMs, count, marks }: WindowCount): bigint {
    const start = this.#startField(startMs)
    return (BigInt(marks) << COUNTED_BITS) | (start << this.#countBits) | (BigInt(count) + this.#countOffset)
  }

  /**
   * Decodes a counter.
   *
   * @param nowMs the possible start that is nearest to this time is chosen.
   */
  read(word: bigint, nowMs: number): WindowCount {
    const ageMs = this.#ageMs(Number((word >> this.#countBits) & this.#startMask), nowMs)
    return {
      startMs: nowMs - ageMs,
      count: Number(word & this.#countMask) - this.maxCount,
      marks: Number(word >> COUNTED_BITS) & 15,
    }
  }

  /** Returns the number that moves a counter's start and marks it once when it is added. */
  moveAndMark({ startMs }: WindowCount, toMs: number): bigint {
    return CounterLayout.MARK + ((this.#startField(toMs) - this.#startField(startMs)) << this.#countBits)
  }

  /** Returns whether a window has ended, or would start so far in the future that its start is invalid. */
  isOver({ startMs }: WindowCount, nowMs: number): boolean {
    const ageMs = nowMs - startMs
    return ageMs >= this.windowMs || ageMs < -this.maxAheadMs
  }

  #startField(startMs: number): bigint {
    return BigInt(startMs) & this.#startMask
  }

  /** Returns the age of a start. Of the possible starts, the nearest to now is chosen. */
  #ageMs(start: number, nowMs: number): number {
    const modulus = this.#startModulus
    const ageMs = (((nowMs - start) % modulus) + modulus) % modulus
    return ageMs < modulus / 2 ? ageMs : ageMs - modulus
  }
}
