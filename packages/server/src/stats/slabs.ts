import type { StatisticsSource } from './statistics-source.ts'
import { PAGE_BYTES } from '../store/segmented-memory.ts'

/** `stats slabs`: the classes that have pages (protocol.txt, "Slab statistics"). */
export function slabStatistics({ context }: StatisticsSource): [string, string | number][] {
  const { slabs } = context.store
  const lines: [string, string | number][] = []
  let active = 0
  for (const [id, slabClass] of slabs.classes.entries()) {
    if (slabClass.pages.length === 0) continue
    active++
    lines.push(
      [`${id}:chunk_size`, slabClass.chunkBytes],
      [`${id}:chunks_per_page`, slabClass.chunksPerPage],
      [`${id}:total_pages`, slabClass.pages.length],
      [`${id}:total_chunks`, slabClass.pages.length * slabClass.chunksPerPage],
      [`${id}:used_chunks`, slabClass.usedChunks],
      [`${id}:free_chunks`, slabClass.freeChunks + slabClass.freshChunks],
      [`${id}:free_chunks_end`, 0],
    )
  }
  lines.push(['active_slabs', active], ['total_malloced', slabs.pages * PAGE_BYTES])
  return lines
}
