import { SetMetadata, UseInterceptors } from '@nestjs/common'
import type { Ttl } from 'memcache-ts'
import { CACHE_RESPONSE, interceptorFor } from './cache-response.interceptor.ts'
import { toCacheResponseOptions } from './cache-response-options.ts'
import type { CacheResponseOptions } from './cache-response-options.ts'

/**
 * Answers a route, or all of a controller's, from the cache: RFC 9111 as a shared cache, on Express and Fastify. It
 * brings its interceptor; guards run before it, on every request. A method's own stands in place of its class's. The
 * observables of interceptors around it complete without a value where the cache has answered. Routes with `@Sse` are
 * left alone.
 *
 * @example
 *   class Controller {
 *     @CacheResponse({ ttlSeconds: 60 }) @Get() list() {}
 *   }
 *
 * @param options or just the lifetime of responses that do not state their own, in seconds.
 * @throws MemcacheOptionError for an option that there is not, or a value that cannot be.
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
