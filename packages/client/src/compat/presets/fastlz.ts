import { MemcacheDecodeError } from 'memcache-ts-protocol'

/** The length field that means "more length bytes follow" (FastLZ, long match). */
const MAX_SHORT_LENGTH = 6
const FAR_OFFSET = 31 << 8
const FAR_DISTANCE = 8191

/**
 * Decompresses FastLZ, levels 1 and 2 (ariya.github.io/FastLZ): literal runs, and copies of earlier bytes.
 *
 * @param length the decompressed length, as stored with the value.
 * @throws MemcacheDecodeError if the bytes are not valid FastLZ.
 */
export function decompressFastlz(bytes: Buffer, length: number): Buffer {
  const level = (bytes[0] ?? 0) >> 5
  if (level > 1) throw broken()
  const out = Buffer.allocUnsafe(length)
  let at = 0
  let end = 0
  let control = next() & 31
  for (;;) {
    if (control >= 32) copyBack()
    else copyLiterals(control + 1)
    if (at >= bytes.length) break
    control = next()
  }
  if (end !== length) throw broken()
  return out

  function next(): number {
    const byte = bytes[at++]
    if (byte === undefined) throw broken()
    return byte
  }

  function copyLiterals(count: number): void {
    if (at + count > bytes.length || end + count > length) throw broken()
    bytes.copy(out, end, at, at + count)
    at += count
    end += count
  }

  function copyBack(): void {
    let count = (control >> 5) - 1
    const offset = (control & 31) << 8
    if (count === MAX_SHORT_LENGTH) {
      let more: number
      do {
        more = next()
        count += more
      } while (level === 1 && more === 255)
    }
    const low = next()
    let distance = offset + low + 1
    if (level === 1 && low === 255 && offset === FAR_OFFSET) distance = (next() << 8) + next() + FAR_DISTANCE + 1
    count += 3
    if (distance > end || end + count > length) throw broken()
    // Byte by byte, since the copy may overlap its target.
    for (let index = 0; index < count; index++, end++) out[end] = out[end - distance]!
  }
}

function broken(): MemcacheDecodeError {
  return new MemcacheDecodeError('a compressed value cannot be read: it is no FastLZ')
}
