import { Inject, Injectable, Optional } from '@nestjs/common'
import type { CanActivate, ExecutionContext, OnModuleInit } from '@nestjs/common'
import { ModuleRef, ModulesContainer, Reflector } from '@nestjs/core'
import { Memcache, MemcacheOptionError } from 'memcache-ts'
import { injectCache, injectedCache, isInjected } from '../injection/cache-injection.ts'
import type { CacheChoice } from '../injection/injected-source.ts'
import { missingCache, withoutCache } from '../injection/missing-cache.ts'
import { getMemcacheToken } from '../injection-tokens.ts'
import type { RateLimitOptions } from './rate-limit-options.ts'
import { counterNameOf, nameCountersAfter } from './limit-names.ts'
import { RateLimitPolicy } from './rate-limit-policy.ts'
import { callOf } from './requester.ts'

/** The key of the metadata that `@SkipRateLimit` leaves. */
export const SKIP_RATE_LIMIT = 'memcache-ts-nestjs:skip-rate-limit'

/** The injection token of the limit that `MemcacheModule.forRoot({ rateLimit })` says. */
export const APPLICATION_LIMIT = Symbol('MemcacheModule.forRoot({ rateLimit })')

const OWNER = 'MemcacheModule.forRoot({ rateLimit })'

/** What became of the requests that were counted for the whole application. */
const COUNTED = new WeakMap<object, Promise<void>>()
const reflector = new Reflector()

/**
 * The limit of `MemcacheModule.forRoot({ rateLimit })`, as the module itself brings it: where there is none, everything
 * passes.
 */
@Injectable()
export class ApplicationLimitGuard implements CanActivate, OnModuleInit {
  readonly #modules: ModuleRef
  readonly #options: RateLimitOptions | undefined
  #policy: RateLimitPolicy | undefined

  constructor(
    @Inject(ModuleRef) modules: ModuleRef,
    @Optional() @Inject(APPLICATION_LIMIT) options: RateLimitOptions | undefined,
  ) {
    this.#modules = modules
    this.#options = options
    if (options !== undefined) RateLimitPolicy.check(OWNER, options)
  }

  /** @throws MemcacheOptionError when the cache that is to count is not there. */
  onModuleInit(): void {
    if (this.#options === undefined) return
    const cache = this.#cacheFor(this.#options.cache)
    // What a test gives in its place may be no cache: then nobody counts.
    if (cache instanceof Memcache) this.#policy = new RateLimitPolicy(this.#options, 'default', cache)
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const isLeftOut = !isRequest(context) || isSkipped(context, [context.getHandler(), context.getClass()])
    if (this.#policy === undefined || isLeftOut) return true
    const request = callOf(context)?.request
    if (request === undefined) return true
    let counted = COUNTED.get(request)
    if (counted === undefined) {
      counted = this.#policy.admit(context)
      COUNTED.set(request, counted)
    }
    await counted
    return true
  }

  /** Its name is known from the options alone, and so too late to be injected. */
  #cacheFor(choice: CacheChoice | undefined): unknown {
    if (typeof choice === 'object') return choice
    try {
      return this.#modules.get<unknown>(getMemcacheToken(choice), { strict: false })
    } catch {
      throw missingCache(OWNER, choice, this.#modules.get(ModulesContainer, { strict: false }))
    }
  }
}

/**
 * The limit of `MemcacheModule.forRoot({ rateLimit })` on all routes but those with `@SkipRateLimit()`. The module
 * brings it; in an application's own `APP_GUARD` or `@UseGuards` it says when, among other guards, requests are
 * counted. Each counts once.
 */
@Injectable()
export class RateLimitGuard extends ApplicationLimitGuard {
  /** @throws MemcacheOptionError when there is no limit. */
  constructor(
    @Inject(ModuleRef) modules: ModuleRef,
    @Optional() @Inject(APPLICATION_LIMIT) options: RateLimitOptions | undefined,
  ) {
    if (options === undefined) {
      throw new MemcacheOptionError(
        "RateLimitGuard has no limit: write MemcacheModule.forRoot({ rateLimit: { perMinute: 100 } }) in the imports of the application's root module",
      )
    }
    super(modules, options)
  }
}

/**
 * A guard for one limit, as `@RateLimit` brings it. Its counters are named after the class of the route or resolver,
 * which may extend the one that was decorated.
 *
 * @param method the decorated one; `undefined` for a limit of all of a class.
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function guardFor(
  options: RateLimitOptions,
  constructor: Function,
  method: string | undefined,
): new (modules: ModulesContainer) => CanActivate {
  const suffix = method === undefined ? '' : `.${method}`
  const owner = `@RateLimit of ${constructor.name}${suffix}`
  RateLimitPolicy.check(owner, options)
  if (options.name === undefined) nameCountersAfter(constructor)

  @Injectable()
  class RouteLimitGuard implements CanActivate {
    readonly #modules: ModulesContainer
    readonly #policies = new Map<Function, RateLimitPolicy>()

    constructor(@Inject(ModulesContainer) modules: ModulesContainer) {
      this.#modules = modules
    }

    async canActivate(context: ExecutionContext): Promise<boolean> {
      const cache = typeof options.cache === 'object' ? options.cache : injectedCache(this, options.cache)
      if (cache === undefined || isSkipped(context, [context.getHandler()])) return true
      const limited = context.getClass()
      let policy = this.#policies.get(limited)
      if (policy === undefined) {
        policy = new RateLimitPolicy(options, counterNameOf(limited, this.#modules) + suffix, cache)
        this.#policies.set(limited, policy)
      }
      await policy.admit(context)
      return true
    }
  }
  const { cache } = options
  if (typeof cache !== 'object') {
    injectCache(RouteLimitGuard.prototype, cache, (self, module) => {
      if (!isInjected(self, cache)) withoutCache(owner, cache, module)
    })
  }
  return RouteLimitGuard
}

/** Messages and WebSockets have no requests that could be counted together with others. */
function isRequest(context: ExecutionContext): boolean {
  return ['http', 'graphql'].includes(context.getType<string>())
}

function isSkipped(context: ExecutionContext, targets: Parameters<Reflector['getAllAndOverride']>[1]): boolean {
  return reflector.getAllAndOverride<boolean | undefined>(SKIP_RATE_LIMIT, targets) === true
}
