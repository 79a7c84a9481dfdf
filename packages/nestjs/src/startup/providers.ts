import type { InjectionToken } from '@nestjs/common'
import type { ModulesContainer } from '@nestjs/core'
import { Memcache } from 'memcache-ts'
import { classOf } from 'memcache-ts/adapter'
import { decoratedMethodsOf } from '../injection/decorated-methods.ts'
import type { DecoratedMethod } from '../injection/decorated-methods.ts'
import { getMemcacheToken } from '../memcache-token.ts'
import { MODULE_NAME } from '../module-tokens.ts'

type NestModule = ModulesContainer extends Map<string, infer Found> ? Found : never
type Wrapper = NestModule['providers'] extends Map<unknown, infer Found> ? Found : never

/** Something that Nest provides, as the checks at the start see it. */
export interface Provided {
  readonly token: InjectionToken
  readonly module: NestModule
  /** The class, where Nest makes the object; `undefined` for what a factory or a value provides. */
  readonly constructor: Function | undefined
  /** The object, where there is one for the whole application. */
  readonly instance: unknown
  /** Whether there is one object for each request. */
  readonly isPerRequest: boolean
}

/** All providers, controllers, guards and interceptors of an application, without aliases. */
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

/** The caches of an application, by their names; `undefined` is the one without a name. */
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

/** The class of what is provided; `undefined` where it has no decorated methods, or cannot be looked at yet. */
export function decoratedClassOf({ constructor, instance }: Provided): Function | undefined {
  if (constructor !== undefined)
    return decoratedMethodsOf(constructor.prototype as object).length > 0 ? constructor : undefined
  return typeof instance === 'object' && instance !== null && methodsOfObject(instance).length > 0
    ? classOf(instance)
    : undefined
}

/** The decorated methods of an object that somebody else made; none where it is a Proxy that may not be asked yet. */
export function methodsOfObject(instance: object): DecoratedMethod[] {
  try {
    return decoratedMethodsOf(instance)
  } catch {
    return []
  }
}

/** A provider's token, as a message shows it. */
export function nameOfToken(token: InjectionToken): string {
  return typeof token === 'function' ? token.name : String(token)
}

function describeProvider(wrapper: Wrapper, module: NestModule): Provided {
  const { token, metatype } = wrapper
  // For a factory the metatype is the factory; for a value there is none.
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
