import { checkOptions, MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import type { KeyPart, Ttl } from 'memcache-ts-protocol'
import { engineOf } from '../../engine/engine.ts'
import { OPTION_HINTS } from '../../engine/load/get-or-set-options.ts'
import type { CacheNamespace } from '../../namespace.ts'
import type { Memcache } from '../../memcache.ts'
import { functionOf, requireOptions, requireSync, requireTags } from '../../option-types.ts'
import type { TagsOf } from '../late-facts.ts'
import { cacheFor, namespaceOf, requireCacheChoice } from './cache-config.ts'
import { PROCESS_CACHE } from './cache-source.ts'
import type { CacheSource } from './cache-source.ts'
import { tagsWithObject, withObject } from './formal-parameters.ts'
import { decorateMethod } from './method-decorator.ts'
import type { AsyncMethod, MethodDecoratorOf } from './method-decorator.ts'

/** Options of `@CachePut`. As with `@Cached`, `key`, `tags`, `condition` and `unless` may take the object itself. */
export interface CachePutOptions<Args extends readonly unknown[], Value, Choice = Memcache> {
  /**
   * Returns the parts of the key for these arguments, in the class's namespace: `@Cached find(id)` stores under
   * `['find', id]`.
   */
  key: (...args: Args) => readonly KeyPart[]
  /** The lifetime of the result. Default: the cache's. */
  ttlSeconds?: Ttl | undefined
  /** The tags of the result, for `invalidateTags` and `@CacheEvict`. */
  tags?: TagsOf<Args> | undefined
  /** Returns whether the result of this call is stored. */
  condition?: ((...args: Args) => boolean) | undefined
  /** Returns whether not to store this result; then the stored value is deleted. */
  unless?: ((value: Value, ...args: Args) => boolean) | undefined
  /** The cache that holds the result. Default: the class's, or this process's. */
  cache?: Choice | undefined
}

const OPTION_NAMES = [
  'key',
  'ttlSeconds',
  'tags',
  'condition',
  'unless',
  'cache',
] as const satisfies readonly (keyof CachePutOptions<never, never>)[]

/**
 * Stores the result of an async method on each call, so that a `@Cached` method finds it.
 *
 * @example
 *   class Cities { @CachePut({ key: (city: City) => ['find', city.id] }) async save(city: City) { return city } }
 *
 * @throws MemcacheOptionError if an option is unknown or invalid, or there is no key.
 */
export function CachePut<Args extends readonly unknown[] = [], Value = unknown>(
  options: CachePutOptions<Args, Value>,
): MethodDecoratorOf<Args, Value> {
  return cachePutMethod(PROCESS_CACHE, options)
}

/**
 * `@CachePut` for adapters, with their own source of caches.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid, or there is no key.
 */
export function cachePutMethod<Args extends readonly unknown[], Value, Choice>(
  source: CacheSource<Choice>,
  options: CachePutOptions<Args, Value, Choice>,
): MethodDecoratorOf<Args, Value> {
  requireOptions('@CachePut', options)
  checkOptions('@CachePut', options, OPTION_NAMES, OPTION_HINTS)
  const { key, ttlSeconds, tags, condition, unless, cache } = options
  if (typeof key !== 'function') {
    throw new MemcacheOptionError(`@CachePut needs a key: { key: (city) => ['find', city.id] } for a @Cached find(id)`)
  }
  requireSync('@CachePut', { key, tags: functionOf(tags), condition, unless })
  requireTags('@CachePut', tags)
  requireCacheChoice('@CachePut', source, cache)
  if (ttlSeconds !== undefined) ttlToSeconds(ttlSeconds)
  return decorateMethod<Args, Value, Choice>('@CachePut', 'puts', source, cache, (method, about) => {
    const { parameters } = about
    const keyFor = withObject(key, parameters)
    const tagsFor = tagsWithObject(tags, parameters)
    const conditionFor = condition === undefined ? undefined : withObject(condition, parameters)
    const unlessFor =
      unless === undefined ? undefined : withObject(unless, parameters === undefined ? undefined : parameters + 1)
    const replacement: AsyncMethod<Args, Value> = async function (this: object, ...args) {
      const value = await method.apply(this, args)
      if (conditionFor !== undefined && !conditionFor(args, this)) return value
      const found = cacheFor(source, this, cache)
      if (found === undefined) return value
      const namespace = namespaceOf(this, found, about)
      const isRefused = value === undefined || unlessFor?.([value, ...args], this) === true
      const parts = keyFor(args, this)
      if (isRefused) await namespace.delete(parts)
      else await put(found, namespace, { parts, value, ttlSeconds, tags: tagsFor(args, this) })
      return value
    }
    return replacement
  })
}

/** Stores a result. If it cannot be stored, the stored value is deleted, since it is out of date. */
async function put(
  cache: Memcache,
  namespace: CacheNamespace,
  result: {
    readonly parts: readonly KeyPart[]
    readonly value: unknown
    readonly ttlSeconds: Ttl | undefined
    readonly tags: readonly string[] | undefined
  },
): Promise<void> {
  const { parts, value, ttlSeconds, tags } = result
  try {
    await namespace.set(parts, value, { ttlSeconds, tags })
  } catch (error) {
    // The method itself has succeeded, so its caller must not get this error.
    engineOf(cache).host.report.failed(error)
    await namespace.delete(parts)
  }
}
