import type { ModuleRef } from '@nestjs/core'
import { classOf, configOf } from 'memcache-ts/adapter'
import type { Memcache } from 'memcache-ts'
import type { CacheSource } from 'memcache-ts/adapter'
import { warnOfOutsider } from '../startup/running-applications.ts'
import { injectCache, injectedCache, isInjected, isMadeByNest } from './cache-injection.ts'
import { addDecoratedMethod, decoratedMethodsOf } from './decorated-methods.ts'
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
  decorated(prototype, name, choice, kind) {
    addDecoratedMethod(prototype, { name, choice, kind })
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
