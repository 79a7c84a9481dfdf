import { Inject, Injectable, SetMetadata, UseInterceptors } from '@nestjs/common'
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common'
import type { Memcache, Ttl } from 'memcache-ts'
import { ApplicationConfig, HttpAdapterHost, Reflector } from '@nestjs/core'
import { RequestFunctions, ResponseCache } from 'memcache-ts/http'
import type { Observable } from 'rxjs'
import { versionOf } from './api-version.ts'
import { toCacheResponseOptions } from './cache-response-options.ts'
import type { CacheableRequest, CacheResponseOptions } from './cache-response-options.ts'
import { injectCache, injectedCache, isInjected } from '../injection/cache-injection.ts'
import { withoutCache } from '../injection/missing-cache.ts'
import { alreadySent, platformExchange } from './platform-response.ts'

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

/** The metadata key by which a class's interceptor knows that a method has its own. */
const CACHE_RESPONSE = 'memcache-ts-nestjs:cache-response'

/** The metadata key of `@Sse`. */
const SSE_METADATA = '__sse__'

const reflector = new Reflector()

/**
 * Returns the interceptor class of one `@CacheResponse`. Nest writes a response through its platform after the
 * interceptors have run, so the response is captured at Node's own response.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
function interceptorFor(
  options: CacheResponseOptions,
  owner: string,
): new (host: HttpAdapterHost, config: ApplicationConfig) => NestInterceptor {
  const { tags, key, condition, cache: choice, ...shared } = options
  const open = (cache: Memcache | undefined): ResponseCache => new ResponseCache({ ...shared, cache })
  const functions = new RequestFunctions<CacheableRequest>({ tags, key, condition, storePost: shared.storePost })
  // Invalid options are reported at the declaration.
  open(undefined)

  @Injectable()
  class ResponseCacheInterceptor implements NestInterceptor {
    readonly #host: HttpAdapterHost
    readonly #config: ApplicationConfig
    #responses: ResponseCache | undefined

    constructor(@Inject(HttpAdapterHost) host: HttpAdapterHost, @Inject(ApplicationConfig) config: ApplicationConfig) {
      this.#host = host
      this.#config = config
    }

    async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
      if (!isCacheable(context) || !isNearest(context, ResponseCacheInterceptor)) return next.handle()
      const http = context.switchToHttp()
      const request = http.getRequest<Parameters<typeof platformExchange>[1]>()
      const cache = typeof choice === 'object' ? choice : injectedCache(this, choice)
      if (cache === undefined) return next.handle()
      const exchange = platformExchange(this.#host.httpAdapter, request, http.getResponse())
      if (exchange === undefined) return next.handle()
      this.#responses ??= open(cache)
      const isBackground = this.#responses.isBackground(exchange.request)
      const facts = functions.factsOf(request, exchange.request.method, { isBackground })
      if (facts === undefined) return next.handle()
      const isAnswered = await this.#responses.answer({
        ...exchange,
        scope: versionOf(context, this.#config, request),
        ...facts,
      })
      if (!isAnswered) return next.handle()
      exchange.sent()
      return alreadySent()
    }
  }
  if (typeof choice !== 'object') {
    injectCache(ResponseCacheInterceptor.prototype, choice, (self, module) => {
      if (!isInjected(self, choice)) withoutCache(owner, choice, module)
    })
  }
  return ResponseCacheInterceptor
}

/** Returns whether a call has one response that could be stored. The events of `@Sse` are written as they come. */
function isCacheable(context: ExecutionContext): boolean {
  return context.getType() === 'http' && reflector.get(SSE_METADATA, context.getHandler()) !== true
}

/** Returns whether no `@CacheResponse` of the method replaces that of its class. */
function isNearest(context: ExecutionContext, interceptor: Function): boolean {
  const nearest = reflector.getAllAndOverride<Function | undefined>(CACHE_RESPONSE, [
    context.getHandler(),
    context.getClass(),
  ])
  return nearest === undefined || nearest === interceptor
}
