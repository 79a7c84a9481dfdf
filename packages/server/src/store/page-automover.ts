import { Segment } from './item-layout.ts'
import type { ItemStore } from './item-store.ts'
import type { PageMove } from './page-mover.ts'
import { PAGE_POOL } from './slab-allocator.ts'

/** A class with more free chunks than this many pages returns pages to the pool. */
const FREE_PAGES = 2.5
/** A class must have more pages than this to give one away. */
const MIN_PAGES = 2
/** A class with a larger share of all evictions needs memory. */
const LARGE_EVICTION_SHARE = 0.25

/** The events of one class in one second. */
interface Second {
  age: number
  evictionShare: number
  evicted: boolean
  /** The class evicted, ran out of memory, or got a page, so that its free chunks are not spare. */
  dirty: boolean
}

/** One class's last figures and its recent seconds. */
interface ClassHistory {
  evicted: number
  outOfMemory: number
  pages: number
  readonly seconds: Second[]
}

/**
 * Decides once a second whether a page should change its class: from a class with much free memory to the pool, or from
 * the class with the oldest items to a class that evicts much younger items (memcached: slab_automove.c). If there are
 * more pages than the limit allows, pages move from the class that needs them least to the pool, which frees them.
 */
export class PageAutomover {
  readonly #store: ItemStore
  readonly #classes: ClassHistory[]
  #secondsSeen = 0
  #secondsOverLimit = 0
  #limit: number

  constructor(store: ItemStore) {
    this.#store = store
    this.#limit = store.settings.memoryLimitBytes
    this.#classes = store.slabs.classes.map((_, id) => ({ ...this.#figures(id), seconds: [] }))
  }

  /**
   * Returns the move that is due, if any. `isNewSecond` is true once a second, and false for another move in the same
   * second.
   */
  decide(isNewSecond: boolean): PageMove | undefined {
    const { settings } = this.#store
    if (isNewSecond) this.#noteSecond()
    const back = this.#payBack()
    if (back !== undefined || settings.slabAutomove === 0) return back
    return this.#giveToPool() ?? (this.#secondsSeen > settings.slabAutomoveWindow ? this.#balance() : undefined)
  }

  #noteSecond(): void {
    const { slabs } = this.#store
    this.#secondsSeen++
    if (slabs.excessPages > 0) this.#secondsOverLimit++
    let evictions = 0
    for (let id = 1; id <= slabs.largestClass; id++) evictions += this.#evictedSince(id)
    for (let id = 1; id <= slabs.largestClass; id++) this.#note(id, evictions)
  }

  #figures(id: number): { evicted: number; outOfMemory: number; pages: number } {
    const { statistics, slabs } = this.#store
    return {
      evicted: statistics.evicted[id | Segment.cold]!,
      outOfMemory: statistics.outOfMemory[id]!,
      pages: slabs.classes[id]!.pages.length,
    }
  }

  #evictedSince(id: number): number {
    // After `stats reset` the counters are lower than before.
    return Math.max(0, this.#figures(id).evicted - this.#classes[id]!.evicted)
  }

  #note(id: number, evictions: number): void {
    const history = this.#classes[id]!
    const figures = this.#figures(id)
    const evicted = this.#evictedSince(id)
    history.seconds.push({
      age: this.#ageOfTail(id),
      evictionShare: evicted > 0 ? evicted / evictions : 0,
      evicted: evicted > 0,
      dirty: evicted > 0 || figures.outOfMemory > history.outOfMemory || figures.pages > history.pages,
    })
    while (history.seconds.length > this.#store.settings.slabAutomoveWindow) history.seconds.shift()
    Object.assign(history, figures)
  }

  #ageOfTail(id: number): number {
    const item = this.#store.lru.tail(id | Segment.cold)
    return item === 0 ? 0 : this.#store.now - this.#store.lastAccess(item)
  }

  /**
   * Frees pages beyond the limit: immediately if the limit was lowered, and after some time if a class had to get its
   * first page beyond the limit.
   */
  #payBack(): PageMove | undefined {
    const { slabs, settings } = this.#store
    const lowered = settings.memoryLimitBytes < this.#limit
    if (slabs.excessPages === 0) {
      this.#limit = settings.memoryLimitBytes
      this.#secondsOverLimit = 0
      return undefined
    }
    if (!lowered && this.#secondsOverLimit < settings.slabAutomoveWindow) return undefined
    let source = 0
    for (let id = 1; id <= slabs.largestClass; id++) {
      if (slabs.classes[id]!.pages.length > Math.max(1, slabs.classes[source]!.pages.length)) source = id
    }
    return source === 0 ? undefined : { source, target: PAGE_POOL, evicts: true }
  }

  #giveToPool(): PageMove | undefined {
    const { slabs } = this.#store
    if (!slabs.isFull) return undefined
    for (let id = 1; id <= slabs.largestClass; id++) {
      const { freeChunks, freshChunks, chunksPerPage } = slabs.classes[id]!
      const spare = freeChunks + freshChunks > chunksPerPage * FREE_PAGES
      if (spare && this.#classes[id]!.seconds.every((second) => !second.dirty))
        return { source: id, target: PAGE_POOL, evicts: false }
    }
    return undefined
  }

  #balance(): PageMove | undefined {
    const { slabs, settings } = this.#store
    const window = settings.slabAutomoveWindow
    let source = 0
    let oldestAge = 0
    let target = 0
    let youngestAge = Infinity
    for (let id = 1; id <= slabs.largestClass; id++) {
      const { seconds } = this.#classes[id]!
      const age = sum(seconds, (second) => second.age) / window
      if (age > oldestAge && slabs.classes[id]!.pages.length > MIN_PAGES) {
        source = id
        oldestAge = age
      }
      const evictsOften = sum(seconds, (second) => (second.evicted ? 1 : 0)) > window / 2
      const evictsMuch = sum(seconds, (second) => second.evictionShare) / window > LARGE_EVICTION_SHARE
      if (age < youngestAge && (evictsOften || evictsMuch)) {
        target = id
        youngestAge = age
      }
    }
    if (source === 0 || target === 0) return undefined
    const stillEvicting = this.#classes[target]!.seconds.at(-1)!.evicted
    return youngestAge < oldestAge * settings.slabAutomoveRatio && stillEvicting
      ? { source, target, evicts: slabs.isFull && slabs.pooledPages === 0 }
      : undefined
  }
}

function sum(seconds: readonly Second[], of: (second: Second) => number): number {
  let total = 0
  for (const second of seconds) total += of(second)
  return total
}
