import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { KeyPart, Ttl } from 'memcache-ts-protocol'
import { argumentCache } from '../argument-cache.ts'
import type { ArgumentCache, CachedCalls } from '../argument-cache.ts'
import { argumentParts } from '../argument-key.ts'
import { engineOf } from '../../engine/engine.ts'
import { LOADING_OPTIONS, OPTION_HINTS, resolveLoading } from '../../engine/load/get-or-set-options.ts'
import type { LoadContext, LoadingOptions } from '../../engine/load/get-or-set-options.ts'
import type { Memcache } from '../../memcache.ts'
import { functionOf, requireOptions, requireSync, requireTags } from '../../option-types.ts'
import { taggedLoad } from '../late-facts.ts'
import type { TagsOf } from '../late-facts.ts'
import { cacheFor, namespaceOf, PROCESS_CACHE, requireCacheChoice } from './cache-config.ts'
import type { CacheSource } from './cache-config.ts'
import { cachedMethodOf, registerCachedMethod } from './cached-methods.ts'
import { classOf, methodTitle } from './class-owner.ts'
import { syncWithObject, tagsWithObject } from './formal-parameters.ts'
import { decorateMethod } from './method-decorator.ts'
import type { AsyncMethod, DecoratedMethod, MethodDecoratorOf } from './method-decorator.ts'

/**
 * Options of `@Cached`. `key`, `tags`, `condition` and `unless` get the method's arguments. If such a function declares
 * one parameter more than the method, that parameter gets the object itself: for results that differ by tenant or
 * request.
 */
export interface CachedMethodOptions<Args extends readonly unknown[], Value, Choice = Memcache> extends LoadingOptions {
  /**
   * Returns the parts of the key for these arguments, in the class's namespace. Default: the method's name and the
   * arguments, with objects by a hash of their content.
   */
  key?: ((...args: Args) => readonly KeyPart[]) | undefined
  /** The tags of a result, for `invalidateTags` and `@CacheEvict`. */
  tags?: TagsOf<Args> | undefined
  /** Returns whether this call is cached. */
  condition?: ((...args: Args) => boolean) | undefined
  /** Returns `true` if this result must not be stored. */
  unless?: ((value: Value, ...args: Args) => boolean) | undefined
  /** The cache that holds the results. Default: the cache of the class, or the default cache of this process. */
  cache?: Choice | undefined
}

const OPTION_NAMES = [
  ...LOADING_OPTIONS,
  'key',
  'tags',
  'condition',
  'unless',
  'cache',
] as const satisfies readonly (keyof CachedMethodOptions<never, never>)[]

/** A placeholder for the cache's default lifetime, which is not known at the declaration. */
const ANY_TTL: Ttl = 60

/**
 * Caches the results of an async method: concurrent calls with the same arguments in all processes share one run. It
 * works as a standard and as a legacy decorator. Keys are in the class's namespace, by default the method's name and
 * the arguments.
 *
 * @example
 *   class Cities { @Cached('5m') async find(id: number): Promise<City> { … } }
 *
 * @throws MemcacheOptionError if an option is unknown or of a wrong type, or the method cannot be cached.
 */
export function Cached<Args extends readonly unknown[] = [], Value = unknown>(
  options: Ttl | CachedMethodOptions<Args, Value> = {},
): MethodDecoratorOf<Args, Value> {
  return cachedMethod(PROCESS_CACHE, options)
}

/** A call of a decorated method. */
interface MethodCall {
  readonly self: object
  readonly args: readonly unknown[]
}

/**
 * Returns `@Cached` for adapters, with their own source of caches.
 *
 * @throws MemcacheOptionError if an option is unknown or of a wrong type, or the method cannot be cached.
 */
