import { getDefaultMemcache } from '../../default-memcache.ts'
import type { Memcache } from '../../memcache.ts'

/**
 * The effect of a decorator: it `caches` by the arguments, `cachesByKey` by its own key, `puts` a result, `evicts` from
 * the class's namespace, or `evictsTags` by tags.
 */
export type DecoratorKind = 'caches' | 'cachesByKey' | 'puts' | 'evicts' | 'evictsTags'

/**
 * The source of decorated methods' caches. The kit's decorators use the default cache of the process; a framework's
 * adapter has its own source, which may choose caches by another type than `Memcache` (`Choice`).
 */
export interface CacheSource<Choice> {
  /** Whether a cache may also be chosen by name. */
  readonly hasNames?: boolean
  /**
   * Returns the cache for the results of an object's methods; `undefined` if there is none, and the methods are called
   * without a cache.
   *
   * @param choice the `cache` option of the decorator or of `@CacheConfig`.
   */
  cacheFor(self: object, choice: Choice | undefined): Memcache | undefined
  /**
   * Called for each decorated method of a class. A source with this method needs legacy decorators, since standard
   * decorators do not know their class.
   */
  decorated?(prototype: object, method: string | symbol, choice: Choice | undefined, kind: DecoratorKind): void
}

/** The source of the kit's decorators: the chosen cache, or the default cache of this process. */
export const PROCESS_CACHE: CacheSource<Memcache> = {
  cacheFor: (_, choice) => choice ?? getDefaultMemcache(),
}
