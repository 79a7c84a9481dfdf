import { SetMetadata, UseInterceptors } from '@nestjs/common'
import type { Ttl } from 'memcache-ts'
import { CACHE_RESPONSE, interceptorFor } from './cache-response.interceptor.ts'
import { toCacheResponseOptions } from './cache-response-options.ts'
import type { CacheResponseOptions } from './cache-response-options.ts'

/**
 * Serves a route, or all routes of a controller, from a shared cache (RFC 9111), on Express and Fastify. It adds an
 * interceptor; guards run before it, on every request. The decorator of a method replaces that of its class. If the
 * cache has sent the response, the observables of outer interceptors complete without a value. Routes with `@Sse` are
 * not cached.
 *
 * @example
 *   class Controller {
 *     @CacheResponse({ ttlSeconds: 60 }) @Get() list() {}
 *   }
 *
 * @param options or just the lifetime of responses that do not state their own, in seconds.
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function CacheResponse(options: Ttl | CacheResponseOptions = {}): MethodDecorator & ClassDecorator {
  const resolved = toCacheResponseOptions(options)
  return (target: object, method?: string | symbol, descriptor?: PropertyDescriptor): void => {
    if (method === undefined || descriptor === undefined) {
      const Class = target as Function
      const interceptor = interceptorFor(resolved, `@CacheResponse of ${Class.name}`)
      SetMetadata(CACHE_RESPONSE, interceptor)(Class)
      UseInterceptors(interceptor)(Class)
      return
    }
    const interceptor = interceptorFor(resolved, `@CacheResponse of ${target.constructor.name}.${String(method)}`)
    SetMetadata(CACHE_RESPONSE, interceptor)(target, method, descriptor)
    UseInterceptors(interceptor)(target, method, descriptor)
  }
}
