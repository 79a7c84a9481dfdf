import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { KeyPart, Ttl } from 'memcache-ts-protocol'
import { argumentParts } from './argument-key.ts'
import { setWithLateTtl, taggedLoad, tagsFor } from './late-facts.ts'
import type { TagsOf } from './late-facts.ts'
import type { CacheNamespace } from '../namespace.ts'
import { LOADING_OPTIONS, OPTION_HINTS, resolveLoading, toGetOrSetOptions } from '../engine/load/get-or-set-options.ts'
import type { GetOrSetOptions, LoadContext, Loader, LoadingOptions } from '../engine/load/get-or-set-options.ts'
import type { BatchLoader, LoadedMany } from '../engine/load/read-through-many.ts'
import type { Memcache } from '../memcache.ts'
import { DeclaredNamespace, declaredOwner } from './declared-namespace.ts'
import type { NamespaceDeclaration } from './declared-namespace.ts'
import type { NamespaceOwner } from './namespace-owners.ts'
import {
  describeValue,
  functionOf,
  requireList,
  requireOptions,
  requireSync,
  requireTags,
  requireType,
  requireCache,
  syncResult,
} from '../option-types.ts'
import type { RevivingOptions } from '../engine/values/reviver.ts'
import { HotKeys } from './warm/hot-keys.ts'
import { warm } from './warm/warm.ts'
import type { WarmOptions, WarmReport } from './warm/warm.ts'

/** The options that all declared caches have in common. */
export interface CacheDefinition<Id> extends NamespaceDeclaration, LoadingOptions {
  /** Returns the parts of an id's key. Default: the id itself, or a hash of its content. */
  key?: ((id: Id) => KeyPart | readonly KeyPart[]) | undefined
  /** The tags of a value, for `invalidateTags`. */
  tags?: TagsOf<[id: Id]> | undefined
  /** How many of the most requested ids are stored in memcached, so that they can be warmed at the next start. Default 0. */
  hotKeys?: number | undefined
}

/** The options of a declared cache with a loader. */
export interface LoadingCacheDefinition<Id, Value> extends CacheDefinition<Id> {
  /** Fetches one value. */
  load: (id: Id, context: LoadContext) => Value | Promise<Value>
  /** Fetches many values at once; returns a Map by id, or an array in the order of the ids. */
  loadMany?:
    | ((ids: readonly Id[], context: LoadContext) => LoadedMany<Id, Value> | Promise<LoadedMany<Id, Value>>)
    | undefined
}

/** The methods of a declared cache that do not load. */
export interface DeclaredCacheMethods<Id, Value> {
  /** The declared name. */
  readonly name: string
  /** Returns the value of an id; `undefined` is a miss. */
  get(id: Id): Promise<Value | undefined>
  /** Returns the hits among many ids. */
  getMany(ids: readonly Id[]): Promise<Map<Id, Value>>
  /** Stores a value, and resolves to whether memcached has confirmed it. */
  set(id: Id, value: Value, ttl?: Ttl): Promise<boolean>
  /** Deletes the stored value, and resolves to whether memcached has confirmed it. */
  delete(id: Id): Promise<boolean>
  /** Marks the stored value stale, so that one caller reloads it; resolves to whether memcached has confirmed it. */
  markStale(id: Id): Promise<boolean>
  /** @deprecated Use `markStale`. */
  expire(id: Id): Promise<boolean>
  /** Invalidates all values of this cache in one operation; resolves to whether memcached has confirmed it. */
  clear(): Promise<boolean>
  /** Returns the most requested ids of all processes, the hottest first; an empty list without the option `hotKeys`. */
  hotKeys(): Promise<Id[]>
}

