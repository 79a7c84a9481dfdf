import { Inject, Injectable } from '@nestjs/common'
import type { CallHandler, ExecutionContext, NestInterceptor, VersioningOptions } from '@nestjs/common'
import { HttpAdapterHost, Reflector } from '@nestjs/core'
import { isReadMethod, ResponseCache } from 'memcache-ts/http'
import type { Memcache } from 'memcache-ts'
import type { Observable } from 'rxjs'
import { injectCache, injectedCache, isInjected } from '../injection/cache-injection.ts'
import { withoutCache } from '../injection/missing-cache.ts'
import { answered } from './answered-response.ts'
import type { CacheResponseOptions } from './cache-response-options.ts'
import { platformExchange } from './http-exchange.ts'
import type { Requester } from '../rate-limit/requester.ts'

/** The key of the metadata by which a class's interceptor knows that a method has its own. */
export const CACHE_RESPONSE = 'memcache-ts-nestjs:cache-response'

/** Where `@Sse` leaves that it is there. */
const SSE_METADATA = '__sse__'
/** Where `@Version` leaves what it is given; Nest exports no name for it in all of its versions. */
const VERSION_METADATA = '__version__'
type VersionValue = NonNullable<VersioningOptions['defaultVersion']>

const reflector = new Reflector()

/**
 * An interceptor for one `@CacheResponse`. Nest writes a response when the interceptors are done, by its platform; what
 * is stored is what then goes out, seen on Node's own response below.
 *
 * @throws MemcacheOptionError for options that cannot be.
 */
export function interceptorFor(
  options: CacheResponseOptions,
  owner: string,
): new (host: HttpAdapterHost) => NestInterceptor {
  const { tags, key, condition, cache: choice, ...shared } = options
  const open = (cache: Memcache | undefined): ResponseCache => new ResponseCache({ ...shared, cache })
  // What is wrong with the options is told where they are written.
  open(undefined)

  @Injectable()
  class ResponseCacheInterceptor implements NestInterceptor {
    readonly #host: HttpAdapterHost
    #responses: ResponseCache | undefined

    constructor(@Inject(HttpAdapterHost) host: HttpAdapterHost) {
      this.#host = host
    }

    async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
      if (!isCacheable(context) || !isNearest(context, ResponseCacheInterceptor)) return next.handle()
      const http = context.switchToHttp()
      const request = http.getRequest<Parameters<typeof platformExchange>[1]>()
      const cache = typeof choice === 'object' ? choice : injectedCache(this, choice)
      if (cache === undefined) return next.handle()
      const exchange = platformExchange(this.#host.httpAdapter, request, http.getResponse())
      if (exchange === undefined) return next.handle()
      // What changes something invalidates, whoever has sent it, and whatever is answered from the cache.
      if (isReadMethod(exchange.request.method)) {
        const isBackground = this.#responses?.isBackground(exchange.request) === true
        if (condition !== undefined && !isBackground && !condition(request)) return next.handle()
        // A guard has found out who asks, by whatever means: the answer may be this user's alone, and no header says
        // so.
        if (isOfUser(request) && key === undefined && shared.vary === undefined) return next.handle()
      }
      this.#responses ??= open(cache)
      const isAnswered = await this.#responses.answer({
        ...exchange,
        scope: versionOf(context),
        key: key?.(request),
        tags: typeof tags === 'function' ? tags(request) : tags,
      })
      if (!isAnswered) return next.handle()
      exchange.sent()
      return answered()
    }
  }
  if (typeof choice !== 'object') {
    injectCache(ResponseCacheInterceptor.prototype, choice, (self, module) => {
      if (!isInjected(self, choice)) withoutCache(owner, choice, module)
    })
  }
  return ResponseCacheInterceptor
}

/** Whether a call has one response that could be kept. The events of `@Sse` are written as they come. */
function isCacheable(context: ExecutionContext): boolean {
  return context.getType() === 'http' && reflector.get(SSE_METADATA, context.getHandler()) !== true
}

/** Whether a guard has put a user into the request. One by `Authorization` is seen to by the cache itself. */
function isOfUser({ user, headers }: Requester): boolean {
  return user !== undefined && user !== null && headers?.authorization === undefined
}

/** The version of the API that a route belongs to: where a header chooses it, routes of one URL differ by it alone. */
function versionOf(context: ExecutionContext): string | undefined {
  const version = reflector.getAllAndOverride<VersionValue | undefined>(VERSION_METADATA, [
    context.getHandler(),
    context.getClass(),
  ])
  return version === undefined ? undefined : [version].flat().map(String).join()
}

/** Whether no method's own `@CacheResponse` stands before its class's. */
function isNearest(context: ExecutionContext, interceptor: Function): boolean {
  const nearest = reflector.getAllAndOverride<Function | undefined>(CACHE_RESPONSE, [
    context.getHandler(),
    context.getClass(),
  ])
  return nearest === undefined || nearest === interceptor
}
