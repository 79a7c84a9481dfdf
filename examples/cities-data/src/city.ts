/** A row of the table, and what the API answers with. */
export interface City {
  id: number
  name: string
  /** ISO 3166-1, two letters. */
  country: string
  population: number
  lat: number
  lon: number
}

/** A city and how far it lies from the point that was asked for. */
export interface NearCity extends City {
  km: number
}

/** The properties that PATCH may change. */
export type CityChange = Partial<Pick<City, 'name' | 'population'>>
