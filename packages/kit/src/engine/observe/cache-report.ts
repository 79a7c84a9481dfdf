import { channel, tracingChannel } from 'node:diagnostics_channel'
import type { EventEmitter } from 'node:events'
import { emitSafely, reportUncaught } from 'memcache-ts-client'
import type { Logger } from '../../logger.ts'
import type { CacheStats } from './cache-stats.ts'

/** The number of reasons that are logged: reasons that differ each time must not fill the log. */
const MAX_REASONS = 100

/** Events of a `Memcache`; it never emits `error`. Keys are as stored, without the prefix. */
export interface MemcacheEvents {
  hit: [key: string]
  miss: [key: string]
  /** A stale value was served, while one caller reloads it. */
  stale: [key: string]
  /** A loader has returned, after so many milliseconds. */
  load: [key: string, milliseconds: number]
  /** A loader has thrown or exceeded its time limit, after so many milliseconds. */
  loadError: [key: string, error: unknown, milliseconds: number]
  set: [key: string]
  delete: [key: string]
  /** Tags were invalidated, or a namespace was cleared; the tags are those that the application gave. */
  invalidate: [tags: readonly string[]]
  /** A cache operation failed, and the application continued without the cache. */
  cacheError: [error: unknown]
  /** A server has stopped responding. */
  degraded: [error: unknown]
  /** A server that had failed responds again. */
  recovered: [server: string]
  /** No server responds any more: the application continues without a cache. */
  away: [error: unknown]
  /** The first server responds again after `away`. */
  back: [server: string]
}

/** The names of all events of a `Memcache`. */
export const CACHE_EVENTS = [
  'hit',
  'miss',
  'stale',
  'load',
  'loadError',
  'set',
  'delete',
  'invalidate',
  'cacheError',
  'degraded',
  'recovered',
  'away',
  'back',
] as const satisfies readonly (keyof MemcacheEvents)[]

const CHANNELS = Object.fromEntries(
  CACHE_EVENTS.map((name) => [name, channel(`memcache-ts:${name}`)]),
) as unknown as Record<keyof MemcacheEvents, ReturnType<typeof channel>>

/** The context that subscribers of `tracing:memcache-ts:read:*` get for a call of `getOrSet` or `getOrSetMany`. */
export interface ReadContext {
  readonly cache: unknown
  readonly operation: 'getOrSet' | 'getOrSetMany'
  /** The key as stored, without the prefix; `undefined` for `getOrSetMany`. */
  readonly key: string | undefined
  /** The result of the call, in `asyncEnd`. */
  result?: unknown
  /** The error of the call, in `error`. */
  error?: unknown
  /**
   * A subscriber of `start` may set this function; it is called with the work of the call, and runs it, for example in
   * another asynchronous context.
   */
  around?: (<Result>(work: () => Result) => Result) | undefined
}

/** The name of the tracing channel of reads. */
export const READ_CHANNEL = 'memcache-ts:read'

const reads = tracingChannel<ReadContext, ReadContext>(READ_CHANNEL)

/** The counters of `CacheStats`; its other fields describe the current state. */
export type CountedStats = Omit<
  CacheStats,
  'pending' | 'health' | 'breaker' | 'loading' | 'memoryItems' | 'memoryBytes' | 'memoryEvictions'
>

/** Counts, emits the cache's events, and publishes on the channels `memcache-ts:<event>` of diagnostics_channel. */
export class CacheReport {
  readonly #emitter: EventEmitter<MemcacheEvents>
  readonly #logger: Logger
  /** The reasons for values not being stored that have been logged. */
  readonly #reasons = new Set<string>()
  #isUsedClosed = false
  readonly stats: CountedStats = {
    hits: 0,
    memoryHits: 0,
    misses: 0,
    stale: 0,
    coalesced: 0,
    loads: 0,
    loadMs: 0,
    loadErrors: 0,
    earlyRefreshes: 0,
    unleasedLoads: 0,
    leasesLost: 0,
    discarded: 0,
    sets: 0,
    invalidations: 0,
    limited: 0,
    cacheErrors: 0,
  }

  constructor(emitter: EventEmitter<MemcacheEvents>, logger: Logger) {
    this.#emitter = emitter
    this.#logger = logger
  }

