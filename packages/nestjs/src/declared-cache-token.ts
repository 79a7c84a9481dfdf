import { Inject } from '@nestjs/common'
import { MemcacheOptionError } from 'memcache-ts'
import type { CacheOf as Passive, LoadingCacheOf } from 'memcache-ts'

/** The type of a declared cache, for injected parameters and properties. */
// oxlint-disable-next-line typescript/no-explicit-any -- whatever it is asked by and holds
export type CacheOf<Declared extends Passive<any, any> | LoadingCacheOf<any, any>> = Declared

const TOKENS = new WeakMap<object, symbol>()

/**
 * Returns the injection token of a declared cache. Nest shows its description if no module provides it.
 *
 * @throws MemcacheOptionError if the argument is not a declared cache.
 */
export function getCacheToken(declared: object): symbol {
  if (typeof declared !== 'object' || declared === null) {
    throw new MemcacheOptionError(
      `@InjectCache and forFeature take what defineCache returned, got ${String(declared)}: it may be undefined if two files import each other`,
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
 */
export function InjectCache(declared: object): ParameterDecorator & PropertyDecorator {
  return Inject(getCacheToken(declared))
}
