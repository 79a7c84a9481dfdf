import express from 'express'
import { FakeClock, passTime } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { openSite, sendRequest } from './cache-areas/open-site.ts'
import type { Site } from './cache-areas/open-site.ts'
import { Gate } from './gate.ts'
import { EXPRESSES, listen, TestFleet } from './open-app.ts'
import { cacheResponse, rateLimit } from '../src/index.ts'

describe.each(EXPRESSES)('stale responses, on %s', (_, create) => {
  function counts(site: Site): void {
    site.answers((_request, response, call) => response.set('ETag', `"${call}"`).send(`answer ${call}`))
  }

  it('are served while the handler is run in the background, once', async () => {
    await using site = await openSite({ create, ttlSeconds: 10, staleSeconds: 30 })
    counts(site)
    await site.get('/a?b=c')
    await site.pass(15)
    const gate = new Gate()
    site.answers(async (request, response, call) => {
      expect(request.originalUrl).toBe('/a?b=c')
      await gate.pass()
      response.send(`answer ${call}`)
    })
    for (let request = 1; request <= 5; request++) {
      const stale = await site.get('/a?b=c')
      expect(stale.body).toBe('answer 1')
      expect(stale.cacheStatus).toBe('memcache-ts; hit; ttl=-5')
      expect(stale.headers.age).toBe('15')
    }
    await gate.arrived
    expect(site.calls).toHaveLength(2)
    gate.open()
    await expect.poll(async () => (await site.get('/a?b=c')).body).toBe('answer 2')
    expect(site.calls).toHaveLength(2)
  })

  it('stay if a function fails for their background request, which has no credentials', async () => {
    const key = ({ headers }: express.Request): string => headers.cookie!.slice(0, 3)
    await using site = await openSite({ create, ttlSeconds: 10, staleSeconds: 30, key, ignoreCookies: true })
    counts(site)
    const known = { Cookie: 'ann=1' }
    await site.get('/a', known)
    await site.pass(15)
    expect((await site.get('/a', known)).body).toBe('answer 1')
    await expect.poll(() => site.cache.stats().cacheErrors).toBe(1)
    expect((await site.get('/a', known)).body).toBe('answer 1')
    await site.pass(30)
    expect((await site.get('/a', known)).body).toBe('answer 2')
  })

  it('are revalidated in the background: a 304 makes them fresh again', async () => {
    await using site = await openSite({ create, ttlSeconds: 10, staleSeconds: 30 })
    site.answers((_request, response) => response.set('ETag', '"a"').send('answer'))
    await site.get()
    await site.pass(15)
    expect((await site.get()).cacheStatus).toBe('memcache-ts; hit; ttl=-5')
    await expect.poll(async () => (await site.get()).cacheStatus).toBe('memcache-ts; hit; ttl=10')
    expect(site.calls[1]!.headers['if-none-match']).toBe('"a"')
    expect((await site.get()).body).toBe('answer')
  })

  it('vary as they did when a 304 confirms them, which compression adds nothing to', async () => {
    await using site = await openSite({ create, ttlSeconds: 10 })
    site.answers((request, response, call) =>
      call === 1
        ? response.set({ ETag: '"a"', Vary: 'Origin, Accept-Encoding' }).send('answer')
        : response.writeHead(304, { ETag: '"a"', Vary: 'origin' }).end(),
    )
    await site.get()
    await site.pass(15)
    for (let time = 0; time < 2; time++) {
      const { status, headers } = await site.get()
      expect([status, headers.vary]).toEqual([200, 'Origin, Accept-Encoding'])
    }
  })

  it('are served during revalidation for their own stale-while-revalidate', async () => {
    await using site = await openSite({ create })
    const says = (text: string, control: string): void =>
      site.answers((_request, response) => response.set({ 'Cache-Control': control, ETag: `"${text}"` }).send(text))
    says('old', 'max-age=0, stale-while-revalidate=3600')
    await site.get()
    says('new', 'max-age=3600')
    await site.pass(3)
    expect((await site.get()).body).toBe('old')
    await expect.poll(async () => (await site.get()).body).toBe('new')
  })

  it('are not served when their time is over: one handler call, for which the others wait', async () => {
    await using fleet = new TestFleet()
    await using one = await openSite({ create, ttlSeconds: 10, staleSeconds: 30, fleet })
    await using other = await openSite({ create, ttlSeconds: 10, staleSeconds: 30, fleet })
    const host = { Host: 'shop.test' }
    counts(one)
    await one.get('/', host)
    await one.pass(41)
    const gate = new Gate()
    for (const site of [one, other]) {
      site.answers(async (_request, response) => {
        await gate.pass()
        response.send('new')
      })
    }
    const asked = Array.from({ length: 20 }, (_value, index) => (index % 2 === 0 ? one : other).get('/', host))
    await gate.arrived
    gate.open()
    expect(new Set((await Promise.all(asked)).map(({ body }) => body))).toEqual(new Set(['new']))
    expect(one.calls.length + other.calls.length).toBe(2)
  })

  it('stay when the handler fails in the background', async () => {
    await using site = await openSite({ create, ttlSeconds: 10, staleSeconds: 30 })
    counts(site)
    await site.get()
    await site.pass(15)
    site.answers((_request, response) => response.sendStatus(500))
    await site.get()
    await expect.poll(() => site.calls.length).toBe(2)
    expect((await site.get()).body).toBe('answer 1')
  })

  it('are served instead of an error, and the next request tries again', async () => {
    await using site = await openSite({ create, ttlSeconds: 10 })
    site.answers((_request, response) => response.set('Cache-Control', 'max-age=10, stale-if-error=60').send('old'))
    await site.get()
    await site.pass(15)
    site.answers(() => {
      throw new Error('the database is gone')
    })
    for (let request = 1; request <= 3; request++) {
      const { status, body, cacheStatus } = await site.get()
      expect([status, body]).toEqual([200, 'old'])
      expect(cacheStatus).toBe('memcache-ts; fwd=stale; fwd-status=500; ttl=-5')
    }
    site.answers((_request, response) => response.send('new'))
    expect((await site.get()).body).toBe('new')
  })

  it('are served to all waiting requests if the handler fails', async () => {
    await using site = await openSite({ create })
    site.answers((_request, response) => response.set('Cache-Control', 'max-age=10, stale-if-error=60').send('old'))
    await site.get()
    await site.pass(15)
    const gate = new Gate()
    site.answers(async (_request, response) => {
      await gate.pass()
      response.sendStatus(503)
    })
    const asked = Array.from({ length: 10 }, () => site.get())
    await expect.poll(() => site.cache.stats().coalesced).toBe(9)
    gate.open()
    expect((await Promise.all(asked)).every(({ status, body }) => status === 200 && body === 'old')).toBe(true)
    expect(site.calls).toHaveLength(2)
  })

  it('past their time are not waited for: a process that polls gets the right of the one that failed', async () => {
    await using fleet = new TestFleet()
    await using one = await openSite({ create, ttlSeconds: 10, fleet })
    await using other = await openSite({ create, ttlSeconds: 10, fleet })
    const host = { Host: 'shop.test' }
    counts(one)
    await one.get('/', host)
    await one.pass(40)
    for (const site of [one, other]) site.answers((_request, response) => response.sendStatus(500))
    const asked = Array.from({ length: 4 }, (_value, index) => (index % 2 === 0 ? one : other).get('/', host))
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([500, 500, 500, 500])
    expect([one.cache.stats().unleasedLoads, other.cache.stats().unleasedLoads]).toEqual([0, 0])
  })

  it.each([-7200, -600, -30, 30, 600, 7200])(
    'are not taken for fresh by a process whose clock is %s seconds ahead, in whichever process they were stored',
    async (aheadSeconds) => {
      await using fleet = new TestFleet()
      const clock = new FakeClock(fleet.clock.nowMs() + aheadSeconds * 1000)
      const ttlSeconds = 10
      await using one = await openSite({ create, ttlSeconds, fleet })
      await using other = await openSite({ create, ttlSeconds, fleet, cache: fleet.cache(clock) })
      // A response is the time by the server's clock at which it was made.
      for (const site of [one, other]) {
        site.answers((_request, response) => response.send(String(fleet.clock.nowMs())))
      }
      const host = { Host: 'shop.test' }
      const pass = async (seconds: number): Promise<void> => {
        await one.pass(seconds)
        clock.advanceSeconds(seconds)
      }
      const ageOf = async (site: Site, path: string): Promise<number> => {
        const { body, headers } = await site.get(path, host)
        const seconds = (fleet.clock.nowMs() - Number(body)) / 1000
        // The Age that is sent may be wrong until a clock has been corrected for the first time.
        expect(Number(headers.age ?? 0)).toBeLessThanOrEqual(seconds + ttlSeconds)
        return seconds
      }
      const paths = ['/a', '/b', '/c']
      for (const [step, seconds] of [3, 4, 20, 2, 9, 60, 5, 5].entries()) {
        for (const site of step % 2 === 0 ? [one, other] : [other, one]) {
          // Seconds of memcached and of the processes do not begin together.
          for (const path of paths.slice(0, 1 + (step % 3))) {
            expect(await ageOf(site, path), `${path} ${step}`).toBeLessThanOrEqual(ttlSeconds + 4)
          }
        }
        await pass(seconds)
      }
      // From then on both agree on what is fresh.
      await pass(60)
      const { body } = await one.get('/a', host)
      await pass(5)
      const { body: same, headers } = await other.get('/a', host)
      expect(same).toBe(body)
      expect(Math.abs(Number(headers.age) - 5)).toBeLessThanOrEqual(2)
    },
  )

  it('are a miss if they were stored at a time that no clock shows', async () => {
    await using fleet = new TestFleet()
    const clock = new FakeClock(fleet.clock.nowMs() + 30 * 86_400_000)
    await using one = await openSite({ create, ttlSeconds: 10, fleet })
    await using other = await openSite({ create, ttlSeconds: 10, fleet, cache: fleet.cache(clock) })
    const host = { Host: 'shop.test' }
    await other.get('/', host)
    expect((await one.get('/', host)).isHit).toBe(false)
  })

  it('are served after a soft invalidation, while one handler call produces the new response', async () => {
    await using site = await openSite({ create, ttlSeconds: 60, tags: ['page'] })
    counts(site)
    await site.get()
    await site.cache.invalidateTags(['page'], { soft: true })
    expect((await site.get()).body).toBe('answer 1')
    await expect.poll(async () => (await site.get()).body).toBe('answer 2')
    expect(site.calls).toHaveLength(2)
  })

  it('a cookie that a 304 sets is not sent to other clients', async () => {
    await using site = await openSite({ create })
    site.answers((_request, response) => response.set({ 'Cache-Control': 'max-age=1', ETag: '"a"' }).send('old'))
    await site.get()
    await site.pass(5)
    site.answers((_request, response) => {
      response.writeHead(304, { ETag: '"a"', 'Set-Cookie': 'id=1' })
      response.end()
    })
    const first = await site.get()
    expect([first.status, first.body, first.headers['set-cookie']]).toEqual([200, 'old', ['id=1']])
    site.answers((_request, response) => response.send('for another'))
    const second = await site.get()
    expect(second.headers['set-cookie']).toBeUndefined()
    expect(second.isHit).toBe(false)
  })

  it('are loaded again through all of the application, as a request without cookies', async () => {
    await using fleet = new TestFleet()
    const cache = fleet.cache()
    const seen: string[] = []
    const app = create()
    app.set('env', 'test')
    app.use((request, _response, next) => {
      seen.push(`${request.method} ${request.originalUrl} ${String(request.headers.cookie)} ${String(request.ip)}`)
      next()
    })
    app.use(rateLimit({ perDay: 2, cache }))
    const pages = express.Router()
    pages.get(
      '/:page',
      cacheResponse({ ttlSeconds: 10, staleSeconds: 60, ignoreCookies: true, cache }),
      (request, response) => void response.send(`page ${String(request.params.page)} ${seen.length}`),
    )
    app.use('/pages', pages)
    await using server = await listen(app)
    const { port } = server.address() as { port: number }
    const get = () => sendRequest(port, 'GET', '/pages/one', { Cookie: 'a=b' })
    expect((await get()).body).toBe('page one 1')
    await passTime(fleet.clock, cache, 15)
    expect((await get()).body).toBe('page one 1')
    // The limit is used up, so that the request in the background is denied; the stale response stays.
    await expect.poll(() => seen.length).toBe(3)
    expect(seen[2]).toBe('GET /pages/one undefined 127.0.0.1')
    await passTime(fleet.clock, cache, 86_400 - 15)
  })
})
