import { Inject, Optional } from '@nestjs/common'
import { ModuleRef } from '@nestjs/core'
import { Memcache } from 'memcache-ts'
import { getMemcacheToken } from '../memcache-token.ts'

/**
 * How classes get their cache from Nest without a line of their own: by properties that are declared on the prototype
 * and that Nest fills behind the constructor, in every scope, and in subclasses. They are setters, so that nothing of
 * it is seen on the object itself.
 *
 * A cache is injected as optional, and behind it something that every Nest application has. An object that is given
 * that, but no cache, was made by Nest in an application without the module. One that is given neither was made by
 * `new`.
 */
interface Injection {
  /** The names of the caches that the class has injected itself; `undefined` is the one without a name. */
  readonly names: Set<string | undefined>
  /** The property that Nest fills last. */
  last: symbol
}

/** Told when Nest has filled the properties of an object. @throws when a cache that it needs is not there. */
type Verify = (self: object, module: ModuleRef) => void

const INJECTIONS = new WeakMap<object, Injection>()
/** What was injected, by name; `undefined` is what a test gave in the place of a cache, and is none. */
const INJECTED = new WeakMap<object, Map<string | undefined, Memcache | undefined>>()

/** Has Nest give the cache of a name to every object of a class. */
export function injectCache(prototype: object, name: string | undefined, verify: Verify): void {
  if (chain(prototype).some((injection) => injection.names.has(name))) return
  const cache = Symbol(`memcache-ts-nestjs ${name ?? 'default'}`)
  const last = Symbol('memcache-ts-nestjs all injected')
  declare(prototype, cache, function (given) {
    giveCache(this, name, given instanceof Memcache ? given : undefined)
  })
  declare(prototype, last, function (module) {
    if (chain(this)[0]?.last !== last) return
    if (!INJECTED.has(this)) INJECTED.set(this, new Map())
    verify(this, module as ModuleRef)
  })
  Optional()(prototype, cache)
  Inject(getMemcacheToken(name))(prototype, cache)
  // Every module has one of its own, so that it is found at once.
  Inject(ModuleRef)(prototype, last)
  const own = INJECTIONS.get(prototype)
  if (own === undefined) INJECTIONS.set(prototype, { names: new Set([name]), last })
  else {
    own.names.add(name)
    own.last = last
  }
}

/** Whether an object was made by Nest, or was given a cache at the start of the application. */
export function isMadeByNest(self: object): boolean {
  return INJECTED.has(self)
}

/** Whether Nest had something to give for the cache of a name. */
export function isInjected(self: object, name: string | undefined): boolean {
  return INJECTED.get(self)?.has(name) === true
}

/** The cache of a name that Nest has given to an object; `undefined`: it was made by `new`. */
export function injectedCache(self: object, name: string | undefined): Memcache | undefined {
  return INJECTED.get(self)?.get(name)
}

/** Gives an object a cache. */
export function giveCache(self: object, name: string | undefined, cache: Memcache | undefined): void {
  const caches = INJECTED.get(self)
  if (caches === undefined) INJECTED.set(self, new Map([[name, cache]]))
  else caches.set(name, cache)
}

/** Takes from an object what `giveCache` gave. */
export function takeCaches(self: object): void {
  INJECTED.delete(self)
}

/** What an object's classes inject, its own class first. */
function chain(from: object): Injection[] {
  const found: Injection[] = []
  for (let at: object | null = from; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const injection = INJECTIONS.get(at)
    if (injection !== undefined) found.push(injection)
  }
  return found
}

function declare(prototype: object, key: symbol, set: (this: object, given: unknown) => void): void {
  Object.defineProperty(prototype, key, { set, configurable: true })
}
