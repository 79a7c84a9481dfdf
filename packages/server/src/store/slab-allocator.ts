import { INFO, ItemFlag, LRU_PREVIOUS, makeInfo, NEXT } from './item-layout.ts'
import { PAGE_BYTES, wordOffset } from './page-memory.ts'
import type { PageMemory } from './page-memory.ts'

/** A class: its chunks, all of one size, the pages that hold them, and its free chunks. */
export interface SlabClass {
  readonly chunkBytes: number
  readonly chunksPerPage: number
  /** References of its pages, the oldest first. */
  readonly pages: number[]
  /** The number of allocated chunks. */
  usedChunks: number
  /** The first free chunk, 0 if there is none. */
  freeHead: number
  freeChunks: number
  /** The chunks of the newest page that were never allocated. */
  freshChunk: number
  freshChunks: number
}

/** The class number of pages that belong to no class. */
export const PAGE_POOL = 0

/**
 * Cuts pages into chunks of the classes' sizes. If no more pages are allowed, `allocate` returns 0, and the store
 * evicts. As in memcached, only a class without any page still gets its first page, since it could store nothing
 * without it. The page mover frees the excess later (docs/decisions/0005).
 *
 * A page's chunks are allocated one by one from its start and reach the free list only when they are freed, so that
 * unused memory is never touched.
 */
export class SlabAllocator {
  readonly classes: readonly SlabClass[]
  readonly #memory: PageMemory
  readonly #classOfSize: Uint8Array
  readonly #pool: number[] = []
  #pageLimit: number
  #pages = 0

  constructor(memory: PageMemory, chunkSizes: readonly number[], memoryLimitBytes: number) {
    this.#memory = memory
    this.#pageLimit = pagesOf(memoryLimitBytes)
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

  /** The number of pages that hold memory, including pages of the pool. */
  get pages(): number {
    return this.#pages
  }

  /** The number of pages that belong to no class. */
  get pooledPages(): number {
    return this.#pool.length
  }

  /** Whether no more pages may be allocated. */
  get isFull(): boolean {
    return this.#pages >= this.#pageLimit
  }

  /** The number of pages beyond the limit. */
  get excessPages(): number {
    return Math.max(0, this.#pages - this.#pageLimit)
  }

  /** The largest chunk's size in bytes. */
  get largestChunkBytes(): number {
    return this.classes[this.largestClass]!.chunkBytes
  }

  /** The number of the class with the largest chunks. */
  get largestClass(): number {
    return this.classes.length - 1
  }

  /** Returns the smallest class whose chunks hold this many bytes; the largest class if no chunk does. */
  classFor(bytes: number): number {
    return bytes > this.largestChunkBytes ? this.largestClass : this.#classOfSize[(bytes + 7) >>> 3]!
  }

  /** Changes the limit; pages of the pool beyond it are freed at once. */
  setLimit(memoryLimitBytes: number): void {
    this.#pageLimit = pagesOf(memoryLimitBytes)
    this.#releaseExcess()
  }

  /** Allocates a chunk of the class; 0 if none is free and no page is left. */
  allocate(classId: number): number {
    const slabClass = this.classes[classId]!
    if (slabClass.freeHead === 0 && slabClass.freshChunks === 0 && !this.#addPage(slabClass)) return 0
    return this.allocateOwn(classId)
  }

  /** Like `allocate`, without a new page. */
  allocateOwn(classId: number): number {
    const slabClass = this.classes[classId]!
    let chunk = slabClass.freeHead
    if (chunk !== 0) {
      this.#removeFree(slabClass, chunk)
    } else if (slabClass.freshChunks > 0) {
      chunk = slabClass.freshChunk
      slabClass.freshChunk += slabClass.chunkBytes >>> 3
      slabClass.freshChunks--
    } else {
      return 0
    }
    slabClass.usedChunks++
    return chunk
  }

  /** Returns a chunk to its class. */
  free(chunk: number, classId: number): void {
    const slabClass = this.classes[classId]!
    slabClass.usedChunks--
    this.#addFree(slabClass, chunk, classId)
  }

  // Moving pages

  /** Withdraws a free chunk of a page that is to move. */
  withdrawFree(chunk: number, classId: number): void {
    this.#removeFree(this.classes[classId]!, chunk)
    this.#memory.words(chunk)[wordOffset(chunk) + INFO] = ItemFlag.withdrawn
  }

  /** Withdraws an allocated chunk that is no longer needed. */
  withdrawUsed(chunk: number, classId: number): void {
    this.classes[classId]!.usedChunks--
    this.#memory.words(chunk)[wordOffset(chunk) + INFO] = ItemFlag.withdrawn
  }

  /** Gives a page, whose chunks have all been withdrawn, to another class or to the pool. */
  finishMove(page: number, fromClassId: number, toClassId: number): void {
    if (fromClassId === PAGE_POOL) {
      this.#pool.splice(this.#pool.indexOf(page), 1)
    } else {
      const { pages } = this.classes[fromClassId]!
      pages.splice(pages.indexOf(page), 1)
    }
    if (toClassId === PAGE_POOL) {
      this.#pool.push(page)
      this.#releaseExcess()
    } else {
      const to = this.classes[toClassId]!
      this.#shelveFresh(to, toClassId)
      this.#startPage(to, page)
    }
  }

  /**
   * Returns a page that may leave a class: its oldest page, which has no chunks that were never used; 0 if there is
   * none.
   */
  pageToMove(classId: number): number {
    if (classId === PAGE_POOL) return this.#pool[0] ?? 0
    const { pages } = this.classes[classId]!
    return pages.length < 2 ? 0 : pages[0]!
  }

  #releaseExcess(): void {
    while (this.#pages > this.#pageLimit && this.#pool.length > 0) {
      this.#memory.releasePage(this.#pool.pop()!)
      this.#pages--
    }
  }

  #addPage(slabClass: SlabClass): boolean {
    const pooled = this.#pool.pop()
    if (pooled !== undefined) {
      this.#startPage(slabClass, pooled)
      return true
    }
    if (this.isFull && slabClass.pages.length > 0) return false
    const page = this.#memory.addPage()
    if (page === 0) return false
    this.#pages++
    this.#startPage(slabClass, page)
    return true
  }

  #startPage(slabClass: SlabClass, page: number): void {
    slabClass.pages.push(page)
    slabClass.freshChunk = page
    slabClass.freshChunks = slabClass.chunksPerPage
  }

  /** Puts the rest of the newest page on the free list, since another page becomes the newest. */
  #shelveFresh(slabClass: SlabClass, classId: number): void {
    for (; slabClass.freshChunks > 0; slabClass.freshChunks--) {
      this.#addFree(slabClass, slabClass.freshChunk, classId)
      slabClass.freshChunk += slabClass.chunkBytes >>> 3
    }
  }

  #addFree(slabClass: SlabClass, chunk: number, classId: number): void {
    const words = this.#memory.words(chunk)
    const at = wordOffset(chunk)
    words[at + INFO] = ItemFlag.free | makeInfo(0, classId)
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

function pagesOf(memoryLimitBytes: number): number {
  return Math.max(1, Math.floor(memoryLimitBytes / PAGE_BYTES))
}

/** Returns the class for each size in units of 8 bytes, so that choosing a class is a lookup. */
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
