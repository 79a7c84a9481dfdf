import { Logger } from '@nestjs/common'
import type { ModulesContainer } from '@nestjs/core'
import { claimClass, configOf } from 'memcache-ts/adapter'
import type { Memcache } from 'memcache-ts'
import { decoratedMethodsOf } from '../injection/decorated-methods.ts'
import type { DecoratedMethod } from '../injection/decorated-methods.ts'
import { choiceOf } from '../injection/injected-source.ts'
import { cachesOf, decoratedClassOf, providersOf } from './providers.ts'

/**
 * Claims the namespaces of all classes with decorated methods, and warns about methods that evict from a namespace in
 * which nothing is stored.
 *
 * @throws MemcacheOptionError if two classes have the same name without `@CacheConfig`, or a class has no name.
 */
export function checkNamespaces(modules: ModulesContainer): void {
  const caches = cachesOf(modules)
  const classes = decoratedClasses(modules)
  const filled = new Set([...classes.keys()].filter(storesSomething).map(namespaceNameOf))
  for (const [constructor, methods] of classes) {
    for (const cache of new Set(methods.map(({ choice }) => cacheOfChoice(constructor, choice, caches)))) {
      if (cache !== undefined) claimClass(constructor, cache)
    }
    if (!filled.has(namespaceNameOf(constructor))) warnOfEmptyNamespace(constructor, methods)
  }
}

/** Returns the classes of an application that have decorated methods. */
function decoratedClasses(modules: ModulesContainer): Map<Function, readonly DecoratedMethod[]> {
  const found = new Map<Function, readonly DecoratedMethod[]>()
  for (const provided of providersOf(modules)) {
    const constructor = decoratedClassOf(provided)
    if (constructor !== undefined) found.set(constructor, decoratedMethodsOf(constructor.prototype as object))
  }
  return found
}

function cacheOfChoice(
  constructor: Function,
  own: DecoratedMethod['choice'],
  caches: ReadonlyMap<string | undefined, Memcache>,
): Memcache | undefined {
  const choice = choiceOf(constructor, own)
  return typeof choice === 'object' ? choice : caches.get(choice)
}

/** Returns whether a method of a class stores something, including methods that a subclass has overridden. */
function storesSomething(constructor: Function): boolean {
  const parent = Object.getPrototypeOf(constructor) as Function | null
  const methods = decoratedMethodsOf(constructor.prototype as object)
  if (methods.some(({ kind }) => kind !== 'evicts' && kind !== 'evictsTags')) return true
  return typeof parent?.prototype === 'object' && storesSomething(parent)
}

function namespaceNameOf(constructor: Function): string {
  const { name = constructor.name, version } = configOf(constructor) ?? {}
  return JSON.stringify([name, version])
}

/**
 * Warns about methods that evict from an empty namespace. It ignores a name from `@CacheConfig`, since code outside the
 * application may store under it.
 */
function warnOfEmptyNamespace(constructor: Function, methods: readonly DecoratedMethod[]): void {
  const evicting = methods.find(({ kind }) => kind === 'evicts')
  if (evicting === undefined || configOf(constructor)?.name !== undefined) return
  new Logger('Memcache').warn(
    `${constructor.name}.${String(evicting.name)} evicts nothing: keys are in the class's namespace '${constructor.name}', in which no method stores anything. Write @CacheConfig({ name: … }) with the name of the class whose values it changes, or evict by tags`,
  )
}
