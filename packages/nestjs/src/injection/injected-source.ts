import { configOf } from 'memcache-ts'
import type { CacheSource, Memcache } from 'memcache-ts'
import { injectCache, injectedCache, isInjected } from './cache-injection.ts'
import { missingCache } from './missing-cache.ts'

/** A cache: by the name of `MemcacheModule.forRoot({ name })`, or itself. */
export type CacheChoice = string | Memcache

/** The cached methods of a class, and what each says of its cache. */
const METHODS = new WeakMap<object, Map<string, CacheChoice | undefined>>()

/** The caches that Nest has injected: the application's, and on what was made by `new` none. */
export const INJECTED_CACHE: CacheSource<CacheChoice> = {
  cacheFor: (self, choice) => (typeof choice === 'object' ? choice : injectedCache(self, choice)),
  decorated(prototype, method, choice) {
    const methods = METHODS.get(prototype)
    if (methods === undefined) METHODS.set(prototype, new Map([[method, choice]]))
    else methods.set(method, choice)
    if (typeof choice !== 'object') injectCache(prototype, choice, verify)
  },
}

/** Has the cache injected that `@CacheConfig` says. */
export function injectConfigured(prototype: object, choice: CacheChoice | undefined): void {
  if (typeof choice === 'string') injectCache(prototype, choice, verify)
}

/** @throws MemcacheOptionError when Nest had no cache for a method of an object. */
function verify(self: object): void {
  const config = configOf(self.constructor)?.cache as CacheChoice | undefined
  for (let at: object | null = self; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    for (const [method, own] of METHODS.get(at) ?? []) {
      const choice = own ?? config
      if (typeof choice !== 'object' && !isInjected(self, choice)) {
        throw missingCache(`${self.constructor.name}.${method}`, choice)
      }
    }
  }
}
