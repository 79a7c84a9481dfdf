import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { GetOrSetManyOptions } from '../../call-options.ts'
import type { CacheNamespace } from '../../namespace.ts'
import { checkCallOptions, OPTION_HINTS } from '../../engine/load/get-or-set-options.ts'
import { describeValue, requireOptions, requireType } from '../../option-types.ts'
import { onAbort } from '../../engine/load/waiting.ts'
import type { BatchLoader, WarmCounts } from '../../engine/load/read-through-many.ts'
import { reasonOf, throwIfAborted } from '../../engine/load/abandonment.ts'

/** Options of `warm`. */
export interface WarmOptions {
  /** How many loads run at once, at most 10 000. Default 8. */
  concurrency?: number | undefined
  /** The number of ids of one `loadMany` call. Default 100; 1 without `loadMany`. */
  batchSize?: number | undefined
  /** How long the loaded values are fresh, in seconds. Default: as declared. */
  ttlSeconds?: Ttl | undefined
  /** See `getOrSet`; lifetimes of warmed values are spread over at least 40 seconds. Default: as declared. */
  jitter?: number | undefined
  /** Whether to show a progress bar on standard error. Default false. */
  progress?: boolean | undefined
  /** Called after each batch. */
  onProgress?: ((report: WarmReport) => void) | undefined
  /** Stops warming. Values that were loaded stay, and the next run skips them. */
  signal?: AbortSignal | undefined
}

/** The result of `warm`. */
export interface WarmReport {
  /** Values that were loaded and stored. */
  loaded: number
  /** Values that were stored already, or that another caller was loading. */
  skipped: number
  /** Values whose loader failed or returned nothing, or that were not stored. */
  failed: number
}

/** The source of a declared cache's values. */
export interface WarmSource<Id, Value> {
  readonly namespace: CacheNamespace
  readonly load: BatchLoader<Id, Value>
  /** Whether `load` loads many values by one request. */
  readonly batches: boolean
  readonly options: GetOrSetManyOptions<Id>
}

/** Each concurrent load is allocated before the first id is read. */
const MAX_CONCURRENCY = 10_000

const OPTION_NAMES = [
  'concurrency',
  'batchSize',
  'ttlSeconds',
  'jitter',
  'progress',
  'onProgress',
  'signal',
] as const satisfies readonly (keyof WarmOptions)[]
const DEFAULT_JITTER = 0.1
/** The number of ids per step of the progress bar, so that drawing stays cheap. */
const PROGRESS_STEP = 10

/**
 * The number of consecutive batches without a response of memcached, after which it counts as away rather than slow,
 * and `warm` no longer waits for it.
 */
const MAX_WITHOUT_RESPONSE = 50

/**
 * Loads the values that are not in the cache yet. Each key is loaded by one process: the leases of a batch are
 * requested in one pipeline, and only the keys whose leases were granted are loaded. Stored values are skipped, so a
 * run that was stopped can be continued.
 *
 * @throws the signal's reason if it is aborted.
 */
export async function warm<Id, Value>(
  source: WarmSource<Id, Value>,
  ids: Iterable<Id> | AsyncIterable<Id>,
  options: WarmOptions = {},
): Promise<WarmReport> {
  requireOptions('warm', options)
  checkOptions('warm', options, { names: OPTION_NAMES, hints: OPTION_HINTS })
  requireType('warm', 'boolean', { progress: options.progress })
  requireType('warm', 'function', { onProgress: options.onProgress })
  checkCallOptions({ signal: options.signal })
  requireSource(ids)
  const { concurrency = 8, batchSize = source.batches ? 100 : 1, progress = false, onProgress, signal } = options
  requireCount('concurrency', concurrency)
  requireCount('batchSize', batchSize)
  const { jitter = source.options.jitter ?? DEFAULT_JITTER, ttlSeconds = source.options.ttlSeconds } = options
  const declared = { ...source.options, jitter, ttlSeconds, signal }
  const spread = new LifetimeSpread(jitter)
  const progressReport = new WarmProgress(
    progress ? new ProgressBar('warming', knownLength(ids), process.stderr) : undefined,
    onProgress,
  )
  const batches = inBatches(ids, batchSize)
  const vary = (seconds: number): number => spread.next(seconds)
  let withoutResponse = 0
  const worker = async (): Promise<void> => {
    for (let next = await batches.next(); next.done !== true; next = await batches.next()) {
      throwIfAborted(signal)
      const isPatient = withoutResponse < MAX_WITHOUT_RESPONSE
      const counts = await source.namespace.warmMany(next.value, source.load, { ...declared, vary, isPatient })
      withoutResponse = counts.unanswered === next.value.length ? withoutResponse + 1 : 0
      progressReport.add(counts)
    }
  }
  const stop = stopOf(signal)
  try {
    await Promise.race([
      Promise.all(Array.from({ length: Math.min(concurrency, MAX_CONCURRENCY) }, worker)),
      stop.stopped,
    ])
  } catch (error) {
    progressReport.finish('stopped')
    // Closes the source, such as a database cursor. A hanging source is closed when it continues.
    batches.return().catch(() => {})
    throw error
  } finally {
    stop.forget()
  }
  return progressReport.finish('done')
}

