import {
  FIRST_PIECE,
  headerClassOf,
  INFO,
  ItemFlag,
  KEY_HASH,
  LRU_PREVIOUS,
  NEXT,
  PINS,
  Segment,
} from './item-layout.ts'
import type { ItemStore } from './item-store.ts'
import { byteOffset, wordOffset } from './page-memory.ts'
import { PAGE_POOL } from './slab-allocator.ts'
import type { StoreCounters } from './store-statistics.ts'

/** The outcome of an order to move a page. */
export const MoveOrder = { ok: 0, running: 1, badClass: 2, noSpare: 3, same: 4 } as const

/** The maximum number of chunks examined in one step, so that requests do not wait. */
const CHUNKS_PER_STEP = 500
/** Attempts to evict items for a rescue. */
const EVICTION_TRIES = 10
/**
 * The number of passes over a page after which other items are evicted for its items, and a large item that is still
 * being sent is deleted.
 */
const MAX_PATIENT_PASSES = 1000

/** The page that is moving. */
interface Move {
  readonly page: number
  readonly source: number
  readonly target: number
  readonly evicts: boolean
  readonly end: number
  readonly step: number
  /** The next chunk to look at. */
  at: number
  /** Chunks that could not be cleared in this pass. */
  busy: number
  passes: number
}

/** A page to be moved. */
export interface PageMove {
  readonly source: number
  readonly target: number
  /**
   * Whether other items are evicted at once if the page's items find no free memory; else only if the page does not
   * become free by itself.
   */
  readonly evicts: boolean
}

/**
 * Moves pages between classes, or to the pool of pages without a class, a few chunks in each step. Free chunks are
 * withdrawn, expired items removed, and live items copied to other chunks of their class; if none is free, the oldest
 * item of the class is evicted (memcached: slabs_mover.c). Items keep their place in the LRU and their cas unique.
 */
export class PageMover {
  readonly #store: ItemStore
  #move: Move | undefined
  /** The class at which the next search for a spare page begins. */
  #lastPicked = 0

  constructor(store: ItemStore) {
    this.#store = store
  }

  get isRunning(): boolean {
    return this.#move !== undefined
  }

