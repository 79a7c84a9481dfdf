import { ItemFlag, LRU_LISTS, NEXT } from './item-layout.ts'
import type { ItemStore } from './item-store.ts'
import { wordOffset } from './page-memory.ts'

/** The maximum number of items examined in one step, so that requests do not wait. */
export const ITEMS_PER_STEP = 1000

/** The number of empty buckets that cost as much as one item. */
const BUCKETS_PER_ITEM = 16

/** Handles an item of a crawl; it may unlink this item, and no other. */
export type VisitItem = (item: number, list: number) => void

/** The lists of a `ListCrawl`, and its visitor. */
export interface ListCrawlOptions {
  readonly lists: readonly number[]
  /** Items of each list; 0 is all. */
  readonly maxItems: number
  readonly visit: VisitItem
  readonly finishedList?: ((list: number) => void) | undefined
}

/**
 * Walks LRU lists from their tails to their heads, a bounded number of items in each step. There is one walk at a time,
 * since each list has one cursor.
 */
export class ListCrawl {
  readonly #store: ItemStore
  readonly #visit: VisitItem
  readonly #lists: number[]
  readonly #maxItems: number
  readonly #finishedList: ((list: number) => void) | undefined
  #seen = 0

  constructor(store: ItemStore, { lists, maxItems, visit, finishedList }: ListCrawlOptions) {
    this.#store = store
    this.#visit = visit
    this.#lists = lists.toReversed()
    this.#maxItems = maxItems
    this.#finishedList = finishedList
    const first = this.#lists.at(-1)
    if (first !== undefined) store.lru.startWalk(first)
  }

  /** Visits at most this many items; returns whether there are more. */
  step(items: number): boolean {
    const { lru, statistics } = this.#store
    for (let left = items; left > 0; left--) {
      const list = this.#lists.at(-1)
      if (list === undefined) return false
      const item = this.#maxItems > 0 && this.#seen >= this.#maxItems ? 0 : lru.walk(list)
      if (item === 0) {
        this.#lists.pop()
        this.#seen = 0
        this.#finishedList?.(list)
        const next = this.#lists.at(-1)
        if (next !== undefined) lru.startWalk(next)
        continue
      }
      this.#seen++
      statistics.crawlerItemsChecked[list]!++
      this.#visit(item, list)
    }
    return this.#lists.length > 0
  }

  end(): void {
    this.#lists.length = 0
  }
}

/** Walks the hash index bucket by bucket; the index does not grow meanwhile. */
export class HashCrawl {
  readonly #store: ItemStore
  readonly #visit: VisitItem
  readonly #buckets: number
  #bucket = 0
  #ended = false

  /** @param buckets the number of buckets, as `HashIndex.hold` has returned it. */
  constructor(store: ItemStore, buckets: number, visit: VisitItem) {
    this.#store = store
    this.#visit = visit
    this.#buckets = buckets
  }

  step(items: number): boolean {
    const { index, memory } = this.#store
    for (let left = items * BUCKETS_PER_ITEM; left > 0 && this.#bucket < this.#buckets; left--) {
      let item = index.first(this.#bucket++)
      while (item !== 0) {
        const next = memory.words(item)[wordOffset(item) + NEXT]!
        this.#visit(item, this.#store.listOf(item))
        item = next
        left -= BUCKETS_PER_ITEM
      }
    }
    if (this.#bucket < this.#buckets) return true
    this.end()
    return false
  }

  end(): void {
    if (!this.#ended) this.#store.index.release()
    this.#ended = true
  }
}

/** Every LRU list. */
export const ALL_LISTS: readonly number[] = Array.from({ length: LRU_LISTS }, (_, list) => list)

/** Removes an item if it has expired or was flushed; returns whether it did. */
export function reclaimDead(store: ItemStore, item: number, list: number): boolean {
  if (!store.isDead(item)) return false
  const { statistics } = store
  statistics.crawlerReclaimed[list]!++
  if (!store.hasFlag(item, ItemFlag.fetched)) statistics.expiredUnfetched[list]!++
  store.unlink(item)
  return true
}