/** Rejects when a signal is aborted, so that neither a hanging source nor a hanging loader keeps `warm` from ending. */
function stopOf(signal: AbortSignal | undefined): { readonly stopped: Promise<never>; readonly forget: () => void } {
  let forget = (): void => {}
  const stopped = new Promise<never>((_, reject) => {
    if (signal === undefined) return
    const stop = (): void => reject(reasonOf(signal))
    if (signal.aborted) return stop()
    forget = onAbort(signal, stop)
  })
  return { stopped, forget: () => forget() }
}

/** Counts the results so far, shows them and reports them. */
class WarmProgress {
  readonly #bar: ProgressBar | undefined
  readonly #onProgress: ((report: WarmReport) => void) | undefined
  readonly #report: WarmReport = { loaded: 0, skipped: 0, failed: 0 }
  readonly #beganMs = performance.now()
  #shown = 0
  #cause: unknown

  constructor(bar: ProgressBar | undefined, onProgress: ((report: WarmReport) => void) | undefined) {
    this.#bar = bar
    this.#onProgress = onProgress
  }

  add({ loaded, skipped, failed, cause }: WarmCounts): void {
    this.#cause ??= cause
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
    const reason = failed === 0 || this.#cause === undefined ? '' : `: ${messageOf(this.#cause)}`
    const outcome = `${loaded} loaded, ${skipped} already stored, ${failed} failed${reason}`
    this.#bar?.finish(this.#done, `(${how === 'stopped' ? 'stopped: ' : ''}${outcome}, ${seconds} s)`)
    return this.#report
  }

  get #done(): number {
    return this.#report.loaded + this.#report.skipped + this.#report.failed
  }
}

/** Yields batches of ids. Several workers may share it, since a generator handles one call after another. */
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
    throw new MemcacheOptionError(`${name} must be a whole number greater than 0, got ${describeValue(value)}`)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The smallest spread, in seconds: with it, no second holds more than 3 % of the values. */
const MIN_WIDTH_SECONDS = 40
/** The largest share by which a lifetime may be shortened for the smallest spread. */
const MAX_SHARE = 0.9
/** The fraction of the golden ratio: any number of its multiples modulo 1 are spread evenly. */
const GOLDEN = 0.618_033_988_749_895

/**
 * Spreads the lifetimes of values that are stored together, so that they do not expire together: evenly, not at random,
 * and over at least 40 seconds, or 90 % of a shorter lifetime.
 */
class LifetimeSpread {
  readonly #jitter: number
  #position = Math.random()

  constructor(jitter: number) {
    this.#jitter = jitter
  }

  /** Returns the next lifetime in place of this one, in seconds; it is never longer. */
  next(seconds: number): number {
    if (seconds === Infinity) return seconds
    this.#position = (this.#position + GOLDEN) % 1
    const width = Math.max(this.#jitter * seconds, Math.min(MIN_WIDTH_SECONDS, MAX_SHARE * seconds))
    return Math.max(1, seconds - width * this.#position)
  }
}

const WIDTH = 24

/** A stream that may be a terminal. */
export interface ProgressStream {
  readonly isTTY?: boolean | undefined
  write(text: string): unknown
}

/** Shows the progress of long work: a bar on a terminal, otherwise one line at the end. */
export class ProgressBar {
  readonly #label: string
  readonly #total: number | undefined
  readonly #stream: ProgressStream

  /** @param total the number of steps, if it is known. */
  constructor(label: string, total: number | undefined, stream: ProgressStream) {
    this.#label = label
    this.#total = total
    this.#stream = stream
  }

  update(done: number): void {
    if (this.#stream.isTTY === true) this.#stream.write(`\r${this.#line(done)}\u001b[K`)
  }

  finish(done: number, outcome: string): void {
    const start = this.#stream.isTTY === true ? '\r' : ''
    const end = this.#stream.isTTY === true ? '\u001b[K' : ''
    this.#stream.write(`${start}${this.#line(done)} ${outcome}${end}\n`)
  }

  #line(done: number): string {
    if (this.#total === undefined) return `${this.#label} ${done}`
    const share = this.#total === 0 ? 1 : Math.min(1, done / this.#total)
    const filled = Math.round(share * WIDTH)
    return `${this.#label} ${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)} ${done}/${this.#total}`
  }
}
