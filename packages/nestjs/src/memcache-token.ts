import { Inject } from '@nestjs/common'
import type { InjectionToken } from '@nestjs/common'
import { Memcache } from 'memcache-ts'

/**
 * The injection token of a cache: `Memcache` itself, and for a named one a text that says where it comes from, since
 * Nest shows it when there is none.
 * @param name as in `MemcacheModule.forRoot({ name })`. Default: the one without a name.
 */
export function getMemcacheToken(name?: string): InjectionToken<Memcache> {
  return name === undefined ? Memcache : `Memcache of MemcacheModule.forRoot({ name: '${name}' })`
}

/** Injects a cache, for parameters and properties. The one without a name needs no decorator: `Memcache` is its token. */
export function InjectMemcache(name?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getMemcacheToken(name))
}