/** A declared cache without a loader: `getOrSet` takes one. */
export interface CacheOf<Id, Value> extends DeclaredCacheMethods<Id, Value> {
  /** Returns the value of an id; a missing value is loaded. */
  getOrSet(id: Id, load: Loader<Value>, options?: Ttl | GetOrSetOptions): Promise<Value>
  /** Returns many values; the missing values are loaded by one call. */
  getOrSetMany(ids: readonly Id[], load: BatchLoader<Id, Value>, options?: CallOptions): Promise<Map<Id, Value>>
}

/** A declared cache with a loader. */
export interface LoadingCacheOf<Id, Value> extends DeclaredCacheMethods<Id, Value> {
  /** Returns the value of an id; a missing value is loaded. */
  getOrSet(id: Id, options?: ForceFreshOptions): Promise<Value>
  /** Returns many values; the missing values are loaded by one `loadMany` call. */
  getOrSetMany(ids: readonly Id[], options?: CallOptions): Promise<Map<Id, Value>>
  /** Loads the values that are not stored yet, before they are needed. */
  warm(ids: Iterable<Id> | AsyncIterable<Id>, options?: WarmOptions): Promise<WarmReport>
}

/** The options of a call of a declared cache. */
export type CallOptions = Pick<GetOrSetOptions, 'signal'>

/** The options of a call for one value. */
type ForceFreshOptions = Pick<GetOrSetOptions, 'signal' | 'forceFresh'>

const OPTION_NAMES = [
  ...LOADING_OPTIONS,
  'name',
  'version',
  'cache',
  'load',
  'loadMany',
  'key',
  'tags',
  'hotKeys',
] as const satisfies readonly (keyof LoadingCacheDefinition<unknown, unknown>)[]

/**
 * Declares a cache: its name, its lifetime, and how its values are loaded. It opens no connection, so it can be called
 * at the top of a module.
 *
 * @example
 *   const cities = defineCache({ name: 'city', ttlSeconds: 3600, load: (id: number) => loadCity(id) })
 *   const city = await cities.getOrSet(42)
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function defineCache<Id, Value>(definition: LoadingCacheDefinition<Id, Value>): LoadingCacheOf<Id, Value>
export function defineCache<Value, Id = KeyPart>(definition: CacheDefinition<Id>): CacheOf<Id, Value>
export function defineCache<Id, Value>(
  definition: CacheDefinition<Id> & Partial<LoadingCacheDefinition<Id, Value>>,
): CacheOf<Id, Value> | LoadingCacheOf<Id, Value> {
  requireOptions('defineCache', definition, "defineCache({ name: 'city', ttlSeconds: 60 })")
  checkOptions('defineCache', definition, { names: OPTION_NAMES, hints: OPTION_HINTS })
  const { load, loadMany, key, tags } = definition
  requireCache('defineCache', definition.cache)
  requireType('defineCache', 'function', { load, loadMany })
  requireSync('defineCache', { key, tags: functionOf(tags) })
  requireTags('defineCache', tags)
  return declare(definition, declaredOwner(`defineCache({ name: ${describeValue(definition.name)} })`, defineCache))
}

function declare<Id, Value>(
  definition: CacheDefinition<Id> & Partial<LoadingCacheDefinition<Id, Value>>,
  owner: NamespaceOwner,
): CacheOf<Id, Value> | LoadingCacheOf<Id, Value> {
  const { load } = definition
  const declared =
    load === undefined
      ? new PassiveCache<Id, Value>(definition, owner)
      : new LoadingCache({ ...definition, load }, owner)
  DEFINITIONS.set(declared, { definition, owner })
  return declared
}

/** A placeholder for the cache's default lifetime, which is not known at the declaration. */
const ANY_TTL: Ttl = 60

/** The definitions of declared caches, so that they can be bound to another `Memcache`. */
const DEFINITIONS = new WeakMap<object, { definition: CacheDefinition<never>; owner: NamespaceOwner }>()

/**
 * Returns a declared cache that uses this `Memcache`, for applications that do not use the default cache of the
 * process. A definition with its own `cache` keeps it.
 *
 * @throws MemcacheOptionError if `defineCache` did not return the argument.
 */
