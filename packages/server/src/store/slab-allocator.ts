import { INFO, ItemFlag, LRU_PREVIOUS, NEXT } from './item-layout.ts'
import { PAGE_BYTES, wordOffset } from './segmented-memory.ts'
import type { SegmentedMemory } from './segmented-memory.ts'

/** One class: chunks of one size, the pages that hold them, and which are free. */
export interface SlabClass {
  readonly chunkBytes: number
  readonly chunksPerPage: number
  /** References of its pages. */
  readonly pages: number[]
  /** Chunks given out. */
  usedChunks: number
  /** First of the list of free chunks, 0 when it is empty. */
  freeHead: number
  freeChunks: number
  /** The chunks of the newest page that were never given out. */
  freshChunk: number
  freshChunks: number
}

/**
 * Cuts pages into chunks of the classes' sizes. Never takes more pages than allowed: `allocate` then returns 0, and the
 * store evicts. A page's chunks are handed out one by one from its start before the free list is made of them, so that
 * memory not needed is never touched.
 */
export class SlabAllocator {
  readonly classes: readonly SlabClass[]
  readonly #memory: SegmentedMemory
  readonly #classOfSize: Uint8Array
  #pageLimit: number
  #pages = 0

  constructor(memory: SegmentedMemory, chunkSizes: readonly number[], memoryLimitBytes: number) {
    this.#memory = memory
    this.#pageLimit = Math.max(1, Math.floor(memoryLimitBytes / PAGE_BYTES))
    this.classes = chunkSizes.map((chunkBytes) => ({
      chunkBytes,
      chunksPerPage: chunkBytes === 0 ? 0 : Math.floor(PAGE_BYTES / chunkBytes),
      pages: [],
      usedChunks: 0,
      freeHead: 0,
      freeChunks: 0,
      freshChunk: 0,
      freshChunks: 0,
    }))
    this.#classOfSize = classTable(chunkSizes)
  }

  /** Pages in use by all classes. */
  get pages(): number {
    return this.#pages
  }

  /** The largest chunk's size in bytes. */
  get largestChunkBytes(): number {
    return this.classes[this.classes.length - 1]!.chunkBytes
  }

  /** The class whose chunks hold this many bytes; 0 when none does. */
  classFor(bytes: number): number {
    return bytes > this.largestChunkBytes ? 0 : this.#classOfSize[(bytes + 7) >>> 3]!
  }

  /** A chunk of the class, or 0 when it has none free and no page is left. */
  allocate(classId: number): number {
    const slabClass = this.classes[classId]!
    let chunk = slabClass.freeHead
    if (chunk !== 0) {
      this.#removeFree(slabClass, chunk)
    } else if (slabClass.freshChunks > 0 || this.#addPage(slabClass)) {
      chunk = slabClass.freshChunk
      slabClass.freshChunk += slabClass.chunkBytes >>> 3
      slabClass.freshChunks--
    } else {
      return 0
    }
    slabClass.usedChunks++
    return chunk
  }

  /** Gives a chunk back to its class. */
  free(chunk: number, classId: number): void {
    const slabClass = this.classes[classId]!
    slabClass.usedChunks--
    this.#addFree(slabClass, chunk, classId)
  }

  /**
   * Moves a page from one class to another; each of its chunks must be free or never given out.
   * Returns whether it was done.
   */
  movePage(page: number, fromClassId: number, toClassId: number): void {
    const from = this.classes[fromClassId]!
    const to = this.classes[toClassId]!
    const end = this.endOfPage(page, fromClassId)
    for (let chunk = page; chunk < end; chunk += from.chunkBytes >>> 3) this.#removeFree(from, chunk)
    if (this.#isFresh(page, from)) from.freshChunks = 0
    from.pages.splice(from.pages.indexOf(page), 1)
    this.#shelveFresh(to, toClassId)
    this.#startPage(to, page)
  }

  /** The end of the chunks of a page that were ever given out. */
  endOfPage(page: number, classId: number): number {
    const slabClass = this.classes[classId]!
    if (this.#isFresh(page, slabClass)) return slabClass.freshChunk
    return page + slabClass.chunksPerPage * (slabClass.chunkBytes >>> 3)
  }

  #isFresh(page: number, slabClass: SlabClass): boolean {
    return slabClass.freshChunks > 0 && slabClass.pages[slabClass.pages.length - 1] === page
  }

  #addPage(slabClass: SlabClass): boolean {
    if (this.#pages >= this.#pageLimit) return false
    this.#pages++
    this.#startPage(slabClass, this.#memory.addPage())
    return true
  }

  #startPage(slabClass: SlabClass, page: number): void {
    slabClass.pages.push(page)
    slabClass.freshChunk = page
    slabClass.freshChunks = slabClass.chunksPerPage
  }

  /** Puts what is left of the newest page on the free list, since another page becomes the newest. */
  #shelveFresh(slabClass: SlabClass, classId: number): void {
    for (; slabClass.freshChunks > 0; slabClass.freshChunks--) {
      this.#addFree(slabClass, slabClass.freshChunk, classId)
      slabClass.freshChunk += slabClass.chunkBytes >>> 3
    }
  }

  #addFree(slabClass: SlabClass, chunk: number, classId: number): void {
    const words = this.#memory.words(chunk)
    const at = wordOffset(chunk)
    words[at + INFO] = ItemFlag.free | (classId << 8)
    words[at + NEXT] = slabClass.freeHead
    words[at + LRU_PREVIOUS] = 0
    if (slabClass.freeHead !== 0) {
      this.#memory.words(slabClass.freeHead)[wordOffset(slabClass.freeHead) + LRU_PREVIOUS] = chunk
    }
    slabClass.freeHead = chunk
    slabClass.freeChunks++
  }

  #removeFree(slabClass: SlabClass, chunk: number): void {
    const words = this.#memory.words(chunk)
    const at = wordOffset(chunk)
    const next = words[at + NEXT]!
    const previous = words[at + LRU_PREVIOUS]!
    if (previous === 0) slabClass.freeHead = next
    else this.#memory.words(previous)[wordOffset(previous) + NEXT] = next
    if (next !== 0) this.#memory.words(next)[wordOffset(next) + LRU_PREVIOUS] = previous
    words[at + INFO] = 0
    slabClass.freeChunks--
  }
}

/** The class for each size in units of 8 bytes, so that choosing one is a look-up. */
function classTable(chunkSizes: readonly number[]): Uint8Array {
  const largest = chunkSizes[chunkSizes.length - 1]!
  const table = new Uint8Array((largest >>> 3) + 1)
  let classId = 1
  for (let units = 0; units < table.length; units++) {
    while (chunkSizes[classId]! < units << 3) classId++
    table[units] = classId
  }
  return table
}
