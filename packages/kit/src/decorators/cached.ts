import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { KeyPart, Ttl } from 'memcache-ts-protocol'
import { argumentParts } from '../cache-key.ts'
import type { CacheNamespace } from '../cache-namespace.ts'
import type { ArgumentCache } from '../cached-function.ts'
import { LOADING_OPTIONS, OPTION_HINTS } from '../cache/get-or-set-options.ts'
import type { LoadingOptions } from '../cache/get-or-set-options.ts'
import type { Memcache } from '../memcache.ts'
import { tagsFor } from '../tags-of.ts'
import type { TagsOf } from '../tags-of.ts'
import { namespaceOf } from './cache-config.ts'
import { decorateMethod } from './method-decorator.ts'
import type { AsyncMethod, MethodDecoratorOf } from './method-decorator.ts'

/** How a method's results are cached. */
export interface CachedMethodOptions<Args extends readonly unknown[], Value> extends LoadingOptions {
  /** The parts of the key for these arguments, in the class's namespace. Default: the method's name and the arguments, objects by a hash of what they hold. */
  key?: ((...args: Args) => readonly KeyPart[]) | undefined
  /** What a result belongs to, for `invalidateTags` and `@CacheEvict`. */
  tags?: TagsOf<Args> | undefined
  /** Whether this call is cached at all. */
  condition?: ((...args: Args) => boolean) | undefined
  /** Whether this result is not to be stored. */
  unless?: ((value: Value, ...args: Args) => boolean) | undefined
  /** The cache that they lie in. Default: the class's, else this process's. */
  cache?: Memcache | undefined
}

const KNOWN = [
  ...LOADING_OPTIONS,
  'key',
  'tags',
  'condition',
  'unless',
  'cache',
] as const satisfies readonly (keyof CachedMethodOptions<never, never>)[]

/** What a decorated method is stored under, so that `cacheOf` finds it. */
interface CachedMethod {
  readonly namespace: (self: object) => CacheNamespace
  readonly keyOf: (args: readonly unknown[]) => readonly KeyPart[]
  readonly tagsOf: (args: readonly unknown[]) => readonly string[] | undefined
  readonly ttlSeconds: Ttl | undefined
}

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
  const resolved = typeof options === 'object' ? options : { ttlSeconds: options }
  checkOptions('@Cached', resolved, KNOWN, OPTION_HINTS)
  const { key, tags, condition, unless, cache, ...loading } = resolved
  return decorateMethod<Args, Value>((method, name) => {
    const keyOf = (args: readonly unknown[]): readonly KeyPart[] =>
      key?.(...(args as Args)) ?? [name, ...argumentParts(args)]
    const tagsOf = (args: readonly unknown[]): readonly string[] | undefined => tagsFor(tags, args as Args)
    const namespace = (self: object): CacheNamespace => namespaceOf(self, cache)
    const replacement: AsyncMethod<Args, Value> = async function (this: object, ...args) {
      const known = args as unknown as Args
      if (condition !== undefined && !condition(...known)) return method.apply(this, args)
      return namespace(this).getOrSet(
        keyOf(args),
        async (context) => {
          const value = await method.apply(this, args)
          if (unless?.(value, ...known) === true) context.skipStore()
          return value
        },
        { ...loading, tags: tagsOf(args) },
      )
    }
    CACHED.set(replacement, { namespace, keyOf, tagsOf, ttlSeconds: loading.ttlSeconds })
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
  const { namespace, keyOf, tagsOf, ttlSeconds } = method
  return {
    get: async (args) => namespace(target).get(keyOf(args)),
    set: async (args, value, ttl = ttlSeconds) =>
      namespace(target).set(keyOf(args), value, { ttlSeconds: ttl, tags: tagsOf(args) }),
    delete: async (args) => namespace(target).delete(keyOf(args)),
    expire: async (args) => namespace(target).expire(keyOf(args)),
  }
}
