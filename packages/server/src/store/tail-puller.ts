import { CLASS_MASK, INFO, ItemFlag, LAST_ACCESS, EXPTIME, PINS, Segment } from './item-layout.ts'
import type { LruStatistics } from './store-statistics.ts'
import type { Lru } from './lru.ts'
import { wordOffset } from './page-memory.ts'
import type { PageMemory } from './page-memory.ts'
import type { StoreSettings } from './store-settings.ts'

/** The number of items that one pull examines, from the tail on. */
const PULL_DEPTH = 5

/** The parts of the store that a pull uses: its lists, and the methods that remove items. */
export interface PulledStore {
  /** The current second. */
  readonly now: number
  readonly settings: StoreSettings
  readonly memory: PageMemory
  readonly lru: Lru
  readonly statistics: LruStatistics
  /** Returns whether an item has expired or was flushed. */
  isDead(item: number): boolean
  unlink(item: number): void
}

/**
 * The work at the tail of an LRU list, as in memcached (items.c, lru_pull_tail) without its locks: expired items are
 * removed, used items of HOT and WARM move to WARM and others to COLD, and items of COLD are evicted.
 */
export class TailPuller {
  /** Called at each eviction, for `slab_automove=2`. */
  onEviction: ((classId: number) => void) | undefined
  readonly #store: PulledStore
  #beforeEviction: ((item: number) => void) | undefined

  constructor(store: PulledStore) {
    this.#store = store
  }

  /** Sets the function that is called with each item that is about to be evicted; `undefined` for none. */
  watchEvictions(listener: ((item: number) => void) | undefined): void {
    this.#beforeEviction = listener
  }

  /** Reports an item that is evicted to free its memory. */
  beforeEviction(item: number): void {
    this.#beforeEviction?.(item)
  }

  /**
   * Removes expired items at the tail of COLD; with a segmented LRU, used items there move to WARM. Returns how many
   * items it acted on.
   */
  reclaim(classId: number): number {
    return this.#pullCold(classId, 'reclaim')
  }

  /** Frees memory at the tail of COLD: of expired items, or, if there are none and it is allowed, of a live item. */
  evict(classId: number): boolean {
    return this.#pullCold(classId, 'evict') > 0
  }

  /** Moves one item of HOT or WARM to COLD, or to WARM if it was used. */
  cool(classId: number, segment: number): boolean {
    return this.pull(classId | segment, 0, 0) > 0
  }

  /** Removes expired items at the tail of TEMP. */
  reclaimTemporary(classId: number): number {
    return this.#removeDead(classId | Segment.temp)
  }

  /**
   * Pulls at the tail of HOT or WARM of a class. Its last item leaves if it was used, if the list has more than
   * `limitBytes`, or if the item is older than `maxAge` seconds. Returns how many items it acted on.
   */
  pull(list: number, limitBytes: number, maxAge: number): number {
    const { lru, memory, statistics, now } = this.#store
    const classId = list & CLASS_MASK
    let acted = this.#removeDead(list)
    for (let depth = 0; depth < PULL_DEPTH; depth++) {
      const item = lru.tail(list)
      if (item === 0) break
      const words = memory.words(item)
      const at = wordOffset(item)
      if ((words[at + INFO]! & ItemFlag.active) !== 0) {
        words[at + INFO]! &= ~ItemFlag.active
        acted++
        lru.moveTo(item, classId | Segment.warm)
        if (list === (classId | Segment.warm)) {
          statistics.movesWithinLru[list]!++
          continue
        }
        statistics.movesToWarm[list]!++
      } else if (lru.bytes(list) > limitBytes || now - words[at + LAST_ACCESS]! > maxAge) {
        acted++
        statistics.movesToCold[list]!++
        lru.moveTo(item, classId | Segment.cold)
      }
      break
    }
    return acted
  }

  #pullCold(classId: number, mode: 'reclaim' | 'evict'): number {
    const evict = mode === 'evict'
    const { lru, memory, statistics, settings, now } = this.#store
    const list = classId | Segment.cold
    const removed = this.#removeDead(list)
    if (removed > 0 && evict) return removed
    const item = lru.tail(list)
    if (item === 0) return removed
    const words = memory.words(item)
    const at = wordOffset(item)
    const info = words[at + INFO]!
    if (words[at + PINS] !== 0) {
      statistics.tailReflocked[list]!++
      const { tailRepairSeconds } = settings
      if (tailRepairSeconds > 0 && now - words[at + LAST_ACCESS]! > tailRepairSeconds) {
        statistics.tailRepairs[list]!++
        this.#store.unlink(item)
        return removed + 1
      }
    }
    if (evict) {
      if (settings.disableEvictions) return removed
      statistics.evicted[list]!++
      statistics.evictedTime[list] = now - words[at + LAST_ACCESS]!
      if (words[at + EXPTIME] !== 0) statistics.evictedNonzero[list]!++
      if ((info & ItemFlag.fetched) === 0) statistics.evictedUnfetched[list]!++
      if ((info & ItemFlag.active) !== 0) statistics.evictedActive[list]!++
      this.#beforeEviction?.(item)
      this.#store.unlink(item)
      this.onEviction?.(classId)
      return removed + 1
    }
    if (settings.lruSegmented && (info & ItemFlag.active) !== 0) {
      words[at + INFO] = info & ~ItemFlag.active
      statistics.movesToWarm[list]!++
      lru.moveTo(item, classId | Segment.warm)
      return removed + 1
    }
    return removed
  }

  /** Removes expired items at a list's tail, a few at a time. */
  #removeDead(list: number): number {
    const { lru, memory, statistics } = this.#store
    let removed = 0
    while (removed < PULL_DEPTH) {
      const item = lru.tail(list)
      if (item === 0 || !this.#store.isDead(item)) break
      statistics.reclaimed[list]!++
      if ((memory.words(item)[wordOffset(item) + INFO]! & ItemFlag.fetched) === 0) statistics.expiredUnfetched[list]!++
      this.#store.unlink(item)
      removed++
    }
    return removed
  }
}
