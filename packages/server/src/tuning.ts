import { checkOptions, checkOptionTypes, MemcacheOptionError } from 'memcache-ts-protocol'
import { PAGE_BYTES } from './store/page-memory.ts'
import { DEFAULT_STORE_SETTINGS } from './store/store-settings.ts'
import type { StoreSettings } from './store/store-settings.ts'

type StoreTuning = Omit<StoreSettings, 'memoryLimitBytes' | 'itemMaxBytes' | 'disableEvictions' | 'cas'>

/** The settings of the engine: memcached's `-f`, `-n` and the words of `-o`. */
export interface ServerTuning extends Readonly<StoreTuning> {
  /** Whether items flow between the segments of the LRU in the background (`-o no_lru_maintainer`). */
  readonly lruMaintainer: boolean
}

const {
  memoryLimitBytes: _m,
  itemMaxBytes: _i,
  disableEvictions: _e,
  cas: _c,
  ...storeDefaults
} = DEFAULT_STORE_SETTINGS

export const DEFAULT_TUNING: ServerTuning = { ...storeDefaults, lruMaintainer: true }

/**
 * Fills in memcached's defaults.
 *
 * @throws MemcacheOptionError if memcached would refuse to start with these settings.
 */
export function resolveTuning(tuning: Partial<ServerTuning> | undefined, itemMaxBytes: number): ServerTuning {
  if (tuning === undefined) return DEFAULT_TUNING
  checkOptions('tuning', tuning, { names: Object.keys(DEFAULT_TUNING) })
  const given = Object.fromEntries(Object.entries(tuning).filter(([, value]) => value !== undefined))
  checkOptionTypes(given, { ...DEFAULT_TUNING, temporaryTtlSeconds: 0 }, 'tuning.')
  const resolved: ServerTuning = { ...DEFAULT_TUNING, ...given }
  requireThat(Array.isArray(resolved.slabSizes), 'slabSizes must be an array of sizes in bytes')
  const { largestChunkBytes } = resolved
  requireThat(resolved.growthFactor > 1, 'growthFactor must be greater than 1')
  requireThat(
    Number.isSafeInteger(resolved.reservedBytes) && resolved.reservedBytes >= 0,
    'reservedBytes must be a whole number',
  )
  requireThat(resolved.minItemBytes > 0, 'minItemBytes must be greater than 0')
  requireThat(resolved.hashPower >= 12 && resolved.hashPower <= 28, 'hashPower must be from 12 to 28')
  requireThat(
    largestChunkBytes <= itemMaxBytes,
    `largestChunkBytes (${largestChunkBytes}) cannot be larger than itemMaxBytes (${itemMaxBytes})`,
  )
  requireThat(
    itemMaxBytes % largestChunkBytes === 0,
    `itemMaxBytes (${itemMaxBytes}) must be evenly divisible by largestChunkBytes (${largestChunkBytes})`,
  )
  requireThat(
    largestChunkBytes > 0 && PAGE_BYTES % largestChunkBytes === 0,
    `largestChunkBytes (${largestChunkBytes}) must divide evenly into a page of ${PAGE_BYTES} bytes`,
  )
  const { slabSizes } = resolved
  requireThat(
    slabSizes.every((size, index) => size >= 48 && size < largestChunkBytes && size > (slabSizes[index - 1] ?? 0) + 8),
    `slabSizes must rise by more than 8 bytes each, from 48 to less than largestChunkBytes (${largestChunkBytes})`,
  )
  requireThat(slabSizes.length <= 62, 'slabSizes can be 62 at the most')
  for (const percent of [resolved.hotLruPercent, resolved.warmLruPercent]) {
    requireThat(percent >= 1 && percent < 80, 'hotLruPercent and warmLruPercent must be from 1 to 79')
  }
  requireThat(
    resolved.hotLruPercent + resolved.warmLruPercent <= 80,
    'hotLruPercent and warmLruPercent cannot be more than 80 together',
  )
  requireThat(resolved.hotMaxFactor > 0 && resolved.warmMaxFactor > 0, 'hotMaxFactor and warmMaxFactor must be over 0')
  requireThat(
    resolved.tailRepairSeconds === 0 || resolved.tailRepairSeconds >= 10,
    'tailRepairSeconds must be 0 or at least 10',
  )
  requireThat([0, 1, 2].includes(resolved.slabAutomove), 'slabAutomove must be 0, 1 or 2')
  requireThat(
    resolved.slabAutomoveRatio > 0 && resolved.slabAutomoveRatio <= 1,
    'slabAutomoveRatio must be over 0 and at most 1',
  )
  requireThat(
    resolved.slabAutomoveWindow >= 3 && resolved.slabAutomoveWindow <= 1800,
    'slabAutomoveWindow must be from 3 to 1800 seconds',
  )
  requireThat(
    resolved.lruCrawlerSleep >= 0 && resolved.lruCrawlerSleep <= 1_000_000,
    'lruCrawlerSleep must be from 0 to 1000000 microseconds',
  )
  requireThat(resolved.lruCrawlerTocrawl >= 0, 'lruCrawlerTocrawl must be at least 0')
  requireThat((resolved.temporaryTtlSeconds ?? 0) >= 0, 'temporaryTtlSeconds must be at least 0')
  requireThat(
    resolved.temporaryTtlSeconds === undefined || resolved.lruMaintainer,
    'temporaryTtlSeconds needs lruMaintainer',
  )
  return resolved
}

function requireThat(holds: boolean, message: string): void {
  if (!holds) throw new MemcacheOptionError(message)
}

/** memcached keeps received bytes, and the responses that it has not sent, in buffers of this size. */
const BUFFER_BYTES = 16 * 1024
/** The number of responses that fit one of memcached's buffers. */
const RESPONSES_PER_BUFFER = 13

/**
 * Returns how many responses may wait under a limit of memcached's `read_buf_mem_limit`, of which each thread gets a
 * share; the thread reads into one buffer of its share.
 */
export function pendingResponses(limitBytes: number, threads: number): number {
  const buffers = Math.floor(limitBytes / threads / BUFFER_BYTES)
  return Math.max(1, buffers - 1) * RESPONSES_PER_BUFFER
}

/** Returns the limit in bytes that `maxPendingResponses` corresponds to; 0 for no limit. */
export function readBufferLimit(maxPendingResponses: number): number {
  return maxPendingResponses === 0 ? 0 : (Math.ceil(maxPendingResponses / RESPONSES_PER_BUFFER) + 1) * BUFFER_BYTES
}
