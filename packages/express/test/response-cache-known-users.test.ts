import { mkdtempSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Express, RequestHandler, Response } from 'express'
import { describe, expect, it } from 'vitest'
import { memcacheSession } from '../src/index.ts'
import { openSite } from './cache-areas/open-site.ts'
import { EXPRESSES, TestFleet } from './open-app.ts'

type Any = Record<string, unknown>
type Know = (request: Any, response: Response, who: string | undefined) => void
type Read = (request: Any, response: Response) => Promise<string | undefined> | string | undefined

/** Sets a value for a known user only. */
const forUser =
  (set: (request: Any, who: string) => void): Know =>
  (request, _response, who) => {
    if (who !== undefined) set(request, who)
  }

/** The ways in which middleware before the cache knows the user, and the handler reads this. */
const WAYS: Record<string, readonly [Know, Read]> = {
  'a customer': [
    forUser((request, who) => (request['customer'] = { name: who })),
    (request) => (request['customer'] as { name?: string } | undefined)?.name,
  ],
  'a decoded token': [
    forUser((request, who) => (request['decodedToken'] = { sub: who })),
    (request) => (request['decodedToken'] as { sub?: string } | undefined)?.sub,
  ],
  'an id in another spelling': [
    forUser((request, who) => (request['member_id'] = who)),
    (request) => request['member_id'] as string | undefined,
  ],
  'a getter': [
    forUser((request, who) => Object.defineProperty(request, 'viewer', { enumerable: true, get: () => who })),
    (request) => request['viewer'] as string | undefined,
  ],
  'OpenID Connect': [
    (request, _response, who) => (request['oidc'] = { isAuthenticated: () => who !== undefined, user: who }),
    (request) => (request['oidc'] as { user?: string }).user,
  ],
  Keycloak: [
    (request, _response, who) => (request['kauth'] = who === undefined ? {} : { grant: who }),
    (request) => (request['kauth'] as { grant?: string }).grant,
  ],
  'isAuthenticated() and a property that no word tells': [
    (request, _response, who) => Object.assign(request, { zed: who, isAuthenticated: () => who !== undefined }),
    (request) => request['zed'] as string | undefined,
  ],
  'a function': [
    (request, _response, who) => (request['getUser'] = async () => who),
    async (request) => (request['getUser'] as () => Promise<string | undefined>)(),
  ],
  'a context': [
    (request, _response, who) => (request['context'] = { user: who }),
    (request) => (request['context'] as { user?: string }).user,
  ],
  'the state': [
    (request, _response, who) => (request['state'] = { currentUser: who }),
    (request) => (request['state'] as { currentUser?: string }).currentUser,
  ],
  'a customer for views': [
    (_request, response, who) => (response.locals['customer'] = who),
    (_request, response) => response.locals['customer'] as string | undefined,
  ],
  'a session for views': [
    (_request, response, who) => (response.locals['session'] = { user: who }),
    (_request, response) => (response.locals['session'] as { user?: string }).user,
  ],
  'the token of forms for views': [
    (_request, response, who) => (response.locals['csrfToken'] = who ?? 'none'),
    (_request, response) => response.locals['csrfToken'] as string,
  ],
  'messages of a session for views': [
    (request, response, who) => {
      request['session'] = {}
      response.locals['messages'] = [who ?? 'none']
    },
    (_request, response) => String(response.locals['messages']),
  ],
  'a session of another library under any name': [
    (request, _response, who) => (request['zed'] = { changed: false, get: () => who, set: () => {} }),
    (request) => (request['zed'] as { get: () => string | undefined }).get(),
  ],
}

function knownBy(know: Know): (app: Express) => void {
  const middleware: RequestHandler = (request, response, next) => {
    const who = request.headers['x-test-known']
    know(request as unknown as Any, response, typeof who === 'string' ? who : undefined)
    next()
  }
  return (app) => app.use(middleware)
}

