/**
 * A map with a maximum number of entries that drops the entries that were not used for longest. It is for data that can
 * be read again. An `LRUCache` of the same size allocates all its memory at once, and an application may have hundreds
 * of limiters.
 *
 * The map has two generations. Entries that are set or found go to the young one; when that holds half of the maximum,
 * it becomes the old one, and the old one is dropped as a whole. Deleting the first entry of a `Map` for each new one
 * would be far slower, since it steps over all entries that were deleted before.
 */
export class BoundedMap<Value extends object | string | number> {
  readonly #maxYoung: number
  #young = new Map<string, Value>()
  #old = new Map<string, Value>()

  /** @param maxEntries at least 2. */
  constructor(maxEntries: number) {
    this.#maxYoung = Math.max(1, Math.floor(maxEntries / 2))
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(key: string): Value | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  set(key: string, value: Value): void {
    this.#old.delete(key)
    if (this.#young.size >= this.#maxYoung && !this.#young.has(key)) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
  }

  delete(key: string): void {
    this.#young.delete(key)
    this.#old.delete(key)
  }
}
