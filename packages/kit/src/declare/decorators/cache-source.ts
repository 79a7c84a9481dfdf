import { getDefaultMemcache } from '../../default-memcache.ts'
import type { Memcache } from '../../memcache.ts'

/**
 * What a decorator does: caches by the arguments, or by a key of its own; stores; evicts what is in the class's namespace,
 * or what carries a tag.
 */
export type DecoratorKind = 'caches' | 'cachesByKey' | 'puts' | 'evicts' | 'evictsTags'

/**
 * Where decorated methods get their cache from. The kit's take the process's; a framework's adapter has its own, which
 * may know caches by something else than themselves (`Choice`).
 */
export interface CacheSource<Choice> {
  /** Whether caches may also be said by a name. */
  readonly hasNames?: boolean
  /**
   * The cache that the results of an object's methods lie in, by what its decorators say; `undefined`: there is none,
   * and the methods are just called.
   */
  cacheFor(self: object, choice: Choice | undefined): Memcache | undefined
  /**
   * Told of each decorated method of a class. Without it, standard decorators, which do not know their class, are taken
   * too.
   */
  decorated?(prototype: object, method: string | symbol, choice: Choice | undefined, kind: DecoratorKind): void
}

/** The caches that are named themselves, else this process's. */
export const PROCESS_CACHE: CacheSource<Memcache> = {
  cacheFor: (_, choice) => choice ?? getDefaultMemcache(),
}
