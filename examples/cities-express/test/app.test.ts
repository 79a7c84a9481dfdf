import type { Express } from 'express'
import { getDefaultMemcache } from 'memcache-ts'
import supertest from 'supertest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { createApp } from '../src/app.ts'
import { Cities } from '../src/cities.ts'
import { timedDatabase } from '../src/server-timing.ts'
import { CityTable, openDatabase } from 'cities-data'
import type { Database } from 'cities-data'

const PARIS = 2_988_507
const ZURICH = 2_657_896
const NEAR_PARIS = '/api/near?lat=48.853&lon=2.349&km=20'

describe('the service', () => {
  let database: Database
  let table: CityTable
  let cities: Cities
  let app: Express

  beforeAll(async () => {
    database = await openDatabase()
    table = new CityTable(database, timedDatabase)
    cities = new Cities(table)
    app = createApp(cities)
  })

  beforeEach(async () => {
    await getDefaultMemcache().client.flushAll()
  })

  afterEach(() => {
    vi.restoreAllMocks()
    vi.useRealTimers()
  })

  afterAll(async () => {
    await getDefaultMemcache().close()
    await database.close()
  })

  const get = (path: string) => supertest(app).get(path)
  const patch = (id: number, body: object) => supertest(app).patch(`/api/cities/${id}`).send(body)

  /** Returns the source of a response: `db, cache` if the database was used, otherwise `cache`. */
  const answeredBy = (response: supertest.Response) =>
    [...response.headers['server-timing']!.matchAll(/(\w+);dur=\d+\.\d+/g)].map(([, name]) => name).join(', ')

  describe.each([
    ['a city', `/api/cities/${PARIS}`],
    ['a search', '/api/search?q=paris'],
    ['what is near', NEAR_PARIS],
  ])('%s', (_what, path) => {
    it('comes from the database, and then from the cache the same', async () => {
      const first = await get(path)
        .expect(200)
        .expect('Content-Type', /^application\/json/)
      const second = await get(path).expect(200)
      expect(answeredBy(first)).toBe('db, cache')
      expect(answeredBy(second)).toBe('cache')
      expect(second.body).toEqual(first.body)
      expect(JSON.stringify(first.body)).toContain('"Paris"')
    })

    it('counts as one more hit in the statistics when it is requested again', async () => {
      const hits = async () => {
        const { body } = (await get('/api/stats')) as { body: { servers: Record<string, { get_hits: number }> } }
        return Object.values(body.servers).reduce((sum, server) => sum + server.get_hits, 0)
      }
      await get(path)
      const before = await hits()
      await get(path)
      expect(await hits()).toBeGreaterThan(before)
    })
  })

  it('responds with the city, and with 404 if it does not exist', async () => {
    const { body } = await get(`/api/cities/${PARIS}`)
    expect(body).toEqual({ id: PARIS, name: 'Paris', country: 'FR', population: 2_138_551, lat: 48.85341, lon: 2.3488 })
    const missing = await get('/api/cities/1')
      .expect(404)
      .expect('Content-Type', /^application\/problem\+json/)
    expect(missing.body).toEqual({
      type: 'about:blank',
      title: 'Not Found',
      status: 404,
      detail: 'There is no city 1.',
    })
  })

  it('shares one response between all spellings of a search', async () => {
    const first = await get('/api/search').query({ q: 'Zürich' })
    const second = await get('/api/search').query({ q: ' ZURICH ' })
    expect(first.body).toMatchObject({ q: 'Zürich', cities: { 0: { id: ZURICH } } })
    expect(answeredBy(second)).toBe('cache')
  })

  it('shares one response between requests from within a few metres', async () => {
    await get('/api/near?lat=48.85300&lon=2.34900&km=20')
    const second = await get('/api/near?lat=48.85304&lon=2.34896&km=20')
    expect(answeredBy(second)).toBe('cache')
  })

  it('runs one statement for a hundred concurrent requests', async () => {
    const statement = vi.spyOn(table, 'near')
    const found = await Promise.all(Array.from({ length: 100 }, () => cities.near(48.853, 2.349, 20)))
    expect(statement).toHaveBeenCalledOnce()
    expect(new Set(found.map((each) => JSON.stringify(each))).size).toBe(1)
  })

  it('queries the database for nothing that was warmed', async () => {
    const top = await table.largestIds(1000)
    await cities.warm(1000)
    const find = vi.spyOn(table, 'find')
    await Promise.all(top.map((id) => cities.byId.getOrSet(id)))
    expect(find).not.toHaveBeenCalled()
  })

  it.each([
    ['/api/cities/paris', 'The id of a city is a whole number, as 2988507 is, not "paris".'],
    ['/api/search', 'q must be one text of 1 to 100 characters, and is missing.'],
    ['/api/search?q=a&q=b', 'q must be one text of 1 to 100 characters, not ["a","b"].'],
    ['/api/near?lon=2', 'lat must be one number from -90 to 90, and is missing.'],
    ['/api/near?lat=91&lon=2', 'lat must be one number from -90 to 90, not "91".'],
    ['/api/near?lat=48&lon=east', 'lon must be one number from -180 to 180, not "east".'],
    ['/api/near?lat=48&lon=2&km=0', 'km must be one number from 1 to 20000, not "0".'],
  ])('refuses %s', async (path, detail) => {
    const response = await get(path)
      .expect(400)
      .expect('Content-Type', /^application\/problem\+json/)
    expect(response.body).toEqual({ type: 'about:blank', title: 'Bad Request', status: 400, detail })
  })

  it('knows no other path', async () => {
    const { body } = await get('/api/nothing').expect(404)
    expect(body).toMatchObject({
      status: 404,
      detail: expect.stringContaining('There is no GET /api/nothing') as string,
    })
  })

  it('reveals no internals when something fails', async () => {
    const logged = vi.spyOn(console, 'error').mockReturnValue()
    vi.spyOn(table, 'near').mockRejectedValue(new Error('relation "city" does not exist'))
    const response = await get(NEAR_PARIS)
      .expect(500)
      .expect('Content-Type', /^application\/problem\+json/)
    expect(response.body).toMatchObject({ title: 'Internal Server Error', status: 500 })
    expect(response.text).not.toMatch(/relation|at .*\.ts/)
    expect(logged).toHaveBeenCalledOnce()
  })

  describe('PATCH', () => {
    afterEach(async () => {
      await table.update(ZURICH, { name: 'Zürich', population: 341_730 })
    })

    it('evicts the city, and the lists that it is in', async () => {
      const paths = [`/api/cities/${ZURICH}`, '/api/search?q=zurich', '/api/near?lat=47.367&lon=8.55&km=5']
      for (const path of paths) await get(path)
      const { body: patched } = await patch(ZURICH, { population: 443_037 }).expect(200)
      expect(patched).toMatchObject({ id: ZURICH, name: 'Zürich', population: 443_037 })
      for (const path of paths) {
        const response = await get(path)
        expect(answeredBy(response)).toBe('db, cache')
        expect(response.text).toContain('"name":"Zürich","country":"CH","population":443037')
      }
    })

    it('puts a renamed city into searches that did not find it', async () => {
      await get('/api/search?q=turicum')
      await patch(ZURICH, { name: 'Turicum' })
      const { body } = await get('/api/search?q=turicum')
      expect(body).toMatchObject({ cities: [{ id: ZURICH, name: 'Turicum' }] })
    })

    it('serves no city from before a change after it', async () => {
      const find = table.find.bind(table)
      let asked: () => void = () => {}
      const loading = new Promise<void>((resolve) => (asked = resolve))
      let answer: () => void = () => {}
      const held = new Promise<void>((resolve) => (answer = resolve))
      vi.spyOn(table, 'find').mockImplementationOnce(async (id) => {
        const before = await find(id)
        asked()
        await held
        return before
      })
      const early = cities.byId.getOrSet(ZURICH)
      await loading
      await cities.change(ZURICH, { population: 1 })
      const late = cities.byId.getOrSet(ZURICH)
      answer()
      await early
      expect(await late).toMatchObject({ population: 1 })
      expect(await cities.byId.getOrSet(ZURICH)).toMatchObject({ population: 1 })
    })

    it('stores no list of a statement from before the change', async () => {
      const near = table.near.bind(table)
      vi.spyOn(table, 'near').mockImplementationOnce(async (...place) => {
        const before = await near(...place)
        await cities.change(ZURICH, { population: 1 })
        return before
      })
      await cities.near(47.367, 8.55, 5)
      expect(await cities.near(47.367, 8.55, 5)).toContainEqual(expect.objectContaining({ id: ZURICH, population: 1 }))
    })

    it('is 404 for a city that there is not', async () => {
      await patch(1, { population: 5 }).expect(404)
    })

    it.each([
      [{}, 'There is nothing to change'],
      [{ population: -5 }, 'population must be a whole number'],
      [{ lat: 5 }, 'Only name and population can be changed, not "lat".'],
    ])('refuses %j', async (body, detail) => {
      const response = await patch(ZURICH, body).expect(400)
      expect((response.body as { detail: string }).detail).toContain(detail)
    })

    it.each([
      ['application/json', '{"population": 5'],
      ['text/plain', 'population=5'],
    ])('refuses what is no JSON: %s %s', async (type, text) => {
      const response = await supertest(app).patch(`/api/cities/${ZURICH}`).set('Content-Type', type).send(text)
      expect(response.status).toBe(400)
      expect(response.headers['content-type']).toMatch(/^application\/problem\+json/)
    })
  })

  describe('the session', () => {
    it('remembers the cities that a visitor looked at, the last one first and each once', async () => {
      const visitor = supertest.agent(app)
      for (const id of [PARIS, ZURICH, PARIS]) await visitor.get(`/api/cities/${id}`)
      const { body } = await visitor.get('/api/me')
      expect(body).toMatchObject({ lookedAt: [{ name: 'Paris' }, { name: 'Zürich' }] })
    })

    it('remembers eight of them', async () => {
      const visitor = supertest.agent(app)
      const ids = await table.largestIds(10)
      for (const id of ids) await visitor.get(`/api/cities/${id}`)
      const { body } = (await visitor.get('/api/me')) as { body: { lookedAt: { id: number }[] } }
      expect(body.lookedAt.map(({ id }) => id)).toEqual(ids.toReversed().slice(0, 8))
    })

    it('differs by visitor, and is not created by visits that store nothing', async () => {
      await supertest.agent(app).get(`/api/cities/${PARIS}`)
      const response = await get('/api/me')
      expect(response.body).toEqual({ lookedAt: [] })
      expect(response.headers['set-cookie']).toBeUndefined()
    })
  })

  describe('the limit', () => {
    beforeEach(() => {
      // One window for all the calls of a test.
      vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-01-01T12:00:10Z') })
    })

    it('allows a hundred requests a minute, and sends Retry-After with the others', async () => {
      for (let call = 1; call <= 100; call++) {
        const response = await get(`/api/cities/${PARIS}`)
        expect(response.status).toBe(200)
        expect(response.headers['ratelimit']).toContain(`;r=${100 - call};`)
      }
      const refused = await get(`/api/cities/${PARIS}`)
        .expect(429)
        .expect('Content-Type', /^application\/problem\+json/)
      const seconds = Number(refused.headers['retry-after'])
      expect(seconds).toBeGreaterThan(0)
      expect(seconds).toBeLessThanOrEqual(60)
    })

    it('does not count the statistics, which the page polls, nor the page', async () => {
      for (const path of ['/api/stats', '/', '/page.js']) {
        const response = await get(path).expect(200)
        expect(response.headers['ratelimit']).toBeUndefined()
      }
    })
  })

  describe('the page', () => {
    it('may run only its own files, and needs nothing else', async () => {
      const { headers, text } = await get('/').expect(200)
      expect(headers['content-security-policy']).toContain("default-src 'none'; script-src 'self'; style-src 'self'")
      expect(text).not.toMatch(/<style|<script>|\sstyle=|\son\w+=|https?:/)
      for (const [, path] of text.matchAll(/(?:src|href)="([^"]+)"/g)) await get(`/${path}`).expect(200)
    })

    it('brings its fonts', async () => {
      const { text: css } = await get('/page.css')
      const fonts = [...css.matchAll(/url\('([^']+)'\)/g)].map(([, path]) => path!)
      expect(fonts).toHaveLength(2)
      for (const font of fonts) await get(font).expect(200).expect('Content-Type', 'font/woff2')
    })
  })
})
