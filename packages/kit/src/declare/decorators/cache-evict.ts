import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { KeyPart } from 'memcache-ts-protocol'
import { lateTags, OPTION_HINTS, usableTags } from '../../engine/load/get-or-set-options.ts'
import type { Memcache } from '../../memcache.ts'
import { describeValue, functionOf, requireOptions, requireSync, requireTags, requireType } from '../../option-types.ts'
import type { TagsOf } from '../late-facts.ts'
import { afterMethod, placeOf } from './after-method.ts'
import type { ResultPlace } from './after-method.ts'
import { PROCESS_CACHE, requireCacheChoice } from './cache-config.ts'
import type { CacheSource } from './cache-config.ts'
import { syncWithObject, tagsWithObject } from './formal-parameters.ts'
import { decorateMethod } from './method-decorator.ts'
import type { AsyncMethod, MethodDecoratorOf } from './method-decorator.ts'

/** Options of `@CacheEvict`. As with `@Cached`, `key`, `tags` and `condition` may take the object itself. */
export interface CacheEvictOptions<Args extends readonly unknown[], Choice = Memcache> {
  /** Returns the parts of one key in the class's namespace: `@Cached find(id)` stores under `['find', id]`. */
  key?: ((...args: Args) => readonly KeyPart[]) | undefined
  /** All values that carry these tags. */
  tags?: TagsOf<Args> | undefined
  /** All values of the class's namespace. Default false. */
  all?: boolean | undefined
  /**
   * Whether to mark values stale instead of invalid, so that one caller reloads a value while the others are served the
   * old one. Not with `all`. Default false.
   */
  soft?: boolean | undefined
  /** `after` the method has succeeded, or `before` it runs. Default `after`. */
  when?: 'after' | 'before' | undefined
  /** Returns whether this call evicts. */
  condition?: ((...args: Args) => boolean) | undefined
  /** The cache that holds the values. Default: the cache of the class, or the default cache of this process. */
  cache?: Choice | undefined
}

const OPTION_NAMES = [
  'key',
  'tags',
  'all',
  'soft',
  'when',
  'condition',
  'cache',
] as const satisfies readonly (keyof CacheEvictOptions<never>)[]

/**
 * Invalidates cached results when an async method is called: one key, all values with some tags, or all of the class.
 * Faults that show after the method has succeeded do not fail the call: see `afterMethod`.
 *
 * @example
 *   class Cities {
 *     @CacheEvict({ key: (city: City) => ['find', city.id] }) async save(city: City) {}
 *   }
 *
 * @throws MemcacheOptionError if an option is unknown or invalid, or there is nothing to evict.
 */
export function CacheEvict<Args extends readonly unknown[] = []>(
  options: CacheEvictOptions<Args>,
): MethodDecoratorOf<Args, unknown> {
  return cacheEvictMethod(PROCESS_CACHE, options)
}

/**
 * Returns `@CacheEvict` for adapters, with their own source of caches.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid, or there is nothing to evict.
 */
export function cacheEvictMethod<Args extends readonly unknown[], Choice>(
  source: CacheSource<Choice>,
  options: CacheEvictOptions<Args, Choice>,
): MethodDecoratorOf<Args, unknown> {
  requireOptions('@CacheEvict', options)
  checkOptions('@CacheEvict', options, {
    names: OPTION_NAMES,
    hints: {
      ...OPTION_HINTS,
      allEntries: 'all',
      beforeInvocation: `when: 'before'`,
    },
  })
  const { key, tags, all = false, soft = false, when = 'after', condition, cache } = options
  requireSync('@CacheEvict', { key, tags: functionOf(tags), condition })
  requireType('@CacheEvict', 'boolean', { all, soft })
  requireTags('@CacheEvict', tags)
  requireCacheChoice('@CacheEvict', source, cache)
  if (key === undefined && tags === undefined && !all) {
    throw new MemcacheOptionError(`@CacheEvict has nothing to evict: set key, tags, or all: true`)
  }
  if (when !== 'after' && when !== 'before') {
    throw new MemcacheOptionError(`@CacheEvict: when must be 'after' or 'before', got ${describeValue(when)}`)
  }
  if (all && soft)
    throw new MemcacheOptionError('@CacheEvict: all and soft cannot be combined: use tags instead of all')
  const kind = key === undefined && !all ? 'evictsTags' : 'evicts'
  return decorateMethod<Args, unknown, Choice>(
    { owner: '@CacheEvict', kind, choice: cache },
    source,
    (method, about) => {
      const { parameters } = about
      const keyFor = syncWithObject('@CacheEvict: key', key, parameters)
      const tagsFor = tagsWithObject(tags, parameters)
      const conditionFor = syncWithObject('@CacheEvict: condition', condition, parameters)
      const evict = async (
        { cache, namespace }: ResultPlace,
        self: object,
        args: readonly unknown[],
      ): Promise<void> => {
        if (conditionFor !== undefined && !conditionFor(args, self)) return
        const evictKey = async (): Promise<unknown> => {
          if (keyFor === undefined) return undefined
          return soft ? namespace.markStale(keyFor(args, self)) : namespace.delete(keyFor(args, self))
        }
        const evictTags = async (): Promise<void> => {
          const given = tagsFor(args, self)
          const { tags: known, fault } = lateTags(given)
          // The values with the other tags are out of date, too.
          const usable = fault === undefined ? known : usableTags(given)
          if (usable.length > 0) await cache.invalidateTags(usable, { soft })
          if (fault !== undefined) throw fault
        }
        // All three are carried out, even if one of them fails.
        const ends = await Promise.allSettled([evictKey(), evictTags(), all ? namespace.clear() : undefined])
        for (const end of ends) if (end.status === 'rejected') throw end.reason
      }
      const replacement: AsyncMethod<Args, unknown> = async function (this: object, ...args) {
        const place = placeOf(source, this, { method: about, choice: cache })
        if (when === 'before' && place !== undefined) await evict(place, this, args)
        const value = await method.apply(this, args)
        if (when === 'after' && place !== undefined) await afterMethod(place, () => evict(place, this, args))
        return value
      }
      return replacement
    },
  )
}
