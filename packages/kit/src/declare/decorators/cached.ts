import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { KeyPart, Ttl } from 'memcache-ts-protocol'
import { argumentCache } from '../argument-cache.ts'
import type { ArgumentCache, CachedCalls } from '../argument-cache.ts'
import { argumentParts } from '../argument-key.ts'
import { LOADING_OPTIONS, OPTION_HINTS, resolveLoading } from '../../engine/load/get-or-set-options.ts'
import type { LoadContext, LoadingOptions } from '../../engine/load/get-or-set-options.ts'
import type { Memcache } from '../../memcache.ts'
import { functionOf, requireOptions, requireSync, requireTags } from '../../option-types.ts'
import { taggedLoad } from '../tags-of.ts'
import type { TagsOf } from '../tags-of.ts'
import { cacheFor, namespaceOf, requireCacheChoice } from './cache-config.ts'
import { PROCESS_CACHE } from './cache-source.ts'
import type { CacheSource } from './cache-source.ts'
import { cachedMethodOf, registerCachedMethod } from './cached-methods.ts'
import { tagsWithObject, withObject } from './formal-parameters.ts'
import { decorateMethod } from './method-decorator.ts'
import type { AsyncMethod, DecoratedMethod, MethodDecoratorOf } from './method-decorator.ts'

/**
 * How a method's results are cached. `key`, `tags`, `condition` and `unless` get the method's arguments, and behind all
 * parameters that the method declares the object itself, where they name one more: for what differs by tenant or request.
 */
export interface CachedMethodOptions<Args extends readonly unknown[], Value, Choice = Memcache> extends LoadingOptions {
  /** The parts of the key for these arguments, in the class's namespace. Default: the method's name and the arguments, objects by a hash of what they hold. */
  key?: ((...args: Args) => readonly KeyPart[]) | undefined
  /** What a result belongs to, for `invalidateTags` and `@CacheEvict`. */
  tags?: TagsOf<Args> | undefined
  /** Whether this call is cached at all. */
  condition?: ((...args: Args) => boolean) | undefined
  /** Whether this result is not to be stored. */
  unless?: ((value: Value, ...args: Args) => boolean) | undefined
  /** The cache that holds them. Default: the class's, else this process's. */
  cache?: Choice | undefined
}

const KNOWN = [
  ...LOADING_OPTIONS,
  'key',
  'tags',
  'condition',
  'unless',
  'cache',
] as const satisfies readonly (keyof CachedMethodOptions<never, never>)[]

/** What the cache has, which is not known yet. */
const ANY_TTL: Ttl = 60

/**
 * Caches the results of an async method: concurrent calls with the same arguments share one run, over all processes.
 * Works as a standard decorator and as a legacy one. Keys are in the class's namespace, by default under the method's
 * name and the arguments.
 * @throws MemcacheOptionError if an option is unknown or of a wrong type, or for a method that cannot be cached.
 */
export function Cached<Args extends readonly unknown[] = [], Value = unknown>(
  options: Ttl | CachedMethodOptions<Args, Value> = {},
): MethodDecoratorOf<Args, Value> {
  return cachedMethod(PROCESS_CACHE, options)
}

/**
 * `@Cached` by a source of caches. For adapters.
 * @throws MemcacheOptionError if an option is unknown or of a wrong type, or for a method that cannot be cached.
 */
