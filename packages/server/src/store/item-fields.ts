import type { Uint64 } from 'memcache-ts-protocol'
import { COPY_WORDS_BYTES, copyShort } from './copy-short.ts'
import type { ByteTarget } from './copy-short.ts'
import {
  CAS_HIGH,
  CAS_LOW,
  classOf,
  CLIENT_FLAGS,
  EXPTIME,
  FIRST_PIECE,
  HEADER_BYTES,
  INFO,
  itemBytes,
  KEY_HASH,
  LAST_ACCESS,
  listOf,
  NEXT,
  VALUE_LENGTH,
} from './item-layout.ts'
import { byteOffset, wordOffset } from './page-memory.ts'
import type { PageMemory } from './page-memory.ts'

const KEY_LENGTH_MASK = 0xff

/** A key at its place in a buffer, and its hash (`hashKey`). A `Request` has these fields. */
export interface StoredKey {
  readonly keyBuffer: Buffer
  readonly keyStart: number
  readonly keyLength: number
  readonly keyHash: number
}

/** The fields that an item is reserved with. A `Request` has them. */
export interface NewItem extends StoredKey {
  readonly clientFlags: number
}

/** Reads and writes the fields of items by their references, as `item-layout.ts` describes them. */
export class ItemFields {
  readonly memory: PageMemory

  constructor(memory: PageMemory) {
    this.memory = memory
  }

  exptime(item: number): number {
    return this.memory.words(item)[wordOffset(item) + EXPTIME]!
  }

  setExptime(item: number, exptime: number): void {
    this.memory.words(item)[wordOffset(item) + EXPTIME] = exptime
  }

  lastAccess(item: number): number {
    return this.memory.words(item)[wordOffset(item) + LAST_ACCESS]!
  }

  clientFlags(item: number): number {
    return this.memory.words(item)[wordOffset(item) + CLIENT_FLAGS]! >>> 0
  }

  valueLength(item: number): number {
    return this.memory.words(item)[wordOffset(item) + VALUE_LENGTH]!
  }

  /** Returns the item's bytes as memcached counts them. */
  itemBytes(item: number): number {
    return itemBytes(this.keyLength(item), this.clientFlags(item), this.valueLength(item))
  }

  classOf(item: number): number {
    return classOf(this.memory.words(item)[wordOffset(item) + INFO]!)
  }

  listOf(item: number): number {
    return listOf(this.memory.words(item)[wordOffset(item) + INFO]!)
  }

  hasFlag(item: number, flag: number): boolean {
    return (this.memory.words(item)[wordOffset(item) + INFO]! & flag) !== 0
  }

  /** Returns the `ItemFlag`s of an item, among other bits of its `INFO` word. */
  flags(item: number): number {
    return this.memory.words(item)[wordOffset(item) + INFO]!
  }

  setFlag(item: number, flag: number): void {
    this.memory.words(item)[wordOffset(item) + INFO]! |= flag
  }

  clearFlag(item: number, flag: number): void {
    this.memory.words(item)[wordOffset(item) + INFO]! &= ~flag
  }

  readCas(item: number, into: Uint64): Uint64 {
    const words = this.memory.words(item)
    const at = wordOffset(item)
    into.set(words[at + CAS_HIGH]!, words[at + CAS_LOW]!)
    return into
  }

  /** Returns the bytes that contain an item's key and value; see `keyStart` and `valueStart`. */
  bytes(item: number): Buffer {
    return this.memory.bytes(item)
  }

  /** Returns an item's key and client flags, to find or reserve another item with them. */
  keyOf(item: number): NewItem {
    return {
      keyBuffer: this.memory.bytes(item),
      keyStart: this.keyStart(item),
      keyLength: this.keyLength(item),
      keyHash: this.keyHash(item),
      clientFlags: this.clientFlags(item),
    }
  }

  keyStart(item: number): number {
    return byteOffset(item) + HEADER_BYTES
  }

  keyHash(item: number): number {
    return this.memory.words(item)[wordOffset(item) + KEY_HASH]!
  }

  keyLength(item: number): number {
    return this.memory.words(item)[wordOffset(item) + INFO]! & KEY_LENGTH_MASK
  }

  /** Returns the position of the value in `bytes`; not for a chained item. */
  valueStart(item: number): number {
    return byteOffset(item) + HEADER_BYTES + this.keyLength(item)
  }

  /** Returns whether the value is stored in more than one place. */
  isChained(item: number): boolean {
    return this.memory.words(item)[wordOffset(item) + FIRST_PIECE] !== 0
  }

  /** Copies the value to `target`; not for a chained item. */
  copyValue(item: number, target: ByteTarget, at: number): void {
    const start = this.valueStart(item)
    const end = start + this.valueLength(item)
    if (end - start <= COPY_WORDS_BYTES) copyShort(this.memory.view(item), start, end, target.view, at)
    else this.memory.bytes(item).copy(target.buffer, at, start, end)
  }

  /** Returns the pieces of the value in order: views that are valid only while the item is linked or pinned. */
  valueSlices(item: number): Buffer[] {
    if (!this.isChained(item)) {
      const start = this.valueStart(item)
      return [this.memory.bytes(item).subarray(start, start + this.valueLength(item))]
    }
    const slices: Buffer[] = []
    let piece = this.memory.words(item)[wordOffset(item) + FIRST_PIECE]!
    while (piece !== 0) {
      const words = this.memory.words(piece)
      const at = wordOffset(piece)
      const start = byteOffset(piece) + HEADER_BYTES
      slices.push(this.memory.bytes(piece).subarray(start, start + words[at + VALUE_LENGTH]!))
      piece = words[at + NEXT]!
    }
    return slices
  }
}
