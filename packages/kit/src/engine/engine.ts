import type { MemcachedClient } from 'memcache-ts-client'
import type { Clock, Ttl } from 'memcache-ts-protocol'
import type { Logger } from '../logger.ts'
import type { Generations } from './invalidate/tags.ts'
import type { GetOrSetOptions, LoadingDefaults, ResolvedLoading } from './load/get-or-set-options.ts'
import type { BatchLoader, ManyItem, WarmCounts } from './load/read-through-many.ts'
import type { ReadThroughRequest } from './load/read-through.ts'
import type { SharedAnswer, ShareRequest } from './load/shared-load.ts'
import type { CacheReport } from './observe/cache-report.ts'
import type { CacheStats } from './observe/cache-stats.ts'
import type { MemcacheHealth, OutageListener } from './observe/server-health.ts'
import type { UNAVAILABLE } from './or-unavailable.ts'
import type { AtomicTarget } from './store/atomic-writes.ts'
import type { LockRequest, MemcacheLock } from './store/lock.ts'
import type { StoredValue } from './store/writes.ts'
import type { ClassWarnings } from './values/class-warnings.ts'

// The contract in one place: what features (http, rate limits, sessions …) use of the engine, they import from here.
export { KeyPrefix, ownKeyText } from './cache-key.ts'
export type { Generations } from './invalidate/tags.ts'
export { resolveLoading } from './load/get-or-set-options.ts'
export type { LoadContext, ResolvedLoading } from './load/get-or-set-options.ts'
export type { Freshness } from './load/read-through.ts'
export type { LedLoad } from './load/shared-load.ts'
export { CACHE_EVENTS, READ_CHANNEL } from './observe/cache-report.ts'
export type { ReadContext } from './observe/cache-report.ts'
export type { CacheStats } from './observe/cache-stats.ts'
export { isUsageError, UNAVAILABLE } from './or-unavailable.ts'
export { EncodedItem, JsonText } from './values/kit-codec.ts'

/** What surrounds a cache: its log, its clock, its counters, the state of its servers, and its end. */
export interface CacheHost {
  /** Tells the operator; a logger that throws changes nothing. */
  readonly log: Logger
  readonly clock: Clock
  readonly report: CacheReport
  readonly health: CacheHealth
  /** Runs a task before the connections are closed. */
  onClose(task: () => Promise<unknown>): void
  /** Opens connections of their own to the same servers, for requests that must not delay the application's; the caller closes them. */
  openClient(): MemcachedClient
}

/** The state of a cache's servers: the one source for everything that depends on an outage. */
export interface CacheHealth {
  readonly state: MemcacheHealth
  /** Tells a listener of outages from now on, and at once of one that is under way. */
  watch(listener: OutageListener): void
}

/** The generations of tags, for features that follow a load while it runs. */
export interface TagReader {
  /** The generations that tags have now; `UNAVAILABLE` if one cannot be read. */
  read(tagKeys: readonly string[]): Promise<Generations | typeof UNAVAILABLE>
  /** Whether none of the tags can have been invalidated since that time, by `performance.now()`. */
  areUnchangedSince(tagKeys: readonly string[], sinceMs: number): Promise<boolean>
  /** Whether nothing that carries the first generations was invalidated or made stale, now that the tags have the others. */
  areSame(carried: Generations, current: Generations): boolean
}

/**
 * The engine of a cache: every operation by the key as it is stored. `Memcache` and its namespaces translate an application's keys and options for
 * it; features build on it. Faults of the servers never reject: a read is a miss, and a write resolves to false.
 */
export interface CacheEngine {
  readonly host: CacheHost
  readonly tags: TagReader
  /** Turns values into plain data, and warns of classes that do not come back. */
  readonly classes: ClassWarnings
  /** The lifetime of a value that is stored without one. */
  readonly ttlSeconds: Ttl
  /** How values are loaded where nothing else is said. */
  readonly loading: LoadingDefaults

  /** A key of the kit as it is stored: hashed if memcached could not hold it. */
  storedKey(text: string): string
  /** The key of a tag. */
  tagKey(tag: string): string
  /** The key of the tag that everything in a namespace carries. */
  namespaceKey(path: string): string

  /** A value; `undefined` is a miss. @param required the tags that it must carry. */
  get(name: string, required: readonly string[]): Promise<unknown>
  /** The hits among many keys. */
  getMany(names: readonly string[], required: readonly string[]): Promise<Map<string, unknown>>
  /** Stores a value; whether that is confirmed. */
  set(name: string, stored: StoredValue): Promise<boolean>
  delete(name: string): Promise<boolean>
  markStale(name: string): Promise<boolean>
  /** @param given the tags as the application wrote them, for the event. */
  invalidateTags(
    tagKeys: readonly string[],
    { soft, given }: { soft: boolean; given: readonly string[] },
  ): Promise<boolean>

  /** The value if memory has it: before anything else is made of the call. */
  fromMemory(name: string, options: Ttl | GetOrSetOptions | undefined): Promise<unknown> | undefined
  /** How values are loaded if only their lifetime is given. */
  loadingFor(ttl: Ttl | undefined): ResolvedLoading
  getOrSet(request: ReadThroughRequest): Promise<unknown>
  /** As `getOrSet`, for a caller that carries out the load by itself. */
  share(request: ShareRequest): Promise<SharedAnswer>
  /** Loads a value whatever is stored. */
  forceFresh(request: ReadThroughRequest): Promise<unknown>
  getOrSetMany<Id, Value>(
    items: readonly ManyItem<Id>[],
    load: BatchLoader<Id, Value>,
    signal: AbortSignal | undefined,
  ): Promise<Map<Id, Value>>
  /** Loads and stores those of many values that are not stored yet. */
  warm<Id, Value>(
    items: readonly ManyItem<Id>[],
    load: BatchLoader<Id, Value>,
    signal: AbortSignal | undefined,
  ): Promise<WarmCounts>

  add(target: AtomicTarget, value: unknown): Promise<boolean>
  pull(target: Pick<AtomicTarget, 'name' | 'required'>): Promise<unknown>
  increment(target: AtomicTarget, by: number): Promise<number | undefined>
  lock(request: LockRequest): Promise<MemcacheLock | undefined>

  stats(): CacheStats
  close(): Promise<void>
}

/** Where a cache has its engine. A registered symbol, since the cache may be of another copy of this package. */
export const ENGINE: unique symbol = Symbol.for('memcache-ts.engine')

/** The engine of a cache, for the features of the kit. */
export function engineOf(cache: { readonly [ENGINE]: CacheEngine }): CacheEngine {
  return cache[ENGINE]
}
