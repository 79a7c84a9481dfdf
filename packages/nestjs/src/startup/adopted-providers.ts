import { Logger } from '@nestjs/common'
import type { ModulesContainer } from '@nestjs/core'
import { classOf } from 'memcache-ts/adapter'
import { giveCache, injectedCache, isMadeByNest, takeCaches } from '../injection/cache-injection.ts'
import { isDecoratedElsewhere } from '../injection/decorated-methods.ts'
import type { DecoratedMethod } from '../injection/decorated-methods.ts'
import { choiceOf } from '../injection/injected-source.ts'
import { cachesOf, decoratedClassOf, methodsOfObject, nameOfToken, providersOf } from './providers.ts'

/**
 * Gives the application's cache to the objects with decorated methods that Nest has not made itself: what factories return
 * and what is provided as a value. They have it from the start of the application on; before that, and where they cannot
 * have it, nothing of theirs is cached or evicted.
 * @returns the objects, to be forgotten when the application ends.
 */
export function adoptProviders(modules: ModulesContainer): readonly object[] {
  const caches = cachesOf(modules)
  const adopted: object[] = []
  const several = classesOfSeveral(modules)
  for (const { constructor, instance, token } of providersOf(modules)) {
    if (constructor !== undefined || typeof instance !== 'object' || instance === null) continue
    if (isForeign(instance)) {
      new Logger('Memcache').warn(
        `${classOf(instance).name} caches and evicts nothing: it is provided as '${nameOfToken(token)}' by useFactory or useValue, and its decorators are of another copy of memcache-ts-nestjs; install one version (npm ls memcache-ts-nestjs)`,
      )
      continue
    }
    const methods = methodsOfObject(instance)
    const names = methods
      .map(({ choice }) => choiceOf(classOf(instance), choice))
      .filter((choice) => typeof choice !== 'object')
    if (names.every((name) => injectedCache(instance, name) === caches.get(name) && caches.has(name))) continue
    if (isMadeByNest(instance)) {
      warn(instance, nameOfToken(token), methods, 'another application in this process has it, with its own cache')
    } else if (!names.every((name) => caches.has(name))) {
      warn(instance, nameOfToken(token), methods, 'there is no cache of the name that its decorators say')
    } else if (several.has(classOf(instance)) && methods.some(({ kind }) => kind === 'caches')) {
      const why =
        'there are several objects of the class, which may differ while their keys do not: give its @Cached methods a key with what differs'
      warn(instance, nameOfToken(token), methods, why)
    } else {
      for (const name of names) giveCache(instance, name, caches.get(name))
      adopted.push(instance)
    }
  }
  return adopted
}

function isForeign(instance: object): boolean {
  try {
    // A Proxy that answers everything is none of ours.
    return isDecoratedElsewhere(instance) && typeof classOf(instance) === 'function'
  } catch {
    return false
  }
}

/** The classes of which an application has several objects. */
function classesOfSeveral(modules: ModulesContainer): ReadonlySet<Function> {
  const objects = new Map<Function, Set<unknown>>()
  for (const provided of providersOf(modules)) {
    const constructor = decoratedClassOf(provided)
    if (constructor === undefined) continue
    objects.set(constructor, (objects.get(constructor) ?? new Set()).add(provided.instance))
  }
  return new Set([...objects].filter(([, each]) => each.size > 1).map(([constructor]) => constructor))
}

export function forgetProviders(adopted: readonly object[]): void {
  for (const object of adopted) takeCaches(object)
}

function warn(instance: object, token: string, methods: readonly DecoratedMethod[], why: string): void {
  const evicting = methods.find(({ kind }) => kind === 'evicts' || kind === 'evictsTags')
  const method = `${classOf(instance).name}.${String((evicting ?? methods[0]!).name)}`
  const what = evicting === undefined ? 'caches nothing' : 'evicts nothing, so that old values are served'
  new Logger('Memcache').warn(
    `${method} ${what}: its object is provided as '${token}' by useFactory or useValue, and ${why}. Provide the class itself, so that Nest makes the object`,
  )
}
