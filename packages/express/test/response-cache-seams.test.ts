import type { Express, Request, RequestHandler, Response } from 'express'
import { describe, expect, it } from 'vitest'
import { memcacheSession, rateLimit } from '../src/index.ts'
import { openSite } from './cache-areas/open-site.ts'
import { EXPRESSES, TestFleet } from './open-app.ts'

/** Middleware before the cache, which identifies the user by a cookie that the cache ignores. */
const KNOWN_BY: readonly (readonly [string, (request: Request, response: Response, who: string) => void, Read])[] = [
  ['the id of the session', (request, _, who) => Object.assign(request, { sessionID: who }), fromRequest('sessionID')],
  [
    'the token of forms',
    (request, _, who) => Object.assign(request, { csrfToken: () => who }),
    (request) => (request as Request & { csrfToken: () => string }).csrfToken(),
  ],
  [
    'a user for views',
    (_request, response, who) => Object.assign(response.locals, { user: who }),
    (_request, response) => String(response.locals['user']),
  ],
]

type Read = (request: Request, response: Response) => string
type ReadRequest = (request: Request) => string

function fromRequest(name: string): ReadRequest {
  return (request) => String((request as unknown as Record<string, unknown>)[name])
}

function before(run: (request: Request, response: Response) => void): (app: Express) => void {
  const middleware: RequestHandler = (request, response, next) => {
    run(request, response)
    next()
  }
  return (app) => app.use(middleware)
}

describe.each(EXPRESSES)('changes that middleware made to a request before the cache, on %s', (_, create) => {
  it.each(KNOWN_BY)(
    'a response is not served to another client that is identified by %s',
    async (_name, know, read) => {
      const first = before((request, response) => know(request, response, String(request.headers.cookie)))
      await using site = await openSite({ create, ttlSeconds: 60, ignoreCookies: true, before: first })
      site.answers((request, response) => response.send(read(request, response)))
      expect((await site.get('/', { Cookie: 'ann' })).body).toBe('ann')
      expect((await site.get('/', { Cookie: 'ben' })).body).toBe('ben')
    },
  )

  it('uses none of the listeners that Node allows an application without a warning', async () => {
    await using fleet = new TestFleet()
    const cache = fleet.cache()
    const others = (app: Express): unknown =>
      app.use(
        rateLimit({ perMinute: 100, skipFailedRequests: true, cache }),
        memcacheSession({ secret: 'secret', cache, saveUninitialized: true }),
      )
    await using site = await openSite({ create, ttlSeconds: 60, before: others, fleet })
    const left: Record<string, number> = {}
    site.answers((_request, response) => {
      for (const event of ['close', 'finish', 'error', 'drain']) {
        left[event] = response.getMaxListeners() - response.listenerCount(event)
      }
      response.send('page')
    })
    await Promise.all([site.get('/'), site.get('/')])
    expect(Object.keys(left)).toEqual(['close', 'finish', 'error', 'drain'])
    for (const [event, count] of Object.entries(left)) expect(count, event).toBeGreaterThanOrEqual(10)
  })

  it('a URL that was rewritten for one is not that of another', async () => {
    const rewrite = before((request) => {
      request.url = `/${String(request.headers['x-site'])}${request.url}`
    })
    await using site = await openSite({ create, ttlSeconds: 60, before: rewrite })
    site.answers((request, response) => response.send(request.url))
    const asked = (place: string) => site.get('/page', { 'X-Site': place })
    expect((await asked('ann')).body).toBe('/ann/page')
    expect((await asked('ben')).body).toBe('/ben/page')
    expect((await asked('ann')).isHit).toBe(true)
  })

  it('a response to a client without a user never replaces a response whose key separates users', async () => {
    const know = before((request) => {
      if (request.headers.authorization !== undefined) Object.assign(request, { user: request.headers.authorization })
    })
    const key = (request: Request): string => `of ${fromRequest('user')(request)}`
    await using site = await openSite({ create, key, before: know })
    site.answers((request, response) => {
      response.set('Cache-Control', 'public, max-age=10, stale-while-revalidate=60')
      response.send(`hello ${fromRequest('user')(request)}`)
    })
    const asked = () => site.get('/', { Authorization: 'ann' })
    expect((await asked()).body).toBe('hello ann')
    await site.pass(20)
    expect((await asked()).body).toBe('hello ann')
    await site.pass(1)
    expect((await asked()).body).toBe('hello ann')
    expect(site.calls).toHaveLength(1)
  })

  it('an ignored part of a nested parameter is hidden, and its other parts are not', async () => {
    await using site = await openSite({
      create,
      ttlSeconds: 60,
      ignoreQuery: ['a[b]'],
      before: (app) => app.set('query parser', 'extended'),
    })
    site.answers((request, response) => response.json(request.query))
    expect((await site.get('/?a[b]=1&a[c]=2')).body).toBe('{"a":{"c":"2"}}')
    expect((await site.get('/?a[b]=3&a[c]=2')).isHit).toBe(true)
    expect((await site.get('/?a[b]=3&a[c]=4')).body).toBe('{"a":{"c":"4"}}')
  })
})

