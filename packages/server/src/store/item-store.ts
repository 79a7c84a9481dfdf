import { Uint64 } from 'memcache-ts-protocol'
import { COPY_WORDS_BYTES, copyShort, viewOf } from './copy-short.ts'
import { HashIndex } from './hash-index.ts'
import { ItemFields } from './item-fields.ts'
import type { NewItem, StoredKey } from './item-fields.ts'
import {
  CAS_HIGH,
  CAS_LOW,
  classOf,
  CLIENT_FLAGS,
  EXPTIME,
  FIRST_PIECE,
  GENERATION,
  HEADER_BYTES,
  headerClassOf,
  INFO,
  itemBytes,
  ItemFlag,
  KEY_HASH,
  LAST_ACCESS,
  listOf,
  LRU_LISTS,
  LRU_NEXT,
  LRU_PREVIOUS,
  makeInfo,
  NEXT,
  PINS,
  Segment,
  VALUE_LENGTH,
  withList,
} from './item-layout.ts'
import { LruStatistics } from './store-statistics.ts'
import { Lru } from './lru.ts'
import { byteOffset, PageMemory, wordOffset } from './page-memory.ts'
import { SizeHistogram } from './store-statistics.ts'
import { SlabAllocator } from './slab-allocator.ts'
import { slabClassSizes } from './slab-classes.ts'
import { StoreCounters } from './store-statistics.ts'
import type { StoreSettings } from './store-settings.ts'
import { TailPuller } from './tail-puller.ts'

/** The result of `reserve` if there is no memory and nothing may be evicted. */
export const OUT_OF_MEMORY = 0
/** The result of `reserve` for an item over the limit (`-I`). */
export const TOO_LARGE = -1

/** In a flat LRU, an item fetched again within this time keeps its place, as in memcached. */
const BUMP_INTERVAL_SECONDS = 60
/** Attempts to find memory before a class has none. */
const ALLOCATION_TRIES = 10
const BYTE_MASK = 0xff

/** The state of an item before a restart. */
export interface RestoredState {
  readonly cas: Uint64
  readonly segment: number
  /** Its `ItemFlag`s. */
  readonly flags: number
  readonly lastAccess: number
}

/**
 * The items: in slab pages outside the JavaScript heap, found by a hash index, evicted by a segmented LRU.
 *
 * An item is identified by its reference, a number, which is valid until the next call that stores or deletes, and at
 * most for one turn of the event loop. There is no key string and no object per item. Storing takes three steps, so
 * that a value is written to its final place while it arrives: `reserve` (memory and key), `write` (the value, piece by
 * piece), then `link` (makes it visible, and replaces the item of the key) or `release` (discards it). A reserved item
 * stays where it is until then. A linked item whose bytes are still being sent is pinned. If it is replaced or evicted
 * meanwhile, lookups miss it at once, and the last `unpin` frees it.
 *
 * Times are the server's seconds (see `ServerClock`); `now` is set by the owner.
 */
export class ItemStore extends ItemFields {
  /** The current second. */
  now = 2
  readonly settings: StoreSettings
  readonly counters = new StoreCounters()
  readonly statistics = new LruStatistics()
  readonly slabs: SlabAllocator
  readonly index: HashIndex
  readonly lru: Lru
  readonly tails: TailPuller
  /** The number of items of each size (`-o track_sizes`). */
  readonly sizes: SizeHistogram | undefined
  readonly #lastCas = new Uint64()
  #source: Buffer | undefined
  #sourceView: DataView | undefined
  #generation = 1
  #lastDeath = 0

  constructor(settings: StoreSettings) {
    super(new PageMemory())
    this.settings = settings
    const { memoryLimitBytes, reservedBytes } = settings
    this.slabs = new SlabAllocator(this.memory, slabClassSizes(settings), memoryLimitBytes - reservedBytes)
    this.index = new HashIndex(this.memory, settings.hashPower)
    this.lru = new Lru(this.memory)
    this.tails = new TailPuller(this)
    this.sizes = settings.trackSizes ? new SizeHistogram() : undefined
  }

  // Finding

  /** Returns the live item with this key; 0 for a miss. An item that has expired or was flushed is removed. */
  find(key: StoredKey): number {
    return this.#find(key.keyBuffer, key.keyStart, key.keyLength, key.keyHash)
  }

  /** Returns the live item with the key of an item that is reserved and not linked; 0 if there is none. */
  findSameKey(item: number): number {
    return this.#find(this.memory.bytes(item), this.keyStart(item), this.keyLength(item), this.keyHash(item))
  }

