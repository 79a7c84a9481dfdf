import { kindOf, MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import type { Key, Ttl } from 'memcache-ts-protocol'
import { KeyPrefix, keyText, ownKeyText, storedKey, userKey, writtenKey } from './engine/cache-key.ts'
import type { KeySpace } from './engine/cache-key.ts'
import type { AtomicTarget } from './engine/store/atomic-writes.ts'
import { engineOf } from './engine/engine.ts'
import type { CacheEngine, ENGINE } from './engine/engine.ts'
import { checkObject, lateTags, resolveLoading, toGetOrSetOptions } from './engine/load/get-or-set-options.ts'
import type { MemcacheLock } from './engine/store/lock.ts'
import type { GetOrSetOptions, Loader, ResolvedLoading } from './engine/load/get-or-set-options.ts'
import type { BatchLoader, ManyItem, WarmCounts } from './engine/load/read-through-many.ts'
import type { ReadThroughRequest } from './engine/load/read-through.ts'
import { toLockOptions, toManyOptions, toSetOptions } from './call-options.ts'
import type { GetOrSetManyOptions, LockOptions, SetOptions } from './call-options.ts'
import { requireList, syncResult } from './option-types.ts'
import { copyValue } from './engine/values/copy-value.ts'
import { revivedBatchLoader, revivedValue, revivedValues } from './engine/values/revived-loader.ts'
import { reviveWithin } from './engine/values/revive-limit.ts'
import type { ReviveLimit } from './engine/values/revive-limit.ts'
import { reviverOf, toReviver } from './engine/values/reviver.ts'
import type { Reviver, RevivingOptions } from './engine/values/reviver.ts'

/** The operations of a `Memcache` and its namespaces. */
export interface CacheMethods {
  /** Returns the key as it is stored, without the prefix: hashed if memcached could not hold it. */
  key(key: Key): string
  /**
   * Returns the value of a key without loading; `undefined` is a miss, or a cache that does not respond. A value past
   * its lifetime is a miss, also within `staleSeconds`.
   */
  get<Value = unknown>(key: Key, options?: RevivingOptions): Promise<Value | undefined>
  /** Returns the hits among many keys, by the given keys; one round trip per server. */
  getMany<Value = unknown, Given extends Key = Key>(
    keys: readonly Given[],
    options?: RevivingOptions,
  ): Promise<Map<Given, Value>>
  /**
   * Stores a value, and resolves to whether memcached has confirmed it. If not, the key is deleted as soon as the
   * server is back.
   *
   * @throws MemcacheOptionError if the value cannot be stored, or an option is unknown or invalid.
   */
  set(key: Key, value: unknown, options?: Ttl | SetOptions): Promise<boolean>
  /**
   * Deletes a value. Loads that are running can no longer store theirs. Resolves to whether memcached has confirmed the
   * delete; if not, it is repeated as soon as the server is back.
   */
  delete(key: Key): Promise<boolean>
  /**
   * Marks a value stale, so that one caller of `getOrSet` in all processes reloads it while the others are served the
   * old value. Resolves to whether memcached has confirmed this; if not, the value is deleted as soon as the server is
   * back.
   */
  markStale(key: Key): Promise<boolean>
  /** @deprecated Use `markStale`. */
  expire(key: Key): Promise<boolean>
  /**
   * Returns the value of a key. A missing value is loaded by one caller of all processes, while the others wait for it.
   * A loader's error rejects all callers of its process that wait, and is not stored.
   */
  getOrSet<Value>(key: Key, load: Loader<Value>, options?: Ttl | GetOrSetOptions): Promise<Value>
  /**
   * Returns many values by id, in the order of the ids; the missing values are loaded by one call. Values that the
   * loader does not return are missing from the result.
   */
  getOrSetMany<Id, Value>(
    ids: readonly Id[],
    load: BatchLoader<Id, Value>,
    options?: Ttl | GetOrSetManyOptions<Id>,
  ): Promise<Map<Id, Value>>
  /** Returns whether there is a value; `false` also if the cache does not respond. */
  has(key: Key): Promise<boolean>
  /**
   * Stores a value if there is none, and resolves to whether it did and the server confirmed it.
   *
   * @throws MemcacheOptionError if the value cannot be stored, or an option is unknown or invalid.
   */
  add(key: Key, value: unknown, options?: Ttl | SetOptions): Promise<boolean>
  /** Deletes a value and returns it, to one caller alone; `undefined` is a miss, or a cache that does not respond. */
  pull<Value = unknown>(key: Key): Promise<Value | undefined>
  /**
   * Adds to a number atomically. A missing number counts as 0; an existing one keeps its remaining lifetime. Resolves
   * to the new number, or to `undefined` if the cache does not respond, or others kept changing the number for longer
   * than `leaseSeconds`.
   *
   * @throws MemcacheOptionError if the stored value is not a number, or an option is unknown or invalid.
   */
  increment(key: Key, by?: number, options?: Ttl | SetOptions): Promise<number | undefined>
  /**
   * Acquires the lock of this name, which one caller of all processes can hold; `undefined` if another caller holds it,
   * or the cache does not respond. `await using` or `release()` releases it.
   *
   * @throws MemcacheOptionError if an option is unknown or invalid; the signal's reason if it is aborted.
   */
  lock(name: Key, options?: LockOptions): Promise<MemcacheLock | undefined>
  /** Returns a part of this cache whose keys begin with the name, and which can be cleared on its own. */
  namespace(name: Key): CacheNamespace
}

/** The number of remembered lifetimes: an application has few literals, but may compute any number of lifetimes. */
const MAX_LIFETIMES = 100

/** The place of a namespace in its cache. */
interface WarmManyOptions<Id> extends GetOrSetManyOptions<Id> {
  readonly vary: (seconds: number) => number
  readonly isPatient: boolean
}

interface NamespacePlace {
  /** The client's key prefix, which counts towards the length of keys. */
  readonly prefix: string
  /** The beginning of its keys. */
  readonly path: string
  /** The tags of this namespace and of those that contain it. */
  readonly tagKeys: readonly string[]
  /** The resolved lifetimes of the namespace that contains it. Default: none yet. */
  readonly loadings?: Map<Ttl | undefined, ResolvedLoading>
}

/**
 * A part of a cache whose keys begin with its name. All its values carry one tag, so that `clear` is one operation,
 * however many values there are.
 */
export class CacheNamespace implements CacheMethods {
  readonly #engine: CacheEngine
  readonly #prefix: string
  readonly #path: string
  /** The tags of this namespace and of those that contain it. */
  readonly #tagKeys: readonly string[]
  /** The loading options of calls that give only a lifetime; one map for all namespaces of a cache. */
  readonly #loadings: Map<Ttl | undefined, ResolvedLoading>

  /** Use `cache.namespace(name)`. */
  constructor(engine: CacheEngine, { prefix, path, tagKeys, loadings = new Map() }: NamespacePlace) {
    this.#engine = engine
    this.#prefix = prefix
    this.#path = path
    this.#tagKeys = tagKeys
    this.#loadings = loadings
  }

  key(key: Key): string {
    const isText = typeof key === 'string'
    // In the root, a string is a whole key as written; in a namespace it is one part, so that no two namespaces share a
    // key.
    if (isText && this.#path === '') return writtenKey(key, this.#prefix)
    return userKey(this.#path + keyText(isText ? [key] : key), this.#prefix)
  }

  get<Value = unknown>(key: Key, options?: RevivingOptions): Promise<Value | undefined> {
    const found = options === undefined ? this.#get(key) : this.#getRevived(key, options)
    return found as Promise<Value | undefined>
  }

  #get(key: Key): Promise<unknown> {
    return this.#engine.get(this.key(key), this.#tagKeys)
  }

  async #getRevived(key: Key, options: RevivingOptions): Promise<unknown> {
    const revive = toReviver('get', options)
    const stored = await this.#get(key)
    return revive === undefined ? stored : this.#revived(this.key(key), stored, revive)
  }

  async getMany<Value = unknown, Given extends Key = Key>(
    keys: readonly Given[],
    options?: RevivingOptions,
  ): Promise<Map<Given, Value>> {
    requireList('getMany', keys)
    const names = keys.map((key) => this.key(key))
    const revive = options === undefined ? undefined : toReviver('getMany', options)
    const different = [...new Set(names)]
    // Two keys may be spellings of one, such as 1 and '1'; each of them gets its own value.
    const areRepeated = different.length < names.length
    const found = await this.#engine.getMany(different, this.#tagKeys)
    const hits = new Map<Given, Value>()
    for (const [index, key] of keys.entries()) {
      const name = names[index]!
      if (!found.has(name)) continue
      const stored = areRepeated ? copyValue(found.get(name)) : found.get(name)
      const value = revive === undefined ? stored : await this.#revived(name, stored, revive)
      if (value !== undefined) hits.set(key, value as Value)
    }
    return hits
  }

  /** Returns the revived value; `undefined` if the reviver throws. */
  async #revived(name: string, stored: unknown, revive: Reviver): Promise<unknown> {
    try {
      return await reviveWithin(stored, revive, { name, hardTimeoutMs: this.#engine.loading.hardTimeoutMs })
    } catch (error) {
      this.#engine.host.report.failed(error)
      return undefined
    }
  }

  async set(key: Key, value: unknown, options?: Ttl | SetOptions): Promise<boolean> {
    const { ttlSeconds = this.#engine.ttlSeconds, tags } = toSetOptions(options)
    return this.#engine.set(this.key(key), { value, ttlSeconds, tagKeys: this.#withTags(tags) })
  }

  async delete(key: Key): Promise<boolean> {
    return this.#engine.delete(this.key(key))
  }

  async markStale(key: Key): Promise<boolean> {
    return this.#engine.markStale(this.key(key))
  }

  async expire(key: Key): Promise<boolean> {
    return this.markStale(key)
  }

  getOrSet<Value>(key: Key, load: Loader<Value>, options?: Ttl | GetOrSetOptions): Promise<Value> {
    try {
      const { report } = this.#engine.host
      return report.isTraced
        ? report.trace('getOrSet', this.key(key), () => this.#getOrSetRevived(key, load, options))
        : this.#getOrSetRevived(key, load, options)
    } catch (error) {
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- as it was thrown
      return Promise.reject(error)
    }
  }

  #reviveLimit(
    name: string,
    { hardTimeoutMs, signal }: Pick<GetOrSetOptions, 'hardTimeoutMs' | 'signal'>,
  ): ReviveLimit {
    return { name, hardTimeoutMs: hardTimeoutMs ?? this.#engine.loading.hardTimeoutMs, signal }
  }

  /** Runs `getOrSet`; with `type` or `revive`, the values become instances. */
  #getOrSetRevived<Value>(key: Key, load: Loader<Value>, options: Ttl | GetOrSetOptions | undefined): Promise<Value> {
    if (options === null) checkObject('getOrSet', options)
    const revive = typeof options === 'object' ? reviverOf(options) : undefined
    if (revive === undefined) return this.#getOrSet(key, load, options)
    const {
      classes,
      host: { report },
    } = this.#engine
    const value = revivedValue(load, {
      limit: this.#reviveLimit(this.key(key), options as GetOrSetOptions),
      revive,
      classes,
      getOrSet: (loader) => this.#getOrSet(key, loader, options),
      discard: (error) => {
        report.failed(error)
        return this.delete(key)
      },
    })
    return value as Promise<Value>
  }

  #getOrSet<Value>(key: Key, load: Loader<Value>, options: Ttl | GetOrSetOptions | undefined): Promise<Value> {
    try {
      requireLoader('getOrSet', load)
      const name = this.key(key)
      const { readThrough } = this.#engine
      const inMemory = readThrough.fromMemory(name, options)
      if (inMemory !== undefined) return inMemory as Promise<Value>
      const isTtl = typeof options !== 'object'
      const { tags, signal, forceFresh, ...loadingOptions } = isTtl ? NO_OPTIONS : toGetOrSetOptions(options)
      const loading = isTtl ? this.#loadingFor(options) : resolveLoading(loadingOptions, this.#engine.loading)
      const request = this.#request(name, { loading, tags, signal, load, fault: undefined })
      return (forceFresh === true ? this.#engine.forceFresh(request) : readThrough.get(request)) as Promise<Value>
    } catch (error) {
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- as it was thrown
      return Promise.reject(error)
    }
  }

  async getOrSetMany<Id, Value>(
    ids: readonly Id[],
    load: BatchLoader<Id, Value>,
    options?: Ttl | GetOrSetManyOptions<Id>,
  ): Promise<Map<Id, Value>> {
    const { report } = this.#engine.host
    return report.isTraced
      ? report.trace('getOrSetMany', undefined, () => this.#getOrSetMany(ids, load, options))
      : this.#getOrSetMany(ids, load, options)
  }

  async #getOrSetMany<Id, Value>(
    ids: readonly Id[],
    load: BatchLoader<Id, Value>,
    options: Ttl | GetOrSetManyOptions<Id> | undefined,
  ): Promise<Map<Id, Value>> {
    requireLoader('getOrSetMany', load)
    requireList('getOrSetMany', ids)
    const given = toManyOptions(options)
    const revive = reviverOf(given)
    const { signal } = given
    const getMany = (wanted: readonly Id[], loader: BatchLoader<Id, unknown>): Promise<Map<Id, unknown>> =>
      this.#engine.getOrSetMany(this.#manyItems(wanted, options), loader, signal)
    if (revive === undefined) return getMany(ids, load) as Promise<Map<Id, Value>>
    const {
      classes,
      host: { report },
    } = this.#engine
    const { key = idItself } = given
    const values = revivedValues(ids, load, {
      limit: this.#reviveLimit(this.#path, given),
      revive,
      classes,
      getOrSet: getMany,
      discard: async (reason, failed) => {
        report.failed(reason)
        await Promise.all(failed.map((id) => this.delete(key(id))))
      },
    })
    return values as Promise<Map<Id, Value>>
  }

  async has(key: Key): Promise<boolean> {
    return (await this.#engine.get(this.key(key), this.#tagKeys)) !== undefined
  }

  async add(key: Key, value: unknown, options?: Ttl | SetOptions): Promise<boolean> {
    return this.#engine.add(this.#atomicTarget('add', key, options), value)
  }

  async pull<Value = unknown>(key: Key): Promise<Value | undefined> {
    return this.#engine.pull({ name: this.key(key), required: this.#tagKeys }) as Promise<Value | undefined>
  }

  async increment(key: Key, by = 1, options?: Ttl | SetOptions): Promise<number | undefined> {
    if (typeof by !== 'number' || !Number.isFinite(by) || Math.abs(by) > Number.MAX_SAFE_INTEGER) {
      throw new MemcacheOptionError(
        `increment must be by a finite number up to 2^53 - 1, got ${typeof by === 'number' ? by : kindOf(by)}`,
      )
    }
    return this.#engine.increment(this.#atomicTarget('increment', key, options), by)
  }

  async lock(name: Key, options: LockOptions = {}): Promise<MemcacheLock | undefined> {
    const { ttlSeconds, waitMs, signal } = toLockOptions(options)
    // A text is one part, so that the name 'a:b' is another lock than ['a', 'b'].
    const text = typeof name === 'string' && name !== '' ? keyText([name]) : keyText(name)
    if (text === '') throw new MemcacheOptionError("a lock needs a name, such as cache.lock('report')")
    const key = storedKey(ownKeyText('mutex', [this.#path, text]), this.#prefix)
    return this.#engine.lock({ key, ttlSeconds, waitMs, signal })
  }

  #atomicTarget(owner: string, key: Key, options: Ttl | SetOptions | undefined): AtomicTarget {
    const { ttlSeconds = this.#engine.ttlSeconds, tags } = toSetOptions(options, owner)
    const required = this.#tagKeys
    return { name: this.key(key), required, tagKeys: this.#withTags(tags), ttlSeconds: ttlToSeconds(ttlSeconds) }
  }

  namespace(name: Key): CacheNamespace {
    const path = typeof name === 'string' && name !== '' ? keyText([name]) : keyText(name)
    if (path === '')
      throw new MemcacheOptionError(
        "a namespace needs a name, such as cache.namespace('cities'): its keys begin with it",
      )
    const whole = this.#path + path
    const tagKeys = [...this.#tagKeys, this.#engine.namespaceKey(whole)]
    return new CacheNamespace(this.#engine, {
      prefix: this.#prefix,
      path: `${whole}:`,
      tagKeys,
      loadings: this.#loadings,
    })
  }

  /** Invalidates all values of this namespace in one operation; resolves to whether memcached has confirmed it. */
  async clear(): Promise<boolean> {
    return this.#engine.invalidateTags(this.#tagKeys.slice(-1), {
      soft: false,
      given: [`namespace ${this.#path.slice(0, -1)}`],
    })
  }

  /**
   * Loads and stores the values that are not stored yet. For `warm`.
   *
   * @param options besides those of `getOrSetMany`, `vary` returns the lifetime to store a value with, in place of
   *   `jitter`; `isPatient`: whether a request is repeated after a pause if memcached does not respond.
   */
  warmMany<Id, Value>(
    ids: readonly Id[],
    load: BatchLoader<Id, Value>,
    { vary, isPatient, ...options }: WarmManyOptions<Id>,
  ): Promise<WarmCounts> {
    const revive = reviverOf(options)
    const loader =
      revive === undefined
        ? load
        : revivedBatchLoader(load, { path: this.#path, revive, classes: this.#engine.classes })
    return this.#engine.warm(this.#manyItems(ids, options, vary), loader, { signal: options.signal, isPatient })
  }

  #manyItems<Id>(
    ids: readonly Id[],
    options: Ttl | GetOrSetManyOptions<Id> | undefined,
    vary?: (seconds: number) => number,
  ): ManyItem<Id>[] {
    const { key = idItself, tags, signal, ...loadingOptions } = toManyOptions(options)
    const resolved = resolveLoading(loadingOptions, this.#engine.loading)
    const loading = vary === undefined ? resolved : { ...resolved, vary }
    const lateTagsOf = typeof tags === 'function' ? (id: Id) => lateTags(tags(id)) : undefined
    const fixed = typeof tags === 'object' ? { tags, fault: undefined } : NO_LATE_TAGS
    return [...new Set(ids)].map((id) => {
      const { tags: known, fault } = lateTagsOf?.(id) ?? fixed
      return {
        id,
        request: this.#request(this.key(syncResult('getOrSetMany: key', key(id))), {
          loading,
          tags: known,
          signal,
          load: noLoader,
          fault,
        }),
      }
    })
  }

  /** Returns the loading options of a call that gives only a lifetime. */
  #loadingFor(ttl: Ttl | undefined): ResolvedLoading {
    let loading = this.#loadings.get(ttl)
    if (loading === undefined) {
      loading = resolveLoading({ ttlSeconds: ttl }, this.#engine.loading)
      if (this.#loadings.size < MAX_LIFETIMES) this.#loadings.set(ttl, loading)
    }
    return loading
  }

  /**
   * Returns the request of a read. All requests come from this literal, so that they have one shape and the engine's
   * hot paths stay monomorphic.
   */
  #request(
    name: string,
    { loading, tags, signal, load, fault }: RequestParts,
  ): ReadThroughRequest & { readonly fault: unknown } {
    return {
      name,
      required: this.#tagKeys,
      tagKeys: this.#withTags(tags),
      staleSeconds: loading.staleSeconds,
      l1: loading.l1,
      loading,
      signal,
      load,
      fault,
    }
  }

  #withTags(tags: readonly string[] | undefined): readonly string[] {
    if (tags === undefined || tags.length === 0) return this.#tagKeys
    return [...new Set([...this.#tagKeys, ...tags.map((tag) => this.#engine.tagKey(tag))])]
  }
}

/** The parts of a request that are known of a call. */
interface RequestParts {
  readonly loading: ResolvedLoading
  readonly tags: readonly string[] | undefined
  readonly signal: AbortSignal | undefined
  readonly load: Loader<unknown>
  readonly fault: unknown
}

const NO_OPTIONS: GetOrSetOptions = {}
const NO_LATE_TAGS = { tags: undefined, fault: undefined }

/** Takes the place of the loader in the requests of a batch, which are loaded together. */
function noLoader(): never {
  throw new Error('getOrSetMany loads all values by one loader, not each value by its own')
}

function requireLoader(owner: string, load: unknown): void {
  if (typeof load === 'function') return
  const example = owner === 'getOrSet' ? 'getOrSet(key, () => …, 60)' : `${owner}(keys, (missing) => …, 60)`
  throw new MemcacheOptionError(`${owner} needs a loader, () => …, got ${kindOf(load)}: write ${example}`)
}

function idItself<Id>(id: Id): Key {
  if (typeof id === 'object' && !Array.isArray(id)) {
    throw new MemcacheOptionError('getOrSetMany cannot use an object as a key: set key: (id) => [id.name]')
  }
  return Array.isArray(id) ? (id as Key) : [id as string]
}

/** Returns one of the kit's key spaces as a namespace. */
export function ownNamespace(
  cache: { readonly [ENGINE]: CacheEngine; readonly client: { readonly prefix: string } },
  space: KeySpace,
): CacheNamespace {
  const engine = engineOf(cache)
  const path = KeyPrefix[space]
  return new CacheNamespace(engine, {
    prefix: cache.client.prefix,
    path: `${path}:`,
    tagKeys: [engine.namespaceKey(path)],
  })
}
