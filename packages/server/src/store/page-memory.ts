/** memcached's page: the unit in which memory goes to a class. */
export const PAGE_BYTES = 1024 * 1024
const PAGE_UNIT_BITS = 17
const UNITS_PER_PAGE = 1 << PAGE_UNIT_BITS
const UNIT_MASK = UNITS_PER_PAGE - 1

/**
 * Aligns pages to the processor's cache lines, since the first item begins at the page's start and a header is a little
 * shorter than a line. Memory that glibc maps begins 16 bytes after a line; elsewhere the alignment has no effect.
 */
const CACHE_LINE_BYTES = 64
const PAGE_OFFSET = 48

/** References of 31 bits end here. */
const MAX_PAGES = 2 ** 31 / UNITS_PER_PAGE
/**
 * The maximum of `-m`, in MiB: the memory that references can address, less the pages that classes may get beyond the
 * limit.
 */
export const MAX_MEMORY_MB = MAX_PAGES - 64

const NO_BYTES = Buffer.alloc(0)
const NO_WORDS = new Int32Array(0)
const NO_VIEW = new DataView(new ArrayBuffer(0))

/**
 * Item memory outside the JavaScript heap, page by page, addressed by a reference in units of 8 bytes. Each page is a
 * separate block, so that `-m` may exceed the 4 GiB of a typed array on Node 20, and so that a freed page returns to
 * the operating system.
 */
export class PageMemory {
  /** Page 0 is never handed out, so that reference 0 means "none". */
  readonly #bytes: Buffer[] = [NO_BYTES]
  readonly #words: Int32Array[] = [NO_WORDS]
  readonly #views: DataView[] = [NO_VIEW]
  /** The numbers of freed pages, for reuse. */
  readonly #freePages: number[] = []

  /** Returns the page of a reference, as bytes. */
  bytes(reference: number): Buffer {
    return this.#bytes[reference >>> PAGE_UNIT_BITS]!
  }

  /** Returns the page of a reference, as words of 32 bits. */
  words(reference: number): Int32Array {
    return this.#words[reference >>> PAGE_UNIT_BITS]!
  }

  /** Returns the page of a reference, as a view for `copyShort`. */
  view(reference: number): DataView {
    return this.#views[reference >>> PAGE_UNIT_BITS]!
  }

  /**
   * Allocates a zeroed page and returns its reference; 0 if the system has no memory, or references cannot address
   * more. The caller enforces the limit.
   */
  addPage(): number {
    if (this.#freePages.length === 0 && this.#bytes.length === MAX_PAGES) return 0
    const memory = allocatePage()
    if (memory === undefined) return 0
    const number = this.#freePages.pop() ?? this.#bytes.length
    this.#bytes[number] = Buffer.from(memory, PAGE_OFFSET, PAGE_BYTES)
    this.#words[number] = new Int32Array(memory, PAGE_OFFSET, PAGE_BYTES / 4)
    this.#views[number] = new DataView(memory, PAGE_OFFSET, PAGE_BYTES)
    return number * UNITS_PER_PAGE
  }

  /** Frees a page's memory; nothing may refer to it any more. */
  releasePage(page: number): void {
    const number = page >>> PAGE_UNIT_BITS
    this.#bytes[number] = NO_BYTES
    this.#words[number] = NO_WORDS
    this.#views[number] = NO_VIEW
    this.#freePages.push(number)
  }
}

function allocatePage(): ArrayBuffer | undefined {
  try {
    return new ArrayBuffer(PAGE_BYTES + CACHE_LINE_BYTES)
  } catch {
    return undefined
  }
}

/** Returns the position of a reference in the bytes of its page. */
export function byteOffset(reference: number): number {
  return (reference & UNIT_MASK) << 3
}

/** Returns the position of a reference in the words of its page. */
export function wordOffset(reference: number): number {
  return (reference & UNIT_MASK) << 1
}
