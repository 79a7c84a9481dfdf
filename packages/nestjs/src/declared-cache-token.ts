import { Inject } from '@nestjs/common'
import { MemcacheOptionError } from 'memcache-ts'
import type { CacheOf as Passive, LoadingCacheOf } from 'memcache-ts'

/** A cache that `defineCache` declared, as the application has it. */
// oxlint-disable-next-line typescript/no-explicit-any -- whatever it is asked by and holds
export type CacheOf<Declared extends Passive<any, any> | LoadingCacheOf<any, any>> = Declared

const TOKENS = new WeakMap<object, symbol>()

/**
 * The injection token of a declared cache. Nest shows its text when nobody provides it.
 * @throws MemcacheOptionError for what is no declared cache.
 */
export function getCacheToken(declared: object): symbol {
  if (typeof declared !== 'object' || declared === null) {
    throw new MemcacheOptionError(
      `@InjectCache and forFeature take what defineCache returned, got ${String(declared)}: two files that import each other may find it undefined`,
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
 * Injects a declared cache that `MemcacheModule.forFeature` has bound to the application's, for parameters and
 * properties.
 */
export function InjectCache(declared: object): ParameterDecorator & PropertyDecorator {
  return Inject(getCacheToken(declared))
}
