/** A row of the table, and the body of the API's responses. */
export interface City {
  id: number
  name: string
  /** ISO 3166-1, two letters. */
  country: string
  population: number
  lat: number
  lon: number
}

/** A city and its distance from the requested point. */
export interface NearCity extends City {
  km: number
}

/** The properties that PATCH may change. */
export type CityChange = Partial<Pick<City, 'name' | 'population'>>
