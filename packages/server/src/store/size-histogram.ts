const BUCKET_BYTES = 32

/** How many items there are of each size, for `stats sizes` (`-o track_sizes`). */
export class SizeHistogram {
  readonly #counts = new Map<number, number>()

  /** Counts an item of so many bytes in (`by` 1) or out (-1). */
  count(bytes: number, by: 1 | -1): void {
    const bucket = Math.ceil(bytes / BUCKET_BYTES) * BUCKET_BYTES
    const count = (this.#counts.get(bucket) ?? 0) + by
    if (count === 0) this.#counts.delete(bucket)
    else this.#counts.set(bucket, count)
  }

  /** Size in bytes, rounded up to 32, and how many items are of it. */
  entries(): [number, number][] {
    return [...this.#counts].sort(([a], [b]) => a - b)
  }
}
