import type { Request } from 'express'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openSite } from './cache-areas/open-site.ts'
import type { Site } from './cache-areas/open-site.ts'
import { EXPRESSES } from './open-app.ts'

/**
 * The ways by which an application may know who sends a request: what the request says, and where the application
 * looks.
 */
const WAYS = [
  'authorization',
  'x-api-key',
  'x-forwarded-user',
  'x-tenant-id',
  'user',
  'auth',
  'session',
  'late session',
  'cookie',
] as const
type Way = (typeof WAYS)[number]

/** Middleware before the cache that identifies the client by a field that no cache knows. */
function identify(request: Request): void {
  const [way, who] = String(request.headers['x-test-known']).split(' ')
  if (way === 'user' || way === 'auth') Object.assign(request, { [way]: { name: who } })
  if (way === 'session' || way === 'late session') Object.assign(request, { session: { user: who } })
}

function headersOf(way: Way, who: string | undefined): Record<string, string> {
  if (who === undefined) return {}
  switch (way) {
    case 'authorization':
      return { authorization: `Bearer ${who}` }
    case 'cookie':
      return { cookie: `user=${who}` }
    case 'x-api-key':
    case 'x-forwarded-user':
    case 'x-tenant-id':
      return { [way]: who }
    default:
      return { 'x-test-known': `${way.replace('late ', '')} ${who}` }
  }
}

/** Returns the user that the handler sees. */
function nameOf(request: Request): string {
  const { user, auth, session } = request as unknown as {
    user?: { name: string }
    auth?: { name: string }
    session?: { user: string }
  }
  const { authorization, cookie } = request.headers
  const raw = request.headers['x-api-key'] ?? request.headers['x-forwarded-user'] ?? request.headers['x-tenant-id']
  return String(
    user?.name ?? auth?.name ?? session?.user ?? authorization?.slice(7) ?? cookie?.slice(5) ?? raw ?? 'nobody',
  )
}

/** Fields that do not allow sharing a response whose client is known. */
const FIELDS = fc.record(
  {
    'Cache-Control': fc.constantFrom(
      'max-age=60',
      'max-age=0',
      'no-cache',
      'private',
      'max-age=60, stale-while-revalidate=60',
    ),
    ETag: fc.constantFrom('"one"', 'W/"1-2"'),
    Vary: fc.constantFrom('Accept', 'Accept-Encoding, Accept-Language', 'constructor'),
    Expires: fc.constant(new Date(Date.now() + 3_600_000).toUTCString()),
    'Last-Modified': fc.constant('Sat, 01 Jan 2000 00:00:00 GMT'),
  },
  { requiredKeys: [] },
)

const STEP = fc.record({
  who: fc.constantFrom('ann', 'bob', undefined),
  way: fc.constantFrom(...WAYS),
  path: fc.constantFrom('/', '/page', '/a.css'),
  seconds: fc.constantFrom(0, 0, 30, 61, 200),
  conditional: fc.constantFrom(undefined, '"one"', '*'),
})

