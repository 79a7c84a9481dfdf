const SEGMENT_BYTES = 64 * 1024 * 1024
const SEGMENT_UNIT_BITS = 23
const UNIT_MASK = (1 << SEGMENT_UNIT_BITS) - 1

/** memcached's page: the unit in which memory goes to a class. */
export const PAGE_BYTES = 1024 * 1024
const PAGES_PER_SEGMENT = SEGMENT_BYTES / PAGE_BYTES
const UNITS_PER_PAGE = PAGE_BYTES / 8

/**
 * Item memory outside the JavaScript heap: segments of 64 MiB made on demand, addressed by a reference in units of 8
 * bytes. One large block would be simpler, but on Node 20 a typed array ends at 4 GiB, and it could not grow. The
 * operating system backs a segment with memory only where it is written to.
 */
export class SegmentedMemory {
  readonly #bytes: Buffer[] = []
  readonly #words: Int32Array[] = []
  /** Page 0 is never handed out, so that reference 0 means "none". */
  #nextPage = 1

  /** The segment of a reference, as bytes. */
  bytes(reference: number): Buffer {
    return this.#bytes[reference >>> SEGMENT_UNIT_BITS]!
  }

  /** The segment of a reference, as words of 32 bits. */
  words(reference: number): Int32Array {
    return this.#words[reference >>> SEGMENT_UNIT_BITS]!
  }

  /** A fresh page's reference. The caller keeps count of how many it may have. */
  addPage(): number {
    const page = this.#nextPage++
    if (Math.floor(page / PAGES_PER_SEGMENT) === this.#bytes.length) {
      const memory = new ArrayBuffer(SEGMENT_BYTES)
      this.#bytes.push(Buffer.from(memory))
      this.#words.push(new Int32Array(memory))
    }
    return page * UNITS_PER_PAGE
  }
}

/** Where in its segment's bytes a reference points. */
export function byteOffset(reference: number): number {
  return (reference & UNIT_MASK) << 3
}

/** Where in its segment's words a reference points. */
export function wordOffset(reference: number): number {
  return (reference & UNIT_MASK) << 1
}
