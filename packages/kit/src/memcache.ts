import { EventEmitter } from 'node:events'
import { MemcachedClient, parseServers } from 'memcache-ts-client'
import type { Clock, Key, Ttl } from 'memcache-ts-protocol'
import { cacheKey } from './cache-key.ts'
import type { CacheStats } from './cache/cache-stats.ts'
import { jittered, resolveGetOrSet } from './cache/get-or-set-options.ts'
import type { GetOrSetOptions, LoadContext, Loader } from './cache/get-or-set-options.ts'
import { kitCodec, LEASE_STUB } from './cache/kit-codec.ts'
import { Lease, read } from './cache/lease.ts'
import { PendingDeletes } from './cache/pending-deletes.ts'
import { SingleFlight } from './cache/single-flight.ts'
import { chooseServers } from './choose-servers.ts'
import type { Servers } from './choose-servers.ts'
import { resolveMemcacheOptions } from './memcache-options.ts'
import type { MemcacheOptions, ResolvedMemcacheOptions } from './memcache-options.ts'

const DEFAULT_JITTER = 0.1
const DEFAULT_TIMEOUT_MS = 100
/** The server in this process cannot be away, only slow to start: giving it up early would help nobody. */
const EMBEDDED_TIMEOUT_MS = 5000

/** Events of a `Memcache`; it never emits `error`. */
export interface MemcacheEvents {
  hit: [key: string]
  miss: [key: string]
  /** A loader has run, for so many milliseconds. */
  load: [key: string, milliseconds: number]
  loadError: [key: string, error: unknown]
  set: [key: string]
  delete: [key: string]
  /** An operation of the cache failed, and the application went on without. */
  cacheError: [error: unknown]
  /** The cache has begun to fail. */
  degraded: [error: unknown]
  /** It works again. */
  recovered: []
}

/**
 * A cache that the application can rely on without relying on it: when memcached is away, values are loaded as if there
 * were no cache, and no error of it reaches the caller.
 */
