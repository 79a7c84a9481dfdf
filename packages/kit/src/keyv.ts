import { EventEmitter } from 'node:events'
import type { KeyvStoreAdapter, StoredData } from 'keyv'
import { secondsToTtl } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { CacheNamespace } from './namespace.ts'
import type { Servers } from './choose-servers.ts'
import { getDefaultMemcache } from './default-memcache.ts'
import { Memcache, memcache } from './memcache.ts'
import type { MemcacheOptions } from './memcache-options.ts'
import { ownNamespace } from './namespace.ts'

/**
 * A Keyv store in memcached, for Keyv 5 and the packages that build on it: cache-manager, cacheable, Nest's
 * `CacheModule`. Each Keyv needs its own store, since Keyv sets its namespace on the store. Lifetimes are exact:
 * memcached's whole seconds are rounded up, and Keyv checks the milliseconds. A value without a lifetime stays for at
 * most 30 days, since the namespace's tag expires then. There is no `iterator`, since memcached cannot list keys; Keyv
 * only uses it with stores that it knows.
 *
 * @example
 *   const keyv = new Keyv({ store: new KeyvMemcache(cache), namespace: 'cities' })
 */
export class KeyvMemcache extends EventEmitter implements KeyvStoreAdapter {
  /** The options that Keyv reads from a store; none are needed. */
  readonly opts: Record<string, unknown> = {}
  /** The namespace that `clear` clears, set by Keyv. Without one, `clear` clears the values of every Keyv in this cache. */
  namespace?: string | undefined
  readonly #given: Memcache | undefined
  readonly #opened: Memcache | undefined
  #found: { cache: Memcache; name: string | undefined; values: CacheNamespace } | undefined

  /**
   * @param cache a cache, which `disconnect` leaves open; or servers or options to open one, which `disconnect` closes.
   *   Default: the default cache of this process.
   * @throws MemcacheOptionError if an option is unknown or invalid.
   */
  constructor(cache?: Memcache | Servers | MemcacheOptions) {
    super()
    if (cache instanceof Memcache) this.#given = cache
    else if (cache !== undefined) this.#opened = memcache(cache)
  }

  async get<Value>(key: string): Promise<StoredData<Value> | undefined> {
    return this.#values.get<StoredData<Value>>([key])
  }

  async getMany<Value>(keys: string[]): Promise<StoredData<Value | undefined>[]> {
    const parts = keys.map((key) => [key] as const)
    const hits = await this.#values.getMany<StoredData<Value>, readonly [string]>(parts)
    return parts.map((part) => hits.get(part))
  }

  /**
   * Stores a value, and resolves to whether memcached has confirmed it.
   *
   * @param ttlMs the lifetime in milliseconds; `undefined` means none.
   */
  async set(key: string, value: unknown, ttlMs?: number): Promise<boolean> {
    return this.#values.set([key], value, lifetime(ttlMs))
  }

  /** Deletes a value, and resolves to whether it was there and the delete is confirmed. */
  async delete(key: string): Promise<boolean> {
    return this.deleteMany([key])
  }

  /** Deletes values, and resolves to whether all were there and the deletes are confirmed. */
  async deleteMany(keys: string[]): Promise<boolean> {
    const values = this.#values
    const parts = keys.map((key) => [key] as const)
    const hits = await values.getMany(parts)
    const confirmed = await Promise.all(parts.map((part) => values.delete(part)))
    return hits.size === keys.length && confirmed.every(Boolean)
  }

  async has(key: string): Promise<boolean> {
    const [isThere] = await this.hasMany([key])
    return isThere!
  }

  async hasMany(keys: string[]): Promise<boolean[]> {
    const stored = await this.getMany(keys)
    return stored.map((value) => value !== undefined && !isExpired(value))
  }

  /** Invalidates all values of the namespace in one operation. */
  async clear(): Promise<void> {
    await this.#values.clear()
  }

  /** Closes the cache if this store opened it. */
  async disconnect(): Promise<void> {
    await this.#opened?.close()
  }

  get #values(): CacheNamespace {
    const { namespace: name } = this
    const cache = this.#given ?? this.#opened ?? getDefaultMemcache()
    if (this.#found === undefined || this.#found.cache !== cache || this.#found.name !== name) {
      const all = ownNamespace(cache, 'keyv')
      this.#found = { cache, name, values: name === undefined ? all : all.namespace([name]) }
    }
    return this.#found.values
  }
}

/** Returns a lifetime in memcached's whole seconds, rounded up. */
function lifetime(ttlMs: number | undefined): Ttl {
  return secondsToTtl(ttlMs === undefined ? Infinity : Math.max(1, Math.ceil(ttlMs / 1000)))
}

/** Returns whether the value has expired by Keyv's milliseconds; memcached's whole seconds end slightly later. */
function isExpired(stored: unknown): boolean {
  const entry = typeof stored === 'string' ? parsed(stored) : stored
  if (typeof entry !== 'object' || entry === null || !('expires' in entry)) return false
  return typeof entry.expires === 'number' && entry.expires < Date.now()
}

/** Parses an entry as Keyv's default serializer writes it. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
