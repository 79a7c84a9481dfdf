import { Inject } from '@nestjs/common'
import type { CacheOf as Passive, LoadingCacheOf } from 'memcache-ts'

/** A cache that `defineCache` declared, as the application has it. */
// oxlint-disable-next-line typescript/no-explicit-any -- whatever it is asked by and holds
export type CacheOf<Declared extends Passive<any, any> | LoadingCacheOf<any, any>> = Declared

const TOKENS = new WeakMap<object, symbol>()

/** The injection token of a declared cache. Nest shows its text when nobody provides it. */
export function getCacheToken(declared: object): symbol {
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
