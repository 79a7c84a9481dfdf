import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { CacheNamespace, GetOrSetManyOptions } from '../../namespace.ts'
import { checkCallOptions, OPTION_HINTS } from '../../engine/load/get-or-set-options.ts'
import { describeValue, requireOptions, requireType } from '../../option-types.ts'
import type { BatchLoader } from '../../engine/load/read-through-many.ts'
import { LifetimeSpread } from './lifetime-spread.ts'
import { ProgressBar } from './progress-bar.ts'

/** Options of warming. */
export interface WarmOptions {
  /** How many loads run at once. Default 8. */
  concurrency?: number | undefined
  /** Ids of one `loadMany`. Default 100. */
  batchSize?: number | undefined
  /** How long what is loaded is fresh. Default: as declared. */
  ttlSeconds?: Ttl | undefined
  /** See `getOrSet`; warmed values are spread over 40 seconds at least. Default: as declared. */
  jitter?: number | undefined
  /** Show a progress bar on standard error. Default false. */
  progress?: boolean | undefined
  /** Called as it goes on. */
  onProgress?: ((report: WarmReport) => void) | undefined
  /** Stops it; what was loaded stays, and is skipped when it is begun again. */
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
  readonly namespace: CacheNamespace
  readonly load: BatchLoader<Id, Value>
  /** Whether `load` is better asked for many at once. */
  readonly batches: boolean
  readonly options: GetOrSetManyOptions<Id>
}

const KNOWN = [
  'concurrency',
  'batchSize',
  'ttlSeconds',
  'jitter',
  'progress',
  'onProgress',
  'signal',
] as const satisfies readonly (keyof WarmOptions)[]
const DEFAULT_JITTER = 0.1
/** One bar step in so many ids, so that drawing costs nothing. */
const PROGRESS_STEP = 10

/**
 * Loads what is not in the cache yet. Each key is loaded by one process: the leases of a batch are taken in one
 * pipeline, and only those that were won are loaded. What is there is skipped, so that a warming which was stopped goes on
 * where it was.
 * @throws the signal's reason, when it is aborted.
 */
export async function warm<Id, Value>(
  source: WarmSource<Id, Value>,
  ids: Iterable<Id> | AsyncIterable<Id>,
  options: WarmOptions = {},
): Promise<WarmReport> {
  requireOptions('warm', options)
  checkOptions('warm', options, KNOWN, OPTION_HINTS)
  requireType('warm', 'boolean', { progress: options.progress })
  requireType('warm', 'function', { onProgress: options.onProgress })
  checkCallOptions({ signal: options.signal })
  requireSource(ids)
  const { concurrency = 8, batchSize = source.batches ? 100 : 1, progress = false, onProgress, signal } = options
  requireCount('concurrency', concurrency)
  requireCount('batchSize', batchSize)
  const { jitter = source.options.jitter ?? DEFAULT_JITTER, ttlSeconds = source.options.ttlSeconds } = options
  const declared = { ...source.options, jitter, ttlSeconds }
  const spread = new LifetimeSpread(jitter)
  const tally = new Tally(
    progress ? new ProgressBar('warming', knownLength(ids), process.stderr) : undefined,
    onProgress,
  )
  const batches = inBatches(ids, batchSize)
  const worker = async (): Promise<void> => {
    for (let next = await batches.next(); next.done !== true; next = await batches.next()) {
      signal?.throwIfAborted()
      tally.add(await source.namespace.warmMany(next.value, source.load, declared, (seconds) => spread.next(seconds)))
    }
  }
  try {
    await Promise.all(Array.from({ length: concurrency }, worker))
  } catch (error) {
    tally.finish('stopped')
    throw error
  }
  return tally.finish('done')
}

/** What has been done so far, as it is shown and told. */
class Tally {
  readonly #bar: ProgressBar | undefined
  readonly #onProgress: ((report: WarmReport) => void) | undefined
  readonly #report: WarmReport = { loaded: 0, skipped: 0, failed: 0 }
  readonly #beganMs = performance.now()
  #shown = 0

  constructor(bar: ProgressBar | undefined, onProgress: ((report: WarmReport) => void) | undefined) {
    this.#bar = bar
    this.#onProgress = onProgress
  }

  add({ loaded, skipped, failed }: WarmReport): void {
    this.#report.loaded += loaded
    this.#report.skipped += skipped
    this.#report.failed += failed
    if (this.#done - this.#shown >= PROGRESS_STEP) {
      this.#shown = this.#done
      this.#bar?.update(this.#done)
    }
    this.#onProgress?.({ ...this.#report })
  }

  finish(how: 'done' | 'stopped'): WarmReport {
    const { loaded, skipped, failed } = this.#report
    const seconds = ((performance.now() - this.#beganMs) / 1000).toFixed(1)
    const outcome = `${loaded} loaded, ${skipped} there already, ${failed} failed`
    this.#bar?.finish(this.#done, `(${how === 'stopped' ? 'stopped: ' : ''}${outcome}, ${seconds} s)`)
    return this.#report
  }

  get #done(): number {
    return this.#report.loaded + this.#report.skipped + this.#report.failed
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

/** @throws MemcacheOptionError if ids are neither iterable nor async iterable; a text is one id. */
export function requireSource(ids: unknown): void {
  const isSource = typeof ids === 'object' && ids !== null && (Symbol.iterator in ids || Symbol.asyncIterator in ids)
  if (!isSource)
    throw new MemcacheOptionError(`warm takes a list of ids, or an async iterable, got ${describeValue(ids)}`)
}

function requireCount(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1)
    throw new MemcacheOptionError(`${name} must be a whole number over 0, got ${value}`)
}
