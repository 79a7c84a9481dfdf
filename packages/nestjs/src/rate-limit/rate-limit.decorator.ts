import { SetMetadata, UseGuards } from '@nestjs/common'
import { guardFor, SKIP_RATE_LIMIT } from './rate-limit.guard.ts'
import type { RateLimitOptions } from './rate-limit-options.ts'

/**
 * Limits how often a client may call a route, a resolver or a message's handler, or all of a class together, beside the
 * limit of the application. It brings its guard, which runs in the place of the decorator: above
 * `@UseGuards(AuthGuard)` it knows the user, since Nest begins at the method. Counters are named after the class and
 * method unless there is a `name`; in a subclass after that.
 *
 * @example
 *   class Controller {
 *     @RateLimit({ perMinute: 10 }) @Get(':id') find() {}
 *   }
 *
 * @throws MemcacheOptionError for an option that there is not, or a limit that cannot be.
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
 * Routes that do not count for `MemcacheModule.forRoot({ rateLimit })`, nor, on a method, for its controller's
 * `@RateLimit`. A limit of the method's own stays.
 */
export function SkipRateLimit(): MethodDecorator & ClassDecorator {
  return SetMetadata(SKIP_RATE_LIMIT, true)
}
