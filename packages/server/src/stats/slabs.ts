import { Segment } from '../store/item-layout.ts'
import type { ItemStore } from '../store/item-store.ts'
import type { Statistic, StatisticsSource } from './statistics-source.ts'
import { PAGE_BYTES } from '../store/page-memory.ts'

/** Returns `stats items`: the items of each class (protocol.txt, "Item statistics"). */
export function itemStatistics({ context, options }: StatisticsSource): Statistic[] {
  const { store } = context
  const { lru, slabs, statistics, settings } = store
  const { lruMaintainer } = options.tuning
  const lines: Statistic[] = []
  for (let id = 1; id <= slabs.largestClass; id++) {
    const lists = Object.values(Segment).map((segment) => id | segment)
    const sum = (of: (list: number) => number): number => lists.reduce((all, list) => all + of(list), 0)
    const counted = (counts: Float64Array): number => sum((list) => counts[list]!)
    const number = sum((list) => lru.size(list))
    if (number === 0) continue
    const add = (name: string, value: number): number => lines.push([`items:${id}:${name}`, value])
    add('number', number)
    if (lruMaintainer) {
      add('number_hot', lru.size(id | Segment.hot))
      add('number_warm', lru.size(id | Segment.warm))
      add('number_cold', lru.size(id | Segment.cold))
      if (settings.temporaryTtlSeconds !== undefined) add('number_temp', lru.size(id | Segment.temp))
      add('age_hot', ageOfTail(store, id | Segment.hot))
      add('age_warm', ageOfTail(store, id | Segment.warm))
    }
    add('age', ageOfTail(store, id | Segment.cold))
    add(
      'mem_requested',
      sum((list) => lru.bytes(list)),
    )
    add('evicted', counted(statistics.evicted))
    add('evicted_nonzero', counted(statistics.evictedNonzero))
    add('evicted_time', statistics.evictedTime[id | Segment.cold]!)
    add('outofmemory', counted(statistics.outOfMemory))
    add('tailrepairs', counted(statistics.tailRepairs))
    add('reclaimed', counted(statistics.reclaimed))
    add('expired_unfetched', counted(statistics.expiredUnfetched))
    add('evicted_unfetched', counted(statistics.evictedUnfetched))
    if (lruMaintainer) add('evicted_active', counted(statistics.evictedActive))
    add('crawler_reclaimed', counted(statistics.crawlerReclaimed))
    add('crawler_items_checked', counted(statistics.crawlerItemsChecked))
    add('lrutail_reflocked', counted(statistics.tailReflocked))
    if (!lruMaintainer) continue
    add('moves_to_cold', counted(statistics.movesToCold))
    add('moves_to_warm', counted(statistics.movesToWarm))
    add('moves_within_lru', counted(statistics.movesWithinLru))
    add('direct_reclaims', counted(statistics.directReclaims))
    for (const [name, segment] of Object.entries(Segment)) add(`hits_to_${name}`, statistics.hits[id | segment]!)
  }
  return lines
}

function ageOfTail(store: ItemStore, list: number): number {
  const item = store.lru.tail(list)
  return item === 0 ? 0 : store.now - store.lastAccess(item)
}

/** Returns `stats slabs`: the classes that have pages (protocol.txt, "Slab statistics"). */
export function slabStatistics({ context }: StatisticsSource): Statistic[] {
  const { counters, store } = context
  const { slabs, statistics } = store
  const lines: Statistic[] = []
  let active = 0
  for (const [id, slabClass] of slabs.classes.entries()) {
    if (slabClass.pages.length === 0) continue
    active++
    let hits = 0
    for (const segment of Object.values(Segment)) hits += statistics.hits[id | segment]!
    lines.push(
      [`${id}:chunk_size`, slabClass.chunkBytes],
      [`${id}:chunks_per_page`, slabClass.chunksPerPage],
      [`${id}:total_pages`, slabClass.pages.length],
      [`${id}:total_chunks`, slabClass.pages.length * slabClass.chunksPerPage],
      [`${id}:used_chunks`, slabClass.usedChunks],
      [`${id}:free_chunks`, slabClass.freeChunks + slabClass.freshChunks],
      [`${id}:free_chunks_end`, 0],
      [`${id}:get_hits`, hits],
      [`${id}:cmd_set`, counters.cmdSet[id]!],
      [`${id}:delete_hits`, counters.deleteHits[id]!],
      [`${id}:incr_hits`, counters.incrHits[id]!],
      [`${id}:decr_hits`, counters.decrHits[id]!],
      [`${id}:cas_hits`, counters.casHits[id]!],
      [`${id}:cas_badval`, counters.casBadval[id]!],
      [`${id}:touch_hits`, counters.touchHits[id]!],
    )
  }
  lines.push(['active_slabs', active], ['total_malloced', store.settings.reservedBytes + slabs.pages * PAGE_BYTES])
  return lines
}
