/** The smallest spread, in seconds: with it, no second holds more than 3 % of the values. */
const MIN_WIDTH_SECONDS = 40
/** The largest share by which a lifetime may be shortened for the smallest spread. */
const MAX_SHARE = 0.9
/** The fraction of the golden ratio: its multiples modulo 1 are spread evenly, whatever their number. */
const GOLDEN = 0.618_033_988_749_895

/**
 * Spreads the lifetimes of values that are stored together, so that they do not expire together: evenly, not at random,
 * and over at least 40 seconds, or 90 % of a shorter lifetime.
 */
export class LifetimeSpread {
  readonly #jitter: number
  #position = Math.random()

  constructor(jitter: number) {
    this.#jitter = jitter
  }

  /** Returns the next lifetime in place of this one, in seconds; it is never longer. */
  next(seconds: number): number {
    if (seconds === Infinity) return seconds
    this.#position = (this.#position + GOLDEN) % 1
    const width = Math.max(this.#jitter * seconds, Math.min(MIN_WIDTH_SECONDS, MAX_SHARE * seconds))
    return Math.max(1, seconds - width * this.#position)
  }
}