describe.each(EXPRESSES)('a response that cannot be sent, on %s', (_, create) => {
  it('causes an error that the application can still send: an invalid part of a body', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((_request, response, call) => (call === 1 ? response.end({}) : response.write(null)))
    expect((await site.get()).status).toBe(500)
    expect((await site.get()).status).toBe(500)
  })

  it('is not stored, and neither is its error page: a head at which other middleware throws', async () => {
    let throws = true
    await using site = await openSite({
      create,
      ttlSeconds: 60,
      before: before((_request, response) => {
        const writeHead = response.writeHead.bind(response) as (...args: unknown[]) => Response
        response.writeHead = (...args: unknown[]) => {
          if (!throws) return writeHead(...args)
          throws = false
          throw new Error('no head')
        }
      }),
    })
    site.answers((_request, response) => {
      response.write('go')
      response.end('od')
    })
    expect((await site.get()).status).toBe(500)
    expect(await site.get()).toMatchObject({ status: 200, body: 'good', isHit: false })
  })
})

describe.each(EXPRESSES)('a request that changes something, on %s', (_, create) => {
  it('invalidates its URL even if its condition excludes it from the cache', async () => {
    await using site = await openSite({ create, ttlSeconds: 60, condition: ({ method }) => method === 'GET' })
    site.answers((_request, response, call) => response.send(`version ${call}`))
    await site.get('/news')
    await site.send('POST', '/news')
    expect((await site.get('/news')).body).toBe('version 3')
  })

  it.each([
    ['/news', '/news/'],
    ['/news', '/News'],
    ['/NEWS/', '/news'],
    ['/news/', '/NEWS'],
  ])('at %s invalidates %s, which is the same to routers', async (changed, read) => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((_request, response, call) => response.send(`version ${call}`))
    await site.get(read)
    await site.send('POST', changed)
    expect((await site.get(read)).body).toBe('version 3')
  })

  it.each([
    ['shop.test', 'http://shop.test:80/news'],
    ['shop.test:80', 'http://shop.test/news'],
    ['shop.test:443', 'https://SHOP.test/news'],
    ['shop.test:8080', 'http://shop.test:8080/news'],
    ['shop.test', '/x/../news'],
  ])('at %s invalidates the URL of its Location %s', async (host, location) => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((_request, response, call) => response.send(`version ${call}`))
    await site.get('/news', { Host: host })
    site.answers((_request, response) => response.status(201).set('Location', location).end())
    await site.send('POST', '/all', { Host: host })
    site.answers((_request, response) => response.send('new'))
    expect((await site.get('/news', { Host: host })).body).toBe('new')
  })
})
