import type { City, CityChange, NearCity } from './city.ts'
import type { Database } from './database.ts'
import { fold } from './fold.ts'

const COLUMNS = 'id, name, country, population, lat, lon'

/** Runs a statement, and may measure its duration. */
export type TimesQuery = <Result>(query: () => Promise<Result>) => Promise<Result>

/** The statements; they do not use the cache. */
export class CityTable {
  readonly #database: Database
  readonly #timesQuery: TimesQuery

  constructor(database: Database, timesQuery: TimesQuery = (query) => query()) {
    this.#database = database
    this.#timesQuery = timesQuery
  }

  async find(id: number): Promise<City | null> {
    const [city] = await this.#rows<City>(`select ${COLUMNS} from city where id = $1`, [id])
    return city ?? null
  }

  async findMany(ids: readonly number[]): Promise<Map<number, City>> {
    const cities = await this.#rows<City>(`select ${COLUMNS} from city where id = any($1)`, [ids])
    return new Map(cities.map((city) => [city.id, city]))
  }

  async largestIds(count: number): Promise<number[]> {
    const rows = await this.#rows<{ id: number }>('select id from city order by population desc limit $1', [count])
    return rows.map((row) => row.id)
  }

  /** The cities whose folded name contains the folded text: names that begin with it first, then by population. */
  async search(folded: string): Promise<City[]> {
    return await this.#rows<City>(
      `select ${COLUMNS} from city where strpos(folded, $1) > 0
       order by folded = $1 desc, starts_with(folded, $1) desc, population desc limit 20`,
      [folded],
    )
  }

  /**
   * The 200 nearest cities within so many kilometres, the nearest first. It computes the distance of every row: no
   * index helps.
   */
  async near(lat: number, lon: number, km: number): Promise<NearCity[]> {
    return await this.#rows<NearCity>(
      `select ${COLUMNS}, round(km::numeric, 1)::double precision as km from (
         select ${COLUMNS}, 12742 * asin(least(1, sqrt(
           sin(radians(lat - $1) / 2) ^ 2 + cos(radians($1)) * cos(radians(lat)) * sin(radians(lon - $2) / 2) ^ 2
         ))) as km from city
       ) as every_city
       where km <= $3 order by every_city.km limit 200`,
      [lat, lon, km],
    )
  }

  /** Returns the changed city; null if there is no such city. */
  async update(id: number, change: CityChange): Promise<City | null> {
    const [city] = await this.#rows<City>(
      `update city set name = coalesce($2, name), folded = coalesce($3, folded), population = coalesce($4, population)
       where id = $1 returning ${COLUMNS}`,
      [id, change.name ?? null, change.name === undefined ? null : fold(change.name), change.population ?? null],
    )
    return city ?? null
  }

  async #rows<Row>(sql: string, parameters: unknown[]): Promise<Row[]> {
    const { rows } = await this.#timesQuery(() => this.#database.query<Row>(sql, parameters))
    return rows
  }
}
