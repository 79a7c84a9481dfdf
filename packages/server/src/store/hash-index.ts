import { KEY_HASH, NEXT } from './item-layout.ts'
import { wordOffset } from './page-memory.ts'
import type { PageMemory } from './page-memory.ts'

/** Log2 of the number of buckets that the index starts with, without `-o hashpower`. */
export const DEFAULT_HASH_POWER = 16
const MAX_POWER = 28
/** Buckets moved for each item that is linked while the table grows: bounded work without a pause. */
const BUCKETS_PER_INSERT = 4
/** Buckets moved in one background step, so that growth ends even if nothing more is stored. */
const BUCKETS_PER_STEP = 2000

/**
 * The hash table: buckets of item references outside the heap, chained through the items themselves. It doubles when it
 * holds one and a half items a bucket, a few buckets at a time (as memcached's assoc.c): until all have moved, buckets
 * from `#moved` on are still in the old table.
 */
export class HashIndex {
  readonly #memory: PageMemory
  #table: Int32Array
  #mask: number
  #power: number
  #old: Int32Array | undefined
  #moved = 0
  #items = 0
  #holds = 0
  #maxPower = MAX_POWER

  constructor(memory: PageMemory, power: number) {
    this.#memory = memory
    this.#power = power
    this.#mask = 2 ** power - 1
    this.#table = new Int32Array(2 ** power)
  }

  get items(): number {
    return this.#items
  }

  /** Log2 of the number of buckets. */
  get power(): number {
    return this.#power
  }

  /** Bytes of the tables. */
  get bytes(): number {
    return this.#table.byteLength + (this.#old?.byteLength ?? 0)
  }

  get isExpanding(): boolean {
    return this.#old !== undefined
  }

  /** Makes an empty index at least this large, so that it does not have to grow. */
  startAt(power: number): void {
    if (this.#items > 0 || power <= this.#power || power > this.#maxPower) return
    const table = allocateTable(2 ** power)
    if (table === undefined) return
    this.#table = table
    this.#power = power
    this.#mask = 2 ** power - 1
  }

  /** Returns the first item of a hash's bucket; 0 if it is empty. The others follow by `NEXT`. */
  first(hash: number): number {
    const old = this.#old
    if (old !== undefined) {
      const bucket = hash & (this.#mask >>> 1)
      if (bucket >= this.#moved) return old[bucket]!
    }
    return this.#table[hash & this.#mask]!
  }

  insert(item: number, hash: number): void {
    const words = this.#memory.words(item)
    words[wordOffset(item) + NEXT] = this.first(hash)
    this.#setFirst(hash, item)
    this.#items++
    if (this.#old !== undefined) this.#moveBuckets(BUCKETS_PER_INSERT)
    else if (this.#items > (this.#mask + 1) * 1.5 && this.#power < this.#maxPower && this.#holds === 0) this.#grow()
  }

  remove(item: number, hash: number): void {
    const next = this.#memory.words(item)[wordOffset(item) + NEXT]!
    let at = this.first(hash)
    this.#items--
    if (at === item) {
      this.#setFirst(hash, next)
      return
    }
    while (at !== 0) {
      const words = this.#memory.words(at)
      const following = words[wordOffset(at) + NEXT]!
      if (following === item) {
        words[wordOffset(at) + NEXT] = next
        return
      }
      at = following
    }
  }

  /** Replaces an item by its copy. */
  replace(item: number, copy: number, hash: number): void {
    let at = this.first(hash)
    if (at === item) {
      this.#setFirst(hash, copy)
      return
    }
    while (at !== 0) {
      const words = this.#memory.words(at)
      const next = words[wordOffset(at) + NEXT]!
      if (next === item) {
        words[wordOffset(at) + NEXT] = copy
        return
      }
      at = next
    }
  }

  /**
   * Keeps the table from growing until `release`, so that it can be walked bucket by bucket with `first`. Returns how
   * many buckets there are, or 0 if it is growing.
   */
  hold(): number {
    if (this.#old !== undefined) return 0
    this.#holds++
    return this.#mask + 1
  }

  release(): void {
    this.#holds--
  }

  #setFirst(hash: number, item: number): void {
    const old = this.#old
    if (old !== undefined) {
      const bucket = hash & (this.#mask >>> 1)
      if (bucket >= this.#moved) {
        old[bucket] = item
        return
      }
    }
    this.#table[hash & this.#mask] = item
  }

  #grow(): void {
    const larger = allocateTable((this.#mask + 1) * 2)
    if (larger === undefined) {
      // The table keeps its size, with longer chains, and no further allocation is attempted at each insertion.
      this.#maxPower = this.#power
      return
    }
    this.#old = this.#table
    this.#moved = 0
    this.#power++
    this.#mask = this.#mask * 2 + 1
    this.#table = larger
  }

  /** Continues to grow by a bounded step; returns whether there is more to do. */
  step(): boolean {
    if (this.#old !== undefined) this.#moveBuckets(BUCKETS_PER_STEP)
    return this.#old !== undefined
  }

  #moveBuckets(count: number): void {
    const old = this.#old!
    const end = Math.min(old.length, this.#moved + count)
    for (; this.#moved < end; this.#moved++) {
      let item = old[this.#moved]!
      while (item !== 0) {
        const words = this.#memory.words(item)
        const at = wordOffset(item)
        const next = words[at + NEXT]!
        const bucket = words[at + KEY_HASH]! & this.#mask
        words[at + NEXT] = this.#table[bucket]!
        this.#table[bucket] = item
        item = next
      }
    }
    if (this.#moved === old.length) this.#old = undefined
  }
}

function allocateTable(buckets: number): Int32Array | undefined {
  try {
    return new Int32Array(buckets)
  } catch {
    return undefined
  }
}
