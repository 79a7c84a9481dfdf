/** The secret of this process: 64 random bits, so that no client can construct keys that collide in an index. */
const [SECRET_LOW, SECRET_HIGH] = crypto.getRandomValues(new Int32Array(2)) as unknown as [number, number]

/** The `delimiter` of `scanKey` for keys without one: no byte is equal to it. */
const NO_DELIMITER = -1
const END_MARK = 0x80

/** The result of `scanKey`. */
export interface HashedKey {
  keyHash: number
}

/**
 * Finds the end of the key that starts at `start`, by its delimiter or at `end`, and hashes the key in the same pass.
 * Returns the position after the key; the hash is `into.keyHash`, a signed integer of 32 bits.
 *
 * The hash is Marvin32, which .NET uses for its strings against constructed collisions: 64 bits of secret state, into
 * which four bytes at a time are mixed by additions, rotations and exclusive ors, the last ones followed by an end mark
 * (docs/decisions/0012-keys-are-hashed-with-a-secret.md).
 */
export function scanKey(into: HashedKey, buffer: Uint8Array, start: number, end: number, delimiter: number): number {
  let low = SECRET_LOW
  let high = SECRET_HIGH
  let at = start
  for (; at + 4 <= end; at += 4) {
    const first = buffer[at]!
    const second = buffer[at + 1]!
    const third = buffer[at + 2]!
    const fourth = buffer[at + 3]!
    if (first === delimiter || second === delimiter || third === delimiter || fourth === delimiter) break
    low = (low + (first | (second << 8) | (third << 16) | (fourth << 24))) | 0
    high ^= low
    low = (((low << 20) | (low >>> 12)) + high) | 0
    high = ((high << 9) | (high >>> 23)) ^ low
    low = (((low << 27) | (low >>> 5)) + high) | 0
    high = (high << 19) | (high >>> 13)
  }
  let last = 0
  let shift = 0
  for (; at < end && buffer[at] !== delimiter; at++) {
    last |= buffer[at]! << shift
    shift += 8
  }
  low = (low + (last | (END_MARK << shift))) | 0
  high ^= low
  low = (((low << 20) | (low >>> 12)) + high) | 0
  high = ((high << 9) | (high >>> 23)) ^ low
  low = (((low << 27) | (low >>> 5)) + high) | 0
  high = (high << 19) | (high >>> 13)
  high ^= low
  low = (((low << 20) | (low >>> 12)) + high) | 0
  high = ((high << 9) | (high >>> 23)) ^ low
  low = (((low << 27) | (low >>> 5)) + high) | 0
  high = (high << 19) | (high >>> 13)
  into.keyHash = low ^ high
  return at
}

const hashed: HashedKey = { keyHash: 0 }

/** Returns the hash of a key with any bytes: the same that a parsed request has in `keyHash`. */
export function hashKey(buffer: Uint8Array, start: number, length: number): number {
  scanKey(hashed, buffer, start, start + length, NO_DELIMITER)
  return hashed.keyHash
}
