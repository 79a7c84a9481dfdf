import { Inject, Injectable, Optional } from '@nestjs/common'
import type { CanActivate, ExecutionContext } from '@nestjs/common'
import { Reflector } from '@nestjs/core'
import type { Memcache } from 'memcache-ts'
import { injectCache, injectedCache, isInjected } from '../injection/cache-injection.ts'
import type { CacheChoice } from '../injection/injected-source.ts'
import { missingCache } from '../injection/missing-cache.ts'
import type { RateLimitOptions } from './rate-limit-options.ts'
import { RateLimitPolicy } from './rate-limit-policy.ts'
import { callOf } from './requester.ts'
import { SKIP_RATE_LIMIT } from './skip-rate-limit.decorator.ts'

/** The injection token of the limit that `MemcacheModule.forRoot({ rateLimit })` says. */
export const APPLICATION_LIMIT = Symbol('MemcacheModule.forRoot({ rateLimit })')

/** What became of the requests that were counted for the whole application. */
const COUNTED = new WeakMap<object, Promise<void>>()
const reflector = new Reflector()

/**
 * The limit of `MemcacheModule.forRoot({ rateLimit })` on all routes but those with `@SkipRateLimit()`. The module
 * brings it; in an application's own `APP_GUARD` or `@UseGuards` it says when, among other guards, requests are
 * counted. Each counts once.
 */
@Injectable()
export class RateLimitGuard implements CanActivate {
  readonly #options: RateLimitOptions | undefined
  #policy: RateLimitPolicy | undefined

  constructor(@Optional() @Inject(APPLICATION_LIMIT) options?: RateLimitOptions) {
    this.#options = options
    // At the start, not at the first request.
    if (options !== undefined) RateLimitPolicy.check('MemcacheModule.forRoot({ rateLimit })', options)
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    if (
      this.#options === undefined ||
      !isRequest(context) ||
      isSkipped(context, [context.getHandler(), context.getClass()])
    )
      return true
    const request = callOf(context)?.request
    if (request === undefined) return true
    let counted = COUNTED.get(request)
    if (counted === undefined) {
      this.#policy ??= new RateLimitPolicy(this.#options, 'default', cacheOfGuard(this, this.#options.cache))
      counted = this.#policy.admit(context)
      COUNTED.set(request, counted)
    }
    await counted
    return true
  }
}

injectCache(RateLimitGuard.prototype, undefined, (self) => {
  if (!isInjected(self, undefined)) throw missingCache('RateLimitGuard', undefined)
})

/** A guard for one limit, as `@RateLimit` brings it. @throws MemcacheOptionError for options that cannot be. */
export function guardFor(options: RateLimitOptions, name: string): new () => CanActivate {
  const owner = `@RateLimit of ${name}`
  RateLimitPolicy.check(owner, options)

  @Injectable()
  class RouteLimitGuard implements CanActivate {
    #policy: RateLimitPolicy | undefined

    async canActivate(context: ExecutionContext): Promise<boolean> {
      if (isSkipped(context, [context.getHandler()])) return true
      this.#policy ??= new RateLimitPolicy(options, name, cacheOfGuard(this, options.cache))
      await this.#policy.admit(context)
      return true
    }
  }
  const { cache } = options
  if (typeof cache !== 'object') {
    injectCache(RouteLimitGuard.prototype, cache, (self) => {
      if (!isInjected(self, cache)) throw missingCache(owner, cache)
    })
  }
  return RouteLimitGuard
}

function cacheOfGuard(guard: object, choice: CacheChoice | undefined): Memcache | undefined {
  return typeof choice === 'object' ? choice : injectedCache(guard, choice)
}

/** Messages and WebSockets have no requests that could be counted together with others. */
function isRequest(context: ExecutionContext): boolean {
  return ['http', 'graphql'].includes(context.getType<string>())
}

function isSkipped(context: ExecutionContext, targets: Parameters<Reflector['getAllAndOverride']>[1]): boolean {
  return reflector.getAllAndOverride<boolean | undefined>(SKIP_RATE_LIMIT, targets) === true
}
