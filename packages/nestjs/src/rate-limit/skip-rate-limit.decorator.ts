import { SetMetadata } from '@nestjs/common'

/** The key of the metadata that `@SkipRateLimit` leaves. */
export const SKIP_RATE_LIMIT = 'memcache-ts-nestjs:skip-rate-limit'

/**
 * Routes that do not count for `MemcacheModule.forRoot({ rateLimit })`, nor, on a method, for its controller's
 * `@RateLimit`. A limit of the method's own stays.
 */
export function SkipRateLimit(): MethodDecorator & ClassDecorator {
  return SetMetadata(SKIP_RATE_LIMIT, true)
}
