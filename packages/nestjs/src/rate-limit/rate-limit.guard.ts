import { Inject, Injectable, Optional, SetMetadata, UseGuards } from '@nestjs/common'
import type { CanActivate, ExecutionContext, OnModuleInit } from '@nestjs/common'
import { ModuleRef, ModulesContainer, Reflector } from '@nestjs/core'
import { Memcache, MemcacheOptionError } from 'memcache-ts'
import type { RateLimitOptions } from './rate-limit-options.ts'
import { injectCache, injectedCache, isInjected } from '../injection/cache-injection.ts'
import type { CacheChoice } from '../injection/injected-source.ts'
import { missingCache, withoutCache } from '../injection/missing-cache.ts'
import { getMemcacheToken } from '../injection-tokens.ts'
import { counterNameOf, nameCountersAfter } from './limit-names.ts'
import { RateLimitPolicy } from './rate-limit-policy.ts'
import { callOf } from './limited-call.ts'

/**
 * Limits how often a client may call a route, a resolver or a message handler, or all methods of a class together, in
 * addition to the application's limit. It adds a guard, which runs at the decorator's position: above
 * `@UseGuards(AuthGuard)` it knows the user, since Nest runs decorators from the method upwards. Without a `name`,
 * counters are named after the class and method; in a subclass, after the subclass.
 *
 * @example
 *   class Controller {
 *     @RateLimit({ perMinute: 10 }) @Get(':id') find() {}
 *   }
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function RateLimit(options: RateLimitOptions): MethodDecorator & ClassDecorator {
  return (target: object, method?: string | symbol, descriptor?: PropertyDescriptor): void => {
    if (method === undefined || descriptor === undefined) {
      const Class = target as Function
      UseGuards(guardFor(options, Class, undefined))(Class)
      return
    }
    UseGuards(guardFor(options, target.constructor, String(method)))(target, method, descriptor)
  }
}

/**
 * Excludes a route or a class from `MemcacheModule.forRoot({ rateLimit })`, and a method also from its controller's
 * `@RateLimit`. The method's own limit still applies.
 *
 * @example
 *   class Health { @Get() @SkipRateLimit() show() { … } }
 */
export function SkipRateLimit(): MethodDecorator & ClassDecorator {
  return SetMetadata(SKIP_RATE_LIMIT, true)
}

/** The metadata key of `@SkipRateLimit`. */
const SKIP_RATE_LIMIT = 'memcache-ts-nestjs:skip-rate-limit'

/** The injection token of the limit of `MemcacheModule.forRoot({ rateLimit })`. */
export const APPLICATION_LIMIT = Symbol('MemcacheModule.forRoot({ rateLimit })')

const OWNER = 'MemcacheModule.forRoot({ rateLimit })'

/** The results of requests that were counted for the application's limit. */
const COUNTED = new WeakMap<object, Promise<void>>()
const reflector = new Reflector()

/** The guard that the module adds for `MemcacheModule.forRoot({ rateLimit })`; without a limit, everything passes. */
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

  /** @throws MemcacheOptionError if the cache of the limit does not exist. */
  onModuleInit(): void {
    if (this.#options === undefined) return
    const cache = this.#cacheFor(this.#options.cache)
    // A test may replace the cache by something else: then nothing is counted.
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

  /** Returns the cache of a limit. Its name is in the options, and therefore known too late for injection. */
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
 * Applies the limit of `MemcacheModule.forRoot({ rateLimit })` to all routes except those with `@SkipRateLimit()`. The
 * module adds this guard by itself. Use it in `APP_GUARD` or `@UseGuards` to choose its position among other guards; a
 * request is still counted once.
 *
 * @example
 *   const guard = { provide: APP_GUARD, useClass: RateLimitGuard }
 */
@Injectable()
export class RateLimitGuard extends ApplicationLimitGuard {
  /** @throws MemcacheOptionError if the application has no limit. */
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
 * Returns the guard class of one `@RateLimit`. Its counters are named after the class of the route or resolver, which
 * may extend the decorated class.
 *
 * @param method the decorated method; `undefined` for a limit of the whole class.
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
function guardFor(
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

/** Messages and WebSockets have no request object that several limits could share. */
function isRequest(context: ExecutionContext): boolean {
  return ['http', 'graphql'].includes(context.getType<string>())
}

function isSkipped(context: ExecutionContext, targets: Parameters<Reflector['getAllAndOverride']>[1]): boolean {
  return reflector.getAllAndOverride<boolean | undefined>(SKIP_RATE_LIMIT, targets) === true
}
