import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { CacheNamespace } from '../cache-namespace.ts'
import { OPTION_HINTS } from '../cache/get-or-set-options.ts'
import { DeclaredNamespace } from '../declared-namespace.ts'
import type { NamespaceDeclaration } from '../declared-namespace.ts'
import type { Memcache } from '../memcache.ts'
import type { CacheSource } from './cache-source.ts'

/** Where the cached results of a class's methods lie. */
export interface CacheConfigOptions<Choice = Memcache> extends Partial<Pick<NamespaceDeclaration, 'name' | 'version'>> {
  /** The cache that they lie in. Default: this process's. */
  cache?: Choice | undefined
}

const CONFIGS = new WeakMap<object, CacheConfigOptions<unknown>>()
const NAMESPACES = new WeakMap<Memcache, WeakMap<object, CacheNamespace>>()

type AnyClass = abstract new (...args: never[]) => object

/** A decorator for classes, standard (TC39) and legacy in one. */
export type ClassDecoratorOf = <Class extends AnyClass>(target: Class, context?: ClassDecoratorContext) => void

/**
 * Says where the cached results of a class's methods lie: a name in place of the class's own, a version, a cache.
 * Subclasses have it too, unless they have their own.
 * @throws MemcacheOptionError for an option that there is not.
 */
export function CacheConfig(config: CacheConfigOptions): ClassDecoratorOf {
  return configureClass(config)
}

/**
 * `@CacheConfig`, whatever caches are known by. For adapters.
 * @throws MemcacheOptionError for an option that there is not.
 */
export function configureClass<Choice>(config: CacheConfigOptions<Choice>): ClassDecoratorOf {
  checkOptions('@CacheConfig', config, ['name', 'version', 'cache'], OPTION_HINTS)
  if (config.name === '') throw new MemcacheOptionError('@CacheConfig needs a name that is not empty')
  return (target) => void CONFIGS.set(target, config)
}

/** What `@CacheConfig` says of a class, or of one that it extends. */
export function configOf(constructor: Function): CacheConfigOptions<unknown> | undefined {
  for (let at: object | null = constructor; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const config = CONFIGS.get(at)
    if (config !== undefined) return config
  }
  return undefined
}

/** The cache that the results of an object's methods lie in; `undefined`: it has none. */
export function cacheFor<Choice>(
  source: CacheSource<Choice>,
  self: object,
  choice: Choice | undefined,
): Memcache | undefined {
  return source.cacheFor(self, choice ?? (configOf(self.constructor)?.cache as Choice | undefined))
}

/** The namespace of an object's class, in which its results lie. */
export function namespaceOf({ constructor }: object, cache: Memcache): CacheNamespace {
  let namespaces = NAMESPACES.get(cache)
  if (namespaces === undefined) NAMESPACES.set(cache, (namespaces = new WeakMap()))
  let namespace = namespaces.get(constructor)
  if (namespace === undefined) {
    const { name = constructor.name, version } = configOf(constructor) ?? {}
    namespace = new DeclaredNamespace('@Cached', { name, version, cache }).namespace
    namespaces.set(constructor, namespace)
  }
  return namespace
}
