/**
 * Up to this many bytes `copyShort` is faster than `Buffer.copy`, which makes a view of the source first (Node 20 to
 * 24).
 */
export const COPY_WORDS_BYTES = 192

/** Memory to copy to: the same bytes as a buffer, and as a view for `copyShort`. */
export interface ByteTarget {
  readonly buffer: Buffer
  readonly view: DataView
}

/** Returns the bytes of a buffer as a view. */
export function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length)
}

/** Copies bytes in words of 32 bits, which need no alignment. */
export function copyShort(source: DataView, start: number, end: number, target: DataView, at: number): void {
  let from = start
  let to = at
  for (const last = end - 8; from <= last; from += 8, to += 8) {
    target.setInt32(to, source.getInt32(from, true), true)
    target.setInt32(to + 4, source.getInt32(from + 4, true), true)
  }
  for (; from < end; from++, to++) target.setUint8(to, source.getUint8(from))
}
