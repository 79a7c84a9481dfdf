/**
 * A map that has room for so many; the oldest go first. For what is asked for again where it is gone: an `LRUCache` of
 * the same size takes all its memory at once, and an application may have hundreds of limiters.
 */
export class BoundedMap<Value> {
  readonly #map = new Map<string, Value>()
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#map.size
  }

  get(key: string): Value | undefined {
    return this.#map.get(key)
  }

  set(key: string, value: Value): void {
    // Anew at the end, not in its old place.
    this.#map.delete(key)
    if (this.#map.size >= this.#most) this.#map.delete(this.#map.keys().next().value!)
    this.#map.set(key, value)
  }

  delete(key: string): void {
    this.#map.delete(key)
  }
}
