import { EventEmitter } from 'node:events'
import type { KeyvStoreAdapter, StoredData } from 'keyv'
import { secondsToTtl } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { CacheNamespace } from '../namespace.ts'
import type { Servers } from '../servers/choose-servers.ts'
import { getDefaultMemcache } from '../default-memcache.ts'
import { Memcache, memcache } from '../memcache.ts'
import type { MemcacheOptions } from '../memcache-options.ts'
import { ownNamespace } from '../own-key.ts'

/**
 * A Keyv store in memcached, for Keyv 5 and what stands on it: cache-manager, cacheable, Nest's `CacheModule`. Each
 * Keyv needs one of its own, since Keyv tells its namespace to its store. Lifetimes are exact: memcached's whole
 * seconds are rounded up, and Keyv keeps the milliseconds; what is stored for ever stays for thirty days, as the
 * namespaces of a cache do that nobody clears. There is no `iterator`: memcached cannot list keys, and Keyv asks for it
 * of the stores on its own list alone.
 * @example
 * const keyv = new Keyv({ store: new KeyvMemcache(cache), namespace: 'cities' })
 */
export class KeyvMemcache extends EventEmitter implements KeyvStoreAdapter {
  /** What Keyv reads of a store's options; nothing is needed. */
  readonly opts: Record<string, unknown> = {}
  /** Set by Keyv: what `clear` clears. Without one, all that any Keyv has stored here. */
  namespace?: string | undefined
  readonly #given: Memcache | undefined
  readonly #opened: Memcache | undefined
  #found: { cache: Memcache; name: string | undefined; values: CacheNamespace } | undefined

  /**
   * @param cache a cache, which stays open; or what to open one by, which `disconnect` closes. Default: this process's.
   * @throws MemcacheOptionError for options that cannot be.
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

  /** Resolves to whether it is confirmed. @param ttlMs none is for ever. */
  async set(key: string, value: unknown, ttlMs?: number): Promise<boolean> {
    return this.#values.set([key], value, lifetime(ttlMs))
  }

  /** Resolves to whether it was there, and is confirmed to be gone. */
  async delete(key: string): Promise<boolean> {
    return this.deleteMany([key])
  }

  /** Resolves to whether all were there, and are confirmed to be gone. */
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

  /** Makes sure that nothing of the namespace is ever seen again, in one operation. */
  async clear(): Promise<void> {
    await this.#values.clear()
  }

  /** Closes the cache that was opened here; one that was handed in is closed by who opened it. */
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

/** memcached's seconds: whole ones, rounded up. */
function lifetime(ttlMs: number | undefined): Ttl {
  return secondsToTtl(ttlMs === undefined ? Infinity : Math.max(1, Math.ceil(ttlMs / 1000)))
}

/** Whether Keyv's own time has come, which memcached's whole seconds come a little after. */
function isExpired(stored: unknown): boolean {
  const entry = typeof stored === 'string' ? parsed(stored) : stored
  if (typeof entry !== 'object' || entry === null || !('expires' in entry)) return false
  return typeof entry.expires === 'number' && entry.expires < Date.now()
}

/** An entry as Keyv writes it, unless it is told to write otherwise. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
