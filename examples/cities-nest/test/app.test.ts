import 'reflect-metadata'
import type { INestApplication } from '@nestjs/common'
import { Test } from '@nestjs/testing'
import { CityTable } from 'cities-data'
import type { City } from 'cities-data'
import { Memcache } from 'memcache-ts-nestjs'
import { until } from 'memcache-ts-testing'
import { testMemcache } from 'memcache-ts/testing'
import type { TestMemcache } from 'memcache-ts/testing'
import request from 'supertest'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { AppModule } from '../src/app.module.ts'
import { serveOpenApi } from '../src/open-api.ts'

const PARIS = 2_988_507

describe('the cities service', () => {
  let app: INestApplication
  let memcache: TestMemcache
  let table: CityTable

  beforeAll(async () => {
    memcache = await testMemcache({ timeoutMs: 5000 })
    const module = await Test.createTestingModule({ imports: [AppModule] })
      .overrideProvider(Memcache)
      .useValue(memcache.cache)
      .compile()
    app = module.createNestApplication({ logger: false })
    serveOpenApi(app)
    await app.listen(0, '127.0.0.1') // one port for all: responses are cached by host
    table = app.get(CityTable, { strict: false })
    const ids = await table.largestIds(1000)
    const keys = ids.map((id) => ['CitiesService', 'find', id] as const)
    await until(async () => (await memcache.cache.getMany(keys)).size === keys.length)
  })

  afterAll(async () => {
    await app.close()
    await memcache.close()
  })

  beforeEach(() => {
    memcache.clock.advanceSeconds(120) // a new minute for the limits
    vi.restoreAllMocks()
  })

  const get = (path: string) => request(app.getHttpServer()).get(path)
  const patch = (path: string, body: object) => request(app.getHttpServer()).patch(path).send(body)

  it('was warmed with the largest cities when it started', async () => {
    const find = vi.spyOn(table, 'find')
    const { body } = await get(`/api/cities/${PARIS}`).expect(200)
    expect(body).toMatchObject({ id: PARIS, name: 'Paris', country: 'FR' })
    expect(find).not.toHaveBeenCalled()
  })

  it('queries the database once for a city, also if it does not exist', async () => {
    const find = vi.spyOn(table, 'find')
    for (const _ of [1, 2]) await get('/api/cities/1').expect(404, /there is no city 1/)
    expect(find).toHaveBeenCalledTimes(1)
  })

  it('a change evicts the city, and the lists that have it', async () => {
    const search = vi.spyOn(table, 'search')
    for (const _ of [1, 2]) await get('/api/search?q=Zürich').expect(200)
    expect(search).toHaveBeenCalledTimes(1)
    const { body: before } = (await get('/api/search?q=zurich').expect(200)) as { body: City[] }
    const [zurich] = before
    await patch(`/api/cities/${zurich!.id}`, { population: 500_000 }).expect(200)
    const { body: after } = (await get('/api/search?q=zurich').expect(200)) as { body: City[] }
    expect(after[0]).toEqual({ ...zurich, population: 500_000 })
    expect((await get(`/api/cities/${zurich!.id}`)).body).toEqual(after[0])
  })

  it('responds to nearby requests from the cache', async () => {
    const near = vi.spyOn(table, 'near')
    const first = await get('/api/near?lat=48.85001&lon=2.35').expect(200)
    memcache.clock.advanceSeconds(1)
    const same = await get('/api/near?lon=2.35&lat=48.85001').expect(200)
    const nearby = await get('/api/near?lat=48.85002&lon=2.35').expect(200)
    expect(same.headers['cache-status']).toContain('hit')
    expect(nearby.body).toEqual(first.body)
    expect(near).toHaveBeenCalledTimes(1)
  })

  it('limits changes to ten a minute, and sends the limit', async () => {
    for (let i = 0; i < 10; i++) await patch(`/api/cities/${PARIS}`, { population: i }).expect(200)
    const denied = await patch(`/api/cities/${PARIS}`, { population: 1 }).expect(429)
    expect(denied.headers['content-type']).toContain('application/problem+json')
    await get(`/api/cities/${PARIS}`).expect(200)
  })

  it.each([
    ['/api/cities/x', /numeric string is expected/],
    ['/api/search', /q must be one text/],
    ['/api/near?lat=91&lon=0', /from -90 to 90/],
  ])('%s is refused', async (path, message) => {
    await get(path).expect(400, message)
  })

  it.each([[{}], [{ id: 1 }], [{ population: -1 }], [{ name: ' ' }]])('a change of %j is refused', async (body) => {
    await patch(`/api/cities/${PARIS}`, body).expect(400)
  })

  it('reports its health, which is degraded without memcached, and its API', async () => {
    await get('/health').expect(200, /"status":"ok"/)
    const { body } = await get('/docs-json').expect(200)
    expect(Object.keys((body as { paths: object }).paths)).toEqual([
      '/api/cities/{id}',
      '/api/search',
      '/api/near',
      '/health',
    ])
    await get('/docs').expect(200, /swagger/)
    await memcache.server.stop()
    await get('/health').expect(200, /"status":"degraded"/)
    await get(`/api/cities/${PARIS}`).expect(200)
    await memcache.server.start()
  })
})
