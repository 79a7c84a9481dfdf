/**
 * The layout of an item in its chunk. A chunk is 8-byte aligned; an item's reference is its address in units of 8
 * bytes, so that 16 GiB fit a small integer. The header has 14 words of 32 bits; the key and the value follow it
 * directly.
 *
 * memcached's own header has 48 bytes, and 8 more for the cas unique: these are the 56 bytes here, so that an item
 * takes a chunk of the same size as in memcached. Chunks that only continue a large item ("pieces"), and free chunks,
 * use some of these words.
 */
export const HEADER_BYTES = 56

/** Next item in the hash bucket; next free chunk; a piece's next piece. */
export const NEXT = 0
/** The item's neighbour towards the head of its LRU; the free chunk before; the item that a piece belongs to. */
export const LRU_PREVIOUS = 1
/** The item's neighbour towards the tail of its LRU; the last piece, while a large item is being written. */
export const LRU_NEXT = 2
/** The time when it expires, in the server's seconds; 0 is never. */
export const EXPTIME = 3
/** The time when it was stored or last fetched, in the server's seconds. */
export const LAST_ACCESS = 4
/** Bytes of the value; of a piece, the bytes in it. */
export const VALUE_LENGTH = 5
/** Key length in bits 0–7, LRU list in bits 8–15, `ItemFlag`s above, and in bits 25–30 a large item's header class. */
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
  /** The chunk is on its class's free list. */
  free: 1 << 17,
  /** Continues a large item. */
  piece: 1 << 18,
  /** Fetched since it was stored. */
  fetched: 1 << 19,
  /** Marked stale by `md … I` or a stale `ms` (protocol.txt, "Meta delete"). */
  stale: 1 << 20,
  /** A client has won the right to recache it. */
  tokenSent: 1 << 21,
  /** Its key was sent as base64, and is returned as base64. */
  binaryKey: 1 << 22,
  /** Fetched again since it came to its LRU list, so that it is not evicted yet. */
  active: 1 << 23,
  /** The chunk is on a page that is moving to another class: it is neither free nor an item. */
  withdrawn: 1 << 24,
} as const

const LIST_SHIFT = 8
/** The part of a list's number that is its class. */
export const CLASS_MASK = 0x3f
const HEADER_CLASS_SHIFT = 25

/**
 * The four parts of each class's LRU, as memcached names them: new items are HOT, items that were fetched again WARM,
 * and all others COLD, where items are evicted; TEMP holds items that expire soon and are never evicted. The sum of a
 * part and a class is the number of an LRU list.
 */
export const Segment = { hot: 0, warm: 64, cold: 128, temp: 192 } as const

/** The number of LRU lists: four for each class. */
export const LRU_LISTS = 256

/** Returns the LRU list in an `INFO` word: class and segment. */
export function listOf(info: number): number {
  return (info >>> LIST_SHIFT) & 0xff
}

/** Returns the class in an `INFO` word. */
export function classOf(info: number): number {
  return (info >>> LIST_SHIFT) & CLASS_MASK
}

/** Returns the class of the chunk that holds the header; it differs from the class of the item only for large items. */
export function headerClassOf(info: number): number {
  const header = (info >>> HEADER_CLASS_SHIFT) & CLASS_MASK
  return header === 0 ? classOf(info) : header
}

/** Returns an `INFO` word for a key length, an LRU list and, of a large item, the class of its header's chunk. */
export function makeInfo(keyLength: number, list: number, headerClass = 0): number {
  return keyLength | (list << LIST_SHIFT) | (headerClass << HEADER_CLASS_SHIFT)
}

/** Returns the `INFO` word with another LRU list. */
export function withList(info: number, list: number): number {
  return (info & ~(0xff << LIST_SHIFT)) | (list << LIST_SHIFT)
}

/** Returns the bytes that memcached counts for an item, by which its class is chosen. */
export function itemBytes(keyLength: number, clientFlags: number, valueLength: number): number {
  return HEADER_BYTES + keyLength + 1 + (clientFlags === 0 ? 0 : 4) + valueLength + 2
}
