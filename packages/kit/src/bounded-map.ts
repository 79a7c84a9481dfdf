/**
 * A map that has room for so many entries; those that were not used for longest go. For what is asked for again where it is gone: an `LRUCache` of the
 * same size takes all its memory at once, and an application may have hundreds of limiters.
 *
 * It has two generations: entries that are set or found are in the young one, and once that is half of the map, the old one is forgotten as a whole. Deleting
 * the first entry of a `Map` for each new one would be far slower: it steps over all that was deleted there before.
 */
export class BoundedMap<Value extends object | string | number> {
  readonly #maxYoung: number
  #young = new Map<string, Value>()
  #old = new Map<string, Value>()

  /** @param maxEntries from 2 on. */
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
