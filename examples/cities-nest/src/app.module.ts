import { Module } from '@nestjs/common'
import { MemcacheModule } from 'memcache-ts-nestjs'
import { CitiesModule } from './cities/cities.module.ts'
import { HealthModule } from './health/health.module.ts'
import { SearchModule } from './search/search.module.ts'

/** The whole service. The cache is the memcached of `MEMCACHE_SERVERS`, else one in this process. */
@Module({
  imports: [MemcacheModule.forRoot({ rateLimit: { perMinute: 100 } }), CitiesModule, SearchModule, HealthModule],
})
export class AppModule {}
