import type { MemcachedClient } from 'memcache-ts-client'
import type { Clock, KeyPart, Ttl } from 'memcache-ts-protocol'
import type { Logger } from '../logger.ts'
import { ownKeyText, storedKey } from './cache-key.ts'
import type { KeySpace } from './cache-key.ts'
import type { Generations } from './invalidate/tags.ts'
import type { LoadingDefaults } from './load/get-or-set-options.ts'
import type { BatchLoader, ManyItem, WarmCounts } from './load/read-through-many.ts'
import type { ReadThrough, ReadThroughRequest } from './load/read-through.ts'
import type { SharedOutcome, ShareRequest } from './load/shared-load.ts'
import type { CacheReport } from './observe/cache-report.ts'
import type { CacheStats } from './observe/cache-stats.ts'
import type { MemcacheHealth, OutageListener } from './observe/server-health.ts'
import type { UNAVAILABLE } from './or-unavailable.ts'
import type { ReadOptions } from './read/reads.ts'
import type { AtomicTarget } from './store/atomic-writes.ts'
import type { LockRequest, MemcacheLock } from './store/lock.ts'
import type { StoredValue } from './store/writes.ts'
import type { ClassWarnings } from './values/class-warnings.ts'

// The contract in one place: features (http, rate limits, sessions …) import the engine from here only.
export { KeyPrefix, ownKeyText } from './cache-key.ts'
export type { Generations } from './invalidate/tags.ts'
export { Abandonment, reasonOf, throwIfAborted } from './load/abandonment.ts'
export type { StopSource } from './load/abandonment.ts'
export { onAbort } from './load/waiting.ts'
export { lateTags, resolveLoading } from './load/get-or-set-options.ts'
export type { LoadContext, ResolvedLoading } from './load/get-or-set-options.ts'
export type { Freshness } from './load/read-through.ts'
export type { LedLoad } from './load/shared-load.ts'
export { CACHE_EVENTS, READ_CHANNEL } from './observe/cache-report.ts'
export type { ReadContext } from './observe/cache-report.ts'
export type { CacheStats } from './observe/cache-stats.ts'
export { isUsageError, UNAVAILABLE } from './or-unavailable.ts'
export { dropForeign, dropForeignLock, dropUnchanged, isForeign } from './store/foreign-items.ts'
export { EncodedItem, JsonText } from './values/kit-codec.ts'

/** The surroundings of a cache: its log, its clock, its counters, the state of its servers, and its end. */
export interface CacheHost {
  /** The operator's log. A logger that throws does not disturb the cache. */
  readonly log: Logger
  readonly clock: Clock
  readonly report: CacheReport
  readonly health: CacheHealth
  /** Runs a task before the connections are closed. */
  onClose(task: () => Promise<unknown>): void
  /**
   * Opens separate connections to the same servers, for requests that must not delay the application's; the caller
   * closes them.
   */
  openClient(): MemcachedClient
}

/** The state of a cache's servers. Everything that depends on an outage uses this one source. */
export interface CacheHealth {
  readonly state: MemcacheHealth
  /** Notifies a listener of outages from now on, and immediately if an outage is in progress. */
  watch(listener: OutageListener): void
}

/** The generations of tags, for features that follow a load while it runs. */
export interface TagReader {
  /** Returns the current generations of tags; `UNAVAILABLE` if one cannot be read. */
  read(tagKeys: readonly string[]): Promise<Generations | typeof UNAVAILABLE>
  /** Returns whether certainly no tag was invalidated since that time, by `performance.now()`; false if it is not known. */
  areUnchangedSince(tagKeys: readonly string[], sinceMs: number): Promise<boolean>
  /**
   * Returns whether an entry with the carried generations is neither invalid nor stale, given the current generations
   * of its tags.
   */
  areSame(carried: Generations, current: Generations): boolean
  /** Returns whether exactly one invalidation came between the two of each tag in `raised`, and none of the others. */
  areInvalidatedOnce(before: Generations, now: Generations, raised: readonly string[]): boolean
}

