import type { ModuleRef } from '@nestjs/core'
import { classOf, configOf } from 'memcache-ts/adapter'
import type { Memcache } from 'memcache-ts'
import type { CacheSource } from 'memcache-ts/adapter'
import { warnOfOutsider } from '../startup/running-applications.ts'
import { injectCache, injectedCache, isInjected, isMadeByNest } from './cache-injection.ts'
import { addDecoratedMethod, decoratedMethodsOf } from './decorated-methods.ts'
import { withoutCache } from './missing-cache.ts'

/** A cache: by the name of `MemcacheModule.forRoot({ name })`, or itself. */
export type CacheChoice = string | Memcache

/** The caches that Nest has injected: the application's, and on what was made by `new` none. */
export const INJECTED_CACHE: CacheSource<CacheChoice> = {
  hasNames: true,
  cacheFor(self, choice) {
    if (typeof choice === 'object') return choice
    const cache = injectedCache(self, choice)
    if (cache === undefined && !isMadeByNest(self)) warnOfOutsider(self)
    return cache
  },
  decorated(prototype, name, choice, kind) {
    addDecoratedMethod(prototype, { name, choice, kind })
    if (typeof choice !== 'object') injectCache(prototype, choice, verify)
  },
}

/** Has the cache injected that `@CacheConfig` says. */
export function injectConfigured(prototype: object, choice: CacheChoice | undefined): void {
  if (typeof choice === 'string') injectCache(prototype, choice, verify)
}

/** The cache that a method's decorators say: its own, else that of its class; `undefined` is the application's. */
export function choiceOf(constructor: Function, own: CacheChoice | undefined): CacheChoice | undefined {
  return own ?? (configOf(constructor)?.cache as CacheChoice | undefined)
}

/** @throws MemcacheOptionError when Nest had no cache for a method of an object. */
function verify(self: object, module: ModuleRef): void {
  for (const { name, choice: own } of decoratedMethodsOf(self)) {
    const choice = choiceOf(classOf(self), own)
    if (typeof choice === 'object' || isInjected(self, choice)) continue
    withoutCache(`${classOf(self).name}.${String(name)}`, choice, module)
  }
}
