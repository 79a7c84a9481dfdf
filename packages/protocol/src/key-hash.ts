const FNV_PRIME = 0x0100_0193

/** Where every hash starts: drawn once a process, so that nobody can prepare keys that meet in one bucket. */
export const HASH_SEED = (0x811c_9dc5 ^ Math.floor(Math.random() * 0x1_0000_0000)) | 0

/** One byte further in a key's hash (FNV-1a). */
export function hashByte(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, FNV_PRIME)
}

/** Spreads a finished hash over all its 32 bits (the finalizer of MurmurHash3), as a signed integer. */
export function finishHash(hash: number): number {
  let mixed = hash ^ (hash >>> 16)
  mixed = Math.imul(mixed, 0x85eb_ca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2_ae35)
  return mixed ^ (mixed >>> 16)
}

/** The hash of a key in a buffer: the same that a parsed request carries in `keyHash`. */
export function hashKey(buffer: Uint8Array, start: number, length: number): number {
  let hash = HASH_SEED
  for (let at = start; at < start + length; at++) hash = hashByte(hash, buffer[at]!)
  return finishHash(hash)
}
