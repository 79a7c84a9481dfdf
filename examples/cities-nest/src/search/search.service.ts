import { Injectable } from '@nestjs/common'
import { CityTable, fold } from 'cities-data'
import type { City, NearCity } from 'cities-data'
import { Cached } from 'memcache-ts-nestjs'

/** Lists of cities. All carry one tag, which `CitiesService.change` evicts. */
@Injectable()
export class SearchService {
  constructor(private readonly table: CityTable) {}

  /** The cities whose name holds the text, whatever its accents and capitals: `Zürich` and `zurich` share an answer. */
  @Cached({ ttlSeconds: 300, tags: ['city-lists'], key: (text: string) => ['byName', fold(text)] })
  async byName(text: string): Promise<City[]> {
    return this.table.search(fold(text))
  }

  /** The cities around a point, which is taken to about 100 metres: those who stand nearby share an answer. */
  @Cached({
    ttlSeconds: 300,
    tags: ['city-lists'],
    key: (lat: number, lon: number, km: number) => ['near', lat.toFixed(3), lon.toFixed(3), km],
  })
  async near(lat: number, lon: number, km: number): Promise<NearCity[]> {
    return this.table.near(Number(lat.toFixed(3)), Number(lon.toFixed(3)), km)
  }
}
