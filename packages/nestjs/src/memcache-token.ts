import { Inject } from '@nestjs/common'
import type { InjectionToken } from '@nestjs/common'
import { Memcache } from 'memcache-ts'

/**
 * Returns the injection token of a cache: `Memcache` itself, or for a named cache a string that says where it comes
 * from, since Nest shows it if no module provides it.
 *
 * @param name the name in `MemcacheModule.forRoot({ name })`. Default: the cache without a name.
 */
export function getMemcacheToken(name?: string): InjectionToken<Memcache> {
  return name === undefined ? Memcache : `Memcache of MemcacheModule.forRoot({ name: '${name}' })`
}

/**
 * Injects a cache, for parameters and properties. The cache without a name needs no decorator, since `Memcache` is its
 * token.
 */
export function InjectMemcache(name?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getMemcacheToken(name))
}
