import { MemcacheOptionError } from 'memcache-ts-protocol'
import { PAGE_BYTES } from './page-memory.ts'

/** memcached's item header, before the cas unique. */
const MIN_HEADER_BYTES = 48
/** The highest class: class numbers have 6 bits, and 0 is the pool of pages that belong to no class. */
const MAX_CLASSES = 63

/** The settings that determine the chunk sizes. */
export interface SlabClassSettings {
  /** The minimum room for key, value and client flags (`-n`). */
  readonly minItemBytes: number
  /** The ratio of the chunk sizes of a class and of the class before it (`-f`). */
  readonly growthFactor: number
  /** The largest chunk; bigger items are chains of chunks (`-o slab_chunk_max`). */
  readonly largestChunkBytes: number
  /** The sizes themselves (`-o slab_sizes`), instead of a growth factor. */
  readonly slabSizes: readonly number[]
}

/**
 * Returns the chunk size of each class, with index 0 unused: from 48 + `minItemBytes` by `growthFactor`, each rounded
 * up to 8, and the largest last, exactly as memcached makes them (slabs.c, slabs_init), so that items fall into the
 * same classes.
 */
export function slabClassSizes(settings: SlabClassSettings): readonly number[] {
  const { largestChunkBytes, growthFactor, slabSizes } = settings
  const sizes = [0]
  if (slabSizes.length > 0) {
    for (const size of slabSizes) sizes.push(Math.ceil(size / 8) * 8)
  } else {
    let size = MIN_HEADER_BYTES + settings.minItemBytes
    while (sizes.length < MAX_CLASSES && size < largestChunkBytes / growthFactor) {
      size = Math.ceil(size / 8) * 8
      sizes.push(size)
      size = Math.floor(size * growthFactor)
    }
  }
  sizes.push(largestChunkBytes)
  if (PAGE_BYTES % largestChunkBytes !== 0) {
    throw new MemcacheOptionError(
      `slab_chunk_max (${largestChunkBytes} bytes) must divide a page of ${PAGE_BYTES} bytes`,
    )
  }
  return sizes
}
