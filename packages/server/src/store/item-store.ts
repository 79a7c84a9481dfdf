import { Uint64 } from 'memcache-ts-protocol'
import { HashIndex } from './hash-index.ts'
import {
  CAS_HIGH,
  CAS_LOW,
  CLIENT_FLAGS,
  EXPTIME,
  FIRST_PIECE,
  GENERATION,
  HEADER_BYTES,
  INFO,
  itemBytes,
  ItemFlag,
  KEY_HASH,
  LAST_ACCESS,
  LRU_NEXT,
  LRU_PREVIOUS,
  NEXT,
  PINS,
  VALUE_LENGTH,
} from './item-layout.ts'
import { Lru } from './lru.ts'
import { byteOffset, SegmentedMemory, wordOffset } from './segmented-memory.ts'
import { SlabAllocator } from './slab-allocator.ts'
import { slabClassSizes } from './slab-classes.ts'
import { StoreCounters } from './store-counters.ts'

/** What `reserve` returns when there is no memory and nothing may be evicted. */
export const OUT_OF_MEMORY = 0
/** What `reserve` returns for an item over the limit (`-I`). */
export const TOO_LARGE = -1

/** An item fetched again within this time keeps its place in the LRU, as in memcached. */
const BUMP_INTERVAL_SECONDS = 60
/** How many items from the tail on are looked at for one that may go. */
const EVICTION_SEARCH_DEPTH = 5
/** Up to this many bytes a loop copies faster than a call into the engine. */
const COPY_LOOP_BYTES = 64
const CLASS_SHIFT = 8
const BYTE_MASK = 0xff

/** Limits of an `ItemStore`. */
export interface ItemStoreOptions {
  /** Item memory, in bytes (`-m`). */
  memoryLimitBytes: number
  /** The largest item, in bytes (`-I`). */
  itemMaxBytes: number
  /** Whether items make room for new ones (`-M` says no). */
  evict: boolean
}

/**
 * The items: in slab pages outside the JavaScript heap, found by a hash index, evicted by least recent use.
 *
 * Everything is spoken of by an item's reference, a number, valid until the next call that stores or deletes: no key
 * string, no object an item. Storing takes three steps, so that a value is written where it stays while it arrives:
 * `reserve` (memory and key), `write` (the value, piece by piece), then `link` (visible; replaces what had the key) or
 * `release` (never was). A linked item whose bytes are still being sent is pinned; replaced or evicted meanwhile, it is
 * gone for lookups at once and freed by the last `unpin`.
 *
 * Times are the server's seconds (see `ServerClock`); `now` is set by the owner.
 */
export class ItemStore {
  /** The current second. */
  now = 2
  readonly counters = new StoreCounters()
  readonly slabs: SlabAllocator
  readonly index: HashIndex
  readonly lru: Lru
  readonly #memory = new SegmentedMemory()
  readonly #itemMaxBytes: number
  readonly #evict: boolean
  readonly #lastCas = new Uint64()
  #generation = 1

