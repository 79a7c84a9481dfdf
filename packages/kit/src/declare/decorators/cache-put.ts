import { checkOptions, MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import type { KeyPart, Ttl } from 'memcache-ts-protocol'
import { lateTags, OPTION_HINTS } from '../../engine/load/get-or-set-options.ts'
import type { Memcache } from '../../memcache.ts'
import { functionOf, requireOptions, requireSync, requireTags } from '../../option-types.ts'
import type { TagsOf } from '../late-facts.ts'
import { afterMethod, placeOf } from './after-method.ts'
import { PROCESS_CACHE, requireCacheChoice } from './cache-config.ts'
import type { CacheSource } from './cache-config.ts'
import { syncWithObject, tagsWithObject } from './formal-parameters.ts'
import { decorateMethod } from './method-decorator.ts'
import type { AsyncMethod, MethodDecoratorOf } from './method-decorator.ts'

/** Options of `@CachePut`. As with `@Cached`, `key`, `tags`, `condition` and `unless` may take the object itself. */
export interface CachePutOptions<Args extends readonly unknown[], Value, Choice = Memcache> {
  /**
   * Returns the parts of the key for these arguments, in the class's namespace: `@Cached find(id)` stores under
   * `['find', id]`.
   */
  key: (...args: Args) => readonly KeyPart[]
  /** The lifetime of the result, in seconds. Default: the default lifetime of the cache. */
  ttlSeconds?: Ttl | undefined
  /** The tags of the result, for `invalidateTags` and `@CacheEvict`. */
  tags?: TagsOf<Args> | undefined
  /** Returns whether the result of this call is stored. */
  condition?: ((...args: Args) => boolean) | undefined
  /** Returns `true` if this result must not be stored; then the stored value is deleted. */
  unless?: ((value: Value, ...args: Args) => boolean) | undefined
  /** The cache that holds the result. Default: the cache of the class, or the default cache of this process. */
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
 * Stores the result of an async method on each call, so that a `@Cached` method finds it. Faults that show after the
 * method has succeeded do not fail the call: see `afterMethod`.
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
 * Returns `@CachePut` for adapters, with their own source of caches.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid, or there is no key.
 */
export function cachePutMethod<Args extends readonly unknown[], Value, Choice>(
  source: CacheSource<Choice>,
  options: CachePutOptions<Args, Value, Choice>,
): MethodDecoratorOf<Args, Value> {
  requireOptions('@CachePut', options)
  checkOptions('@CachePut', options, { names: OPTION_NAMES, hints: OPTION_HINTS })
  const { key, ttlSeconds, tags, condition, unless, cache } = options
  if (typeof key !== 'function') {
    throw new MemcacheOptionError(`@CachePut needs a key: { key: (city) => ['find', city.id] } for a @Cached find(id)`)
  }
  requireSync('@CachePut', { key, tags: functionOf(tags), condition, unless })
  requireTags('@CachePut', tags)
  requireCacheChoice('@CachePut', source, cache)
  if (ttlSeconds !== undefined) ttlToSeconds(ttlSeconds)
  return decorateMethod<Args, Value, Choice>(
    { owner: '@CachePut', kind: 'puts', choice: cache },
    source,
    (method, about) => {
      const { parameters } = about
      const keyFor = syncWithObject('@CachePut: key', key, parameters)
      const tagsFor = tagsWithObject(tags, parameters)
      const conditionFor = syncWithObject('@CachePut: condition', condition, parameters)
      const withValue = parameters === undefined ? undefined : parameters + 1
      const unlessFor = syncWithObject('@CachePut: unless', unless, withValue)
      const replacement: AsyncMethod<Args, Value> = async function (this: object, ...args) {
        const place = placeOf(source, this, { method: about, choice: cache })
        const value = await method.apply(this, args)
        if (place === undefined) return value
        await afterMethod(place, async ({ namespace, report }) => {
          if (conditionFor !== undefined && !conditionFor(args, this)) return
          const parts = keyFor(args, this)
          try {
            const isRefused = value === undefined || (unlessFor !== undefined && unlessFor([value, ...args], this))
            const { tags: usable, fault } = lateTags(tagsFor(args, this))
            if (fault !== undefined) throw fault
            if (isRefused) await namespace.delete(parts)
            else await namespace.set(parts, value, { ttlSeconds, tags: usable })
          } catch (error) {
            // The stored value is out of date. If its key is invalid, this throws again.
            await namespace.delete(parts)
            report.unstorable(place.method, error)
          }
        })
        return value
      }
      return replacement
    },
  )
}
