import { Inject } from '@nestjs/common'
import type { InjectionToken } from '@nestjs/common'
import { Memcache, MemcacheOptionError } from 'memcache-ts'
import type { CacheOf as Passive, LoadingCacheOf } from 'memcache-ts'

/** The cache of a module, of any name. */
export const MODULE_MEMCACHE = Symbol('the cache of this MemcacheModule')

/** The name of a module's cache. */
export const MODULE_NAME = Symbol('the name of this MemcacheModule')

/** The options of a module. */
export const MODULE_OPTIONS = Symbol('the options of this MemcacheModule')

/**
 * Returns the injection token of a cache: `Memcache` itself, or for a named cache a string that says where it comes
 * from, since Nest shows it if no module provides it.
 *
 * @example
 *   const reports = app.get(getMemcacheToken('reports'))
 *
 * @param name the name in `MemcacheModule.forRoot({ name })`. Default: the cache without a name.
 */
export function getMemcacheToken(name?: string): InjectionToken<Memcache> {
  return name === undefined ? Memcache : `Memcache of MemcacheModule.forRoot({ name: '${name}' })`
}

/**
 * Injects a cache, for parameters and properties. The cache without a name needs no decorator, since `Memcache` is its
 * token.
 *
 * @example
 *   class Reports {
 *     constructor(@InjectMemcache('reports') readonly cache: Memcache) {}
 *   }
 */
export function InjectMemcache(name?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getMemcacheToken(name))
}

/** The type of a declared cache, for injected parameters and properties. */
// oxlint-disable-next-line typescript/no-explicit-any -- the types of its keys and values do not matter here
export type CacheOf<Declared extends Passive<any, any> | LoadingCacheOf<any, any>> = Declared

const TOKENS = new WeakMap<object, symbol>()

/**
 * Returns the injection token of a declared cache. Nest shows its description if no module provides it.
 *
 * @example
 *   const byId = app.get(getCacheToken(cities))
 *
 * @throws MemcacheOptionError if the argument is not a declared cache.
 */
export function getCacheToken(declared: object): symbol {
  if (typeof declared !== 'object' || declared === null) {
    throw new MemcacheOptionError(
      `@InjectCache and forFeature take a cache that defineCache returned, got ${String(declared)}: if it is undefined, two files may import each other`,
    )
  }
  let token = TOKENS.get(declared)
  if (token === undefined) {
    const { name } = declared as { name?: string }
    token = Symbol(`the declared cache '${name}': write imports: [MemcacheModule.forFeature([…])] with it`)
    TOKENS.set(declared, token)
  }
  return token
}

/**
 * Injects a declared cache that `MemcacheModule.forFeature` has bound to the application's cache, for parameters and
 * properties.
 *
 * @example
 *   class CityPage {
 *     constructor(@InjectCache(cities) readonly byId: CacheOf<typeof cities>) {}
 *   }
 */
export function InjectCache(declared: object): ParameterDecorator & PropertyDecorator {
  return Inject(getCacheToken(declared))
}
