import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { KeyPart, Ttl } from 'memcache-ts-protocol'
import { argumentCache } from '../argument-cache.ts'
import type { ArgumentCache, CachedCalls } from '../argument-cache.ts'
import { argumentParts } from '../argument-key.ts'
import { LOADING_OPTIONS, OPTION_HINTS, resolveLoading } from '../cache/get-or-set-options.ts'
import type { LoadContext, LoadingOptions } from '../cache/get-or-set-options.ts'
import type { Memcache } from '../memcache.ts'
import { tagsFor } from '../tags-of.ts'
import type { TagsOf } from '../tags-of.ts'
import { cacheFor, namespaceOf } from './cache-config.ts'
import { PROCESS_CACHE } from './cache-source.ts'
import type { CacheSource } from './cache-source.ts'
import { decorateMethod } from './method-decorator.ts'
import type { AsyncMethod, MethodDecoratorOf } from './method-decorator.ts'

/** How a method's results are cached. */
export interface CachedMethodOptions<Args extends readonly unknown[], Value, Choice = Memcache> extends LoadingOptions {
  /** The parts of the key for these arguments, in the class's namespace. Default: the method's name and the arguments, objects by a hash of what they hold. */
  key?: ((...args: Args) => readonly KeyPart[]) | undefined
  /** What a result belongs to, for `invalidateTags` and `@CacheEvict`. */
  tags?: TagsOf<Args> | undefined
  /** Whether this call is cached at all. */
  condition?: ((...args: Args) => boolean) | undefined
  /** Whether this result is not to be stored. */
  unless?: ((value: Value, ...args: Args) => boolean) | undefined
  /** The cache that they lie in. Default: the class's, else this process's. */
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

/** What is known of a decorated method, so that `cacheOf` finds it. */
type CachedMethod = (self: object) => CachedCalls<readonly unknown[], unknown>

/** What the cache has, which is not known yet. */
const ANY_TTL: Ttl = 60

const CACHED = new WeakMap<object, CachedMethod>()

/**
 * Caches the results of an async method: concurrent calls with the same arguments share one run, over all processes.
 * Works as a standard decorator and as a legacy one. Keys lie in the class's namespace, by default under the method's name and
 * the arguments.
 * @throws MemcacheOptionError for an option that there is not.
 */
export function Cached<Args extends readonly unknown[] = [], Value = unknown>(
  options: Ttl | CachedMethodOptions<Args, Value> = {},
): MethodDecoratorOf<Args, Value> {
  return cachedMethod(PROCESS_CACHE, options)
}

/** `@Cached` by a source of caches. For adapters. @throws MemcacheOptionError for an option that there is not. */
export function cachedMethod<Args extends readonly unknown[], Value, Choice>(
  source: CacheSource<Choice>,
  options: Ttl | CachedMethodOptions<Args, Value, Choice>,
): MethodDecoratorOf<Args, Value> {
  const resolved = typeof options === 'object' ? options : { ttlSeconds: options }
  checkOptions('@Cached', resolved, KNOWN, OPTION_HINTS)
  const { key, tags, condition, unless, cache, ...loading } = resolved
  // A lifetime that cannot be is told where it is written, not at the first call.
  resolveLoading(loading, ANY_TTL)
  return decorateMethod<Args, Value, Choice>(source, cache, (method, name) => {
    const keyOf = (args: readonly unknown[]): readonly KeyPart[] =>
      key?.(...(args as Args)) ?? [name, ...argumentParts(args, name)]
    const tagsOf = (args: readonly unknown[]): readonly string[] | undefined => tagsFor(tags, args as Args)
    const isCached = (args: readonly unknown[]): boolean => condition?.(...(args as Args)) ?? true
    const run = async (self: object, args: readonly unknown[], context: Pick<LoadContext, 'skipStore'>) => {
      const value = await method.apply(self, args as [...Args])
      if (unless?.(value, ...(args as Args)) === true) context.skipStore()
      return value
    }
    const replacement: AsyncMethod<Args, Value> = async function (this: object, ...args) {
      const found = cacheFor(source, this, cache)
      if (found === undefined || !isCached(args)) return method.apply(this, args)
      return namespaceOf(this, found).getOrSet(keyOf(args), (context) => run(this, args, context), {
        ...loading,
        tags: tagsOf(args),
      })
    }
    CACHED.set(replacement, (self) => {
      const found = cacheFor(source, self, cache)
      const namespace = found === undefined ? undefined : namespaceOf(self, found)
      return { namespace, loading, keyOf, tagsOf, isCached, run: (args, context) => run(self, args, context) }
    })
    return replacement
  })
}

type AsyncMethodName<Target> = {
  [Name in keyof Target]: Target[Name] extends (...args: never[]) => Promise<unknown> ? Name : never
}[keyof Target]

type ArgumentsOf<Method> = Method extends (...args: infer Args) => unknown ? Args : never
type ResultOf<Method> = Method extends (...args: never[]) => Promise<infer Value> ? Value : never

/**
 * The cache behind a method that carries `@Cached`, by its arguments.
 * @throws MemcacheOptionError for a method that does not carry it.
 */
export function cacheOf<Target extends object, Name extends AsyncMethodName<Target>>(
  target: Target,
  name: Name,
): ArgumentCache<ArgumentsOf<Target[Name]>, ResultOf<Target[Name]>> {
  const method = CACHED.get(target[name] as object)
  if (method === undefined) {
    throw new MemcacheOptionError(`${target.constructor.name}.${String(name)} does not carry @Cached`)
  }
  return argumentCache(() => method(target) as CachedCalls<ArgumentsOf<Target[Name]>, ResultOf<Target[Name]>>)
}
