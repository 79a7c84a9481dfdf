import { testMemcache } from 'memcache-ts/testing'
import type { TestMemcache } from 'memcache-ts/testing'
import supertest from 'supertest'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLimitedApi } from '../src/limited-api.ts'

describe('the limited API', () => {
  let memcache: TestMemcache
  let app: ReturnType<typeof createLimitedApi>
  beforeEach(async () => {
    memcache = await testMemcache({ asDefault: true, timeoutMs: 5000 })
    app = createLimitedApi()
  })
  afterEach(() => memcache.close())

  const ask = (path: string, apiKey: string, address = '192.0.2.1') =>
    supertest(app).get(path).set('X-Api-Key', apiKey).set('X-Forwarded-For', address)

  it('limits a key by its plan, from wherever it is used, and a report counts five', async () => {
    await ask('/report', 'free-key', '192.0.2.1').expect(200)
    await ask('/', 'free-key', '192.0.2.2').expect(200, { hello: 'free', left: 4 })
    const { headers } = await ask('/report', 'free-key', '192.0.2.3').expect(429)
    expect(headers['content-type']).toMatch(/^application\/problem\+json/)
    expect(headers['ratelimit-policy']).toBe('"address-1s";q=20;w=1, "address-60s";q=300;w=60, "free";q=10;w=60')
    expect(Number(headers['retry-after'])).toBeGreaterThan(0)
    // What is left is still there: a denied request counts nowhere.
    await ask('/', 'free-key').expect(200, { hello: 'free', left: 3 })
    await ask('/', 'paid-key').expect(200, { hello: 'paid', left: 49 })
  })

  it('limits an address that tries keys out, and no other', async () => {
    const tries = await Promise.all(Array.from({ length: 30 }, (_, index) => ask('/', `guess ${index}`)))
    expect(tries.filter(({ status }) => status === 401)).toHaveLength(20)
    expect(tries.filter(({ status }) => status === 429)).toHaveLength(10)
    await ask('/', 'free-key', '192.0.2.2').expect(200)
    memcache.clock.advanceSeconds(2)
    await ask('/', 'guess').expect(401)
  })

  it('lets a paying client in again a moment later', async () => {
    const addresses = Array.from({ length: 60 }, (_, index) => `192.0.2.${index}`)
    const answers = await Promise.all(addresses.map((address) => ask('/', 'paid-key', address)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(50)
    memcache.clock.advanceMs(60)
    await ask('/', 'paid-key').expect(200)
  })
})
