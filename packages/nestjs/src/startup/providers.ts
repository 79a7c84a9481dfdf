import { Logger } from '@nestjs/common'
import type { InjectionToken } from '@nestjs/common'
import type { ModulesContainer } from '@nestjs/core'
import { Memcache } from 'memcache-ts'
import { classOf } from 'memcache-ts/adapter'
import { choiceOf, decoratedMethodsOf, isDecoratedElsewhere } from '../injection/injected-source.ts'
import type { DecoratedMethod } from '../injection/injected-source.ts'
import { getMemcacheToken, MODULE_NAME } from '../injection-tokens.ts'
import { giveCache, injectedCache, isMadeByNest, takeCaches } from '../injection/cache-injection.ts'

type NestModule = ModulesContainer extends Map<string, infer Found> ? Found : never
type Wrapper = NestModule['providers'] extends Map<unknown, infer Found> ? Found : never

/** A provider, as the checks at the start need it. */
export interface Provided {
  readonly token: InjectionToken
  readonly module: NestModule
  /** The class, if Nest creates the object; `undefined` if a factory or a value provides it. */
  readonly constructor: Function | undefined
  /** The object, if there is one for the whole application. */
  readonly instance: unknown
  /** Whether there is one object per request. */
  readonly isPerRequest: boolean
}

/** Yields all providers, controllers, guards and interceptors of an application, without aliases. */
export function* providersOf(modules: ModulesContainer): Generator<Provided, void> {
  for (const module of modules.values()) {
    for (const wrapper of [
      ...module.providers.values(),
      ...module.controllers.values(),
      ...module.injectables.values(),
    ]) {
      if (!wrapper.isAlias) yield describeProvider(wrapper, module)
    }
  }
}

/** Returns the caches of an application by name; `undefined` is the cache without a name. */
export function cachesOf(modules: ModulesContainer): Map<string | undefined, Memcache> {
  const caches = new Map<string | undefined, Memcache>()
  for (const { providers } of modules.values()) {
    const name = providers.get(MODULE_NAME)?.instance as string | undefined
    if (name === undefined) continue
    const cache: unknown = providers.get(getMemcacheToken(name || undefined))?.instance
    if (cache instanceof Memcache) caches.set(name || undefined, cache)
  }
  return caches
}

/** Returns the class of a provider; `undefined` if it has no decorated methods, or cannot be read yet. */
export function decoratedClassOf({ constructor, instance }: Provided): Function | undefined {
  if (constructor !== undefined)
    return decoratedMethodsOf(constructor.prototype as object).length > 0 ? constructor : undefined
  return typeof instance === 'object' && instance !== null && methodsOfObject(instance).length > 0
    ? classOf(instance)
    : undefined
}

/** Returns the decorated methods of a provided object; an empty list if it is a Proxy that cannot be read yet. */
function methodsOfObject(instance: object): DecoratedMethod[] {
  try {
    return decoratedMethodsOf(instance)
  } catch {
    return []
  }
}

/** Returns a provider's token for a message. */
export function nameOfToken(token: InjectionToken): string {
  return typeof token === 'function' ? token.name : String(token)
}

function describeProvider(wrapper: Wrapper, module: NestModule): Provided {
  const { token, metatype } = wrapper
  // For a factory, the metatype is the factory; a value has none.
  const isClass = typeof metatype === 'function' && !wrapper.isNotMetatype
  const isOne = wrapper.isDependencyTreeStatic() && !wrapper.isTransient
  return {
    token,
    module,
    constructor: isClass && typeof metatype.prototype === 'object' ? metatype : undefined,
    instance: isOne ? wrapper.instance : undefined,
    isPerRequest: !wrapper.isDependencyTreeStatic(),
  }
}

/**
 * Assigns the application's cache to objects with decorated methods that Nest has not created itself: the results of
 * factories, and provided values. They use it from the start of the application on; before that, and if they cannot
 * have it, their methods neither cache nor evict.
 *
 * @returns the objects, whose caches are removed when the application ends.
 */
export function adoptProviders(modules: ModulesContainer): readonly object[] {
  const caches = cachesOf(modules)
  const adopted: object[] = []
  const several = classesOfSeveral(modules)
  for (const { constructor, instance, token } of providersOf(modules)) {
    if (constructor !== undefined || typeof instance !== 'object' || instance === null) continue
    if (isForeign(instance)) {
      new Logger('Memcache').warn(
        `${classOf(instance).name} caches and evicts nothing: it is provided as '${nameOfToken(token)}' by useFactory or useValue, and its decorators come from another copy of memcache-ts-nestjs; install one version (npm ls memcache-ts-nestjs)`,
      )
      continue
    }
    const methods = methodsOfObject(instance)
    const names = methods
      .map(({ choice }) => choiceOf(classOf(instance), choice))
      .filter((choice) => typeof choice !== 'object')
    const provided = { instance, token: nameOfToken(token), methods }
    if (names.every((name) => injectedCache(instance, name) === caches.get(name) && caches.has(name))) continue
    if (isMadeByNest(instance)) {
      warn(provided, 'another application in this process already uses it with its own cache')
    } else if (!names.every((name) => caches.has(name))) {
      warn(provided, 'there is no cache of the name in its decorators')
    } else if (several.has(classOf(instance)) && methods.some(({ kind }) => kind === 'caches')) {
      const why =
        'there are several objects of the class, which may differ while their keys do not: set a key for its @Cached methods that contains the difference'
      warn(provided, why)
    } else {
      for (const name of names) giveCache(instance, name, caches.get(name))
      adopted.push(instance)
    }
  }
  return adopted
}

function isForeign(instance: object): boolean {
  try {
    // A Proxy may have any property, so its constructor is checked too.
    return isDecoratedElsewhere(instance) && typeof classOf(instance) === 'function'
  } catch {
    return false
  }
}

/** Returns the classes of which an application has several objects. */
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

/** An object that Nest did not create, and its decorated methods. */
interface OutsideObject {
  readonly instance: object
  readonly token: string
  readonly methods: readonly DecoratedMethod[]
}

function warn({ instance, token, methods }: OutsideObject, why: string): void {
  const evicting = methods.find(({ kind }) => kind === 'evicts' || kind === 'evictsTags')
  const method = `${classOf(instance).name}.${String((evicting ?? methods[0]!).name)}`
  const what = evicting === undefined ? 'caches nothing' : 'evicts nothing, so that old values are served'
  new Logger('Memcache').warn(
    `${method} ${what}: its object is provided as '${token}' by useFactory or useValue, and ${why}. Provide the class itself, so that Nest creates the object`,
  )
}
