import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { Key } from 'memcache-ts-protocol'
import type { GetOrSetOptions } from '../cache/get-or-set-options.ts'
import type { Memcache } from '../memcache.ts'
import { ProgressBar } from './progress-bar.ts'

/** Options of warming. */
export interface WarmOptions {
  /** How many loads run at once. Default 8. */
  concurrency?: number | undefined
  /** Ids of one `loadMany`. Default 100. */
  batchSize?: number | undefined
  /** Show a progress bar on standard error. Default false. */
  progress?: boolean | undefined
  /** Called as it goes on. */
  onProgress?: ((report: WarmReport) => void) | undefined
  /** Stops it; what was loaded stays. */
  signal?: AbortSignal | undefined
}

/** What warming has done. */
export interface WarmReport {
  /** Loaded and stored. */
  loaded: number
  /** There already, or being loaded by another process. */
  skipped: number
  /** Whose loader failed, had nothing, or whose value was not taken. */
  failed: number
}

/** Where a declared cache's values come from. */
export interface WarmSource<Id, Value> {
  keyOf(id: Id): Key
  load(ids: readonly Id[]): Promise<ReadonlyMap<Id, Value>>
  /** Whether `load` is better asked for many at once. */
  readonly batches: boolean
  readonly fill: Pick<GetOrSetOptions, 'ttlSeconds' | 'jitter'>
}

const KNOWN = ['concurrency', 'batchSize', 'progress', 'onProgress', 'signal'] as const
/** One bar step in so many ids, so that drawing costs nothing. */
const PROGRESS_STEP = 10

/**
 * Loads what is not in the cache yet. Each key is loaded by one process: the leases of a batch are taken in one
 * pipeline, and only those that were won are loaded.
 * @throws the signal's reason, when it is aborted.
 */
export async function warm<Id, Value>(
  cache: Memcache,
  source: WarmSource<Id, Value>,
  ids: Iterable<Id> | AsyncIterable<Id>,
  options: WarmOptions = {},
): Promise<WarmReport> {
  checkOptions('warm', options, KNOWN)
  const { concurrency = 8, batchSize = source.batches ? 100 : 1, progress = false, onProgress, signal } = options
  requireCount('concurrency', concurrency)
  requireCount('batchSize', batchSize)
  const report: WarmReport = { loaded: 0, skipped: 0, failed: 0 }
  const bar = progress ? new ProgressBar('warming', knownLength(ids), process.stderr) : undefined
  let shown = 0
  const batches = inBatches(ids, batchSize)
  const worker = async (): Promise<void> => {
    for (let next = await batches.next(); next.done !== true; next = await batches.next()) {
      signal?.throwIfAborted()
      await warmBatch(cache, source, next.value, report)
      const done = report.loaded + report.skipped + report.failed
      if (done - shown >= PROGRESS_STEP) {
        shown = done
        bar?.update(done)
      }
      onProgress?.({ ...report })
    }
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  const done = report.loaded + report.skipped + report.failed
  bar?.finish(done, `(${report.loaded} loaded, ${report.skipped} there already, ${report.failed} failed)`)
  return report
}

async function warmBatch<Id, Value>(
  cache: Memcache,
  source: WarmSource<Id, Value>,
  ids: readonly Id[],
  report: WarmReport,
): Promise<void> {
  const keys = new Map<Key, Id>(ids.map((id) => [source.keyOf(id), id]))
  let leases: Map<Key, bigint>
  try {
    leases = await cache.lease([...keys.keys()])
  } catch {
    // Without a cache there is nothing to warm.
    report.failed += ids.length
    return
  }
  report.skipped += ids.length - leases.size
  if (leases.size === 0) return
  const values = await loadOrNothing(
    source,
    [...leases.keys()].map((key) => keys.get(key)!),
  )
  await Promise.all(
    [...leases].map(async ([key, casUnique]) => {
      const value = values.get(keys.get(key)!)
      if (value !== undefined && (await cache.fill(key, value, casUnique, source.fill))) {
        report.loaded++
      } else {
        report.failed++
        await cache.free(key, casUnique)
      }
    }),
  )
}

async function loadOrNothing<Id, Value>(
  source: WarmSource<Id, Value>,
  ids: readonly Id[],
): Promise<ReadonlyMap<Id, Value>> {
  try {
    return await source.load(ids)
  } catch {
    return new Map()
  }
}

/** Batches of ids; safe to be drawn from by several workers, since a generator answers one call after the other. */
async function* inBatches<Id>(ids: Iterable<Id> | AsyncIterable<Id>, size: number): AsyncGenerator<Id[], void> {
  let batch: Id[] = []
  for await (const id of ids) {
    batch.push(id)
    if (batch.length === size) {
      yield batch
      batch = []
    }
  }
  if (batch.length > 0) yield batch
}

function knownLength(ids: object): number | undefined {
  if (Array.isArray(ids)) return ids.length
  return ids instanceof Set || ids instanceof Map ? ids.size : undefined
}

function requireCount(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1)
    throw new MemcacheOptionError(`${name} must be a whole number over 0, got ${value}`)
}
