import { LRU_LISTS } from './item-layout.ts'

/** The counters of the store over all classes, under memcached's names (protocol.txt, "General-purpose statistics"). */
export class StoreCounters {
  currItems = 0
  totalItems = 0
  /** Bytes of the items as memcached counts them, header included. */
  bytes = 0
  getExpired = 0
  getFlushed = 0
  /** Moves that the maintainer was called for. */
  maintainerJuggles = 0
  crawlerStarts = 0
  pagesMoved = 0
  rescues = 0
  chunkRescues = 0
  inlineReclaim = 0
  busyItems = 0
  busyDeletes = 0
  busyNoMemory = 0
  /** The reason for the last wait of a page move for a chunk. */
  lastBusyStatus: 'none' | 'busy' | 'busy_active' | 'busy_floating' = 'none'

  linked(bytes: number): void {
    this.currItems++
    this.totalItems++
    this.bytes += bytes
  }

  unlinked(bytes: number): void {
    this.currItems--
    this.bytes -= bytes
  }

  /** Resets everything except the current state (`stats reset`). */
  reset(): void {
    const { currItems, bytes } = this
    Object.assign(this, new StoreCounters())
    this.currItems = currItems
    this.bytes = bytes
  }
}

/** The events of each LRU list, under memcached's names (protocol.txt, "Item statistics"). */
export class LruStatistics {
  readonly evicted = new Float64Array(LRU_LISTS)
  readonly evictedNonzero = new Float64Array(LRU_LISTS)
  /** The idle seconds of the item that was evicted last. */
  readonly evictedTime = new Float64Array(LRU_LISTS)
  readonly outOfMemory = new Float64Array(LRU_LISTS)
  readonly reclaimed = new Float64Array(LRU_LISTS)
  readonly expiredUnfetched = new Float64Array(LRU_LISTS)
  readonly evictedUnfetched = new Float64Array(LRU_LISTS)
  readonly evictedActive = new Float64Array(LRU_LISTS)
  readonly crawlerReclaimed = new Float64Array(LRU_LISTS)
  readonly crawlerItemsChecked = new Float64Array(LRU_LISTS)
  readonly tailRepairs = new Float64Array(LRU_LISTS)
  readonly tailReflocked = new Float64Array(LRU_LISTS)
  readonly movesToCold = new Float64Array(LRU_LISTS)
  readonly movesToWarm = new Float64Array(LRU_LISTS)
  readonly movesWithinLru = new Float64Array(LRU_LISTS)
  readonly directReclaims = new Float64Array(LRU_LISTS)
  readonly hits = new Float64Array(LRU_LISTS)

  reset(): void {
    for (const counts of Object.values(this) as Float64Array[]) counts.fill(0)
  }
}

/** Returns the sum over all lists. */
export function total(counts: Float64Array): number {
  let sum = 0
  for (const count of counts) sum += count
  return sum
}

const BUCKET_BYTES = 32

/** The number of items of each size, for `stats sizes` (`-o track_sizes`). */
export class SizeHistogram {
  readonly #counts = new Map<number, number>()

  /** Counts an item of this many bytes when it is stored (`by` 1) or removed (-1). */
  count(bytes: number, by: 1 | -1): void {
    const bucket = Math.ceil(bytes / BUCKET_BYTES) * BUCKET_BYTES
    const count = (this.#counts.get(bucket) ?? 0) + by
    if (count === 0) this.#counts.delete(bucket)
    else this.#counts.set(bucket, count)
  }

  /** Returns each size in bytes, rounded up to 32, with the number of its items. */
  entries(): [number, number][] {
    return [...this.#counts].sort(([a], [b]) => a - b)
  }
}
