import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { KeyPart, Ttl } from 'memcache-ts-protocol'
import { argumentParts } from './cache-key.ts'
import { OPTION_HINTS } from './cache/get-or-set-options.ts'
import type { GetOrSetOptions, LoadContext, Loader } from './cache/get-or-set-options.ts'
import { getDefaultMemcache } from './default-memcache.ts'
import type { Memcache } from './memcache.ts'
import { warm } from './warming/warm.ts'
import type { WarmOptions, WarmReport } from './warming/warm.ts'

/** What all caches that are declared have in common. */
export interface CacheDefinition {
  /** The namespace of its keys. */
  name: string
  /** Part of the namespace: raise it when what is stored changes its shape. */
  version?: number | undefined
  /** How long a value stays. Default: the `Memcache`'s. */
  ttlSeconds?: Ttl | undefined
  /** See `getOrSet`. */
  jitter?: number | undefined
  /** The cache that it lies in. Default: this process's. */
  cache?: Memcache | undefined
}

/** A cache that knows how to load. */
export interface LoadingCacheDefinition<Id, Value> extends CacheDefinition {
  /** Fetches one value. */
  load: (id: Id, context: LoadContext) => Value | Promise<Value>
  /** Fetches many at once: a Map, or an array in the order of the ids. */
  loadMany?:
    | ((
        ids: readonly Id[],
      ) =>
        | ReadonlyMap<Id, Value>
        | readonly (Value | undefined)[]
        | Promise<ReadonlyMap<Id, Value> | readonly (Value | undefined)[]>)
    | undefined
  /** The parts of an id's key. Default: the id itself, or a hash of what it holds. */
  key?: ((id: Id) => KeyPart | readonly KeyPart[]) | undefined
}

/** A declared cache without a loader: `getOrSet` takes one. */
export interface CacheOf<Id, Value> {
  /** The value of an id; `undefined` is a miss. */
  get(id: Id): Promise<Value | undefined>
  /** Stores a value; returns whether that was confirmed. */
  set(id: Id, value: Value, ttl?: Ttl): Promise<boolean>
  /** Makes sure that the stored value is never seen again; returns whether that was confirmed. */
  delete(id: Id): Promise<boolean>
  /** The value of an id, loaded when it is not there. */
  getOrSet(id: Id, load: Loader<Value>, options?: Ttl | GetOrSetOptions): Promise<Value>
}

/** A declared cache with a loader. */
export interface LoadingCacheOf<Id, Value> extends Omit<CacheOf<Id, Value>, 'getOrSet'> {
  /** The value of an id, loaded when it is not there. */
  getOrSet(id: Id, options?: Pick<GetOrSetOptions, 'signal'>): Promise<Value>
  /** Loads what is not there yet, ahead of its need. */
  warm(ids: Iterable<Id> | AsyncIterable<Id>, options?: WarmOptions): Promise<WarmReport>
}

const KNOWN = ['name', 'version', 'ttlSeconds', 'jitter', 'cache', 'load', 'loadMany', 'key'] as const

/**
 * Declares a cache once: its name, its lifetime, how its values are loaded. Nothing is connected; it may stand at the
 * top of a module.
 * @throws MemcacheOptionError for an option that there is not.
 */
export function defineCache<Id, Value>(definition: LoadingCacheDefinition<Id, Value>): LoadingCacheOf<Id, Value>
export function defineCache<Value, Id = KeyPart>(
  definition: CacheDefinition & Pick<LoadingCacheDefinition<Id, Value>, 'key'>,
): CacheOf<Id, Value>
export function defineCache<Id, Value>(
  definition: CacheDefinition & Partial<LoadingCacheDefinition<Id, Value>>,
): CacheOf<Id, Value> | LoadingCacheOf<Id, Value> {
  checkOptions('defineCache', definition, KNOWN, OPTION_HINTS)
  const { load } = definition
  const declared = new DeclaredCache<Id, Value>(definition)
  return load === undefined ? declared : new LoadingCache(declared, { ...definition, load })
}

class DeclaredCache<Id, Value> implements CacheOf<Id, Value> {
  readonly #definition: CacheDefinition & Pick<LoadingCacheDefinition<Id, Value>, 'key'>
  readonly #namespace: readonly KeyPart[]

