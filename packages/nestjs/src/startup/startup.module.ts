import { Inject, Logger, Module } from '@nestjs/common'
import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common'
import { ModulesContainer } from '@nestjs/core'
import { isDeepStrictEqual } from 'node:util'
import { claimClass, configOf, peekDefaultMemcache, processMethodsOf } from 'memcache-ts/adapter'
import type { Memcache } from 'memcache-ts'
import { applicationEnded, applicationStarted, choiceOf, decoratedMethodsOf } from '../injection/injected-source.ts'
import { adoptProviders, cachesOf, decoratedClassOf, forgetProviders, nameOfToken, providersOf } from './providers.ts'
import type { DecoratedMethod } from '../injection/injected-source.ts'
import type { Provided } from './providers.ts'
import { sharedCounterNames } from '../rate-limit/limit-names.ts'

/** Checks all providers when an application starts, so that missing or mixed-up caches are reported then. */
@Module({})
export class StartupModule implements OnModuleInit, OnApplicationShutdown {
  readonly #modules: ModulesContainer
  #adopted: readonly object[] = []

  constructor(@Inject(ModulesContainer) modules: ModulesContainer) {
    this.#modules = modules
  }

  /** @throws MemcacheOptionError if two classes have the same name, so that each would get the other's values. */
  onModuleInit(): void {
    this.#adopted = adoptProviders(this.#modules)
    checkNamespaces(this.#modules)
    checkSharedState(this.#modules)
    checkProcessCache(this.#modules)
    checkLimitNames(this.#modules)
    applicationStarted(this.#modules)
  }

  onApplicationShutdown(): void {
    applicationEnded(this.#modules)
    forgetProviders(this.#adopted)
  }
}

/**
 * Claims the namespaces of all classes with decorated methods, and warns about methods that evict from a namespace in
 * which nothing is stored.
 *
 * @throws MemcacheOptionError if two classes have the same name without `@CacheConfig`, or a class has no name.
 */
function checkNamespaces(modules: ModulesContainer): void {
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

/**
 * Warns about classes with several objects that may differ while the keys of their methods do not: each would get the
 * values of the others.
 */
function checkSharedState(modules: ModulesContainer): void {
  const byClass = new Map<Function, Provided[]>()
  for (const provided of providersOf(modules)) {
    const { constructor } = provided
    if (constructor === undefined || methodOf(constructor) === undefined) continue
    byClass.set(constructor, [...(byClass.get(constructor) ?? []), provided])
  }
  for (const [constructor, provided] of byClass) {
    const why = whyTheyDiffer(provided)
    if (why !== undefined) warnOfSharedState(constructor, why)
  }
}

/** Returns the name of a method whose key consists of its arguments only. */
function methodOf(constructor: Function): string | undefined {
  const method = decoratedMethodsOf(constructor.prototype as object).find(({ kind }) => kind === 'caches')
  return method === undefined ? undefined : String(method.name)
}

function whyTheyDiffer(provided: readonly Provided[]): string | undefined {
  if (provided.some(({ isPerRequest }) => isPerRequest))
    return 'is request-scoped, and its objects may differ by request'
  const tokens = [...new Set(provided.map(({ token }) => token))]
  if (tokens.length > 1) return `is provided as ${tokens.map(nameOfToken).join(' and ')}, by objects that may differ`
  const [first, ...others] = [...new Set(provided.map(({ instance }) => instance))]
  const differs = others.some((other) => !isDeepStrictEqual(settingsOf(first), settingsOf(other)))
  return differs ? 'is provided in several modules, by objects with different settings' : undefined
}

/** Returns an object's visible settings; the objects that it uses are considered equal. */
function settingsOf(instance: unknown): Record<string, unknown> {
  const properties = typeof instance === 'object' && instance !== null ? Object.getOwnPropertyDescriptors(instance) : {}
  const entries = Object.entries<PropertyDescriptor>(properties)
  return Object.fromEntries(entries.map(([name, { value }]) => [name, isData(value) ? (value as unknown) : undefined]))
}

function isData(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'function'
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || Array.isArray(value)
}

function warnOfSharedState(constructor: Function, why: string): void {
  const method = methodOf(constructor)!
  new Logger('Memcache').warn(
    `${constructor.name} ${why}, while the key of ${constructor.name}.${method} consists of its arguments only: add the difference to the key, whose function gets the object after the arguments: @Cached({ key: (id, self) => ['${method}', self.tenant, id] })`,
  )
}

/**
 * Warns about classes with decorators of `memcache-ts` in place of this package's: they use the process's cache instead
 * of the application's, so neither evicts what the other has stored.
 */
function checkProcessCache(modules: ModulesContainer): void {
  const process = peekDefaultMemcache()
  if (process !== undefined && [...cachesOf(modules).values()].includes(process)) return
  const warned = new Set<Function>()
  for (const { constructor } of providersOf(modules)) {
    if (constructor === undefined || warned.has(constructor) || configOf(constructor)?.cache !== undefined) continue
    const [method] = processMethodsOf(constructor)
    if (method === undefined) continue
    warned.add(constructor)
    new Logger('Memcache').warn(
      `${constructor.name}.${String(method)} has a decorator of memcache-ts, which uses the cache of the process instead of the application's: import it from memcache-ts-nestjs`,
    )
  }
}

/**
 * Warns about classes with the same name that have `@RateLimit`s without a name, and reports the names of their
 * counters.
 */
function checkLimitNames(modules: ModulesContainer): void {
  for (const [name, counters] of sharedCounterNames(modules)) {
    new Logger('RateLimit').warn(
      `${counters.length} classes ${name === '' ? 'without a name' : `named ${name}`} have @RateLimit without a name: they are counted apart, as ${counters.join(' and ')}. Write @RateLimit({ name }) to choose the names, or to count them together`,
    )
  }
}
