/**
 * How an item lies in its chunk. A chunk is 8-byte aligned; an item's reference is its address in units of 8 bytes, so
 * that 16 GiB fit a small integer. The header is 14 words of 32 bits, then come the key and, right behind it, the value.
 *
 * memcached's own header is 48 bytes and 8 more for the cas unique: these are the 56 bytes here, so that an item takes
 * the same chunk as there. Chunks that only continue a large item ("pieces") and free ones use the same words for less.
 */
export const HEADER_BYTES = 56

/** Next item in the hash bucket; next free chunk; a piece's next piece. */
export const NEXT = 0
/** The item's neighbour towards the head of its LRU; the free chunk before; the item that a piece belongs to. */
export const LRU_PREVIOUS = 1
/** The item's neighbour towards the tail of its LRU; the last piece, while a large item is being written. */
export const LRU_NEXT = 2
/** When it expires, in the server's seconds; 0 is never. */
export const EXPTIME = 3
/** When it was stored or last fetched, in the server's seconds. */
export const LAST_ACCESS = 4
/** Bytes of the value; of a piece, the bytes in it. */
export const VALUE_LENGTH = 5
/** Key length in bits 0–7, class in bits 8–15, `ItemFlag`s above. */
export const INFO = 6
/** How many replies still send its bytes. */
export const PINS = 7
export const CLIENT_FLAGS = 8
export const KEY_HASH = 9
export const CAS_LOW = 10
export const CAS_HIGH = 11
/** The first piece of a large item, 0 of any other. */
export const FIRST_PIECE = 12
/** The flush generation that it was stored in. */
export const GENERATION = 13

/** Bits of the `INFO` word. */
export const ItemFlag = {
  /** In the index and the LRU. */
  linked: 1 << 16,
  /** On its class's free list. */
  free: 1 << 17,
  /** Continues a large item. */
  piece: 1 << 18,
  /** Fetched since it was stored. */
  fetched: 1 << 19,
  /** Marked stale by `md … I` or a stale `ms` (protocol.txt, "Meta delete"). */
  stale: 1 << 20,
  /** Somebody has won the right to recache it. */
  tokenSent: 1 << 21,
  /** Its key was sent as base64, and is returned so. */
  binaryKey: 1 << 22,
} as const

/** The bytes that memcached counts for an item, by which its class is chosen. */
export function itemBytes(keyLength: number, clientFlags: number, valueLength: number): number {
  return HEADER_BYTES + keyLength + 1 + (clientFlags === 0 ? 0 : 4) + valueLength + 2
}