  /** Orders a page to be moved; -1 as source means any class with two pages. Returns a `MoveOrder`. */
  order({ source: from, target, evicts }: PageMove): number {
    const { slabs } = this.#store
    if (from === target) return MoveOrder.same
    if (this.#move !== undefined) return MoveOrder.running
    const source = from === -1 ? this.#pickAny(target) : from
    if (!(source >= PAGE_POOL && source <= slabs.largestClass)) return MoveOrder.badClass
    if (!(target >= PAGE_POOL && target <= slabs.largestClass)) return MoveOrder.badClass
    const page = slabs.pageToMove(source)
    if (page === 0) return MoveOrder.noSpare
    const { chunkBytes, chunksPerPage } = slabs.classes[source]!
    const step = chunkBytes >>> 3
    this.#move = { page, source, target, evicts, at: page, end: page + chunksPerPage * step, step, busy: 0, passes: 0 }
    return MoveOrder.ok
  }

  /** Processes a bounded number of chunks; returns whether there is more to do at once. */
  step(): boolean {
    const move = this.#move
    if (move === undefined) return false
    const { counters, slabs } = this.#store
    for (let left = CHUNKS_PER_STEP; left > 0 && move.at < move.end; left--) {
      if (!this.#clear(move.at, move)) move.busy++
      move.at += move.step
    }
    if (move.at < move.end) return true
    if (move.busy > 0) {
      counters.busyItems += move.busy
      move.busy = 0
      move.at = move.page
      move.passes++
      return false
    }
    slabs.finishMove(move.page, move.source, move.target)
    counters.pagesMoved++
    this.#move = undefined
    return false
  }

  #pickAny(target: number): number {
    const { classes, largestClass } = this.#store.slabs
    for (let tries = 0; tries < largestClass; tries++) {
      this.#lastPicked = this.#lastPicked === largestClass ? 1 : this.#lastPicked + 1
      if (this.#lastPicked !== target && classes[this.#lastPicked]!.pages.length > 1) return this.#lastPicked
    }
    return -1
  }

  /** Clears a chunk; returns false if it must be tried again later. */
  #clear(chunk: number, move: Move): boolean {
    const { memory, slabs } = this.#store
    const words = memory.words(chunk)
    const at = wordOffset(chunk)
    const info = words[at + INFO]!
    if ((info & ItemFlag.withdrawn) !== 0) return true
    if ((info & ItemFlag.free) !== 0) {
      slabs.withdrawFree(chunk, move.source)
      return true
    }
    const isPiece = (info & ItemFlag.piece) !== 0
    const item = isPiece ? words[at + LRU_PREVIOUS]! : chunk
    // Neither free nor linked: a value is being received into it, or is still being sent from it.
    if (!this.#store.hasFlag(item, ItemFlag.linked)) return this.#wait('busy_floating')
    if (this.#store.isDead(item)) {
      this.#store.unlink(item)
      return this.#withdrawIfFree(chunk, move)
    }
    if (isPiece) return this.#rescuePiece(chunk, item, move)
    return this.#rescueItem(chunk, move)
  }

  #wait(status: StoreCounters['lastBusyStatus']): false {
    this.#store.counters.lastBusyStatus = status
    return false
  }

  #withdrawIfFree(chunk: number, move: Move): boolean {
    if (!this.#store.hasFlag(chunk, ItemFlag.free)) return this.#wait('busy')
    this.#store.slabs.withdrawFree(chunk, move.source)
    return true
  }

  #rescueItem(item: number, move: Move): boolean {
    const { memory, lru, index, counters, slabs } = this.#store
    const pinned = this.#store.isPinned(item)
    if (pinned && this.#store.isChained(item)) return this.#giveUpLargeItem(item, move)
    const copy = this.#rescueChunk(move)
    if (copy === 0) return this.#wait('busy')
    // The item that was evicted for the copy may have been this item itself.
    if (!this.#store.hasFlag(item, ItemFlag.linked)) {
      slabs.free(copy, move.source)
      return this.#withdrawIfFree(item, move)
    }
    this.#copyChunk(item, copy, move)
    const words = memory.words(copy)
    const at = wordOffset(copy)
    words[at + PINS] = 0
    lru.replace(item, copy)
    index.replace(item, copy, words[at + KEY_HASH]!)
    for (let piece = words[at + FIRST_PIECE]!; piece !== 0; piece = memory.words(piece)[wordOffset(piece) + NEXT]!) {
      memory.words(piece)[wordOffset(piece) + LRU_PREVIOUS] = copy
    }
    counters.rescues++
    if (pinned) {
      // Its bytes are still being sent from here; the last `unpin` frees it.
      this.#store.clearFlag(item, ItemFlag.linked)
      return this.#wait('busy_active')
    }
    slabs.withdrawUsed(item, headerClassOf(words[at + INFO]!))
    return true
  }

  #rescuePiece(piece: number, item: number, move: Move): boolean {
    const { memory, counters, slabs } = this.#store
    if (this.#store.isPinned(item)) return this.#giveUpLargeItem(item, move)
    const copy = this.#rescueChunk(move)
    if (copy === 0) return this.#wait('busy')
    if (!this.#store.hasFlag(item, ItemFlag.linked)) {
      slabs.free(copy, move.source)
      return this.#withdrawIfFree(piece, move)
    }
    this.#copyChunk(piece, copy, move)
    const words = memory.words(item)
    const at = wordOffset(item)
    if (words[at + FIRST_PIECE] === piece) {
      words[at + FIRST_PIECE] = copy
    } else {
      let before = words[at + FIRST_PIECE]!
      while (memory.words(before)[wordOffset(before) + NEXT] !== piece) {
        before = memory.words(before)[wordOffset(before) + NEXT]!
      }
      memory.words(before)[wordOffset(before) + NEXT] = copy
    }
    counters.chunkRescues++
    slabs.withdrawUsed(piece, move.source)
    return true
  }

  /** Handles a large item that is being sent and cannot move: after many passes, it is deleted as soon as it is sent. */
  #giveUpLargeItem(item: number, move: Move): boolean {
    if (move.passes > MAX_PATIENT_PASSES) {
      this.#store.tails.beforeEviction(item)
      this.#store.unlink(item)
      this.#store.counters.busyDeletes++
    }
    return this.#wait('busy_active')
  }

  #copyChunk(from: number, to: number, move: Move): void {
    const { memory, slabs } = this.#store
    const start = byteOffset(from)
    memory.bytes(from).copy(memory.bytes(to), byteOffset(to), start, start + slabs.classes[move.source]!.chunkBytes)
  }

  /** Returns a chunk of the source class that is not on the page, 0 if there is none. */
  #rescueChunk(move: Move): number {
    const { tails, settings, counters } = this.#store
    const tries = move.evicts || move.passes > MAX_PATIENT_PASSES ? EVICTION_TRIES : 0
    for (let left = tries; ; left--) {
      const chunk = this.#chunkElsewhere(move)
      if (chunk !== 0) return chunk
      if (left === 0) {
        counters.busyNoMemory++
        return 0
      }
      if (!tails.evict(move.source) && settings.lruSegmented && !tails.cool(move.source, Segment.hot)) {
        tails.cool(move.source, Segment.warm)
      }
    }
  }

  #chunkElsewhere(move: Move): number {
    const { slabs } = this.#store
    for (;;) {
      const chunk = slabs.allocateOwn(move.source)
      if (chunk === 0 || !isOnPage(chunk, move)) return chunk
      this.#withdraw(chunk, move)
    }
  }

  /** Withdraws a chunk that was allocated for a copy but is on the moving page itself. */
  #withdraw(chunk: number, move: Move): void {
    this.#store.slabs.withdrawUsed(chunk, move.source)
    this.#store.counters.inlineReclaim++
  }
}

function isOnPage(chunk: number, { page, end }: Move): boolean {
  return chunk >= page && chunk < end
}
