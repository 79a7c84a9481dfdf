import { Logger } from '@nestjs/common'
import type { ModulesContainer } from '@nestjs/core'
import { claimClass, configOf } from 'memcache-ts'
import type { Memcache } from 'memcache-ts'
import { decoratedMethodsOf } from '../injection/decorated-methods.ts'
import type { DecoratedMethod } from '../injection/decorated-methods.ts'
import { choiceOf } from '../injection/injected-source.ts'
import { cachesOf, providersOf } from './providers.ts'

/**
 * Claims the namespaces of all classes with decorated methods, and warns of methods that evict from a namespace in which
 * nothing is stored.
 * @throws MemcacheOptionError if two classes have the same name by themselves, or one has none.
 */
export function checkNamespaces(modules: ModulesContainer): void {
  const caches = cachesOf(modules)
  for (const [constructor, methods] of decoratedClasses(modules)) {
    for (const cache of new Set(methods.map(({ choice }) => cacheOfChoice(constructor, choice, caches)))) {
      if (cache !== undefined) claimClass(constructor, cache)
    }
    warnOfEmptyNamespace(constructor, methods)
  }
}

/** The classes of an application that have decorated methods. */
function decoratedClasses(modules: ModulesContainer): Map<Function, readonly DecoratedMethod[]> {
  const found = new Map<Function, readonly DecoratedMethod[]>()
  for (const { constructor: provided, instance } of providersOf(modules)) {
    const constructor = provided ?? (typeof instance === 'object' ? instance?.constructor : undefined)
    const prototype = constructor?.prototype as object | undefined
    if (typeof constructor !== 'function' || prototype === undefined || prototype === null) continue
    const methods = decoratedMethodsOf(prototype)
    if (methods.length > 0) found.set(constructor, methods)
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

/** What is stored under a name that was written down may be stored elsewhere; the class's own name is that of the class. */
function warnOfEmptyNamespace(constructor: Function, methods: readonly DecoratedMethod[]): void {
  const evicting = methods.find(({ kind }) => kind === 'evicts')
  const stores = methods.some(({ kind }) => kind !== 'evicts' && kind !== 'evictsTags')
  if (evicting === undefined || stores || configOf(constructor)?.name !== undefined) return
  new Logger('Memcache').warn(
    `${constructor.name}.${String(evicting.name)} evicts nothing: keys are in the class's namespace '${constructor.name}', in which no method stores anything. Write @CacheConfig({ name: … }) with the name of the class whose values it changes, or evict by tags`,
  )
}
