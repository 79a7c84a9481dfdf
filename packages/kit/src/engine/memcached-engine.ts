import type { MemcachedClient } from 'memcache-ts-client'
import type { Clock, Ttl } from 'memcache-ts-protocol'
import type { Logger } from '../logger.ts'
import { ownKeyText } from './cache-key.ts'
import type { CacheContext } from './context.ts'
import type { CacheEngine, CacheHealth, CacheHost, TagReader } from './engine.ts'
import { PendingInvalidations, RootGeneration } from './invalidate/pending-invalidations.ts'
import { Tags } from './invalidate/tags.ts'
import { HARD_STEP } from './store/cache-store.ts'
import { AmbiguousLeases } from './load/lost-leases.ts'
import type { LoadingDefaults } from './load/get-or-set-options.ts'
import { LeasedLoads } from './load/leased-loads.ts'
import { LoadDeadlines } from './load/load-deadlines.ts'
import { ReadThroughMany } from './load/read-through-many.ts'
import type { BatchLoader, ManyItem, WarmCounts } from './load/read-through-many.ts'
import { ReadThrough } from './load/read-through.ts'
import type { ReadThroughRequest } from './load/read-through.ts'
import { shareLoad } from './load/shared-load.ts'
import type { SharedOutcome, ShareRequest } from './load/shared-load.ts'
import type { MemoryStats, MemoryTier } from './memory/memory-tier.ts'
import type { CacheReport } from './observe/cache-report.ts'
import type { CacheStats } from './observe/cache-stats.ts'
import { ServerHealth } from './observe/server-health.ts'
import { orUnavailable, UNAVAILABLE } from './or-unavailable.ts'
import { Lookups } from './read/lookups.ts'
import { Reads } from './read/reads.ts'
import type { ReadOptions } from './read/reads.ts'
import { AdaptiveStore } from './store/adaptive-store.ts'
import { AtomicWrites } from './store/atomic-writes.ts'
import type { AtomicTarget } from './store/atomic-writes.ts'
import { acquireLock } from './store/lock.ts'
import type { LockRequest, MemcacheLock } from './store/lock.ts'
import { Writes } from './store/writes.ts'
import type { StoredValue } from './store/writes.ts'
import { ClassWarnings } from './values/class-warnings.ts'
import type { KitCodec } from './values/kit-codec.ts'

/** The deprecated `breaker` word for each health. */
const BREAKERS = { up: 'closed', degraded: 'half-open', down: 'open' } as const

const NOTHING_IN_MEMORY: MemoryStats = { memoryItems: 0, memoryBytes: 0, memoryEvictions: 0 }

/** The parts of an engine that depend on the options of its cache. */
export interface EngineOptions {
  readonly client: MemcachedClient
  readonly openClient: () => MemcachedClient
  readonly log: Logger
  readonly clock: Clock
  readonly report: CacheReport
  readonly codec: KitCodec
  readonly memory: MemoryTier | undefined
  readonly leaseSeconds: number
  readonly ttlSeconds: Ttl
  readonly loading: LoadingDefaults
  /** Returns one of the kit's keys as it is stored: hashed if memcached could not hold it. */
  readonly storedKey: (text: string) => string
}

/** The engine on memcached. It creates the parts and delegates each operation to one of them. */
export class MemcachedEngine implements CacheEngine {
  readonly host: MemcacheHost
  readonly tags: TagReader
  readonly classes: ClassWarnings
  readonly ttlSeconds: Ttl
  readonly loading: LoadingDefaults
  readonly storedKey: (text: string) => string
  readonly readThrough: ReadThrough
  readonly #client: MemcachedClient
  readonly #health: ServerHealth
  readonly #context: CacheContext
  readonly #reads: Reads
  readonly #writes: Writes
  readonly #atomic: AtomicWrites
  readonly #lookups: Lookups
  readonly #loads: LeasedLoads

