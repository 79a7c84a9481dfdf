/** Seconds that are enough for no one of them to hold over 3 % of the values. */
const LEAST_WIDTH_SECONDS = 40
/** The most of a lifetime that may be taken off for it. */
const MOST_SHARE = 0.9
/** The golden ratio's fraction: its multiples fall evenly, however many there are. */
const GOLDEN = 0.618_033_988_749_895

/**
 * Spreads the lifetimes of values that are stored together, so that they do not expire together: evenly, not by chance, and
 * over at least 40 seconds where the lifetime has that many.
 */
export class LifetimeSpread {
  readonly #jitter: number
  #position = Math.random()

  constructor(jitter: number) {
    this.#jitter = jitter
  }

  /** The next lifetime in place of this one, in seconds: never a longer one. */
  next(seconds: number): number {
    if (seconds === Infinity) return seconds
    this.#position = (this.#position + GOLDEN) % 1
    const width = Math.max(this.#jitter * seconds, Math.min(LEAST_WIDTH_SECONDS, MOST_SHARE * seconds))
    return Math.max(1, seconds - width * this.#position)
  }
}
