import type { City, CityTable } from 'cities-data'
import { expect, it, vi } from 'vitest'
import { CitiesService } from '../src/cities/cities.service.ts'

const PARIS: City = { id: 2_988_507, name: 'Paris', country: 'FR', population: 2_138_551, lat: 48.85341, lon: 2.3488 }

it('queries the table each time if there is no cache', async () => {
  const table = { find: vi.fn(async () => PARIS), update: vi.fn(async () => null) }
  const cities = new CitiesService(table as unknown as CityTable)
  expect(await cities.find(PARIS.id)).toBe(PARIS)
  expect(await cities.find(PARIS.id)).toBe(PARIS)
  expect(table.find).toHaveBeenCalledTimes(2)
  expect(await cities.change(1, { name: 'Nowhere' })).toBeNull()
})