export class Memcache extends EventEmitter<MemcacheEvents> implements AsyncDisposable {
  /** The client underneath, for everything that memcached can do; its faults reject. */
  readonly client: MemcachedClient
  /** Where the time comes from. */
  readonly clock: Clock
  readonly #options: ResolvedMemcacheOptions
  readonly #prefix: string
  readonly #flights = new SingleFlight()
  readonly #lease: Lease
  readonly #pendingDeletes = new PendingDeletes()
  #degraded = false
  readonly #stats: CacheStats = {
    hits: 0,
    misses: 0,
    coalesced: 0,
    loads: 0,
    loadErrors: 0,
    discarded: 0,
    cacheErrors: 0,
  }

  /** Use `memcache()`. */
  constructor(options: MemcacheOptions) {
    super()
    this.#options = resolveMemcacheOptions(options, process.env)
    const { prefix, timeoutMs, leaseSeconds, logger, clock } = this.#options
    const { servers, embedded, credentials } = chooseServers(this.#options.servers, process.env, logger)
    this.clock = clock
    this.#prefix = prefix === '' ? '' : `${prefix}:`
    this.client = new MemcachedClient({
      servers,
      ...credentials,
      prefix,
      clock,
      timeoutMs: embedded ? EMBEDDED_TIMEOUT_MS : (timeoutMs ?? urlTimeoutMs(servers) ?? DEFAULT_TIMEOUT_MS),
      // A value on the next server would be stale when its own comes back: a miss is better.
      failover: 'none',
      values: kitCodec,
    })
    this.client.on('connect', () => void this.#deletePending())
    this.#lease = new Lease(this.client, leaseSeconds)
  }

  /** The key as it is stored, without the prefix: hashed where memcached could not hold it. */
  key(key: Key): string {
    return cacheKey(key, this.#prefix)
  }

  /** The value of a key; `undefined` is a miss, or a cache that does not answer. */
  async get<Value = unknown>(key: Key): Promise<Value | undefined> {
    const name = this.key(key)
    const item = await this.#attempt(() => this.client.meta.get<Value>(name), undefined)
    this.#count(name, item !== undefined && read(item)?.kind === 'hit')
    return item?.value
  }

  /** The hits among many keys, by the keys as given; one round trip a server. */
  async getMany<Value = unknown, Given extends Key = Key>(keys: readonly Given[]): Promise<Map<Given, Value>> {
    const names = new Map(keys.map((key) => [this.key(key), key]))
    const found = await this.#attempt(() => this.client.getMulti<unknown, string>([...names.keys()]), undefined)
    if (found !== undefined) for (const error of found.errors.values()) this.#fault(error)
    const hits = new Map<Given, Value>()
    for (const [name, key] of names) {
      const value = found?.get(name)
      const isHit = found?.has(name) === true && value !== LEASE_STUB
      this.#count(name, isHit)
      if (isHit) hits.set(key, value as Value)
    }
    return hits
  }

  /** Stores a value; returns whether it was confirmed. */
  async set(key: Key, value: unknown, ttl: Ttl = this.#options.ttlSeconds): Promise<boolean> {
    const name = this.key(key)
    // What cannot be stored is the caller's mistake, not the cache's fault.
    const stored = await this.#attempt(async () => (await this.client.meta.set(name, value, { ttl })).status, 'failed')
    this.#flights.detach(name)
    if (stored === 'stored') this.emit('set', name)
    else this.#pendingDeletes.add(name)
    return stored === 'stored'
  }

  /**
   * Makes sure that a value is never seen again: not from the cache, and not by a load that is under way.
   * Returns whether that is confirmed; if not, it is done as soon as the server is back.
   */
  async delete(key: Key): Promise<boolean> {
    const name = this.key(key)
    const outcome = await this.#attempt(() => this.client.meta.delete(name), 'failed')
    this.#flights.detach(name)
    if (outcome === 'failed') this.#pendingDeletes.add(name)
    else this.emit('delete', name)
    return outcome !== 'failed'
  }

  /**
   * The value of a key, loaded when it is not there: by one caller of all processes, while the others wait for it.
   * A loader's error arrives as it was thrown, at all who wait, and is not stored.
   */
  async getOrSet<Value>(key: Key, load: Loader<Value>, options?: Ttl | GetOrSetOptions): Promise<Value> {
    const resolved = resolveGetOrSet(options)
    const name = this.key(key)
    return this.#flights.run(
      name,
      (signal) => this.#getOrLoad(name, load, resolved, signal),
      resolved.signal,
      () => this.#stats.coalesced++,
    )
  }

  /**
   * Takes the leases of many keys in one pipeline; used by warming. Returns those that this caller is to load, with
   * their cas uniques for `fill`.
   */
  async lease(keys: readonly Key[]): Promise<Map<Key, bigint>> {
    const won = new Map<Key, bigint>()
    await Promise.all(
      keys.map(async (key) => {
        const outcome = read(await this.#lease.take(this.key(key)))
        if (outcome?.kind === 'won') won.set(key, outcome.casUnique)
      }),
    )
    return won
  }

  /** Stores a value under a lease; returns whether it was taken: not when the key was deleted meanwhile. */
  async fill(key: Key, value: unknown, casUnique: bigint, options: GetOrSetOptions = {}): Promise<boolean> {
    return this.#fill(this.key(key), value, casUnique, options.ttlSeconds, options.jitter)
  }

  /** Gives a lease back without a value. */
  async free(key: Key, casUnique: bigint): Promise<void> {
    await this.#attempt(() => this.#lease.free(this.key(key), casUnique), undefined)
  }

  /** What has been counted since this cache was made. */
  stats(): CacheStats {
    return { ...this.#stats }
  }

  /** Says something to the operator, by the `logger`. */
  warn(message: string): void {
    this.#options.logger.warn(message)
  }

  /** Lets operations under way finish, then closes the connections. */
  async close(): Promise<void> {
    await this.client.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #getOrLoad<Value>(
    name: string,
    load: Loader<Value>,
    options: GetOrSetOptions,
    signal: AbortSignal,
  ): Promise<Value> {
    const outcome = await this.#attempt(() => this.#lease.fetch(name, signal), { kind: 'overdue' as const }, signal)
    this.#count(name, outcome.kind === 'hit')
    if (outcome.kind === 'hit') return outcome.value as Value
    let { ttlSeconds } = options
    let skipsStore = false
    const context: LoadContext = {
      signal,
      setTtlSeconds: (ttl) => (ttlSeconds = ttl),
      skipStore: () => (skipsStore = true),
    }
    if (outcome.kind === 'overdue') return this.#load(name, load, context)
    let value: Value
    try {
      value = await this.#load(name, load, context)
    } catch (error) {
      await this.free(name, outcome.casUnique)
      throw error
    }
    // undefined is how a miss looks, so it cannot be stored as a value.
    if (skipsStore || value === undefined) await this.free(name, outcome.casUnique)
    else await this.#fillOrFree(name, value, outcome.casUnique, ttlSeconds, options.jitter)
    return value
  }

  async #load<Value>(name: string, load: Loader<Value>, context: LoadContext): Promise<Value> {
    this.#stats.loads++
    const start = performance.now()
    try {
      const value = await load(context)
      this.emit('load', name, performance.now() - start)
      return value
    } catch (error) {
      this.#stats.loadErrors++
      this.emit('loadError', name, error)
      throw error
    }
  }

  /** What cannot be stored at all is the caller's to hear, and the next caller's to try again. */
  async #fillOrFree(...[name, value, casUnique, ttl, jitter]: FillArguments): Promise<void> {
    try {
      await this.#fill(name, value, casUnique, ttl, jitter)
    } catch (error) {
      await this.free(name, casUnique)
      throw error
    }
  }

  async #fill(
    name: string,
    value: unknown,
    casUnique: bigint,
    ttl: Ttl = this.#options.ttlSeconds,
    jitter = DEFAULT_JITTER,
  ): Promise<boolean> {
    const lifetime = jittered(ttl, jitter)
    const status = await this.#attempt(
      async () => (await this.client.meta.set(name, value, { ttl: lifetime, compareCas: casUnique })).status,
      'failed',
    )
    if (status === 'stored') this.emit('set', name)
    else if (status !== 'failed') this.#stats.discarded++
    return status === 'stored'
  }

  /** Runs an operation of the cache; when it fails, the application goes on with `otherwise`. */
  async #attempt<Result, Otherwise>(
    operation: () => Promise<Result>,
    otherwise: Otherwise,
    signal?: AbortSignal,
  ): Promise<Result | Otherwise> {
    try {
      const result = await operation()
      if (this.#degraded) this.#recover()
      return result
    } catch (error) {
      if (signal?.aborted === true) throw error
      if (isCallersMistake(error)) throw error
      this.#fault(error)
      return otherwise
    }
  }

  #fault(error: unknown): void {
    this.#stats.cacheErrors++
    this.emit('cacheError', error)
    if (this.#degraded) return
    this.#degraded = true
    this.#options.logger.warn(`memcache-ts: going on without the cache: ${(error as Error).message}`)
    this.emit('degraded', error)
  }

  #recover(): void {
    this.#degraded = false
    this.#options.logger.info('memcache-ts: the cache works again')
    this.emit('recovered')
  }

  async #deletePending(): Promise<void> {
    const keys = this.#pendingDeletes.takeAll()
    await Promise.all(keys.map((key) => this.delete(key)))
  }

  #count(name: string, hit: boolean): void {
    if (hit) this.#stats.hits++
    else this.#stats.misses++
    this.emit(hit ? 'hit' : 'miss', name)
  }
}

type FillArguments = [name: string, value: unknown, casUnique: bigint, ttl: Ttl | undefined, jitter: number | undefined]

/** Wrong arguments are told; everything else is the cache's and stays here. */
function isCallersMistake(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  return code === 'ERR_MEMCACHE_OPTION' || code === 'ERR_MEMCACHE_KEY'
}

/**
 * Opens a cache. Without options: the servers of `MEMCACHE_SERVERS`, else a memcached in this process.
 * Nothing is connected before the first call.
 * @throws MemcacheOptionError for options that cannot be.
 */
export function memcache(options: Servers | MemcacheOptions = {}): Memcache {
  return new Memcache(typeof options === 'string' || isList(options) ? { servers: options } : options)
}

/** The timeout that a `memcache://…?timeoutMs=` brings. */
function urlTimeoutMs(servers: Servers): number | undefined {
  return typeof servers === 'string' ? parseServers(servers).options.timeoutMs : undefined
}

function isList(options: Servers | MemcacheOptions): options is Exclude<Servers, string> {
  return Array.isArray(options)
}