export function cachedMethod<Args extends readonly unknown[], Value, Choice>(
  source: CacheSource<Choice>,
  options: Ttl | CachedMethodOptions<Args, Value, Choice>,
): MethodDecoratorOf<Args, Value> {
  const resolved = toMethodOptions(options)
  requireCacheChoice('@Cached', source, resolved.cache)
  const { key, tags, condition, unless, cache, ...loading } = resolved
  return decorateMethod<Args, Value, Choice>(
    '@Cached',
    key === undefined ? 'caches' : 'cachesByKey',
    source,
    cache,
    (method, about) => {
      const { name, parameters } = about
      const keyFor = key === undefined ? undefined : withObject(key, parameters)
      const tagsFor = tagsWithObject(tags, parameters)
      const conditionFor = condition === undefined ? undefined : withObject(condition, parameters)
      const unlessFor =
        unless === undefined ? undefined : withObject(unless, parameters === undefined ? undefined : parameters + 1)
      const own = keyFor === undefined ? ownKeyPart(about) : ''
      const keyOf = (args: readonly unknown[], self: object): readonly KeyPart[] =>
        keyFor === undefined ? [own, ...argumentParts(args, String(name), self)] : keyFor(args, self)
      const isCached = (args: readonly unknown[], self: object): boolean =>
        conditionFor === undefined || conditionFor(args, self)
      const run = async (self: object, args: readonly unknown[], context: Pick<LoadContext, 'skipStore'>) => {
        const value = await method.apply(self, args as [...Args])
        refuseObservable(value, self, name)
        if (unlessFor?.([value, ...args], self) === true) context.skipStore()
        return value
      }
      const replacement: AsyncMethod<Args, Value> = async function (this: object, ...args) {
        const found = cacheFor(source, this, cache)
        if (found === undefined || !isCached(args, this)) return method.apply(this, args)
        const { load, tags } = taggedLoad(tagsFor(args, this), (context) => run(this, args, context))
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
          run: (args, context) => run(self, args, context),
        }
      })
      return replacement
    },
  )
}

function toMethodOptions<Args extends readonly unknown[], Value, Choice>(
  options: Ttl | CachedMethodOptions<Args, Value, Choice>,
): CachedMethodOptions<Args, Value, Choice> {
  const resolved = typeof options === 'number' || typeof options === 'string' ? { ttlSeconds: options } : options
  requireOptions('@Cached', resolved)
  checkOptions('@Cached', resolved, KNOWN, OPTION_HINTS)
  const { key, tags, condition, unless, cache: _, ...loading } = resolved
  requireSync('@Cached', { key, tags: functionOf(tags), condition, unless })
  requireTags('@Cached', tags)
  // A lifetime that cannot be is told where it is written, not at the first call.
  resolveLoading(loading, ANY_TTL)
  return resolved
}

/** A method's name as the first part of its keys. @throws MemcacheOptionError for a symbol, whose text others may have. */
function ownKeyPart({ name }: DecoratedMethod): string {
  if (typeof name === 'string') return name
  throw new MemcacheOptionError(
    `@Cached: the method ${String(name)} is named by a symbol, which is no key: give key: (id) => ['find', id]`,
  )
}

/** @throws MemcacheOptionError for a stream of values, of which a cache could keep none. */
function refuseObservable(value: unknown, self: object, name: string | symbol): void {
  if (typeof value !== 'object' || value === null || !('subscribe' in value)) return
  if (typeof value.subscribe !== 'function' || !('pipe' in value)) return
  throw new MemcacheOptionError(
    `@Cached: ${self.constructor.name}.${String(name)} returns an Observable, which cannot be cached: return await firstValueFrom(…), or cache what it is made of`,
  )
}

type AsyncMethodName<Target> = {
  [Name in keyof Target]: Target[Name] extends (...args: never[]) => Promise<unknown> ? Name : never
}[keyof Target]

type ArgumentsOf<Method> = Method extends (...args: infer Args) => unknown ? Args : never
type ResultOf<Method> = Method extends (...args: never[]) => Promise<infer Value> ? Value : never

/**
 * The cache behind a method that carries `@Cached`, by its arguments, whatever decorators stand above or below.
 * @throws MemcacheOptionError for a method that does not carry it.
 */
export function cacheOf<Target extends object, Name extends AsyncMethodName<Target>>(
  target: Target,
  name: Name,
): ArgumentCache<ArgumentsOf<Target[Name]>, ResultOf<Target[Name]>> {
  const method = cachedMethodOf(target, name as string | symbol)
  if (method === undefined) {
    throw new MemcacheOptionError(`${target.constructor.name}.${String(name)} does not carry @Cached`)
  }
  return argumentCache(() => method(target) as CachedCalls<ArgumentsOf<Target[Name]>, ResultOf<Target[Name]>>)
}
