import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import { getDefaultMemcache } from '../../default-memcache.ts'
import type { Memcache } from '../../memcache.ts'
import type { CacheNamespace } from '../../namespace.ts'
import { OPTION_HINTS } from '../../engine/load/get-or-set-options.ts'
import { checkDeclaration, DeclaredNamespace } from '../declared-namespace.ts'
import type { NamespaceDeclaration } from '../declared-namespace.ts'
import { describeValue, isCache, requireOptions } from '../../option-types.ts'
import type { AnyClass } from '../../engine/values/reviver.ts'
import { classOf, classOwner } from './class-owner.ts'
import type { DeclaredMethod } from './class-owner.ts'

/**
 * The effect of a decorator: it `caches` by the arguments, `cachesByKey` by its own key, `puts` a result, `evicts` from
 * the class's namespace, or `evictsTags` by tags.
 */
export type DecoratorKind = 'caches' | 'cachesByKey' | 'puts' | 'evicts' | 'evictsTags'

/** A decorated method, as a source of caches registers it. */
interface SourceMethod<Choice> {
  readonly name: string | symbol
  /** The decorator's `cache` option. */
  readonly choice: Choice | undefined
  readonly kind: DecoratorKind
}

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
  decorated?(prototype: object, method: SourceMethod<Choice>): void
}

/** The source of the kit's decorators: the chosen cache, or the default cache of this process. */
export const PROCESS_CACHE: CacheSource<Memcache> = {
  cacheFor: (_, choice) => choice ?? getDefaultMemcache(),
}

/** Options of `@CacheConfig`: where the cached results of a class's methods are stored. */
export interface CacheConfigOptions<Choice = Memcache> extends Partial<Pick<NamespaceDeclaration, 'name' | 'version'>> {
  /** The cache that holds the results. Default: the default cache of this process. */
  cache?: Choice | undefined
}

const CONFIGS = new WeakMap<object, CacheConfigOptions<unknown>>()
const NAMESPACES = new WeakMap<Memcache, WeakMap<object, DeclaredNamespace>>()

/** A class decorator that works as a standard (TC39) and as a legacy decorator. */
export type ClassDecoratorOf = <Class extends AnyClass>(target: Class, context?: ClassDecoratorContext) => void

/**
 * Sets where the cached results of a class's methods are stored: a name in place of the class name, a version, a cache.
 * Subclasses without their own `@CacheConfig` inherit it; a class and such a subclass share the results of the methods
 * that both have.
 *
 * @example
 *   export @CacheConfig({ name: 'cities', version: 2 }) class Cities { … }
 *
 * @throws MemcacheOptionError if an option is unknown or of a wrong type.
 */
export function CacheConfig(config: CacheConfigOptions): ClassDecoratorOf {
  requireOptions('@CacheConfig', config)
  requireCacheChoice('@CacheConfig', PROCESS_CACHE, config.cache)
  return configureClass(config)
}

/**
 * Returns `@CacheConfig` for adapters, whose caches may be chosen by another type than `Memcache`.
 *
 * @throws MemcacheOptionError if an option is unknown or of a wrong type.
 */
export function configureClass<Choice>(config: CacheConfigOptions<Choice>): ClassDecoratorOf {
  requireOptions('@CacheConfig', config)
  checkOptions('@CacheConfig', config, { names: ['name', 'version', 'cache'], hints: OPTION_HINTS })
  if (config.name === '')
    throw new MemcacheOptionError("@CacheConfig: name must not be empty: write @CacheConfig({ name: 'cities' })")
  const { name = 'default', version } = config
  checkDeclaration('@CacheConfig', { name, version })
  return (target) => void CONFIGS.set(target, config)
}

/** @throws MemcacheOptionError if a decorator's `cache` is neither a cache nor, if the source knows names, a name. */
export function requireCacheChoice<Choice>(owner: string, source: CacheSource<Choice>, cache: unknown): void {
  if (cache === undefined || (typeof cache === 'string' && cache !== '' && source.hasNames === true)) return
  if (isCache(cache)) return
  const names = source.hasNames === true ? ', or the name of one' : ''
  throw new MemcacheOptionError(`${owner}: cache must be a memcache()${names}, got ${describeValue(cache)}`)
}

/**
 * Returns the `@CacheConfig` options of a class or of its nearest superclass with `@CacheConfig`; `undefined` if there
 * are none.
 */
export function configOf(constructor: Function): CacheConfigOptions<unknown> | undefined {
  for (let at: object | null = constructor; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const config = CONFIGS.get(at)
    if (config !== undefined) return config
  }
  return undefined
}

/** Returns the cache of an object's results; `undefined` if it has none. */
export function cacheFor<Choice>(
  source: CacheSource<Choice>,
  self: object,
  choice: Choice | undefined,
): Memcache | undefined {
  if (self === undefined || self === null) {
    throw new MemcacheOptionError(
      'a decorated method was called without its object: call it on the object, or bind it: (id) => cities.find(id)',
    )
  }
  return source.cacheFor(self, choice ?? (configOf(classOf(self))?.cache as Choice | undefined))
}

/**
 * Returns the namespace of an object's class, which holds its results.
 *
 * @param method the called method of the class.
 * @throws MemcacheOptionError if the class has no name, or the name of another class that uses the cache.
 */
export function namespaceOf(self: object, cache: Memcache, method?: DeclaredMethod): CacheNamespace {
  return namespaceOfClass(classOf(self), cache, method)
}

function namespaceOfClass(constructor: Function, cache: Memcache, method?: DeclaredMethod): CacheNamespace {
  let namespaces = NAMESPACES.get(cache)
  if (namespaces === undefined) NAMESPACES.set(cache, (namespaces = new WeakMap()))
  let declared = namespaces.get(constructor)
  if (declared === undefined) {
    const { name = constructor.name, version } = configOf(constructor) ?? {}
    if (name === '') {
      throw new MemcacheOptionError(
        "a class without a name has cached methods: write @CacheConfig({ name: 'cities' }) above it; the name is the namespace of its keys",
      )
    }
    const isNamed = configOf(constructor)?.name !== undefined
    declared = new DeclaredNamespace(classOwner(constructor, { naming: isNamed ? 'written' : 'implied', method }), {
      name,
      version,
      cache,
    })
    namespaces.set(constructor, declared)
  }
  return declared.namespace
}

/**
 * Claims the namespace of a class before its methods are called, so that a name conflict is reported when the
 * application starts. For adapters.
 *
 * @throws MemcacheOptionError like `namespaceOf`.
 */
export function claimClass(constructor: Function, cache: Memcache): void {
  namespaceOfClass(constructor, cache)
}
