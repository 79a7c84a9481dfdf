import { Inject, Injectable } from '@nestjs/common'
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common'
import { HttpAdapterHost, Reflector } from '@nestjs/core'
import { ResponseCache } from 'memcache-ts'
import { NEVER } from 'rxjs'
import type { Observable } from 'rxjs'
import { injectCache, injectedCache, isInjected } from '../injection/cache-injection.ts'
import { missingCache } from '../injection/missing-cache.ts'
import type { CacheResponseOptions } from './cache-response-options.ts'
import { platformExchange } from './http-exchange.ts'

/** The key of the metadata by which a class's interceptor knows that a method has its own. */
export const CACHE_RESPONSE = 'memcache-ts-nestjs:cache-response'

const reflector = new Reflector()

/**
 * An interceptor for one `@CacheResponse`. Nest writes a response when the interceptors are done, by its platform; what
 * is stored is what then goes out, seen on Node's own response below.
 * @throws MemcacheOptionError for options that cannot be.
 */
export function interceptorFor(
  options: CacheResponseOptions,
  owner: string,
): new (host: HttpAdapterHost) => NestInterceptor {
  const { tags, key, condition, cache: choice, ...shared } = options
  const open = (cache: CacheResponseOptions['cache']): ResponseCache =>
    new ResponseCache({ ...shared, cache: typeof cache === 'object' ? cache : undefined })
  open(undefined)

  @Injectable()
  class ResponseCacheInterceptor implements NestInterceptor {
    readonly #host: HttpAdapterHost
    #responses: ResponseCache | undefined

    constructor(@Inject(HttpAdapterHost) host: HttpAdapterHost) {
      this.#host = host
    }

    async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
      if (context.getType() !== 'http' || !isNearest(context, ResponseCacheInterceptor)) return next.handle()
      const http = context.switchToHttp()
      const request = http.getRequest<Parameters<typeof platformExchange>[1]>()
      if (condition?.(request) === false) return next.handle()
      const exchange = platformExchange(this.#host.httpAdapter, request, http.getResponse())
      if (exchange === undefined) return next.handle()
      this.#responses ??= open(typeof choice === 'object' ? choice : injectedCache(this, choice))
      const isAnswered = await this.#responses.answer({
        ...exchange,
        key: key?.(request),
        tags: typeof tags === 'function' ? tags(request) : tags,
      })
      if (!isAnswered) return next.handle()
      exchange.sent()
      // There is no value: it would be sent once more.
      return NEVER
    }
  }
  if (typeof choice !== 'object') {
    injectCache(ResponseCacheInterceptor.prototype, choice, (self) => {
      if (!isInjected(self, choice)) throw missingCache(owner, choice)
    })
  }
  return ResponseCacheInterceptor
}

/** Whether no method's own `@CacheResponse` stands before its class's. */
function isNearest(context: ExecutionContext, interceptor: Function): boolean {
  const nearest = reflector.getAllAndOverride<Function | undefined>(CACHE_RESPONSE, [
    context.getHandler(),
    context.getClass(),
  ])
  return nearest === undefined || nearest === interceptor
}
