import { Body, Controller, Get, NotFoundException, Param, ParseIntPipe, Patch } from '@nestjs/common'
import { ApiBody, ApiNotFoundResponse, ApiOkResponse, ApiTags, ApiTooManyRequestsResponse } from '@nestjs/swagger'
import type { City } from 'cities-data'
import { RateLimit } from 'memcache-ts-nestjs'
import { CitiesService } from './cities.service.ts'
import { CityChangePipe } from './city-change.pipe.ts'
import { CityChangeDto, CityDto } from './city.dto.ts'

@ApiTags('cities')
@Controller('api/cities')
export class CitiesController {
  constructor(private readonly cities: CitiesService) {}

  @ApiOkResponse({ type: CityDto })
  @ApiNotFoundResponse()
  @Get(':id')
  async find(@Param('id', ParseIntPipe) id: number): Promise<City> {
    return known(id, await this.cities.find(id))
  }

  @ApiBody({ type: CityChangeDto })
  @ApiOkResponse({ type: CityDto })
  @ApiNotFoundResponse()
  @ApiTooManyRequestsResponse({ description: 'ten changes a minute and client' })
  @RateLimit({ perMinute: 10 })
  @Patch(':id')
  async change(@Param('id', ParseIntPipe) id: number, @Body(CityChangePipe) change: CityChangeDto): Promise<City> {
    return known(id, await this.cities.change(id, change))
  }
}

function known(id: number, city: City | null): City {
  if (city === null) throw new NotFoundException(`there is no city ${id}`)
  return city
}