  constructor(definition: CacheDefinition & Pick<LoadingCacheDefinition<Id, Value>, 'key'>) {
    this.#definition = definition
    this.#namespace = namespaceOf(definition)
  }

  get cache(): Memcache {
    return this.#definition.cache ?? getDefaultMemcache()
  }

  keyOf(id: Id): readonly KeyPart[] {
    const parts = this.#definition.key?.(id) ?? argumentParts([id])
    return [...this.#namespace, ...(Array.isArray(parts) ? (parts as readonly KeyPart[]) : [parts as KeyPart])]
  }

  async get(id: Id): Promise<Value | undefined> {
    return this.cache.get<Value>(this.keyOf(id))
  }

  async set(id: Id, value: Value, ttl = this.#definition.ttlSeconds): Promise<boolean> {
    return this.cache.set(this.keyOf(id), value, ttl)
  }

  async delete(id: Id): Promise<boolean> {
    return this.cache.delete(this.keyOf(id))
  }

  async getOrSet(id: Id, load: Loader<Value>, options?: Ttl | GetOrSetOptions): Promise<Value> {
    const { ttlSeconds, jitter } = this.#definition
    const own = typeof options === 'object' ? options : { ttlSeconds: options }
    return this.cache.getOrSet(this.keyOf(id), load, { jitter, ...own, ttlSeconds: own.ttlSeconds ?? ttlSeconds })
  }
}

class LoadingCache<Id, Value> implements LoadingCacheOf<Id, Value> {
  readonly #declared: DeclaredCache<Id, Value>
  readonly #definition: LoadingCacheDefinition<Id, Value>

  constructor(declared: DeclaredCache<Id, Value>, definition: LoadingCacheDefinition<Id, Value>) {
    this.#declared = declared
    this.#definition = definition
  }

  async get(id: Id): Promise<Value | undefined> {
    return this.#declared.get(id)
  }

  async set(id: Id, value: Value, ttl?: Ttl): Promise<boolean> {
    return this.#declared.set(id, value, ttl)
  }

  async delete(id: Id): Promise<boolean> {
    return this.#declared.delete(id)
  }

  async getOrSet(id: Id, options?: Pick<GetOrSetOptions, 'signal'>): Promise<Value> {
    return this.#declared.getOrSet(id, (context) => this.#definition.load(id, context), options)
  }

  async warm(ids: Iterable<Id> | AsyncIterable<Id>, options?: WarmOptions): Promise<WarmReport> {
    const { ttlSeconds, jitter, load, loadMany } = this.#definition
    return warm(
      this.#declared.cache,
      {
        keyOf: (id: Id) => this.#declared.keyOf(id),
        load: async (batch) => {
          if (loadMany !== undefined) return byId(batch, await loadMany(batch))
          return new Map(await Promise.all(batch.map(async (id) => [id, await load(id, NO_CONTEXT)] as const)))
        },
        batches: loadMany !== undefined,
        fill: { ttlSeconds, jitter },
      },
      ids,
      options,
    )
  }
}

/** Warming loads are nobody's request: nothing aborts them, and their lifetime is the declared one. */
const NO_CONTEXT: LoadContext = {
  signal: new AbortController().signal,
  setTtlSeconds: () => {},
  skipStore: () => {},
}

function namespaceOf({ name, version }: CacheDefinition): readonly KeyPart[] {
  if (name === '') throw new MemcacheOptionError('a cache needs a name: it is the namespace of its keys')
  return version === undefined ? [name] : [name, `v${version}`]
}

function byId<Id, Value>(
  ids: readonly Id[],
  loaded: ReadonlyMap<Id, Value> | readonly (Value | undefined)[],
): ReadonlyMap<Id, Value> {
  if (loaded instanceof Map) return loaded as ReadonlyMap<Id, Value>
  const values = loaded as readonly (Value | undefined)[]
  if (values.length !== ids.length) {
    throw new MemcacheOptionError(
      `loadMany returned ${values.length} values for ${ids.length} ids: return a Map, or one value an id in their order`,
    )
  }
  return new Map(ids.flatMap((id, index) => (values[index] === undefined ? [] : [[id, values[index] as Value]])))
}
