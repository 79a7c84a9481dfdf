import { engineOf } from '../../engine/engine.ts'
import type { CacheReport } from '../../engine/observe/cache-report.ts'
import type { CacheNamespace } from '../../namespace.ts'
import { cacheFor, namespaceOf } from './cache-config.ts'
import type { CacheSource } from './cache-config.ts'
import { methodTitle } from './class-owner.ts'
import type { DeclaredMethod } from './class-owner.ts'
import type { Memcache } from '../../memcache.ts'

/** The place where the results of an object's methods are stored. */
export interface ResultPlace {
  readonly cache: Memcache
  readonly namespace: CacheNamespace
  readonly report: CacheReport
  /** The class and the method, for messages. */
  readonly method: string
}

/** A decorated method, and the decorator's `cache` option. */
interface CalledMethod<Choice> {
  readonly method: DeclaredMethod
  readonly choice: Choice | undefined
}

/**
 * Returns the place where the results of an object's methods are stored; `undefined` if there is no cache. It is called
 * before the method, so that a mistake that does not depend on the result keeps the method from running.
 *
 * @throws MemcacheOptionError if the cache is missing, or the class has no name or the name of another class.
 */
export function placeOf<Choice>(
  source: CacheSource<Choice>,
  self: object,
  { method, choice }: CalledMethod<Choice>,
): ResultPlace | undefined {
  const cache = cacheFor(source, self, choice)
  if (cache === undefined) return undefined
  const namespace = namespaceOf(self, cache, method)
  return { cache, namespace, report: engineOf(cache).host.report, method: methodTitle(self, method.name) }
}

/**
 * Applies the effects of a method to the cache. The method has succeeded, so its caller gets the result even if this
 * fails, for example since `key` or `condition` throws: a caller that gets an error would repeat the change. Then it is
 * unknown which stored results are out of date, so all results of the class are invalidated, and the error is counted
 * and logged.
 */
export async function afterMethod(place: ResultPlace, apply: (place: ResultPlace) => Promise<void>): Promise<void> {
  try {
    await apply(place)
  } catch (error) {
    place.report.unapplied(place.method, error)
    await place.namespace.clear()
  }
}
