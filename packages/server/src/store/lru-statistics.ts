import { LRU_LISTS } from './item-layout.ts'

/** What happened to the items of each LRU list, under memcached's names (protocol.txt, "Item statistics"). */
export class LruStatistics {
  readonly evicted = new Float64Array(LRU_LISTS)
  readonly evictedNonzero = new Float64Array(LRU_LISTS)
  /** Seconds that the item evicted last had not been used for. */
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

/** The sum over all lists. */
export function total(counts: Float64Array): number {
  let sum = 0
  for (const count of counts) sum += count
  return sum
}
