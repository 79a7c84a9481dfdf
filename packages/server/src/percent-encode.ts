/** What RFC 3986 leaves as it is ("unreserved"). */
const UNRESERVED = /[A-Za-z0-9\-._~]/

/**
 * The text of each byte: itself where it is unreserved, else `%XX`; memcached's `uriencode`, for keys in dumps and
 * logs.
 */
const ENCODED: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte)
  return UNRESERVED.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
})

/** Encodes bytes for a line that others read by its words. */
export function percentEncode(bytes: Buffer, start: number, length: number): string {
  let encoded = ''
  for (let at = start; at < start + length; at++) encoded += ENCODED[bytes[at]!]!
  return encoded
}
