import { Segment } from '../store/item-layout.ts'
import { PAGE_BYTES } from '../store/page-memory.ts'
import type { Statistic, StatisticsSource } from './statistics-source.ts'

/** `stats slabs`: the classes that have pages (protocol.txt, "Slab statistics"). */
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
