import { DEFAULT_ITEM_MAX_BYTES } from 'memcache-ts-protocol'
import { DEFAULT_HASH_POWER } from './hash-index.ts'
import type { SlabClassSettings } from './slab-classes.ts'

/**
 * How the store works, under memcached's names in `stats settings`. Operators may change all settings that are not
 * `readonly` at run time.
 */
export interface StoreSettings extends SlabClassSettings {
  /** Item memory in bytes (`-m`, `cache_memlimit`). */
  memoryLimitBytes: number
  /** Bytes that count as allocated from the start, for tests of a large memory (memcached's `T_MEMD_INITIAL_MALLOC`). */
  readonly reservedBytes: number
  /** Whether items are counted by size, for `stats sizes` (`-o track_sizes`). */
  readonly trackSizes: boolean
  /** The largest item, in bytes (`-I`). */
  readonly itemMaxBytes: number
  /** Whether a full memory refuses new items instead of evicting old ones (`-M`). */
  readonly disableEvictions: boolean
  /** Whether items have cas uniques; false with `-C`. */
  readonly cas: boolean
  /** Log2 of the buckets of a new index (`-o hashpower`). */
  readonly hashPower: number
  /** Whether the LRU of a class has its four segments, or is one list (`-o no_lru_maintainer`, `lru mode`). */
  lruSegmented: boolean
  /** How much of a class's items may be HOT, in percent of their bytes (`-o hot_lru_pct`, `lru tune`). */
  hotLruPercent: number
  warmLruPercent: number
  /** The share of the COLD tail's age after which an unused item leaves HOT (`-o hot_max_factor`, `lru tune`). */
  hotMaxFactor: number
  warmMaxFactor: number
  /**
   * Items that expire within this many seconds go to TEMP, where nothing is evicted; `undefined` for none (`-o
   * temporary_ttl`).
   */
  temporaryTtlSeconds: number | undefined
  /** An item that has been sent for this many seconds leaves the tail of its LRU; 0 for never (`-o tail_repair_time`). */
  readonly tailRepairSeconds: number
  /** Whether pages may move between classes (`-o slab_reassign`). */
  readonly slabReassign: boolean
  /**
   * Whether pages move by themselves: 0 never, 1 with the load, 2 at every eviction (`-o slab_automove`, `slabs
   * automove`).
   */
  slabAutomove: number
  /**
   * A class gets a page of the class with the oldest items if its own tail is younger than this share of their age (`-o
   * slab_automove_ratio`).
   */
  slabAutomoveRatio: number
  /** The seconds that a decision considers (`-o slab_automove_window`). */
  slabAutomoveWindow: number
  /** Whether items may be dumped, and expired items searched for (`-o lru_crawler`, `lru_crawler enable`). */
  lruCrawler: boolean
  /** The pause between steps of a crawl, in microseconds, as memcached counts it (`-o lru_crawler_sleep`). */
  lruCrawlerSleep: number
  /** The maximum number of items that a crawl examines in a list; 0 means all (`-o lru_crawler_tocrawl`). */
  lruCrawlerTocrawl: number
}

/** The defaults of memcached 1.6.45. */
export const DEFAULT_STORE_SETTINGS: StoreSettings = {
  memoryLimitBytes: 64 * 1024 * 1024,
  reservedBytes: 0,
  trackSizes: false,
  itemMaxBytes: DEFAULT_ITEM_MAX_BYTES,
  disableEvictions: false,
  cas: true,
  hashPower: DEFAULT_HASH_POWER,
  minItemBytes: 48,
  growthFactor: 1.25,
  largestChunkBytes: 512 * 1024,
  slabSizes: [],
  lruSegmented: true,
  hotLruPercent: 20,
  warmLruPercent: 40,
  hotMaxFactor: 0.2,
  warmMaxFactor: 2,
  temporaryTtlSeconds: undefined,
  tailRepairSeconds: 0,
  slabReassign: true,
  slabAutomove: 1,
  slabAutomoveRatio: 0.8,
  slabAutomoveWindow: 10,
  lruCrawler: true,
  lruCrawlerSleep: 100,
  lruCrawlerTocrawl: 0,
}
