import type { InjectionToken } from '@nestjs/common'
import type { ModulesContainer } from '@nestjs/core'
import { Memcache } from 'memcache-ts'
import { classOf } from 'memcache-ts/adapter'
import { decoratedMethodsOf } from '../injection/decorated-methods.ts'
import type { DecoratedMethod } from '../injection/decorated-methods.ts'
import { getMemcacheToken, MODULE_NAME } from '../injection-tokens.ts'

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
export function methodsOfObject(instance: object): DecoratedMethod[] {
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
