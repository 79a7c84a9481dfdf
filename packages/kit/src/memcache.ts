import { EventEmitter } from 'node:events'
import { MemcachedClient, parseServers } from 'memcache-ts-client'
import type { MemcachedClientOptions } from 'memcache-ts-client'
import { booleanOption, checkOptions, refuseSecondOptions } from 'memcache-ts-protocol'
import type { Clock, Key, Ttl } from 'memcache-ts-protocol'
import { prefixText, storedKey } from './engine/cache-key.ts'
import { CacheNamespace } from './namespace.ts'
import type { CacheMethods } from './namespace.ts'
import type { GetOrSetManyOptions, LockOptions, SetOptions } from './call-options.ts'
import { ENGINE } from './engine/engine.ts'
import type { CacheEngine } from './engine/engine.ts'
import { MemcachedEngine } from './engine/memcached-engine.ts'
import { CacheReport } from './engine/observe/cache-report.ts'
import type { MemcacheEvents } from './engine/observe/cache-report.ts'
import type { CacheStats } from './engine/observe/cache-stats.ts'
import type { MemcacheHealth } from './engine/observe/server-health.ts'
import { checkObject, checkTags } from './engine/load/get-or-set-options.ts'
import type { GetOrSetOptions, Loader } from './engine/load/get-or-set-options.ts'
import type { MemcacheLock } from './engine/store/lock.ts'
import { KitCodec } from './engine/values/kit-codec.ts'
import { MemoryTier } from './engine/memory/memory-tier.ts'
import type { BatchLoader } from './engine/load/read-through-many.ts'
import { chooseServers } from './choose-servers.ts'
import type { Servers } from './choose-servers.ts'
import { resolveMemcacheOptions } from './memcache-options.ts'
import type { MemcacheOptions } from './memcache-options.ts'
import type { RevivingOptions } from './engine/values/reviver.ts'
import { logForDebugging } from './telemetry/debug-log.ts'

const DEFAULT_TIMEOUT_MS = 100
/** The server in this process cannot be away, only slow to start, so its timeout is long. */
const EMBEDDED_TIMEOUT_MS = 5000
/** Below memcached's default item limit of 1 MiB, with room for the key and the item's header. */
const CHUNK_BYTES = 1_000_000

/** Options of `invalidateTags`. */
export interface InvalidateOptions {
  /**
   * Whether to mark the values with the tags stale instead of invalid, so that one caller reloads a value while the
   * others are served the old one. Default false.
   */
  soft?: boolean | undefined
}

/**
 * A cache that an application does not depend on: if memcached is away, values are loaded as if there were no cache,
 * and the errors of the cache do not reach the caller.
 */
export class Memcache extends EventEmitter<MemcacheEvents> implements CacheMethods, AsyncDisposable {
  /** The client of this cache, for every memcached command. Unlike the cache, it rejects if a server fails. */
  readonly client: MemcachedClient
  /** The source of time. */
  readonly clock: Clock
  /** For the features of the kit; not part of the public API. */
  readonly [ENGINE]: CacheEngine
  readonly #root: CacheNamespace

  /** Use `memcache()`. */
  constructor(options: MemcacheOptions) {
    super()
    const resolved = resolveMemcacheOptions(options, process.env)
    const { timeoutMs, leaseSeconds, logger, clock, l1, compression, ttlSeconds, loading } = resolved
    const { servers, embedded, credentials } = chooseServers(resolved.servers, process.env, logger)
    // The prefix is escaped up to its first `:`, so that the prefixes `a` and `a:b` share no key.
    const prefix = prefixText(resolved.prefix)
    this.clock = clock
    const wirePrefix = prefix === '' ? '' : `${prefix}:`
    const codec = new KitCodec(compression, wirePrefix)
    const clientOptions: MemcachedClientOptions = {
      servers,
      ...credentials,
      prefix,
      clock,
      // The module of the server in this process is loaded first, which may take a while on a busy machine. Its
      // protocol is known.
      ...(embedded && { protocol: 'meta', connectTimeoutMs: EMBEDDED_TIMEOUT_MS }),
      timeoutMs: embedded ? EMBEDDED_TIMEOUT_MS : (timeoutMs ?? urlTimeoutMs(servers) ?? DEFAULT_TIMEOUT_MS),
      // Without failover: a value stored on the next server would be stale when the key's own server is back, so a miss
      // is better.
      failover: 'none',
      values: codec,
      chunkBytes: CHUNK_BYTES,
    }
    this.client = new MemcachedClient(clientOptions)
    this[ENGINE] = new MemcachedEngine({
      client: this.client,
      openClient: () => new MemcachedClient({ ...clientOptions, poolSize: 1 }),
      log: logger,
      clock,
      report: new CacheReport(this, logger),
      codec,
      memory: l1 === undefined ? undefined : new MemoryTier(l1, clock),
      leaseSeconds,
      ttlSeconds,
      loading,
      storedKey: (text) => storedKey(text, wirePrefix),
    })
    this.#root = new CacheNamespace(this[ENGINE], { prefix: wirePrefix, path: '', tagKeys: [] })
    logForDebugging(this)
  }

