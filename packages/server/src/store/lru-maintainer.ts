import { LAST_ACCESS, Segment } from './item-layout.ts'
import type { ItemStore } from './item-store.ts'
import { wordOffset } from './page-memory.ts'

/** The maximum number of items moved in one class before the next class. */
const MOVES_PER_CLASS = 500
/** The maximum number of items moved in one step, so that requests do not wait. */
const MOVES_PER_STEP = 1000

/**
 * Keeps the segments of each class at their sizes in the background, so that eviction finds an item in COLD. Items
 * beyond the share of HOT or WARM, or unused there for too long, move to COLD (memcached: items.c,
 * lru_maintainer_juggle).
 */
export class LruMaintainer {
  readonly #store: ItemStore
  /** The class that the next step begins with. */
  #nextClass = 1

  constructor(store: ItemStore) {
    this.#store = store
  }

  /** Moves a bounded number of items; returns how many, so that the caller knows when the next step is due. */
  step(): number {
    const { counters, slabs } = this.#store
    counters.maintainerJuggles++
    let moves = 0
    for (let visited = 1; visited <= slabs.largestClass && moves < MOVES_PER_STEP; visited++) {
      const classId = this.#nextClass
      this.#nextClass = classId === slabs.largestClass ? 1 : classId + 1
      if (slabs.classes[classId]!.pages.length > 0) moves += this.#juggle(classId)
    }
    return moves
  }

  #juggle(classId: number): number {
    const { lru, tails, settings } = this.#store
    let moves = 0
    if (settings.temporaryTtlSeconds !== undefined) {
      for (let removed = 1; removed > 0 && moves < MOVES_PER_CLASS; moves += removed) {
        removed = tails.reclaimTemporary(classId)
      }
    }
    let hotLimit = 0
    let warmLimit = 0
    let hotAge = 0
    let warmAge = 0
    if (settings.lruSegmented) {
      const coldAge = this.#ageOfTail(classId | Segment.cold)
      const bytes =
        lru.bytes(classId | Segment.hot) + lru.bytes(classId | Segment.warm) + lru.bytes(classId | Segment.cold)
      hotLimit = (bytes * settings.hotLruPercent) / 100
      warmLimit = (bytes * settings.warmLruPercent) / 100
      hotAge = coldAge * settings.hotMaxFactor
      warmAge = coldAge * settings.warmMaxFactor
    }
    while (moves < MOVES_PER_CLASS) {
      const done =
        tails.pull(classId | Segment.hot, hotLimit, hotAge) +
        tails.pull(classId | Segment.warm, warmLimit, warmAge) +
        (settings.lruSegmented ? tails.reclaim(classId) : 0)
      if (done === 0) break
      moves += done
    }
    return moves
  }

  #ageOfTail(list: number): number {
    const { lru, memory, now } = this.#store
    const item = lru.tail(list)
    return item === 0 ? 0 : now - memory.words(item)[wordOffset(item) + LAST_ACCESS]!
  }
}
