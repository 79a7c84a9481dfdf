import type { ModuleRef, ModulesContainer } from '@nestjs/core'
import { classOf, configOf } from 'memcache-ts/adapter'
import type { CacheSource, DecoratorKind } from 'memcache-ts/adapter'
import type { Memcache } from 'memcache-ts'
import { Logger } from '@nestjs/common'
import { injectCache, injectedCache, isInjected, isMadeByNest } from './cache-injection.ts'
import { withoutCache } from './missing-cache.ts'

/** A cache, or the name of `MemcacheModule.forRoot({ name })`. */
export type CacheChoice = string | Memcache

/** The source of the caches that Nest has injected; an object that was created with `new` has none. */
export const INJECTED_CACHE: CacheSource<CacheChoice> = {
  hasNames: true,
  cacheFor(self, choice) {
    if (typeof choice === 'object') return choice
    const cache = injectedCache(self, choice)
    if (cache === undefined && !isMadeByNest(self)) warnOfOutsider(self)
    return cache
  },
  decorated(prototype, method) {
    const { choice } = method
    addDecoratedMethod(prototype, method)
    if (typeof choice !== 'object') injectCache(prototype, choice, verify)
  },
}

/** Makes Nest inject the cache of `@CacheConfig`. */
export function injectConfigured(prototype: object, choice: CacheChoice | undefined): void {
  if (typeof choice === 'string') injectCache(prototype, choice, verify)
}

/** Returns the `cache` option for a method: its own, or that of its class; `undefined` means the application's cache. */
export function choiceOf(constructor: Function, own: CacheChoice | undefined): CacheChoice | undefined {
  return own ?? (configOf(constructor)?.cache as CacheChoice | undefined)
}

/** @throws MemcacheOptionError if Nest has no cache for a method of an object. */
function verify(self: object, module: ModuleRef): void {
  for (const { name, choice: own } of decoratedMethodsOf(self)) {
    const choice = choiceOf(classOf(self), own)
    if (typeof choice === 'object' || isInjected(self, choice)) continue
    withoutCache(`${classOf(self).name}.${String(name)}`, choice, module)
  }
}

/** The applications that have a `MemcacheModule` and have not ended. */
const RUNNING = new Set<ModulesContainer>()
/** The classes that were reported for objects without a cache. */
const TOLD = new WeakSet<Function>()

/** Starts reporting objects that are called without a cache. */
export function applicationStarted(modules: ModulesContainer): void {
  RUNNING.add(modules)
}

export function applicationEnded(modules: ModulesContainer): void {
  RUNNING.delete(modules)
}

/**
 * Reports a decorated method that was called on an object without a cache: the object was created with `new`, or is a
 * Proxy of an object that has a cache. In a test this is normal; in a running application it is logged once per class.
 */
function warnOfOutsider(self: object): void {
  const constructor = classOf(self)
  if (RUNNING.size === 0 || TOLD.has(constructor)) return
  TOLD.add(constructor)
  new Logger('Memcache').warn(
    `a ${constructor.name} that Nest has not created is called: it neither caches nor evicts anything. Provide the class itself, or create it with moduleRef.create(${constructor.name}); a Proxy must call the methods on its target`,
  )
}

/** A method with a decorator of this package. */
export interface DecoratedMethod {
  readonly name: string | symbol
  readonly kind: DecoratorKind
  /** The decorator's `cache` option; `undefined` means that of the class, or the application's. */
  readonly choice: CacheChoice | undefined
}

const METHODS = new WeakMap<object, DecoratedMethod[]>()

/**
 * The property that holds the registry of the package copy that decorated a class, since the package may be installed
 * several times.
 */
const COPY = Symbol.for('memcache-ts-nestjs.decorated')

/** Registers a decorated method. */
function addDecoratedMethod(prototype: object, method: DecoratedMethod): void {
  const methods = METHODS.get(prototype)
  if (methods === undefined) {
    METHODS.set(prototype, [method])
    Object.defineProperty(prototype, COPY, { value: METHODS, configurable: true })
  } else {
    methods.push(method)
  }
}

/** Returns whether the class of an object was decorated by another copy of this package. */
export function isDecoratedElsewhere(target: object): boolean {
  const copy = (target as { [COPY]?: unknown })[COPY]
  return copy instanceof WeakMap && copy !== METHODS
}

/** Returns the decorated methods of an object or a prototype, including inherited ones that are not overridden. */
export function decoratedMethodsOf(target: object): DecoratedMethod[] {
  const found: DecoratedMethod[] = []
  const nearer: object[] = []
  for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const methods = METHODS.get(at) ?? []
    found.push(...methods.filter(({ name }) => !nearer.some((object) => Object.hasOwn(object, name))))
    nearer.push(at)
  }
  return found
}
