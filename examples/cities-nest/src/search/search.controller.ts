import { Controller, Get, Query } from '@nestjs/common'
import { ApiOkResponse, ApiQuery, ApiTags } from '@nestjs/swagger'
import type { City, NearCity } from 'cities-data'
import { CacheResponse } from 'memcache-ts-nestjs'
import { CityDto, NearCityDto } from '../cities/city.dto.ts'
import { SearchService } from './search.service.ts'
import { TextPipe } from './text.pipe.ts'
import { WithinPipe } from './within.pipe.ts'

/** Whole responses are cached too, for a minute, and evicted by the same tag as the lists in them. */
@CacheResponse({ ttlSeconds: 60, tags: ['city-lists'], sortQuery: true })
@ApiTags('search')
@Controller('api')
export class SearchController {
  constructor(private readonly cities: SearchService) {}

  @ApiQuery({ name: 'q', example: 'zurich' })
  @ApiOkResponse({ type: CityDto, isArray: true, description: 'the 20 best matches' })
  @Get('search')
  async search(@Query('q', TextPipe) text: string): Promise<City[]> {
    return this.cities.byName(text)
  }

  @ApiQuery({ name: 'lat', example: 48.85, type: Number })
  @ApiQuery({ name: 'lon', example: 2.35, type: Number })
  @ApiQuery({ name: 'km', example: 50, type: Number, required: false })
  @ApiOkResponse({ type: NearCityDto, isArray: true, description: 'the 200 nearest' })
  @Get('near')
  async near(
    @Query('lat', new WithinPipe(-90, 90)) lat: number,
    @Query('lon', new WithinPipe(-180, 180)) lon: number,
    @Query('km', new WithinPipe(1, 20_000, 50)) km: number,
  ): Promise<NearCity[]> {
    return this.cities.near(lat, lon, km)
  }
}