describe.each(EXPRESSES)('two users and a stranger, on %s', (_name, create) => {
  it('never get a response that was made for another client, for any handler and means of identification', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(STEP, { minLength: 2, maxLength: 12 }),
        FIELDS,
        fc.constantFrom(0, 30),
        fc.constantFrom(false, true, ['other']),
        async (steps, fields, staleSeconds, ignoreCookies) => {
          await using site: Site = await openSite({
            create,
            ttlSeconds: 60,
            staleSeconds,
            ignoreCookies,
            before: (app) => app.use((request, _response, next) => (identify(request), next())),
          })
          site.answers(async (request, response) => {
            const isLate = request.path === '/page'
            response.set(fields)
            if (!isLate) return response.send(`made for ${nameOf(request)}`)
            // The user is looked up after the head was sent.
            response.write('made ')
            await new Promise(setImmediate)
            response.end(`for ${nameOf(request)}`)
          })
          for (const { who, way, path, seconds, conditional } of steps) {
            await site.pass(seconds)
            const condition = conditional === undefined ? {} : { 'If-None-Match': conditional }
            const { body, status } = await site.get(path, { ...headersOf(way, who), ...condition })
            const other = ['ann', 'bob'].filter((name) => name !== who)
            for (const name of other) expect(body, JSON.stringify({ who, way, path, status })).not.toContain(name)
          }
        },
      ),
      { numRuns: 60 },
    )
  })

  it('get separate responses if key separates them', async () => {
    await using site = await openSite({
      create,
      ttlSeconds: 60,
      key: (request) => `page of ${nameOf(request)}`,
      before: (app) => app.use((request, _response, next) => (identify(request), next())),
    })
    site.answers((request, response) => response.send(`made for ${nameOf(request)}`))
    for (const who of ['ann', 'bob', 'ann', 'bob']) {
      expect((await site.get('/', headersOf('user', who))).body).toBe(`made for ${who}`)
    }
    expect(site.calls).toHaveLength(2)
  })

  it('bypass the cache for fields that identify a client, unless `vary` or `key` has them', async () => {
    const named = [
      'X-Tenant-Id',
      'X-Customer-Email',
      'Client-Cert',
      'X-CSRF-Token',
      'X-Hasura-User-Id',
      'Signature',
      'X-Shop',
      'X-Client-Id',
      'X-Impersonate',
      'On-Behalf-Of',
      'X-Employee',
    ]
    const ordinary = ['X-Request-Id', 'X-Requested-With', 'Traceparent', 'X-User-Agent', 'X-Vercel-Proxy-Signature']
    const isSecondHit = async (name: string, options: Parameters<typeof openSite>[0]) => {
      await using site = await openSite({ create, ttlSeconds: 60, ...options })
      site.answers((_request, response) => response.send('page'))
      await site.get('/', { [name]: 'ann' })
      return (await site.get('/', { [name]: 'ann' })).isHit
    }
    for (const name of named) {
      expect(await isSecondHit(name, {}), name).toBe(false)
      expect(await isSecondHit(name, { vary: [name] }), name).toBe(true)
      expect(await isSecondHit(name, { key: (request) => `${request.get(name)} ${request.path}` }), name).toBe(true)
    }
    for (const name of ordinary) expect(await isSecondHit(name, {}), name).toBe(true)
    // One tenant has several users.
    await using site = await openSite({
      create,
      ttlSeconds: 60,
      vary: ['X-Tenant-Id'],
      before: (app) => app.use((request, _response, next) => (identify(request), next())),
    })
    site.answers((request, response) => response.send(`made for ${nameOf(request)}`))
    for (const who of ['ann', 'bob']) {
      const headers = { ...headersOf('user', who), 'X-Tenant-Id': 'shop' }
      expect((await site.get('/', headers)).body).toBe(`made for ${who}`)
    }
  })

  it('share responses that are declared public', async () => {
    await using site = await openSite({
      create,
      before: (app) => app.use((request, _response, next) => (identify(request), next())),
    })
    site.answers((_request, response) => response.set('Cache-Control', 'public, max-age=60').send('for all'))
    await site.get('/', headersOf('user', 'ann'))
    expect((await site.get('/', headersOf('user', 'bob'))).isHit).toBe(true)
  })

  it('do not see ignored cookies and parameters of any name', async () => {
    await using site = await openSite({
      create,
      ttlSeconds: 60,
      ignoreCookies: ['theme'],
      ignoreQuery: ['utm_source'],
      before: (app) =>
        app.use((request, _response, next) => {
          Object.assign(request, { cookies: { theme: 'dark' }, signedCookies: { theme: 'dark' } })
          next()
        }),
    })
    site.answers((request, response) => {
      const { cookies, signedCookies } = request as { cookies?: unknown; signedCookies?: unknown }
      const seen = [request.url, request.originalUrl, request.query, request.rawHeaders, request.headersDistinct]
      response.json([request.headers, cookies, signedCookies, ...seen])
    })
    const { body } = await site.get('/?a=1&utm_source=spy&b=2', { cookie: 'theme=dark' })
    expect(body).toContain('a=1&b=2')
    expect(body).not.toMatch(/dark|spy|utm_source/)
    expect((await site.get('/?a=1&b=2')).isHit).toBe(true)
  })
})
