import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { CacheNamespace } from '../cache-namespace.ts'
import { OPTION_HINTS } from '../cache/get-or-set-options.ts'
import { DeclaredNamespace } from '../declared-namespace.ts'
import type { NamespaceDeclaration } from '../declared-namespace.ts'
import { getDefaultMemcache } from '../default-memcache.ts'
import type { Memcache } from '../memcache.ts'

const CONFIGS = new WeakMap<object, Partial<NamespaceDeclaration>>()
const NAMESPACES = new WeakMap<object, DeclaredNamespace>()

type AnyClass = abstract new (...args: never[]) => object

/** A decorator for classes, standard (TC39) and legacy in one. */
export type ClassDecoratorOf = <Class extends AnyClass>(target: Class, context?: ClassDecoratorContext) => void

/**
 * Says where the cached results of a class's methods lie: a name in place of the class's own, a version, a cache.
 * Subclasses have it too, unless they have their own.
 * @throws MemcacheOptionError for an option that there is not.
 */
export function CacheConfig(config: Partial<NamespaceDeclaration>): ClassDecoratorOf {
  checkOptions('@CacheConfig', config, ['name', 'version', 'cache'], OPTION_HINTS)
  if (config.name === '') throw new MemcacheOptionError('@CacheConfig needs a name that is not empty')
  return (target) => void CONFIGS.set(target, config)
}

/** The cache that the results of an object's methods lie in. */
export function cacheFor(self: object, cache: Memcache | undefined): Memcache {
  return cache ?? declarationOf(self.constructor).cache ?? getDefaultMemcache()
}

/** The namespace of an object's class: its results lie there, in `cache` where that is given. */
export function namespaceOf(self: object, cache: Memcache | undefined): CacheNamespace {
  const { constructor } = self
  if (cache !== undefined) return new DeclaredNamespace('@Cached', { ...declarationOf(constructor), cache }).namespace
  let declared = NAMESPACES.get(constructor)
  if (declared === undefined) {
    declared = new DeclaredNamespace('@Cached', declarationOf(constructor))
    NAMESPACES.set(constructor, declared)
  }
  return declared.namespace
}

function declarationOf(constructor: Function): NamespaceDeclaration {
  for (let at: object | null = constructor; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const config = CONFIGS.get(at)
    if (config !== undefined) return { ...config, name: config.name ?? constructor.name }
  }
  return { name: constructor.name }
}