describe.each(EXPRESSES)('a user that middleware before the cache knows, on %s', (_name, create) => {
  it.each(Object.entries(WAYS))('is not answered with the page of another: by %s', async (_way, [know, read]) => {
    await using site = await openSite({ create, ttlSeconds: 60, before: knownBy(know) })
    site.answers(async (request, response) => {
      response.send(`page of ${(await read(request as unknown as Any, response)) ?? 'none'}`)
    })
    for (const who of ['ann', 'bob', undefined, 'ann', undefined, 'bob']) {
      const { body } = await site.get('/', who === undefined ? {} : { 'X-Test-Known': who })
      expect(body).toBe(`page of ${who ?? 'none'}`)
    }
  })

  it.each(['get', 'value'])('is known by the prototype of all requests, by a property with %s', async (kind) => {
    let who: string | undefined
    await using site = await openSite({
      create,
      ttlSeconds: 60,
      before: (app) => Object.defineProperty(app.request, 'viewer', { [kind]: () => who }),
    })
    site.answers((request, response) => {
      const { viewer } = request as unknown as { viewer: (() => string | undefined) | string | undefined }
      response.send(`page of ${(typeof viewer === 'function' ? viewer() : viewer) ?? 'none'}`)
    })
    for (who of ['ann', 'bob', undefined, 'ann']) expect((await site.get('/')).body).toBe(`page of ${who ?? 'none'}`)
  })

  it.each([
    ['settings', { loginUrl: '/login', authEnabled: true, API_TOKEN: 'x', userAgent: 'x' }],
    ['what libraries set for every request', { kauth: {}, oidc: { isAuthenticated: () => false }, login: () => {} }],
    ['a tenant, which depends on the host', { tenant: { name: 'shop' } }],
  ])('is not seen in %s', async (_what, properties) => {
    await using site = await openSite({
      create,
      ttlSeconds: 60,
      before: knownBy((request) => Object.assign(request, properties)),
    })
    await site.get('/')
    expect((await site.get('/')).isHit).toBe(true)
  })

  it('is not replaced by another session in a second property', async () => {
    await using fleet = new TestFleet()
    const sessions = memcacheSession({ secret: 'of the tests', property: 'zed', name: 'zed', cache: fleet.cache() })
    const know: RequestHandler = (request, _response, next) => {
      const { zed } = request as unknown as { zed: Any }
      zed['who'] = request.headers['x-test-known']
      next()
    }
    await using site = await openSite({
      create,
      fleet,
      ttlSeconds: 60,
      ignoreCookies: true,
      before: (app) => app.use(sessions, know),
    })
    site.answers((request, response) => {
      response.send(`page of ${String((request as unknown as { zed: Any }).zed['who'])}`)
    })
    for (const who of ['ann', 'bob']) expect((await site.get('/', { 'X-Test-Known': who })).body).toBe(`page of ${who}`)
  })

  it.each(['Authorization', 'X-Api-Key', 'Cookie'])(
    'is not answered by the response to another, since `vary` has %s, which neither has sent',
    async (field) => {
      await using site = await openSite({
        create,
        ttlSeconds: 60,
        vary: [field],
        before: knownBy((request, _response, who) => (request['user'] = who)),
      })
      site.answers((request, response) => {
        response.send(`page of ${String((request as unknown as Any)['user'])}`)
      })
      for (const who of ['ann', 'bob'])
        expect((await site.get('/', { 'X-Test-Known': who })).body).toBe(`page of ${who}`)
      // If the field distinguishes them, responses are stored.
      if (field === 'Cookie') return
      for (const who of ['ann', 'bob', 'ann', 'bob']) {
        const { body } = await site.get('/own', { 'X-Test-Known': who, [field]: who })
        expect(body).toBe(`page of ${who}`)
      }
      expect((await site.get('/own', { 'X-Test-Known': 'ann', [field]: 'ann' })).isHit).toBe(true)
    },
  )

  it.each([
    {},
    { etag: false },
    { acceptRanges: false },
    { etag: false, acceptRanges: false },
    { lastModified: false },
  ])('gets no file of another, by the default `public` of sendFile with %j', async (options) => {
    const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-files-'))
    for (const who of ['ann', 'bob']) {
      writeFileSync(join(folder, who), `file of ${who}`)
      utimesSync(join(folder, who), 1_700_000_000, 1_700_000_000)
    }
    await using site = await openSite({ create, before: knownBy((request, _response, who) => (request['user'] = who)) })
    site.answers((request, response) => {
      response.sendFile(String((request as unknown as Any)['user']), { root: folder, ...options })
    })
    for (const who of ['ann', 'bob', 'ann', 'bob'])
      expect((await site.get('/', { 'X-Test-Known': who })).body).toBe(`file of ${who}`)
  })

  it('has a token that a 304 sets for himself only', async () => {
    await using site = await openSite({ create })
    site.answers((_request, response) => response.set({ 'Cache-Control': 'max-age=1', ETag: '"a"' }).send('old'))
    await site.get()
    await site.pass(5)
    site.answers((_request, response) => {
      response.writeHead(304, { ETag: '"a"', 'X-CSRF-Token': 'of ann', 'Cache-Control': 'max-age=60' })
      response.end()
    })
    expect((await site.get()).headers['x-csrf-token']).toBe('of ann')
    site.answers((_request, response) => response.send('for another'))
    expect((await site.get()).headers['x-csrf-token']).toBeUndefined()
  })
})