export function bindCache<Declared extends object>(declared: Declared, cache: Memcache): Declared {
  const known = DEFINITIONS.get(declared)
  if (known === undefined)
    throw new MemcacheOptionError('bindCache takes a cache that defineCache has returned as its first argument')
  const { definition, owner } = known
  const bound = declare({ ...definition, cache: definition.cache ?? cache }, owner)
  // Reports a name that another declaration uses now, not at the first use.
  claimName(bound)
  return bound as object as Declared
}

let claimName: (declared: object) => void

/** The common part of caches with and without a loader. */
abstract class DeclaredCache<Id, Value> implements DeclaredCacheMethods<Id, Value> {
  readonly name: string
  protected readonly loading: LoadingOptions
  readonly #definition: CacheDefinition<Id>
  readonly #declared: DeclaredNamespace
  readonly #hotKeys: HotKeys<Id> | undefined
  readonly #reviving: RevivingOptions

  static {
    claimName = (declared) => void (declared as DeclaredCache<unknown, unknown>).namespace
  }

  constructor(definition: CacheDefinition<Id>, owner: NamespaceOwner) {
    this.name = definition.name
    this.#definition = definition
    this.#declared = new DeclaredNamespace(owner, definition)
    this.loading = Object.fromEntries(LOADING_OPTIONS.map((name) => [name, definition[name]]))
    resolveLoading(this.loading, ANY_TTL)
    this.#reviving = { type: definition.type, revive: definition.revive }
    const { hotKeys = 0 } = definition
    if (!Number.isSafeInteger(hotKeys) || hotKeys < 0) {
      throw new MemcacheOptionError(
        `${owner.title}: hotKeys must be a whole number of at least 0, got ${describeValue(hotKeys)}`,
      )
    }
    if (hotKeys > 0) {
      const keyOf = (id: Id): readonly KeyPart[] => this.keyOf(id)
      this.#hotKeys = new HotKeys(definition.name, { maxIds: hotKeys, cache: () => this.#declared.cache, keyOf })
    }
  }

