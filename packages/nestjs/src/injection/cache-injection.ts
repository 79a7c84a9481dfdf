import { Inject, Optional } from '@nestjs/common'
import { ModuleRef } from '@nestjs/core'
import { Memcache } from 'memcache-ts'
import { getMemcacheToken } from '../injection-tokens.ts'

/**
 * How classes get their cache from Nest without code of their own: by properties on the prototype, which Nest sets
 * after the constructor, in every scope and in subclasses. They are setters, so that the object itself gets no
 * property.
 *
 * A cache is injected as optional, followed by a provider that every Nest application has. An object that gets the
 * provider but no cache was created by Nest in an application without the module. An object that gets neither was
 * created with `new`.
 */
interface Injection {
  /** The names of the caches that the class itself injects; `undefined` is the cache without a name. */
  readonly names: Set<string | undefined>
  /** The property that Nest sets last. */
  last: symbol
}

/**
 * Called when Nest has set the properties of an object.
 *
 * @throws if a cache that it needs is missing.
 */
type Verify = (self: object, module: ModuleRef) => void

const INJECTIONS = new WeakMap<object, Injection>()
/** The injected caches by name; `undefined` if a test has replaced a cache by something else. */
const INJECTED = new WeakMap<object, Map<string | undefined, Memcache | undefined>>()

/** Makes Nest inject the cache of a name into every object of a class. */
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
  // Every module provides its own ModuleRef, so Nest finds it immediately.
  Inject(ModuleRef)(prototype, last)
  const own = INJECTIONS.get(prototype)
  if (own === undefined) INJECTIONS.set(prototype, { names: new Set([name]), last })
  else {
    own.names.add(name)
    own.last = last
  }
}

/** Returns whether an object was created by Nest, or got a cache when the application started. */
export function isMadeByNest(self: object): boolean {
  return INJECTED.has(self)
}

/** Returns whether Nest injected something for the cache of a name. */
export function isInjected(self: object, name: string | undefined): boolean {
  return INJECTED.get(self)?.has(name) === true
}

/** Returns the cache of a name that an object got; `undefined` if it was created with `new`. */
export function injectedCache(self: object, name: string | undefined): Memcache | undefined {
  return INJECTED.get(self)?.get(name)
}

/** Assigns a cache to an object. */
export function giveCache(self: object, name: string | undefined, cache: Memcache | undefined): void {
  const caches = INJECTED.get(self)
  if (caches === undefined) INJECTED.set(self, new Map([[name, cache]]))
  else caches.set(name, cache)
}

/** Removes all caches from an object. */
export function takeCaches(self: object): void {
  INJECTED.delete(self)
}

/** Returns the injections of an object's classes, its own class first. */
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