export function cachedMethod<Args extends readonly unknown[], Value, Choice>(
  source: CacheSource<Choice>,
  options: Ttl | CachedMethodOptions<Args, Value, Choice>,
): MethodDecoratorOf<Args, Value> {
  const resolved = toMethodOptions(options)
  requireCacheChoice('@Cached', source, resolved.cache)
  const { key, tags, condition, unless, cache, ...loading } = resolved
  const kind = key === undefined ? 'caches' : 'cachesByKey'
  return decorateMethod<Args, Value, Choice>({ owner: '@Cached', kind, choice: cache }, source, (method, about) => {
    const { name, parameters } = about
    const keyFor = syncWithObject('@Cached: key', key, parameters)
    const tagsFor = tagsWithObject(tags, parameters)
    const conditionFor = syncWithObject('@Cached: condition', condition, parameters)
    const withValue = parameters === undefined ? undefined : parameters + 1
    const unlessFor = syncWithObject('@Cached: unless', unless, withValue)
    const own = keyFor === undefined ? ownKeyPart(about) : ''
    const keyOf = (args: readonly unknown[], self: object): readonly KeyPart[] =>
      keyFor === undefined ? [own, ...argumentParts(args, String(name), self)] : keyFor(args, self)
    const isCached = (args: readonly unknown[], self: object): boolean =>
      conditionFor === undefined || conditionFor(args, self)
    const run = async (
      { self, args }: MethodCall,
      cache: Memcache | undefined,
      context: Pick<LoadContext, 'skipStore'>,
    ) => {
      const value = await method.apply(self, args as [...Args])
      refuseObservable(value, self, name)
      if (unlessFor === undefined) return value
      try {
        if (unlessFor([value, ...args], self)) context.skipStore()
      } catch (error) {
        // The method itself has succeeded, so its caller must not get this error.
        context.skipStore()
        if (cache !== undefined) engineOf(cache).host.report.unstorable(methodTitle(self, name), error)
      }
      return value
    }
    const replacement: AsyncMethod<Args, Value> = async function (this: object, ...args) {
      const found = cacheFor(source, this, cache)
      if (found === undefined || !isCached(args, this)) return method.apply(this, args)
      const { load, tags } = taggedLoad(tagsFor(args, this), (context) => run({ self: this, args }, found, context))
      return namespaceOf(this, found, about).getOrSet(keyOf(args, this), load, { ...loading, tags })
    }
    registerCachedMethod(replacement, about, (self) => {
      const found = cacheFor(source, self, cache)
      return {
        namespace: found === undefined ? undefined : namespaceOf(self, found, about),
        loading,
        keyOf: (args) => keyOf(args, self),
        tagsOf: (args) => tagsFor(args, self),
        isCached: (args) => isCached(args, self),
        run: (args, context) => run({ self, args }, found, context),
      }
    })
    return replacement
  })
}

function toMethodOptions<Args extends readonly unknown[], Value, Choice>(
  options: Ttl | CachedMethodOptions<Args, Value, Choice>,
): CachedMethodOptions<Args, Value, Choice> {
  const resolved = typeof options === 'number' || typeof options === 'string' ? { ttlSeconds: options } : options
  requireOptions('@Cached', resolved)
  checkOptions('@Cached', resolved, { names: OPTION_NAMES, hints: OPTION_HINTS })
  const { key, tags, condition, unless, cache: _, ...loading } = resolved
  requireSync('@Cached', { key, tags: functionOf(tags), condition, unless })
  requireTags('@Cached', tags)
  // An invalid lifetime throws at the declaration, not at the first call.
  resolveLoading(loading, ANY_TTL)
  return resolved
}

/**
 * Returns a method's name as the first part of its keys.
 *
 * @throws MemcacheOptionError if the name is a symbol, since its text is not unique.
 */
function ownKeyPart({ name }: DecoratedMethod): string {
  if (typeof name === 'string') return name
  throw new MemcacheOptionError(
    `@Cached: the method ${String(name)} is named by a symbol, which cannot be part of a key: set key: (id) => ['find', id]`,
  )
}

/**
 * Refuses an Observable, whose values a cache could not store.
 *
 * @throws MemcacheOptionError if the value is an Observable.
 */
function refuseObservable(value: unknown, self: object, name: string | symbol): void {
  if (typeof value !== 'object' || value === null || !('subscribe' in value)) return
  if (typeof value.subscribe !== 'function' || !('pipe' in value)) return
  throw new MemcacheOptionError(
    `@Cached: ${methodTitle(self, name)} returns an Observable, which cannot be cached: return await firstValueFrom(…), or cache the function that it reads from`,
  )
}

type AsyncMethodName<Target> = {
  [Name in keyof Target]: Target[Name] extends (...args: never[]) => Promise<unknown> ? Name : never
}[keyof Target]

type ArgumentsOf<Method> = Method extends (...args: infer Args) => unknown ? Args : never
type ResultOf<Method> = Method extends (...args: never[]) => Promise<infer Value> ? Value : never

/**
 * Returns the cached results of a method with `@Cached`, by its arguments, regardless of the decorators above and below
 * it.
 *
 * @example
 *   await cacheOf(cities, 'find').delete([42])
 *
 * @throws MemcacheOptionError if the method does not have `@Cached`.
 */
export function cacheOf<Target extends object, Name extends AsyncMethodName<Target>>(
  target: Target,
  name: Name,
): ArgumentCache<ArgumentsOf<Target[Name]>, ResultOf<Target[Name]>> {
  const method = cachedMethodOf(target, name as string | symbol)
  if (method === undefined) {
    throw new MemcacheOptionError(
      `${classOf(target).name}.${String(name)} does not have @Cached: add the decorator to the method`,
    )
  }
  return argumentCache(() => method(target) as CachedCalls<ArgumentsOf<Target[Name]>, ResultOf<Target[Name]>>)
}
