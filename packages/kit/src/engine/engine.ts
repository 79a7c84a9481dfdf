import type { MemcachedClient } from 'memcache-ts-client'
import type { Clock, Ttl } from 'memcache-ts-protocol'
import type { Logger } from '../logger.ts'
import { ClassWarnings } from './values/class-warnings.ts'
import { AdaptiveStore } from './store/adaptive-store.ts'
import { AtomicWrites } from './store/atomic-writes.ts'
import type { CacheParts } from './context.ts'
import type { CacheReport } from './observe/cache-report.ts'
import type { CacheStats } from './observe/cache-stats.ts'
import { resolveLoading } from './load/get-or-set-options.ts'
import type { GetOrSetOptions, LoadingDefaults, ResolvedLoading } from './load/get-or-set-options.ts'
import type { KitCodec } from './values/kit-codec.ts'
import { LeasedLoads } from './load/leased-loads.ts'
import { currentLoad } from './load/load-chain.ts'
import { LoadDeadlines } from './load/load-deadlines.ts'
import { Lookups } from './read/lookups.ts'
import { acquireLock } from './store/lock.ts'
import type { LockRequest, MemcacheLock } from './store/lock.ts'
import type { MemoryStats, MemoryTier } from './memory/memory-tier.ts'
import { DoubtfulLeases } from './load/doubtful-leases.ts'
import { PendingInvalidations } from './invalidate/pending-invalidations.ts'
import { ReadThrough } from './load/read-through.ts'
import { RootGeneration } from './invalidate/root-generation.ts'
import { HARD_STEP } from './invalidate/tag-generation.ts'
import type { ReadThroughRequest } from './load/read-through.ts'
import { ReadThroughMany } from './load/read-through-many.ts'
import type { BatchLoader, ManyItem, WarmCounts } from './load/read-through-many.ts'
import { Reads } from './read/reads.ts'
import { ServerHealth } from './observe/server-health.ts'
import type { MemcacheHealth } from './observe/server-health.ts'
import { Tags } from './invalidate/tags.ts'
import { Writes } from './store/writes.ts'

/** Lifetimes that are given as such; those that are computed are not worth being remembered. */
const MOST_LIFETIMES = 100

/** The deprecated words for each health. */
const BREAKERS = { up: 'closed', degraded: 'half-open', down: 'open' } as const

const NOTHING_IN_MEMORY: MemoryStats = { memoryItems: 0, memoryBytes: 0, memoryEvictions: 0 }

/** What a cache core is made of. */
export interface CacheCoreOptions {
  readonly client: MemcachedClient
  readonly openAnotherClient: () => MemcachedClient
  readonly codec: KitCodec
  readonly memory: MemoryTier | undefined
  readonly report: CacheReport
  readonly clock: Clock
  readonly logger: Logger
  readonly leaseSeconds: number
  readonly ttlSeconds: Ttl
  readonly loading: LoadingDefaults
  readonly storedKey: (text: string) => string
  readonly tagKey: (tag: string) => string
  readonly namespaceKey: (name: string) => string
}

/** All that a `Memcache` does, by keys as they are stored; its namespaces make those of the user's. */
export class CacheCore {
  readonly parts: CacheParts
  readonly reads: Reads
  readonly writes: Writes
  readonly atomic: AtomicWrites
  readonly outages: ServerHealth
  readonly #client: MemcachedClient
  readonly #lookups: Lookups
  readonly #loads: LeasedLoads
  readonly #single: ReadThrough
  readonly #loadings = new Map<Ttl | undefined, ResolvedLoading>()