  key(key: Key): string {
    return this.#root.key(key)
  }

  get<Value = unknown>(key: Key, options?: RevivingOptions): Promise<Value | undefined> {
    return this.#root.get(key, options)
  }

  getMany<Value = unknown, Given extends Key = Key>(
    keys: readonly Given[],
    options?: RevivingOptions,
  ): Promise<Map<Given, Value>> {
    return this.#root.getMany(keys, options)
  }

  set(key: Key, value: unknown, options?: Ttl | SetOptions): Promise<boolean> {
    return this.#root.set(key, value, options)
  }

  delete(key: Key): Promise<boolean> {
    return this.#root.delete(key)
  }

  markStale(key: Key): Promise<boolean> {
    return this.#root.markStale(key)
  }

  /** @deprecated Use `markStale`. */
  expire(key: Key): Promise<boolean> {
    return this.#root.markStale(key)
  }

  getOrSet<Value>(key: Key, load: Loader<Value>, options?: Ttl | GetOrSetOptions): Promise<Value> {
    return this.#root.getOrSet(key, load, options)
  }

  getOrSetMany<Id, Value>(
    ids: readonly Id[],
    load: BatchLoader<Id, Value>,
    options?: Ttl | GetOrSetManyOptions<Id>,
  ): Promise<Map<Id, Value>> {
    return this.#root.getOrSetMany(ids, load, options)
  }

  has(key: Key): Promise<boolean> {
    return this.#root.has(key)
  }

  add(key: Key, value: unknown, options?: Ttl | SetOptions): Promise<boolean> {
    return this.#root.add(key, value, options)
  }

  pull<Value = unknown>(key: Key): Promise<Value | undefined> {
    return this.#root.pull(key)
  }

  increment(key: Key, by?: number, options?: Ttl | SetOptions): Promise<number | undefined> {
    return this.#root.increment(key, by, options)
  }

  lock(name: Key, options?: LockOptions): Promise<MemcacheLock | undefined> {
    return this.#root.lock(name, options)
  }

  namespace(name: Key): CacheNamespace {
    return this.#root.namespace(name)
  }

  /**
   * Invalidates all values that carry one of these tags: one operation per tag, however many values there are. Resolves
   * to whether memcached has confirmed this; if not, the invalidation is repeated as soon as the server is back.
   *
   * @throws MemcacheOptionError if an option is unknown or invalid.
   */
  async invalidateTags(tags: string | readonly string[], options: InvalidateOptions = {}): Promise<boolean> {
    checkObject('invalidateTags', options)
    checkOptions('invalidateTags', options, { names: ['soft'], hints: { hard: 'soft: false' } })
    if (options.soft !== undefined) booleanOption('soft', options.soft)
    const given = typeof tags === 'string' ? [tags] : tags
    checkTags(given)
    const tagKeys = [...new Set(given)].map((tag) => this[ENGINE].tagKey(tag))
    return this[ENGINE].invalidateTags(tagKeys, { soft: options.soft === true, given })
  }

  /** Returns the counters since this cache was created, and its current state. */
  stats(): CacheStats {
    return this[ENGINE].stats()
  }

  /**
   * The health of the servers, as their responses have shown it: `up`; `degraded` if some do not respond or
   * invalidations are pending; `down` if no server responds. `away` is emitted when it becomes `down`, and `back` when
   * a server responds again.
   */
  get health(): MemcacheHealth {
    return this[ENGINE].host.health.state
  }

  /** Whether no server responds (`health` is `down`), so that every request fails immediately. */
  get isAway(): boolean {
    return this.health === 'down'
  }

  /** Lets running operations finish, then closes the connections. */
  async close(): Promise<void> {
    await this[ENGINE].close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * Opens a cache. Without options it uses the servers of `MEMCACHE_SERVERS`, or a memcached in this process. It connects
 * at the first call.
 *
 * @example
 *   const cache = memcache({ prefix: 'shop' })
 *   const city = await cache.getOrSet(['city', 42], () => loadCity(42), '5m')
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function memcache(options: Servers | MemcacheOptions = {}, ...others: never[]): Memcache {
  refuseSecondOptions('memcache', others)
  return new Memcache(typeof options === 'string' || isList(options) ? { servers: options } : options)
}

/** Returns the timeout of a URL `memcache://…?timeoutMs=`. */
function urlTimeoutMs(servers: Servers): number | undefined {
  return typeof servers === 'string' ? parseServers(servers).options.timeoutMs : undefined
}

function isList(options: Servers | MemcacheOptions): options is Exclude<Servers, string> {
  return Array.isArray(options)
}
