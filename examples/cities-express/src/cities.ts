import { randomUUID } from 'node:crypto'
import { Cached, defineCache } from 'memcache-ts'
import type { City, CityChange, CityTable, NearCity } from 'cities-data'
import { fold } from 'cities-data'

/** The cities for the routes: from the cache, or else from the database. */
export class Cities {
  readonly #table: CityTable

  /** Returns a city by its id; `null` if there is none. */
  readonly byId = defineCache({
    name: 'city',
    ttlSeconds: 3600,
    load: async (id: number) => await this.#table.find(id),
    loadMany: async (ids: readonly number[]) => await this.#table.findMany(ids),
  })

  /**
   * The edition of the table that the lists were made from. It is part of their keys and is stored in the cache too, so
   * that one delete makes all lists of all processes unreachable; the old lists are then evicted.
   */
  readonly #edition = defineCache({
    name: 'edition',
    ttlSeconds: Infinity,
    load: async (_of: 'cities') => randomUUID(),
  })

  constructor(table: CityTable) {
    this.#table = table
  }

  /** Returns the cities whose name contains the text, without regard to accents and case. */
  async search(text: string): Promise<City[]> {
    return await this.searchEdition(await this.#edition.getOrSet('cities'), fold(text))
  }

  /** Returns the cities around a point, rounded to about 100 metres so that nearby visitors share a cached list. */
  async near(lat: number, lon: number, km: number): Promise<NearCity[]> {
    return await this.nearEdition(await this.#edition.getOrSet('cities'), round(lat), round(lon), km)
  }

  /** Changes a city, and evicts its cached copies: the city itself, and every list that may contain it. */
  async change(id: number, change: CityChange): Promise<City | null> {
    const city = await this.#table.update(id, change)
    await Promise.all([this.byId.delete(id), this.#edition.delete('cities')])
    return city
  }

  /** Loads the largest cities into the cache before the first request. */
  async warm(count: number): Promise<void> {
    await this.byId.warm(await this.#table.largestIds(count), { progress: true })
  }

  @Cached('5m') protected async searchEdition(_edition: string, folded: string): Promise<City[]> {
    return await this.#table.search(folded)
  }

  @Cached('5m') protected async nearEdition(
    _edition: string,
    lat: number,
    lon: number,
    km: number,
  ): Promise<NearCity[]> {
    return await this.#table.near(lat, lon, km)
  }
}

function round(degrees: number): number {
  return Number(degrees.toFixed(3))
}
