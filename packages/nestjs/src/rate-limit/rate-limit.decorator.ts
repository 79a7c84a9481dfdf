import { SetMetadata, UseGuards } from '@nestjs/common'
import { guardFor, SKIP_RATE_LIMIT } from './rate-limit.guard.ts'
import type { RateLimitOptions } from './rate-limit-options.ts'

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
 */
export function SkipRateLimit(): MethodDecorator & ClassDecorator {
  return SetMetadata(SKIP_RATE_LIMIT, true)
}
