// NestJS 12, in one file. Nest 12 projects are ESM: "type": "module" in package.json.
//
//   npx @nestjs/cli@12 new shop && cd shop
//   npm install memcache-ts memcache-ts-nestjs
//   cp nest-12.ts src/main.ts && npm start
import 'reflect-metadata'
import { Controller, Get, Injectable, Module, Param, ParseIntPipe, Patch } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { Cached, CacheEvict, MemcacheModule, RateLimit } from 'memcache-ts-nestjs'

@Injectable()
class CitiesService {
  private loads = 0

  /** One load for all concurrent callers, in all processes; then five minutes from the cache. */
  @Cached('5m')
  async find(id: number): Promise<{ id: number; load: number }> {
    return { id, load: ++this.loads }
  }

  @CacheEvict({ key: (id: number) => ['find', id] })
  async change(_id: number): Promise<void> {}
}

@Controller('cities')
class CitiesController {
  constructor(private readonly cities: CitiesService) {}

  @RateLimit({ perMinute: 100 })
  @Get(':id')
  find(@Param('id', ParseIntPipe) id: number): Promise<{ id: number; load: number }> {
    return this.cities.find(id)
  }

  @Patch(':id')
  change(@Param('id', ParseIntPipe) id: number): Promise<void> {
    return this.cities.change(id)
  }
}

// The servers of MEMCACHE_SERVERS, or a memcached in this process.
@Module({
  imports: [MemcacheModule.forRoot({ prefix: 'shop' })],
  providers: [CitiesService],
  controllers: [CitiesController],
})
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule)
  await app.listen(process.env['PORT'] ?? 3000)
  console.log(await app.getUrl())
}

void main()
