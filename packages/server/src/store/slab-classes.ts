import { PAGE_BYTES } from './segmented-memory.ts'

/** The largest chunk; bigger items are chains of chunks (memcached: slab_chunk_max). */
const LARGEST_CHUNK_BYTES = PAGE_BYTES / 2
/** memcached's item header, before the cas unique. */
const SMALLEST_HEADER_BYTES = 48
const MOST_CLASSES = 63

/**
 * The chunk size of each class, index 0 unused: from 48 + `minItemBytes` by `growthFactor`, each rounded up to 8, and
 * half a page last, exactly as memcached makes them (slabs.c, slabs_init), so that items fall into the same classes.
 */
export function slabClassSizes(minItemBytes = 48, growthFactor = 1.25): readonly number[] {
  const sizes = [0]
  let size = SMALLEST_HEADER_BYTES + minItemBytes
  while (sizes.length < MOST_CLASSES && size < LARGEST_CHUNK_BYTES / growthFactor) {
    size = Math.ceil(size / 8) * 8
    sizes.push(size)
    size = Math.floor(size * growthFactor)
  }
  sizes.push(LARGEST_CHUNK_BYTES)
  return sizes
}
