import { Injectable } from '@nestjs/common'
import { CityTable } from 'cities-data'
import type { City, CityChange } from 'cities-data'
import { Cached, CacheEvict, Warm } from 'memcache-ts-nestjs'

/** How many of the largest cities are in the cache before anyone asks. */
const WARMED = 1000

/** Single cities: from the cache, and from the database what the cache does not have. */
@Injectable()
export class CitiesService {
  constructor(private readonly table: CityTable) {}

  /** A city by its number: `null` when there is none, which is remembered too. */
  @Cached({ ttlSeconds: 3600, tags: (id: number) => [`city:${id}`] })
  async find(id: number): Promise<City | null> {
    return this.table.find(id)
  }

  /** Changes a city, and evicts what the caches say of it: itself, and all lists, since any of them may have it. */
  @CacheEvict({ tags: (id: number) => [`city:${id}`, 'city-lists'] })
  async change(id: number, change: CityChange): Promise<City | null> {
    return this.table.update(id, change)
  }

  /** Returns the ids that `find` is warmed with when the application starts; one process loads each of them. */
  @Warm('find') protected largest(): Promise<number[]> {
    return this.table.largestIds(WARMED)
  }
}
