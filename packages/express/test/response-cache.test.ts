import { describe, expect, it } from 'vitest'
import { openSite } from './cache-areas/open-site.ts'
import { EXPRESSES } from './open-app.ts'

describe.each(EXPRESSES)('cacheResponse on %s', (_, create) => {
  it('serves the second request without the handler, with Cache-Status', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((_request, response) => response.json({ made: site.calls.length }))
    const first = await site.get('/city?id=42')
    await site.pass(30)
    const second = await site.get('/city?id=42')
    expect(first.cacheStatus).toBe('memcache-ts; fwd=uri-miss; stored')
    expect(second.cacheStatus).toBe('memcache-ts; hit; ttl=30')
    expect(second.headers.age).toBe('30')
    expect(second.body).toBe(first.body)
    expect(second.headers['content-type']).toBe(first.headers['content-type'])
    expect(second.headers.etag).toBe(first.headers.etag)
    expect(site.calls).toHaveLength(1)
  })
})
