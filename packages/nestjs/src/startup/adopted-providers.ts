import { Logger } from '@nestjs/common'
import type { ModulesContainer } from '@nestjs/core'
import { giveCache, injectedCache, isMadeByNest, takeCaches } from '../injection/cache-injection.ts'
import type { DecoratedMethod } from '../injection/decorated-methods.ts'
import { choiceOf } from '../injection/injected-source.ts'
import { cachesOf, methodsOfObject, nameOfToken, providersOf } from './providers.ts'

/**
 * Gives the application's cache to the objects with decorated methods that Nest has not made itself: what factories return
 * and what is provided as a value. They have it from the start of the application on; before that, and where they cannot
 * have it, nothing of theirs is cached or evicted.
 * @returns the objects, to be forgotten when the application ends.
 */
export function adoptProviders(modules: ModulesContainer): readonly object[] {
  const caches = cachesOf(modules)
  const adopted: object[] = []
  for (const { constructor, instance, token } of providersOf(modules)) {
    if (constructor !== undefined || typeof instance !== 'object' || instance === null) continue
    const methods = methodsOfObject(instance)
    const names = methods
      .map(({ choice }) => choiceOf(instance.constructor, choice))
      .filter((choice) => typeof choice !== 'object')
    if (names.every((name) => injectedCache(instance, name) === caches.get(name) && caches.has(name))) continue
    if (isMadeByNest(instance)) {
      warn(instance, nameOfToken(token), methods, 'another application in this process has it, with its own cache')
    } else if (!names.every((name) => caches.has(name))) {
      warn(instance, nameOfToken(token), methods, 'there is no cache of the name that its decorators say')
    } else {
      for (const name of names) giveCache(instance, name, caches.get(name))
      adopted.push(instance)
    }
  }
  return adopted
}

export function forgetProviders(adopted: readonly object[]): void {
  for (const object of adopted) takeCaches(object)
}

function warn(instance: object, token: string, methods: readonly DecoratedMethod[], why: string): void {
  const evicting = methods.find(({ kind }) => kind === 'evicts' || kind === 'evictsTags')
  const method = `${instance.constructor.name}.${String((evicting ?? methods[0]!).name)}`
  const what = evicting === undefined ? 'caches nothing' : 'evicts nothing, so that old values are served'
  new Logger('Memcache').warn(
    `${method} ${what}: its object is provided as '${token}' by useFactory or useValue, and ${why}. Provide the class itself, so that Nest makes the object`,
  )
}