/**
 * The engine of a cache. Its operations take keys as they are stored; `Memcache` and its namespaces translate an
 * application's keys and options, and features build on it. If a server fails, operations do not reject: a read is a
 * miss, and a write resolves to false.
 */
export interface CacheEngine {
  readonly host: CacheHost
  readonly tags: TagReader
  /** Turns values into plain data, and warns about classes whose instances come back as plain objects. */
  readonly classes: ClassWarnings
  /** The lifetime of values that are stored without one. */
  readonly ttlSeconds: Ttl
  /** The loading options of calls that give none. */
  readonly loading: LoadingDefaults

  /** Returns one of the kit's keys as it is stored: hashed if memcached could not hold it. */
  storedKey(text: string): string
  /** Returns the stored key of a tag. */
  tagKey(tag: string): string
  /** Returns the stored key of the tag that every value of a namespace carries. */
  namespaceKey(path: string): string

  /**
   * Returns a value; `undefined` is a miss.
   *
   * @param required the tags that the value must carry.
   * @param options `pastEnd`: whether a value past its end is a hit, too. Default false.
   */
  get(name: string, required: readonly string[], options?: ReadOptions): Promise<unknown>
  /** Returns the hits among many keys. */
  getMany(names: readonly string[], required: readonly string[]): Promise<Map<string, unknown>>
  /** Stores a value, and resolves to whether the server confirmed it. */
  set(name: string, stored: StoredValue): Promise<boolean>
  delete(name: string): Promise<boolean>
  markStale(name: string): Promise<boolean>
  /** @param given the tags as the application wrote them, for the event. */
  invalidateTags(
    tagKeys: readonly string[],
    { soft, given }: { soft: boolean; given: readonly string[] },
  ): Promise<boolean>

  /** The reads of `getOrSet`: a value in memory is tried first, before a request is built. */
  readonly readThrough: Pick<ReadThrough, 'fromMemory' | 'get' | 'peekMemory'>
  /** Reads through, for a caller that produces the value itself instead of passing a loader. */
  share(request: ShareRequest): Promise<SharedOutcome>
  /** Loads and stores a value, even if a fresh one is stored. */
  forceFresh(request: ReadThroughRequest): Promise<unknown>
  getOrSetMany<Id, Value>(
    items: readonly ManyItem<Id>[],
    load: BatchLoader<Id, Value>,
    signal: AbortSignal | undefined,
  ): Promise<Map<Id, Value>>
  /** Loads and stores the values that are not stored yet. */
  warm<Id, Value>(
    items: readonly ManyItem<Id>[],
    load: BatchLoader<Id, Value>,
    about: { readonly signal: AbortSignal | undefined; readonly isPatient: boolean },
  ): Promise<WarmCounts>

  add(target: AtomicTarget, value: unknown): Promise<boolean>
  pull(target: Pick<AtomicTarget, 'name' | 'required'>): Promise<unknown>
  increment(target: AtomicTarget, by: number): Promise<number | undefined>
  lock(request: LockRequest): Promise<MemcacheLock | undefined>

  stats(): CacheStats
  close(): Promise<void>
}

/**
 * The property that holds a cache's engine. The symbol is registered, since the cache may come from another copy of
 * this package.
 */
export const ENGINE: unique symbol = Symbol.for('memcache-ts.engine')

/** Returns the engine of a cache, for the kit's features. */
export function engineOf(cache: { readonly [ENGINE]: CacheEngine }): CacheEngine {
  return cache[ENGINE]
}

/** Returns a key in one of the kit's key spaces as it is stored; no user's key is in one. */
export function ownKey(
  cache: { readonly client: { readonly prefix: string } },
  space: KeySpace,
  parts: readonly KeyPart[],
): string {
  return storedKey(ownKeyText(space, parts), cache.client.prefix)
}