  async get(id: Id): Promise<Value | undefined> {
    this.recordRequest(id)
    return this.namespace.get<Value>(this.keyOf(id), this.#reviving)
  }

  async getMany(ids: readonly Id[]): Promise<Map<Id, Value>> {
    requireList('getMany', ids)
    const keys = new Map(ids.map((id) => [this.keyOf(id), id]))
    const hits = await this.namespace.getMany<Value, readonly KeyPart[]>([...keys.keys()], this.#reviving)
    return new Map([...hits].map(([key, value]) => [keys.get(key)!, value]))
  }

  async set(id: Id, value: Value, ttl?: Ttl): Promise<boolean> {
    const key = this.keyOf(id)
    return setWithLateTtl(this.namespace, { key, value, ttl: ttl ?? this.loading.ttlSeconds, tags: this.tagsOf(id) })
  }

  async delete(id: Id): Promise<boolean> {
    return this.namespace.delete(this.keyOf(id))
  }

  async markStale(id: Id): Promise<boolean> {
    return this.namespace.markStale(this.keyOf(id))
  }

  expire(id: Id): Promise<boolean> {
    return this.markStale(id)
  }

  async clear(): Promise<boolean> {
    return this.namespace.clear()
  }

  async hotKeys(): Promise<Id[]> {
    return this.#hotKeys?.read() ?? []
  }

  protected get namespace(): CacheNamespace {
    return this.#declared.namespace
  }

  /** Returns the parts of an id's key within the namespace. */
  protected keyOf(id: Id): readonly KeyPart[] {
    const parts = syncResult('defineCache: key', this.#definition.key?.(id))
    if (parts === undefined) return argumentParts([id], `the cache ${this.#definition.name}`)
    return Array.isArray(parts) ? (parts as readonly KeyPart[]) : [parts as KeyPart]
  }

  protected tagsOf(id: Id): readonly string[] | undefined {
    return tagsFor(this.#definition.tags, [id])
  }

  /** Counts a request for an id, for `hotKeys`. */
  protected recordRequest(id: Id): void {
    this.#hotKeys?.record(id)
  }

  protected get manyOptions() {
    return { ...this.loading, key: (id: Id) => this.keyOf(id), tags: (id: Id) => this.tagsOf(id) ?? [] }
  }
}

class PassiveCache<Id, Value> extends DeclaredCache<Id, Value> implements CacheOf<Id, Value> {
  async getOrSet(id: Id, load: Loader<Value>, options?: Ttl | GetOrSetOptions): Promise<Value> {
    this.recordRequest(id)
    const own = withoutUndefined(toGetOrSetOptions(options))
    const tagged = own.tags === undefined ? taggedLoad(this.tagsOf(id), load) : { load, tags: own.tags }
    return this.namespace.getOrSet(this.keyOf(id), tagged.load, { ...this.loading, ...own, tags: tagged.tags })
  }

  async getOrSetMany(ids: readonly Id[], load: BatchLoader<Id, Value>, options: CallOptions = {}) {
    checkCall('getOrSetMany', options)
    requireList('getOrSetMany', ids)
    for (const id of ids) this.recordRequest(id)
    return this.namespace.getOrSetMany(ids, load, { ...this.manyOptions, ...options })
  }
}

class LoadingCache<Id, Value> extends DeclaredCache<Id, Value> implements LoadingCacheOf<Id, Value> {
  readonly #load: LoadingCacheDefinition<Id, Value>['load']
  readonly #loadMany: LoadingCacheDefinition<Id, Value>['loadMany']

  constructor(definition: LoadingCacheDefinition<Id, Value>, owner: NamespaceOwner) {
    super(definition, owner)
    this.#load = definition.load
    this.#loadMany = definition.loadMany
  }

  async getOrSet(id: Id, options: ForceFreshOptions = {}): Promise<Value> {
    checkCall('getOrSet', options, ['signal', 'forceFresh'])
    const { signal, forceFresh } = options
    this.recordRequest(id)
    const { load, tags } = taggedLoad<Value>(this.tagsOf(id), (context) => this.#load(id, context))
    return this.namespace.getOrSet(this.keyOf(id), load, { ...this.loading, tags, signal, forceFresh })
  }

  async getOrSetMany(ids: readonly Id[], options: CallOptions = {}): Promise<Map<Id, Value>> {
    checkCall('getOrSetMany', options)
    requireList('getOrSetMany', ids)
    if (this.#loadMany !== undefined) {
      for (const id of ids) this.recordRequest(id)
      return this.namespace.getOrSetMany(ids, this.#loadMany, { ...this.manyOptions, ...options })
    }
    // The lookups of one tick still share one pipeline.
    const values = await Promise.all(
      [...new Set(ids)].map(async (id) => [id, await this.getOrSet(id, options)] as const),
    )
    return new Map(values.filter(([, value]) => value !== undefined))
  }

  async warm(ids: Iterable<Id> | AsyncIterable<Id>, options?: WarmOptions): Promise<WarmReport> {
    const load = this.#loadMany ?? this.#loadEach
    const source = { namespace: this.namespace, load, batches: this.#loadMany !== undefined, options: this.manyOptions }
    return warm(source, ids, options)
  }

  readonly #loadEach: BatchLoader<Id, Value> = async (ids, context) =>
    new Map(await Promise.all(ids.map(async (id) => [id, await this.#load(id, context)] as const)))
}

/**
 * Checks the options of a call.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
function checkCall(owner: string, options: CallOptions, names: readonly string[] = ['signal']): void {
  requireOptions(owner, options)
  checkOptions(owner, options, { names, hints: OPTION_HINTS })
}

function withoutUndefined<Options extends object>(options: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Options
}
