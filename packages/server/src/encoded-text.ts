/** The characters that RFC 3986 calls unreserved. */
const UNRESERVED = /[A-Za-z0-9\-._~]/

/**
 * The text of each byte: itself if it is unreserved, else `%XX`. This is memcached's `uriencode`, for keys in dumps and
 * logs.
 */
const ENCODED: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte)
  return UNRESERVED.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
})

/** Encodes bytes as one word of a line. */
export function percentEncode(bytes: Buffer, start: number, length: number): string {
  let encoded = ''
  for (let at = start; at < start + length; at++) encoded += ENCODED[bytes[at]!]!
  return encoded
}

/** Returns text of a client for the log, with control characters escaped, which could move the cursor of a terminal. */
export function printable(text: string): string {
  return text.replaceAll(/[^ -~\u00a0-\u00ff]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
}