  constructor(options: EngineOptions) {
    const { client, openClient, log, clock, report, memory, leaseSeconds, ttlSeconds, loading, storedKey } = options
    const store = new AdaptiveStore(client, leaseSeconds, log)
    const pending: PendingInvalidations = new PendingInvalidations(
      {
        delete: (key) => store.use(key, (using) => using.delete(key)),
        raise: (tagKey, by) => tags.raise(tagKey, by),
        raiseRoot: async () => {
          await tags.raise(root.tagKey, HARD_STEP)
          root.raised()
        },
      },
      () => {
        root.raised()
        log.warn(
          'memcache-ts: over 100 000 invalidations wait for memcached: everything under the prefix will be invalidated when it responds again',
        )
      },
    )
    const root = new RootGeneration(client, storedKey(namespaceKeyText('')), report)
    const tags: Tags = new Tags(store, pending, report)
    const ambiguous = new AmbiguousLeases(store)
    this.#health = new ServerHealth(client, { log, report, isCatchingUp: () => pending.size > 0 })
    this.host = new MemcacheHost({ log, clock, report, health: this.#health, openClient })
    this.classes = new ClassWarnings(log)
    this.ttlSeconds = ttlSeconds
    this.loading = loading
    this.storedKey = storedKey
    this.tags = {
      read: (tagKeys) => orUnavailable(tags.read(tagKeys), report),
      areUnchangedSince: async (tagKeys, sinceMs) => {
        const read = await orUnavailable(tags.readSince(tagKeys, sinceMs), report)
        return read !== UNAVAILABLE && read !== undefined
      },
      areSame: (carried, current) => tags.compare(carried, current) === 'same',
      areInvalidatedOnce: (before, now, raised) =>
        Object.entries(before).every(([tagKey, generation]) =>
          raised.includes(tagKey) ? now[tagKey] === generation + HARD_STEP : now[tagKey] === generation,
        ),
    }
    this.#client = client
    this.#context = {
      ...options,
      store,
      pending,
      ambiguous,
      classes: this.classes,
      tags,
      root,
      deadlines: new LoadDeadlines(),
      tagKey: (tag) => this.tagKey(tag),
    }
    this.#lookups = new Lookups(this.#context)
    this.#loads = new LeasedLoads(this.#context)
    this.readThrough = new ReadThrough(this.#context, this.#lookups, this.#loads)
    this.#reads = new Reads(client, this.#context)
    this.#writes = new Writes(this.#context, this.#loads)
    this.#atomic = new AtomicWrites(client, this.#context, { lookups: this.#lookups, loads: this.#loads })
    client.on('connect', () => {
      // After a restart, a server counts its cas uniques from 1 again.
      memory?.clear()
      void pending.run()
      ambiguous.run()
    })
  }

  tagKey(tag: string): string {
    return this.storedKey(ownKeyText('tag', [tag]))
  }

  namespaceKey(path: string): string {
    return this.storedKey(namespaceKeyText(path))
  }

  get(name: string, required: readonly string[], options?: ReadOptions): Promise<unknown> {
    return this.#reads.get(name, required, options)
  }

  getMany(names: readonly string[], required: readonly string[]): Promise<Map<string, unknown>> {
    return this.#reads.getMany(names, required)
  }

  set(name: string, stored: StoredValue): Promise<boolean> {
    return this.#writes.set(name, stored)
  }

  delete(name: string): Promise<boolean> {
    return this.#writes.delete(name)
  }

  markStale(name: string): Promise<boolean> {
    return this.#writes.markStale(name)
  }

  invalidateTags(tagKeys: readonly string[], about: { soft: boolean; given: readonly string[] }): Promise<boolean> {
    return this.#writes.invalidateTags(tagKeys, about)
  }

  share(request: ShareRequest): Promise<SharedOutcome> {
    return shareLoad(this.readThrough, request)
  }

  /**
   * Marks the stored value stale first: loads that are already running can then no longer store their values, and the
   * calls that follow share one load. Until the new value is stored, and if the load fails, other callers are served
   * the stale value.
   */
  async forceFresh(request: ReadThroughRequest): Promise<unknown> {
    await this.#writes.markStale(request.name)
    return this.readThrough.get({ ...request, takesStale: false })
  }

  getOrSetMany<Id, Value>(
    items: readonly ManyItem<Id>[],
    load: BatchLoader<Id, Value>,
    signal: AbortSignal | undefined,
  ): Promise<Map<Id, Value>> {
    return this.#many(load, signal).get(items)
  }

  warm<Id, Value>(
    items: readonly ManyItem<Id>[],
    load: BatchLoader<Id, Value>,
    { signal, isPatient }: { readonly signal: AbortSignal | undefined; readonly isPatient: boolean },
  ): Promise<WarmCounts> {
    return this.#many(load, signal).warm(items, { isPatient })
  }

  add(target: AtomicTarget, value: unknown): Promise<boolean> {
    return this.#atomic.add(target, value)
  }

  pull(target: Pick<AtomicTarget, 'name' | 'required'>): Promise<unknown> {
    return this.#atomic.pull(target)
  }

  increment(target: AtomicTarget, by: number): Promise<number | undefined> {
    return this.#atomic.increment(target, by)
  }

  lock(request: LockRequest): Promise<MemcacheLock | undefined> {
    return acquireLock(this.#client, this.#context, request)
  }

  stats(): CacheStats {
    const { report, pending, memory } = this.#context
    const { state } = this.host.health
    return {
      ...report.stats,
      ...(memory?.stats() ?? NOTHING_IN_MEMORY),
      loading: this.#loads.underWay,
      pending: pending.size,
      health: state,
      breaker: BREAKERS[state],
    }
  }

  /** Runs the features' closing tasks, stops the engine's own work, then closes the connections. */
  async close(): Promise<void> {
    await this.host.runClosing()
    this.#context.pending.close()
    this.#loads.close()
    this.#health.close()
    await this.#client.close()
  }

  #many<Id, Value>(load: BatchLoader<Id, Value>, signal: AbortSignal | undefined): ReadThroughMany<Id, Value> {
    const using = { lookups: this.#lookups, loads: this.#loads, single: this.readThrough }
    return new ReadThroughMany(this.#context, using, { load, signal })
  }
}

/** Returns the tag of a namespace; its first part is empty, so it differs from every tag of an application. */
function namespaceKeyText(path: string): string {
  return ownKeyText('tag', ['', path])
}

/** The host of one `Memcache`. */
class MemcacheHost implements CacheHost {
  readonly log: Logger
  readonly clock: Clock
  readonly report: CacheReport
  readonly health: CacheHealth
  readonly openClient: () => MemcachedClient
  readonly #closing: (() => Promise<unknown>)[] = []

  constructor({ log, clock, report, health, openClient }: Omit<CacheHost, 'onClose'>) {
    this.log = log
    this.clock = clock
    this.report = report
    this.health = health
    this.openClient = openClient
  }

  onClose(task: () => Promise<unknown>): void {
    this.#closing.push(task)
  }

  /** Runs the tasks that were registered with `onClose`. A task that fails does not stop the others. */
  async runClosing(): Promise<void> {
    await Promise.allSettled(this.#closing.splice(0).map((task) => task()))
  }
}