  constructor(options: CacheCoreOptions) {
    const { client, clock, logger, leaseSeconds, memory, report } = options
    const store = new AdaptiveStore(client, leaseSeconds, clock, logger)
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
        logger.warn(
          'memcache-ts: over 100 000 invalidations wait for memcached: everything under the prefix will be invalid when it is back',
        )
      },
    )
    const root = new RootGeneration(client, options.namespaceKey(''), report)
    const tags: Tags = new Tags(store, pending)
    const doubtful = new DoubtfulLeases(store)
    const classes = new ClassWarnings(logger)
    this.parts = { ...options, store, pending, doubtful, classes, tags, root, deadlines: new LoadDeadlines() }
    this.#client = client
    this.#lookups = new Lookups(this.parts)
    this.#loads = new LeasedLoads(this.parts)
    this.#single = new ReadThrough(this.parts, this.#lookups, this.#loads)
    this.reads = new Reads(client, this.parts)
    this.writes = new Writes(this.parts, this.#loads)
    this.atomic = new AtomicWrites(client, this.parts, this.#lookups, this.#loads)
    this.outages = new ServerHealth(client, report, logger)
    client.on('connect', () => {
      // A server that was started anew counts its cas uniques from 1 again.
      memory?.clear()
      void pending.run()
      doubtful.run()
    })
  }

  /** A value that memory has, as its promise: before anything else is made of the call. */
  fromMemory(name: string, options: Ttl | GetOrSetOptions | undefined): Promise<unknown> | undefined {
    const { memory, report } = this.parts
    if (memory === undefined) return undefined
    if (typeof options === 'object' && !mayBeFromMemory(options)) return undefined
    const item = memory.fresh(name)
    if (item === undefined || currentLoad()?.isWithin(this.parts, name) === true) return undefined
    report.memoryHit(name)
    return Promise.resolve(memory.valueOf(item))
  }

  /** How values are loaded where only their lifetime was given. */
  loadingFor(ttl: Ttl | undefined): ResolvedLoading {
    let loading = this.#loadings.get(ttl)
    if (loading === undefined) {
      loading = resolveLoading({ ttlSeconds: ttl }, this.parts.loading)
      if (this.#loadings.size < MOST_LIFETIMES) this.#loadings.set(ttl, loading)
    }
    return loading
  }

  getOrSet(request: ReadThroughRequest): Promise<unknown> {
    return this.#single.get(request)
  }

  /**
   * Loads a value whatever is stored. What is there is made stale first: loads that are under way can no longer be stored, and
   * of those that begin after this call one is enough. It is there for others, stale, until then, and if that fails.
   */
  async forceFresh(request: ReadThroughRequest): Promise<unknown> {
    await this.writes.expire(request.name)
    return this.#single.get({ ...request, takesStale: false })
  }

  /** A lock by its key as it is stored. */
  lock(request: LockRequest): Promise<MemcacheLock | undefined> {
    return acquireLock(this.#client, this.parts, request)
  }

  getOrSetMany<Id, Value>(
    items: readonly ManyItem<Id>[],
    load: BatchLoader<Id, Value>,
    signal: AbortSignal | undefined,
  ): Promise<Map<Id, Value>> {
    return this.#many(load, signal).get(items)
  }

  /** Loads and stores those of many that are not there; resolves to how each ended. */
  warm<Id, Value>(
    items: readonly ManyItem<Id>[],
    load: BatchLoader<Id, Value>,
    signal: AbortSignal | undefined,
  ): Promise<WarmCounts> {
    return this.#many(load, signal).warm(items)
  }

  /** How the servers are, and whether what was missed is still being made up for. */
  get health(): MemcacheHealth {
    const { servers } = this.outages
    return servers === 'up' && this.parts.pending.size > 0 ? 'degraded' : servers
  }

  stats(): CacheStats {
    const { report, pending, memory } = this.parts
    const { health } = this
    const inMemory = memory?.stats() ?? NOTHING_IN_MEMORY
    return {
      ...report.stats,
      ...inMemory,
      loading: this.#loads.underWay,
      pending: pending.size,
      health,
      breaker: BREAKERS[health],
    }
  }

  /** Ends what goes on by itself, then the connections. */
  async close(): Promise<void> {
    this.parts.pending.close()
    this.#loads.close()
    this.outages.close()
    await this.#client.close()
  }

  #many<Id, Value>(load: BatchLoader<Id, Value>, signal: AbortSignal | undefined): ReadThroughMany<Id, Value> {
    const using = { lookups: this.#lookups, loads: this.#loads, single: this.#single }
    return new ReadThroughMany(this.parts, using, load, signal)
  }
}

/** Whether nothing of the call has to be looked at first. */
function mayBeFromMemory({ l1, signal, forceFresh }: GetOrSetOptions): boolean {
  return l1 !== false && signal === undefined && forceFresh !== true
}
