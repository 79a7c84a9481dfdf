import { Controller, Get } from '@nestjs/common'
import { ApiTags } from '@nestjs/swagger'
import { HealthCheck, HealthCheckService } from '@nestjs/terminus'
import { MemcacheHealthIndicator, SkipRateLimit } from 'memcache-ts-nestjs'

@SkipRateLimit()
@ApiTags('health')
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly memcache: MemcacheHealthIndicator,
  ) {}

  /** The service works without its cache, more slowly: then it is degraded, and not down. */
  @HealthCheck()
  @Get()
  check() {
    return this.health.check([() => this.memcache.check('memcache', { optional: true })])
  }
}
