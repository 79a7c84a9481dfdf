import { Injectable } from '@nestjs/common'
import { CityTable } from 'cities-data'
import type { City, CityChange } from 'cities-data'
import { Cached, CacheEvict, Warm } from 'memcache-ts-nestjs'

/** How many of the largest cities are loaded into the cache before the first request. */
const WARMED = 1000

/** Single cities: from the cache, or else from the database. */
@Injectable()
export class CitiesService {
  constructor(private readonly table: CityTable) {}

  /** Returns a city by its id; `null` if there is none, which is cached, too. */
  @Cached({ ttlSeconds: 3600, tags: (id: number) => [`city:${id}`] })
  async find(id: number): Promise<City | null> {
    return this.table.find(id)
  }

  /** Changes a city, and evicts its cached copies: the city itself, and all lists, since any list may contain it. */
  @CacheEvict({ tags: (id: number) => [`city:${id}`, 'city-lists'] })
  async change(id: number, change: CityChange): Promise<City | null> {
    return this.table.update(id, change)
  }

  /** Returns the ids that `find` is warmed with when the application starts; one process loads each of them. */
  @Warm('find') protected largest(): Promise<number[]> {
    return this.table.largestIds(WARMED)
  }
}