  constructor(options: ItemStoreOptions) {
    const sizes = slabClassSizes()
    this.slabs = new SlabAllocator(this.#memory, sizes, options.memoryLimitBytes)
    this.index = new HashIndex(this.#memory)
    this.lru = new Lru(this.#memory, sizes.length)
    this.#itemMaxBytes = options.itemMaxBytes
    this.#evict = options.evict
  }

  // Finding

  /** The live item with this key, or 0. One that has expired or was flushed is removed on the way. */
  find(buffer: Buffer, keyStart: number, keyLength: number, keyHash: number): number {
    let item = this.index.first(keyHash)
    while (item !== 0) {
      const words = this.#memory.words(item)
      const at = wordOffset(item)
      if (words[at + KEY_HASH] === keyHash && (words[at + INFO]! & BYTE_MASK) === keyLength) {
        const bytes = this.#memory.bytes(item)
        const start = byteOffset(item) + HEADER_BYTES
        let index = 0
        while (index < keyLength && bytes[start + index] === buffer[keyStart + index]) index++
        if (index === keyLength) return this.#isLive(item, words, at) ? item : 0
      }
      item = words[at + NEXT]!
    }
    return 0
  }

  #isLive(item: number, words: Int32Array, at: number): boolean {
    const exptime = words[at + EXPTIME]!
    const expired = exptime !== 0 && exptime <= this.now
    if (!expired && words[at + GENERATION] === this.#generation) return true
    if (expired) this.counters.getExpired++
    else this.counters.getFlushed++
    this.unlink(item)
    return false
  }

  // Storing

  /**
   * Memory for an item, its key written, not yet to be found: its reference, or `TOO_LARGE`, or `OUT_OF_MEMORY`.
   * Give it back with `release` when it is not linked.
   */
  reserve(
    buffer: Buffer,
    keyStart: number,
    keyLength: number,
    keyHash: number,
    clientFlags: number,
    exptime: number,
    valueLength: number,
  ): number {
    const size = itemBytes(keyLength, clientFlags, valueLength)
    if (size > this.#itemMaxBytes) return TOO_LARGE
    const chained = size > this.slabs.largestChunkBytes
    const classId = this.slabs.classFor(chained ? HEADER_BYTES + keyLength : size)
    const item = this.#allocate(classId)
    if (item === 0) return OUT_OF_MEMORY
    const words = this.#memory.words(item)
    const at = wordOffset(item)
    words[at + NEXT] = 0
    words[at + LRU_PREVIOUS] = 0
    words[at + LRU_NEXT] = 0
    words[at + EXPTIME] = exptime
    words[at + LAST_ACCESS] = this.now
    words[at + VALUE_LENGTH] = valueLength
    words[at + INFO] = keyLength | (classId << CLASS_SHIFT)
    words[at + PINS] = 0
    words[at + CLIENT_FLAGS] = clientFlags
    words[at + KEY_HASH] = keyHash
    words[at + FIRST_PIECE] = 0
    const bytes = this.#memory.bytes(item)
    const start = byteOffset(item) + HEADER_BYTES
    for (let index = 0; index < keyLength; index++) bytes[start + index] = buffer[keyStart + index]!
    if (chained && !this.#addPiece(item, valueLength)) {
      this.#freeChunks(item)
      return OUT_OF_MEMORY
    }
    return item
  }

  /**
   * Writes bytes of the value at `offset`; a large item's must come in order. Returns false when there is no memory for
   * more of it.
   */
  write(item: number, offset: number, source: Buffer, start: number, end: number): boolean {
    const words = this.#memory.words(item)
    const at = wordOffset(item)
    if (words[at + FIRST_PIECE] === 0) {
      const target = byteOffset(item) + HEADER_BYTES + (words[at + INFO]! & BYTE_MASK) + offset
      copyBytes(source, start, end, this.#memory.bytes(item), target)
      return true
    }
    let position = start
    while (position < end) {
      const piece = words[at + LRU_NEXT]!
      const pieceWords = this.#memory.words(piece)
      const pieceAt = wordOffset(piece)
      const used = pieceWords[pieceAt + VALUE_LENGTH]!
      const room = this.#pieceBytes(piece) - used
      if (room === 0) {
        if (!this.#addPiece(item, words[at + VALUE_LENGTH]! - (offset + position - start))) return false
        continue
      }
      const take = Math.min(room, end - position)
      source.copy(this.#memory.bytes(piece), byteOffset(piece) + HEADER_BYTES + used, position, position + take)
      pieceWords[pieceAt + VALUE_LENGTH] = used + take
      position += take
    }
    return true
  }

  /** Makes a reserved item findable, in place of what had its key, and gives it the next cas unique. */
  link(item: number): void {
    this.nextCas(SCRATCH_CAS)
    this.linkWithCas(item, SCRATCH_CAS)
  }

  /** The same with a cas unique of the caller's. */
  linkWithCas(item: number, cas: Uint64): void {
    const words = this.#memory.words(item)
    const at = wordOffset(item)
    const hash = words[at + KEY_HASH]!
    const old = this.find(
      this.#memory.bytes(item),
      byteOffset(item) + HEADER_BYTES,
      words[at + INFO]! & BYTE_MASK,
      hash,
    )
    if (old !== 0) this.unlink(old)
    words[at + INFO]! |= ItemFlag.linked
    words[at + CAS_LOW] = cas.low
    words[at + CAS_HIGH] = cas.high
    words[at + GENERATION] = this.#generation
    words[at + LAST_ACCESS] = this.now
    this.index.insert(item, hash)
    this.lru.addHead(item, this.classOf(item))
    this.counters.linked(itemBytes(words[at + INFO]! & BYTE_MASK, words[at + CLIENT_FLAGS]!, words[at + VALUE_LENGTH]!))
  }

  /** Gives a reserved item's memory back. */
  release(item: number): void {
    this.#freeChunks(item)
  }

  /** Removes a linked item; its memory is freed now, or by the last `unpin`. */
  unlink(item: number): void {
    const words = this.#memory.words(item)
    const at = wordOffset(item)
    const info = words[at + INFO]!
    this.index.remove(item, words[at + KEY_HASH]!)
    this.lru.remove(item, (info >>> CLASS_SHIFT) & BYTE_MASK)
    words[at + INFO] = info & ~ItemFlag.linked
    this.counters.unlinked(itemBytes(info & BYTE_MASK, words[at + CLIENT_FLAGS]!, words[at + VALUE_LENGTH]!))
    if (words[at + PINS] === 0) this.#freeChunks(item)
  }

  /** Keeps an item's memory although it may be unlinked, until `unpin`: its bytes are being sent. */
  pin(item: number): void {
    this.#memory.words(item)[wordOffset(item) + PINS]!++
  }

  unpin(item: number): void {
    const words = this.#memory.words(item)
    const at = wordOffset(item)
    words[at + PINS]!--
    if (words[at + PINS] === 0 && (words[at + INFO]! & ItemFlag.linked) === 0) this.#freeChunks(item)
  }

  isPinned(item: number): boolean {
    return this.#memory.words(item)[wordOffset(item) + PINS] !== 0
  }

  /** Counts a fetch. */
  fetched(item: number): void {
    this.#memory.words(item)[wordOffset(item) + INFO]! |= ItemFlag.fetched
    this.bump(item)
  }

  /** Counts a use: if the last one was long ago, it goes to the head of the LRU. */
  bump(item: number): void {
    const words = this.#memory.words(item)
    const at = wordOffset(item)
    if (this.now - words[at + LAST_ACCESS]! >= BUMP_INTERVAL_SECONDS) {
      words[at + LAST_ACCESS] = this.now
      const classId = this.classOf(item)
      this.lru.remove(item, classId)
      this.lru.addHead(item, classId)
    }
  }

  /** Everything stored so far is gone. Memory comes back as the items are met. */
  flush(): void {
    this.#generation++
  }

  // Fields of an item

  exptime(item: number): number {
    return this.#memory.words(item)[wordOffset(item) + EXPTIME]!
  }

  setExptime(item: number, exptime: number): void {
    this.#memory.words(item)[wordOffset(item) + EXPTIME] = exptime
  }

  lastAccess(item: number): number {
    return this.#memory.words(item)[wordOffset(item) + LAST_ACCESS]!
  }

  clientFlags(item: number): number {
    return this.#memory.words(item)[wordOffset(item) + CLIENT_FLAGS]! >>> 0
  }

  valueLength(item: number): number {
    return this.#memory.words(item)[wordOffset(item) + VALUE_LENGTH]!
  }

  classOf(item: number): number {
    return (this.#memory.words(item)[wordOffset(item) + INFO]! >>> CLASS_SHIFT) & BYTE_MASK
  }

  hasFlag(item: number, flag: number): boolean {
    return (this.#memory.words(item)[wordOffset(item) + INFO]! & flag) !== 0
  }

  setFlag(item: number, flag: number): void {
    this.#memory.words(item)[wordOffset(item) + INFO]! |= flag
  }

  clearFlag(item: number, flag: number): void {
    this.#memory.words(item)[wordOffset(item) + INFO]! &= ~flag
  }

  readCas(item: number, into: Uint64): Uint64 {
    const words = this.#memory.words(item)
    const at = wordOffset(item)
    into.set(words[at + CAS_HIGH]!, words[at + CAS_LOW]!)
    return into
  }

  setCas(item: number, cas: Uint64): void {
    const words = this.#memory.words(item)
    const at = wordOffset(item)
    words[at + CAS_LOW] = cas.low
    words[at + CAS_HIGH] = cas.high
  }

  /** Draws the next cas unique. */
  nextCas(into: Uint64): Uint64 {
    this.#lastCas.increment()
    into.copy(this.#lastCas)
    return into
  }

  /** The bytes that an item's key and value lie in; see `keyStart` and `valueStart`. */
  bytes(item: number): Buffer {
    return this.#memory.bytes(item)
  }

  keyStart(item: number): number {
    return byteOffset(item) + HEADER_BYTES
  }

  keyHash(item: number): number {
    return this.#memory.words(item)[wordOffset(item) + KEY_HASH]!
  }

  keyLength(item: number): number {
    return this.#memory.words(item)[wordOffset(item) + INFO]! & BYTE_MASK
  }

  /** Where the value starts in `bytes`; not for a chained item. */
  valueStart(item: number): number {
    return byteOffset(item) + HEADER_BYTES + this.keyLength(item)
  }

  /** Whether the value lies in more than one place. */
  isChained(item: number): boolean {
    return this.#memory.words(item)[wordOffset(item) + FIRST_PIECE] !== 0
  }

  /** Copies the value to `target`; not for a chained item. */
  copyValue(item: number, target: Buffer, at: number): void {
    const start = this.valueStart(item)
    copyBytes(this.#memory.bytes(item), start, start + this.valueLength(item), target, at)
  }

  /** The value where it lies, in order: views that hold only while the item is linked or pinned. */
  valueSlices(item: number): Buffer[] {
    if (!this.isChained(item)) {
      const start = this.valueStart(item)
      return [this.#memory.bytes(item).subarray(start, start + this.valueLength(item))]
    }
    const slices: Buffer[] = []
    let piece = this.#memory.words(item)[wordOffset(item) + FIRST_PIECE]!
    while (piece !== 0) {
      const words = this.#memory.words(piece)
      const at = wordOffset(piece)
      const start = byteOffset(piece) + HEADER_BYTES
      slices.push(this.#memory.bytes(piece).subarray(start, start + words[at + VALUE_LENGTH]!))
      piece = words[at + NEXT]!
    }
    return slices
  }

  // Memory

  /** A chunk of the class: a free one, else an evicted item's, else one of a page taken from another class. */
  #allocate(classId: number): number {
    const chunk = this.slabs.allocate(classId)
    if (chunk !== 0) return chunk
    if (this.#reclaimTail(classId)) return this.slabs.allocate(classId)
    if (this.#evict && this.#takePage(classId)) return this.slabs.allocate(classId)
    this.counters.outOfMemory++
    return 0
  }

  /** Frees a chunk of the class at the tail of its LRU: an expired item's, else, if it is allowed, a live one's. */
  #reclaimTail(classId: number): boolean {
    let item = this.lru.tail(classId)
    for (let depth = 0; item !== 0 && depth < EVICTION_SEARCH_DEPTH; depth++) {
      const words = this.#memory.words(item)
      const at = wordOffset(item)
      const exptime = words[at + EXPTIME]!
      const dead = (exptime !== 0 && exptime <= this.now) || words[at + GENERATION] !== this.#generation
      if (words[at + PINS] === 0 && (dead || this.#evict)) {
        if (dead) this.counters.reclaimed++
        else this.#countEviction(words[at + INFO]!)
        this.unlink(item)
        return true
      }
      item = this.lru.previous(item)
    }
    return false
  }

  #countEviction(info: number): void {
    this.counters.evictions++
    if ((info & ItemFlag.fetched) === 0) this.counters.evictedUnfetched++
  }

  /** Evicts a whole page of the class with the most pages and gives it to this one. */
  #takePage(classId: number): boolean {
    const { classes } = this.slabs
    const donors = classes
      .map((_, id) => id)
      .filter((id) => id !== classId && classes[id]!.pages.length > 0)
      .sort((a, b) => classes[b]!.pages.length - classes[a]!.pages.length)
    for (const donor of donors) {
      for (const page of classes[donor]!.pages) {
        if (this.#emptyPage(page, donor)) {
          this.slabs.movePage(page, donor, classId)
          this.counters.pagesMoved++
          return true
        }
      }
    }
    return false
  }

  /** Evicts what is on a page; returns false, having done nothing, when something there may not go. */
  #emptyPage(page: number, classId: number): boolean {
    const step = this.slabs.classes[classId]!.chunkBytes >>> 3
    const end = this.slabs.endOfPage(page, classId)
    for (let chunk = page; chunk < end; chunk += step) {
      const owner = this.#ownerOf(chunk)
      if (owner === -1) continue
      const info = this.#memory.words(owner)[wordOffset(owner) + INFO]!
      const pinned = this.#memory.words(owner)[wordOffset(owner) + PINS] !== 0
      if (pinned || (info & ItemFlag.linked) === 0) return false
    }
    for (let chunk = page; chunk < end; chunk += step) {
      const owner = this.#ownerOf(chunk)
      if (owner === -1) continue
      this.#countEviction(this.#memory.words(owner)[wordOffset(owner) + INFO]!)
      this.unlink(owner)
    }
    return true
  }

  /** The item that a chunk holds or continues; -1 for a free one. */
  #ownerOf(chunk: number): number {
    const words = this.#memory.words(chunk)
    const at = wordOffset(chunk)
    const info = words[at + INFO]!
    if ((info & ItemFlag.free) !== 0) return -1
    return (info & ItemFlag.piece) === 0 ? chunk : words[at + LRU_PREVIOUS]!
  }

  /** Adds a piece for the `rest` of a large item's value. */
  #addPiece(item: number, rest: number): boolean {
    const wanted = Math.min(rest + HEADER_BYTES, this.slabs.largestChunkBytes)
    const classId = this.slabs.classFor(wanted)
    // The item itself is not linked yet, so nothing that is evicted for this piece can be part of it.
    const piece = this.#allocate(classId)
    if (piece === 0) return false
    const pieceWords = this.#memory.words(piece)
    const pieceAt = wordOffset(piece)
    pieceWords[pieceAt + NEXT] = 0
    pieceWords[pieceAt + LRU_PREVIOUS] = item
    pieceWords[pieceAt + VALUE_LENGTH] = 0
    pieceWords[pieceAt + INFO] = ItemFlag.piece | (classId << CLASS_SHIFT)
    const words = this.#memory.words(item)
    const at = wordOffset(item)
    const last = words[at + LRU_NEXT]!
    if (words[at + FIRST_PIECE] === 0) words[at + FIRST_PIECE] = piece
    else this.#memory.words(last)[wordOffset(last) + NEXT] = piece
    words[at + LRU_NEXT] = piece
    return true
  }

  #pieceBytes(piece: number): number {
    return this.slabs.classes[this.classOf(piece)]!.chunkBytes - HEADER_BYTES
  }

  #freeChunks(item: number): void {
    const words = this.#memory.words(item)
    let piece = words[wordOffset(item) + FIRST_PIECE]!
    while (piece !== 0) {
      const next = this.#memory.words(piece)[wordOffset(piece) + NEXT]!
      this.slabs.free(piece, this.classOf(piece))
      piece = next
    }
    this.slabs.free(item, this.classOf(item))
  }
}

const SCRATCH_CAS = new Uint64()

function copyBytes(source: Buffer, start: number, end: number, target: Buffer, at: number): void {
  if (end - start > COPY_LOOP_BYTES) {
    source.copy(target, at, start, end)
    return
  }
  let position = at
  for (let index = start; index < end; index++) target[position++] = source[index]!
}