  /** Finds an item by the parts of its key. No record is created for them: records of several shapes cost a set 10 %. */
  #find(buffer: Buffer, keyStart: number, keyLength: number, keyHash: number): number {
    let item = this.index.first(keyHash)
    while (item !== 0) {
      const words = this.memory.words(item)
      const at = wordOffset(item)
      if (words[at + KEY_HASH] === keyHash && (words[at + INFO]! & BYTE_MASK) === keyLength) {
        const bytes = this.memory.bytes(item)
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
    this.#lastDeath = expired ? 3 : 2
    this.unlink(item)
    return false
  }

  /** Returns and resets the reason why the last lookup removed its item: 2 flushed, 3 expired, 0 not removed. */
  takeDeath(): number {
    const death = this.#lastDeath
    this.#lastDeath = 0
    return death
  }

  /** Returns whether an item has expired or was flushed. */
  isDead(item: number): boolean {
    const words = this.memory.words(item)
    const at = wordOffset(item)
    const exptime = words[at + EXPTIME]!
    return (exptime !== 0 && exptime <= this.now) || words[at + GENERATION] !== this.#generation
  }

  // Storing

  /**
   * Reserves memory for an item and writes its key; it cannot be found yet. Returns its reference, `TOO_LARGE` or
   * `OUT_OF_MEMORY`. Call `release` if it is not linked.
   */
  reserve(newItem: NewItem, exptime: number, valueLength: number): number {
    const { keyBuffer, keyStart, keyLength, keyHash, clientFlags } = newItem
    const size = itemBytes(keyLength, clientFlags, valueLength)
    if (size > this.settings.itemMaxBytes) return TOO_LARGE
    const { slabs } = this
    const classId = slabs.classFor(size)
    const chained = size > slabs.largestChunkBytes
    const headerClass = chained ? slabs.classFor(HEADER_BYTES + keyLength) : classId
    const item = this.#allocate(headerClass)
    if (item === 0) return OUT_OF_MEMORY
    const words = this.memory.words(item)
    const at = wordOffset(item)
    words[at + NEXT] = 0
    words[at + LRU_PREVIOUS] = 0
    words[at + LRU_NEXT] = 0
    words[at + EXPTIME] = exptime
    words[at + LAST_ACCESS] = this.now
    words[at + VALUE_LENGTH] = valueLength
    words[at + INFO] = makeInfo(keyLength, classId | this.#firstSegment(exptime), chained ? headerClass : 0)
    words[at + PINS] = 0
    words[at + CLIENT_FLAGS] = clientFlags
    words[at + KEY_HASH] = keyHash
    words[at + FIRST_PIECE] = 0
    const bytes = this.memory.bytes(item)
    const start = byteOffset(item) + HEADER_BYTES
    for (let index = 0; index < keyLength; index++) bytes[start + index] = keyBuffer[keyStart + index]!
    if (chained && !this.#addPiece(item, valueLength)) {
      this.#freeChunks(item)
      return OUT_OF_MEMORY
    }
    return item
  }

  #firstSegment(exptime: number): number {
    const { temporaryTtlSeconds, lruSegmented } = this.settings
    if (temporaryTtlSeconds !== undefined && exptime !== 0 && exptime - this.now <= temporaryTtlSeconds) {
      return Segment.temp
    }
    return lruSegmented ? Segment.hot : Segment.cold
  }

  /**
   * Writes bytes of the value at `offset`; the bytes of a large item must arrive in order. Returns false if there is no
   * memory for more bytes.
   */
  write(item: number, offset: number, source: Buffer, start: number, end: number): boolean {
    const words = this.memory.words(item)
    const at = wordOffset(item)
    if (words[at + FIRST_PIECE] === 0) {
      const target = byteOffset(item) + HEADER_BYTES + (words[at + INFO]! & BYTE_MASK) + offset
      const view = end - start <= COPY_WORDS_BYTES ? this.#viewOf(source) : undefined
      if (view === undefined) source.copy(this.memory.bytes(item), target, start, end)
      else copyShort(view, start, end, this.memory.view(item), target)
      return true
    }
    let position = start
    while (position < end) {
      const piece = words[at + LRU_NEXT]!
      const pieceWords = this.memory.words(piece)
      const pieceAt = wordOffset(piece)
      const used = pieceWords[pieceAt + VALUE_LENGTH]!
      const room = this.#pieceBytes(piece) - used
      if (room === 0) {
        if (!this.#addPiece(item, words[at + VALUE_LENGTH]! - (offset + position - start))) return false
        continue
      }
      const take = Math.min(room, end - position)
      source.copy(this.memory.bytes(piece), byteOffset(piece) + HEADER_BYTES + used, position, position + take)
      pieceWords[pieceAt + VALUE_LENGTH] = used + take
      position += take
    }
    return true
  }

  /**
   * Returns the view of the buffer that the previous value came from; `undefined` for another buffer. Sockets share one
   * buffer, and for any other buffer creating a view is not worth its cost.
   */
  #viewOf(source: Buffer): DataView | undefined {
    if (source === this.#source) return (this.#sourceView ??= viewOf(source))
    this.#source = source
    this.#sourceView = undefined
    return undefined
  }

  /**
   * Makes a reserved item findable with a cas unique, in place of `old`, the item of the same key (0 for none); `old`
   * may have been evicted in the meantime.
   */
  link(item: number, cas: Uint64, old: number): void {
    if (old !== 0 && this.hasFlag(old, ItemFlag.linked)) this.unlink(old)
    const words = this.memory.words(item)
    const at = wordOffset(item)
    words[at + INFO]! |= ItemFlag.linked
    this.#writeCas(words, at, cas)
    words[at + GENERATION] = this.#generation
    words[at + LAST_ACCESS] = this.now
    this.index.insert(item, words[at + KEY_HASH]!)
    this.lru.addHead(item)
    const size = itemBytes(words[at + INFO]! & BYTE_MASK, words[at + CLIENT_FLAGS]!, words[at + VALUE_LENGTH]!)
    this.counters.linked(size)
    this.sizes?.count(size, 1)
  }

  /** Links an item that was saved before a restart, in the part of the LRU in which it was. */
  linkRestored(item: number, { cas, segment, flags, lastAccess }: RestoredState): void {
    const words = this.memory.words(item)
    const at = wordOffset(item)
    const info = words[at + INFO]!
    const { lruSegmented, temporaryTtlSeconds } = this.settings
    const isMisplaced = segment === Segment.temp && temporaryTtlSeconds === undefined
    const list = classOf(info) | (lruSegmented ? (isMisplaced ? Segment.hot : segment) : Segment.cold)
    words[at + INFO] = withList(info, list) | flags
    this.link(item, cas, 0)
    words[at + LAST_ACCESS] = lastAccess
  }

  /** Frees a reserved item's memory. */
  release(item: number): void {
    this.#freeChunks(item)
  }

  /** Removes a linked item; its memory is freed now, or by the last `unpin`. */
  unlink(item: number): void {
    const words = this.memory.words(item)
    const at = wordOffset(item)
    const info = words[at + INFO]!
    this.index.remove(item, words[at + KEY_HASH]!)
    this.lru.remove(item)
    words[at + INFO] = info & ~ItemFlag.linked
    const size = itemBytes(info & BYTE_MASK, words[at + CLIENT_FLAGS]!, words[at + VALUE_LENGTH]!)
    this.counters.unlinked(size)
    this.sizes?.count(size, -1)
    if (words[at + PINS] === 0) this.#freeChunks(item)
  }

  /** Keeps an item's memory until `unpin`, even if it is unlinked, because its bytes are being sent. */
  pin(item: number): void {
    this.memory.words(item)[wordOffset(item) + PINS]!++
  }

  unpin(item: number): void {
    const words = this.memory.words(item)
    const at = wordOffset(item)
    words[at + PINS]!--
    if (words[at + PINS] === 0 && (words[at + INFO]! & ItemFlag.linked) === 0) this.#freeChunks(item)
  }

  isPinned(item: number): boolean {
    return this.memory.words(item)[wordOffset(item) + PINS] !== 0
  }

  /**
   * Counts a fetch. The second fetch makes an item active: its age starts again, and from COLD it moves to WARM, where
   * it is not evicted.
   */
  fetched(item: number): void {
    const words = this.memory.words(item)
    const at = wordOffset(item)
    const info = words[at + INFO]!
    if (!this.settings.lruSegmented) {
      words[at + INFO] = info | ItemFlag.fetched
      this.bump(item)
    } else if ((info & ItemFlag.active) === 0) {
      if ((info & ItemFlag.fetched) === 0) {
        words[at + INFO] = info | ItemFlag.fetched
      } else {
        words[at + INFO] = info | ItemFlag.active
        this.bump(item)
      }
    }
  }

  /** Counts a use. */
  bump(item: number): void {
    const words = this.memory.words(item)
    const at = wordOffset(item)
    const info = words[at + INFO]!
    const list = listOf(info)
    if (!this.settings.lruSegmented) {
      if (this.now - words[at + LAST_ACCESS]! < BUMP_INTERVAL_SECONDS) return
      words[at + LAST_ACCESS] = this.now
      this.lru.moveTo(item, list)
      return
    }
    words[at + LAST_ACCESS] = this.now
    if ((list & Segment.temp) === Segment.cold && (info & ItemFlag.active) !== 0) {
      this.statistics.movesToWarm[list]!++
      words[at + INFO] = info & ~ItemFlag.active
      this.lru.moveTo(item, classOf(info) | Segment.warm)
    }
  }

  /** Invalidates all items that are stored now. Their memory is freed when they are found later. */
  flush(): void {
    this.#generation++
  }

  /** Removes every item, and frees its memory at once. */
  removeAll(): void {
    for (let list = 0; list < LRU_LISTS; list++) {
      for (let item = this.lru.tail(list); item !== 0; item = this.lru.tail(list)) this.unlink(item)
    }
  }

  /** Changes the limit of item memory. */
  setMemoryLimit(bytes: number): void {
    this.settings.memoryLimitBytes = bytes
    this.slabs.setLimit(bytes - this.settings.reservedBytes)
  }

  // Cas uniques

  setCas(item: number, cas: Uint64): void {
    this.#writeCas(this.memory.words(item), wordOffset(item), cas)
  }

  /** Writes a cas unique. With `-C`, items have none, not even one that a client has sent. */
  #writeCas(words: Int32Array, at: number, cas: Uint64): void {
    words[at + CAS_LOW] = this.settings.cas ? cas.low : 0
    words[at + CAS_HIGH] = this.settings.cas ? cas.high : 0
  }

  /** Returns the next cas unique; 0 with `-C`. */
  nextCas(into: Uint64): Uint64 {
    if (this.settings.cas) this.#lastCas.increment()
    into.copy(this.#lastCas)
    return into
  }

  /** Copies the last cas unique. */
  readLastCas(into: Uint64): void {
    into.copy(this.#lastCas)
  }

  /** Continues the cas uniques after the last one before a restart. */
  setLastCas(cas: Uint64): void {
    this.#lastCas.copy(cas)
  }

  // Memory

  /**
   * Returns a chunk of the class: a free one, else the memory of an evicted item. As in memcached, COLD is first; if it
   * is empty, items of HOT and then of WARM move to it.
   */
  #allocate(classId: number): number {
    const { slabs, tails, settings } = this
    let tries = 0
    let chunk = 0
    for (; tries < ALLOCATION_TRIES; tries++) {
      if (!settings.lruSegmented) tails.reclaim(classId)
      chunk = slabs.allocate(classId)
      if (chunk !== 0) break
      if (tails.evict(classId)) continue
      if (!settings.lruSegmented) break
      if (!tails.cool(classId, Segment.hot)) tails.cool(classId, Segment.warm)
    }
    if (tries > 0) this.statistics.directReclaims[classId]! += tries
    if (chunk === 0) this.statistics.outOfMemory[classId]!++
    return chunk
  }

  /** Adds a piece for the `rest` of a large item's value. */
  #addPiece(item: number, rest: number): boolean {
    const wanted = Math.min(rest + HEADER_BYTES, this.slabs.largestChunkBytes)
    let classId = this.slabs.classFor(wanted)
    let piece = this.slabs.allocate(classId)
    if (piece === 0) {
      // Large items are in the LRU of the largest class, where an item can always be evicted, so its chunks also
      // serve for smaller pieces. The item itself is not linked yet, so that no part of it can be evicted for this
      // piece.
      classId = this.slabs.largestClass
      piece = this.#allocate(classId)
      if (piece === 0) return false
    }
    const pieceWords = this.memory.words(piece)
    const pieceAt = wordOffset(piece)
    pieceWords[pieceAt + NEXT] = 0
    pieceWords[pieceAt + LRU_PREVIOUS] = item
    pieceWords[pieceAt + VALUE_LENGTH] = 0
    pieceWords[pieceAt + INFO] = ItemFlag.piece | makeInfo(0, classId)
    const words = this.memory.words(item)
    const at = wordOffset(item)
    const last = words[at + LRU_NEXT]!
    if (words[at + FIRST_PIECE] === 0) words[at + FIRST_PIECE] = piece
    else this.memory.words(last)[wordOffset(last) + NEXT] = piece
    words[at + LRU_NEXT] = piece
    return true
  }

  #pieceBytes(piece: number): number {
    return this.slabs.classes[this.classOf(piece)]!.chunkBytes - HEADER_BYTES
  }

  #freeChunks(item: number): void {
    const words = this.memory.words(item)
    const at = wordOffset(item)
    let piece = words[at + FIRST_PIECE]!
    while (piece !== 0) {
      const next = this.memory.words(piece)[wordOffset(piece) + NEXT]!
      this.slabs.free(piece, this.classOf(piece))
      piece = next
    }
    this.slabs.free(item, headerClassOf(words[at + INFO]!))
  }
}
