/** Round trips of the last so many probes: at ten a second, half a minute. */
const KEPT = 300

/** Durations of the last round trips, and their percentiles. Memory is bounded. */
export class Latency {
  readonly #milliseconds = new Float64Array(KEPT)
  #count = 0

  add(milliseconds: number): void {
    this.#milliseconds[this.#count++ % KEPT] = milliseconds
  }

  clear(): void {
    this.#count = 0
  }

  /** The duration in milliseconds that the given share of round trips does not exceed; `undefined` without any. */
  percentile(share: number): number | undefined {
    const size = Math.min(this.#count, KEPT)
    if (size === 0) return undefined
    const sorted = this.#milliseconds.slice(0, size).sort()
    return sorted[Math.min(size - 1, Math.ceil(share * size) - 1)]
  }
}