  /** Whether a tracer has subscribed to reads; without a tracer, a read costs only this comparison. */
  get isTraced(): boolean {
    return reads.start.hasSubscribers
  }

  /** Publishes a read to tracers, from its call to its end. */
  trace<Result>(
    operation: ReadContext['operation'],
    key: string | undefined,
    work: () => Promise<Result>,
  ): Promise<Result> {
    const context: ReadContext = { cache: this.#emitter, operation, key, around: undefined }
    return reads.tracePromise(() => runAround(context.around, work), context)
  }

  hit(key: string): void {
    this.stats.hits++
    this.#emit('hit', key)
  }

  memoryHit(key: string): void {
    this.stats.memoryHits++
    this.hit(key)
  }

  miss(key: string): void {
    this.stats.misses++
    this.#emit('miss', key)
  }

  stale(key: string): void {
    this.stats.stale++
    this.#emit('stale', key)
  }

  loaded(key: string, milliseconds: number): void {
    this.stats.loadMs += milliseconds
    this.#emit('load', key, milliseconds)
  }

  loadFailed(key: string, milliseconds: number, error: unknown): void {
    this.stats.loadMs += milliseconds
    this.stats.loadErrors++
    this.#emit('loadError', key, error, milliseconds)
  }

  set(key: string): void {
    this.stats.sets++
    this.#emit('set', key)
  }

  deleted(key: string): void {
    this.stats.invalidations++
    this.#emit('delete', key)
  }

  invalidated(tags: readonly string[]): void {
    this.stats.invalidations++
    this.#emit('invalidate', tags)
  }

  limited(): void {
    this.stats.limited++
  }

  /** Counts a value that is returned but cannot be stored, and logs each reason once. */
  unstorable(key: string, error: unknown): void {
    this.#failedWith(error, (reason) => `${key} is loaded but not stored: ${reason}`)
  }

  /**
   * Counts a method that succeeded, but whose changes cannot be applied to the cache as its decorator says, and logs
   * each reason once.
   *
   * @param method the class and the method: `Cities.save`.
   */
  unapplied(method: string, error: unknown): void {
    const instead = 'all results of its class are invalidated, since it is unknown which ones are out of date'
    this.#failedWith(error, (reason) => `${method} has succeeded, and ${instead}: ${reason}`)
  }

  #failedWith(error: unknown, message: (reason: string) => string): void {
    this.failed(error)
    const reason = error instanceof Error ? error.message : String(error)
    if (this.#reasons.has(reason) || this.#reasons.size >= MAX_REASONS) return
    this.#reasons.add(reason)
    this.#logger.warn(`memcache-ts: ${message(reason)}`)
  }

  failed(error: unknown): void {
    this.stats.cacheErrors++
    if (!this.#isUsedClosed && (error as { code?: unknown } | undefined)?.code === 'ERR_MEMCACHE_CLOSED') {
      this.#isUsedClosed = true
      this.#logger.warn(
        'memcache-ts: a cache is used after close(): values are loaded each time, and nothing is stored; close it after its last use',
      )
    }
    this.#emit('cacheError', error)
  }

  degraded(error: unknown): void {
    this.#emit('degraded', error)
  }

  recovered(server: string): void {
    this.#emit('recovered', server)
  }

  away(error: unknown): void {
    this.#emit('away', error)
  }

  back(server: string): void {
    this.#emit('back', server)
  }

  #emit<Name extends keyof MemcacheEvents>(name: Name, ...details: MemcacheEvents[Name]): void {
    const listened = CHANNELS[name]
    if (listened.hasSubscribers) listened.publish({ cache: this.#emitter, details })
    const emitter = this.#emitter as EventEmitter
    // A listener that throws does not disturb the call: its error becomes an uncaught exception.
    if (emitter.listenerCount(name) > 0) emitSafely(emitter, name, ...details)
  }
}

/** Runs work in a tracer's context; once, and with its own result, even if the tracer fails. */
function runAround<Result>(around: ReadContext['around'], work: () => Result): Result {
  if (around === undefined) return work()
  let done: { readonly result: Result } | undefined
  const once = (): Result => (done ??= { result: work() }).result
  try {
    around(once)
  } catch (error) {
    reportUncaught(error)
  }
  return once()
}
