import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { KeyPart, Ttl } from 'memcache-ts-protocol'
import { argumentParts } from '../cache-key.ts'
import type { ArgumentCache } from '../cached-function.ts'
import { OPTION_HINTS } from '../cache/get-or-set-options.ts'
import { getDefaultMemcache } from '../default-memcache.ts'
import type { Memcache } from '../memcache.ts'
import { decorateMethod } from './method-decorator.ts'
import type { AsyncMethod, MethodDecoratorOf } from './method-decorator.ts'

/** How a method's results are cached. */
export interface CachedMethodOptions<Args extends readonly unknown[], Value> {
  /** How long a result stays. Default: the `Memcache`'s. */
  ttlSeconds?: Ttl | undefined
  jitter?: number | undefined
  /** The parts of the key for these arguments. Default: the arguments themselves, objects by a hash of what they hold. */
  key?: ((...args: Args) => readonly KeyPart[]) | undefined
  /** Whether this call is cached at all. */
  condition?: ((...args: Args) => boolean) | undefined
  /** Whether this result is not to be stored. */
  unless?: ((value: Value, ...args: Args) => boolean) | undefined
  /** The cache that they lie in. Default: this process's. */
  cache?: Memcache | undefined
}

const KNOWN = ['ttlSeconds', 'jitter', 'key', 'condition', 'unless', 'cache'] as const

/** What a decorated method is stored under, so that `cacheOf` finds it. */
interface CachedMethod {
  readonly cache: () => Memcache
  readonly keyOf: (self: object, args: readonly unknown[]) => readonly KeyPart[]
}

const CACHED = new WeakMap<object, CachedMethod>()

/**
 * Caches the results of an async method: concurrent calls with the same arguments share one run, over all processes.
 * Works as a standard decorator and as a legacy one. Keys lie in the namespace of the class's name and the method's.
 * @throws MemcacheOptionError for an option that there is not.
 */
export function Cached<Args extends readonly unknown[] = [], Value = unknown>(
  options: Ttl | CachedMethodOptions<Args, Value> = {},
): MethodDecoratorOf<Args, Value> {
  const resolved = typeof options === 'object' ? options : { ttlSeconds: options }
  checkOptions('@Cached', resolved, KNOWN, OPTION_HINTS)
  const { ttlSeconds, jitter, condition, unless, cache } = resolved
  const cacheFor = (): Memcache => cache ?? getDefaultMemcache()
  return decorateMethod<Args, Value>((method, name) => {
    const keyOf = (self: object, args: readonly unknown[]): readonly KeyPart[] => [
      self.constructor.name,
      name,
      ...(resolved.key?.(...(args as Args)) ?? argumentParts(args)),
    ]
    const replacement: AsyncMethod<Args, Value> = async function (this: object, ...args) {
      const known = args as unknown as Args
      if (condition !== undefined && !condition(...known)) return method.apply(this, args)
      return cacheFor().getOrSet(
        keyOf(this, args),
        async (context) => {
          const value = await method.apply(this, args)
          if (unless?.(value, ...known) === true) context.skipStore()
          return value
        },
        { ttlSeconds, jitter },
      )
    }
    CACHED.set(replacement, { cache: cacheFor, keyOf })
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
  return {
    get: async (args) => method.cache().get(method.keyOf(target, args)),
    delete: async (args) => method.cache().delete(method.keyOf(target, args)),
  }
}
