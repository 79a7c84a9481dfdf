import session from 'express-session'
import { describe, expect, it } from 'vitest'
import { openSite } from './cache-areas/open-site.ts'
import { EXPRESSES } from './open-app.ts'

/** Each is one client's request, which must leave no trace in the answer to the next one. */
describe.each(EXPRESSES)('no client gets the response of another client, on %s', (_, create) => {
  it('does not store a response that sets a cookie', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((_request, response, call) => response.cookie('id', String(call)).send(`secret of ${call}`))
    const first = await site.get()
    const second = await site.get()
    expect([first.body, second.body]).toEqual(['secret of 1', 'secret of 2'])
    expect(second.headers['set-cookie']).toEqual(['id=2; Path=/'])
    expect(first.cacheStatus).toBe('memcache-ts; fwd=uri-miss')
  })

  it.each([
    ['before', true],
    ['after', false],
  ])('does not store a response that a session adds its cookie to, mounted %s the cache', async (_name, isBefore) => {
    const sessions = session({ secret: 's', resave: false, saveUninitialized: true, store: new session.MemoryStore() })
    await using site = await openSite({
      create,
      ttlSeconds: 60,
      before: (app) => {
        if (isBefore) app.use(sessions)
      },
    })
    site.answers((request, response, call) => {
      const answer = (): unknown => {
        Object.assign(request.session, { name: `client ${call}` })
        return response.send(`client ${call}`)
      }
      return isBefore ? answer() : sessions(request, response, answer)
    })
    const [first, second] = [await site.get(), await site.get()]
    expect([first.body, second.body]).toEqual(['client 1', 'client 2'])
    expect(second.headers['set-cookie']![0]).not.toBe(first.headers['set-cookie']![0])
    const cookie = first.headers['set-cookie']![0]!.split(';')[0]!
    const third = await site.get('/', { Cookie: cookie })
    expect(third.body).toBe('client 3')
    expect(third.cacheStatus).toBe('memcache-ts; fwd=bypass; detail=cookie')
  })

  it('serves the response for a client with cookies to no other client', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((request, response) => response.send(`for ${request.headers.cookie ?? 'anybody'}`))
    expect((await site.get('/', { Cookie: 'user=ann' })).body).toBe('for user=ann')
    expect((await site.get()).body).toBe('for anybody')
    expect((await site.get('/', { Cookie: 'user=ben' })).body).toBe('for user=ben')
    expect((await site.get()).isHit).toBe(true)
  })

  it('hides ignored cookies from the handler whose response is stored', async () => {
    await using site = await openSite({ create, ttlSeconds: 60, ignoreCookies: ['_ga'] })
    site.answers((request, response) => response.send(`for ${request.headers.cookie ?? 'anybody'}`))
    expect((await site.get('/', { Cookie: '_ga=1' })).body).toBe('for anybody')
    expect((await site.get('/', { Cookie: '_ga=2' })).isHit).toBe(true)
    expect((await site.get('/', { Cookie: '_ga=2; user=ann' })).body).toBe('for _ga=2; user=ann')
  })

  it.each(['authorization', 'x-api-key', 'x-auth-token', 'x-access-token'])(
    'gives each of those who authenticate by %s their own answer',
    async (name) => {
      await using site = await openSite({ create, ttlSeconds: 60 })
      site.answers((request, response) => response.send(`for ${String(request.headers[name])}`))
      expect((await site.get('/', { [name]: 'A' })).body).toBe('for A')
      expect((await site.get('/', { [name]: 'B' })).body).toBe('for B')
      expect((await site.get()).body).toBe('for undefined')
      expect((await site.get('/', { [name]: 'A' })).body).toBe('for A')
      expect((await site.get()).isHit).toBe(true)
    },
  )

  it.each([
    ['by vary', { vary: ['X-Api-Key'] }, {}],
    [
      'by Vary, and public',
      {},
      { Vary: 'X-Api-Key', 'Cache-Control': 'public, max-age=10, stale-while-revalidate=60' },
    ],
  ])('keeps apart, also when it revalidates, what is keyed %s', async (_name, options, headers) => {
    await using site = await openSite({ create, ttlSeconds: 10, staleSeconds: 60, ...options })
    site.answers((request, response, call) =>
      response.set(headers).send(`for ${String(request.headers['x-api-key'])}, ${call}`),
    )
    const get = async (key: string) => (await site.get('/', { 'X-Api-Key': key })).body
    expect([await get('A'), await get('B'), await get('A')]).toEqual(['for A, 1', 'for B, 2', 'for A, 1'])
    await site.pass(15)
    expect(await get('A')).toBe('for A, 1')
    await expect.poll(() => get('A')).toBe('for A, 3')
  })

  it('serves each variant only to the requests that select it', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((request, response) =>
      response.vary('Accept-Language').send(`in ${String(request.headers['accept-language'])}`),
    )
    for (const language of ['en', 'de', 'en', 'de']) {
      expect((await site.get('/', { 'Accept-Language': language })).body).toBe(`in ${language}`)
    }
    expect(site.calls).toHaveLength(2)
  })

  const page = (value: unknown): string => `for ${JSON.stringify(value)}`
  it.each([
    ['an origin', 'origin', ['https://a.test', 'https://b.test'], 'Access-Control-Allow-Origin'],
    ['a content coding', 'accept-encoding', ['a', 'b'], 'Content-Encoding'],
    ['a language', 'accept-language', ['en', 'de'], 'Content-Language'],
  ])('gives %s only to those who want it, even if Vary does not say so', async (_name, name, values, told) => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((request, response) => {
      const value = String(request.headers[name])
      return response.writeHead(200, { [told]: value, 'Content-Type': 'text/plain' }).end(page(value))
    })
    for (const isStored of [false, true]) {
      for (const value of values) {
        const { headers, body, isHit } = await site.get('/', { [name]: value })
        expect([headers[told.toLowerCase()], body, isHit]).toEqual([value, page(value), isStored])
      }
    }
  })

  it.each(['X-CSRF-Token', 'XSRF-Token', 'X-Auth-Token', 'Authorization', 'X-Session-Id', 'DPoP-Nonce'])(
    'does not store a response whose handler gives its client %s, unless it says that it is for all',
    async (name) => {
      await using site = await openSite({ create, ttlSeconds: 60 })
      site.answers((_request, response, call) => response.set(name, String(call)).send('page'))
      const [first, second] = [await site.get(), await site.get()]
      expect([first, second].map(({ headers }) => headers[name.toLowerCase()])).toEqual(['1', '2'])
      expect(first.cacheStatus).toBe('memcache-ts; fwd=uri-miss')
      site.answers((_request, response) =>
        response.set({ [name]: 'of all', 'Cache-Control': 'public, max-age=60' }).send('page'),
      )
      await site.get('/public')
      expect((await site.get('/public')).isHit).toBe(true)
    },
  )

  it('does not store a response that varies by more fields than any two clients could share', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    const names = (from: number): string =>
      Array.from({ length: 60 }, (_value, index) => `x-${from + index}`).join(', ')
    site.answers((_request, response) => response.set('Vary', `${names(0)}, ${names(100)}`).send('page'))
    for (let time = 0; time < 2; time++) expect((await site.get('/at-once')).cacheStatus).not.toMatch(/hit|stored/)
    // The lists of all responses of a URL add up.
    site.answers((_request, response, call) => response.set('Vary', names(call * 100)).send(`page ${call}`))
    for (let time = 0; time < 5; time++) expect((await site.get('/more', { 'x-1': String(time) })).status).toBe(200)
  })

  it('stores separate responses for each host', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((request, response) => response.send(`<a href="//${request.headers.host}">`))
    expect((await site.get('/', { Host: 'evil.test' })).body).toContain('evil.test')
    expect((await site.get('/', { Host: 'shop.test' })).body).toContain('shop.test')
    // A handler may send the host back as it came.
    expect((await site.get('/', { Host: 'SHOP.test' })).body).toContain('SHOP.test')
    expect((await site.get('/', { Host: 'shop.test' })).isHit).toBe(true)
  })

  it('stores no response to a request with two hosts, of which Node shows one', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((request, response) => response.send(request.headersDistinct['host']!.join()))
    // Node's client sends a list as it is.
    const two = ['Host', 'shop.test', 'Host', 'evil.test'] as unknown as Record<string, string>
    const { body } = await site.get('/', two)
    expect(body).toBe('shop.test,evil.test')
    expect((await site.get('/', { Host: 'shop.test' })).body).toBe('shop.test')
    expect((await site.get('/', two)).body).toContain('evil.test')
  })

  it('serves from the cache only for allowed hosts', async () => {
    await using site = await openSite({ create, ttlSeconds: 60, hosts: ['shop.test'] })
    for (const host of ['evil.test', 'evil.test', 'shop.test:81']) {
      expect((await site.get('/', { Host: host })).cacheStatus).toBe('memcache-ts; fwd=bypass; detail=host')
    }
    await site.get('/', { Host: 'shop.test' })
    expect((await site.get('/', { Host: 'shop.test' })).isHit).toBe(true)
  })

  it.each([
    ['X-Forwarded-Host', 'evil.test'],
    ['X-Forwarded-Host', 'shop.test, evil.test'],
    ['Forwarded', 'for=1.2.3.4;host=evil.test'],
    ['Forwarded', 'host="evil.test"'],
  ])('does not store what was answered to %s: %s', async (name, value) => {
    await using site = await openSite({ create, ttlSeconds: 60, before: (app) => app.set('trust proxy', true) })
    site.answers((request, response) =>
      response.send(`<a href="//${request.hostname} ${String(request.headers.forwarded)}">`),
    )
    await site.get('/', { Host: 'shop.test', [name]: value })
    const { body, isHit } = await site.get('/', { Host: 'shop.test' })
    expect(body).not.toContain('evil')
    expect(isHit).toBe(false)
    expect((await site.get('/', { Host: 'shop.test', 'X-Forwarded-Host': 'shop.test' })).isHit).toBe(true)
  })

  it.each([
    'X-Forwarded-For',
    'X-Forwarded-Proto',
    'X-Forwarded-Port',
    'X-Forwarded-Prefix',
    'X-Forwarded-Server',
    'X-Forwarded-Scheme',
    'X-Original-URL',
    'X-Original-Host',
    'X-Rewrite-URL',
    'X-Host',
    'X-Real-IP',
    'X-Client-IP',
    'X-Cluster-Client-IP',
    'True-Client-IP',
    'CF-Connecting-IP',
    'Fastly-Client-IP',
    'Forwarded',
  ])('gives nobody what was made of another client’s %s', async (name) => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((request, response) => response.send(`made of ${request.get(name) ?? 'nothing'}`))
    const host = { Host: 'shop.test' }
    for (const value of ['for=6.6.6.6', 'for=7.7.7.7'])
      for (let time = 0; time < 2; time++)
        expect((await site.get('/', { ...host, [name]: value })).body).toBe(`made of ${value}`)
    expect((await site.get('/', host)).body).toBe('made of nothing')
  })

  it('separates responses by the scheme that a trusted proxy reports', async () => {
    await using site = await openSite({ create, ttlSeconds: 60, before: (app) => app.set('trust proxy', true) })
    site.answers((request, response) => response.send(request.protocol))
    expect((await site.get('/', { 'X-Forwarded-Proto': 'https' })).body).toBe('https')
    expect((await site.get('/')).body).toBe('http')
  })

  it('stores no response to a GET with a body', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    expect((await site.send('GET', '/', { 'Content-Length': 4 }, 'evil')).cacheStatus).toContain('detail=body')
    expect((await site.send('GET', '/', { 'Transfer-Encoding': 'chunked' }, 'evil')).cacheStatus).toContain(
      'detail=body',
    )
    expect((await site.get()).cacheStatus).toBe('memcache-ts; fwd=uri-miss; stored')
  })

  it('stores no response that another method sent to a GET', async () => {
    await using site = await openSite({
      create,
      ttlSeconds: 60,
      before: (app) =>
        app.use((request, _response, next) => {
          const method = request.headers['x-override']
          if (method !== undefined) Object.assign(request, { originalMethod: request.method, method })
          next()
        }),
    })
    expect((await site.get('/', { 'X-HTTP-Method-Override': 'DELETE' })).cacheStatus).toContain('method-override')
    expect((await site.send('POST', '/', { 'X-Override': 'GET' })).cacheStatus).toContain('method-override')
    expect((await site.get()).cacheStatus).toBe('memcache-ts; fwd=uri-miss; stored')
  })

  it('separates requests whose keys other caches confuse', async () => {
    await using site = await openSite({ create, ttlSeconds: 60 })
    site.answers((request, response) => response.send(`${request.headers.host} ${request.originalUrl}`))
    const long = `/${'a'.repeat(300)}`
    const paths = ['/a:b', '/a%3Ab', '/a', '/a?', '/a?b', '/a%3Fb', '/A', '//a', '/a/../b', '/b', long, `${long}a`]
    const host = 'shop.test'
    for (const path of paths) expect((await site.get(path, { Host: host })).body).toBe(`${host} ${path}`)
    expect(site.calls).toHaveLength(paths.length)
    // The key of a long URL is its beginning and a hash, and no URL has it as its key.
    const names: string[] = []
    await site.pass(0)
    await site.cache.client.metadump(({ key }) => void names.push(key))
    const name = names.find((key) => key.startsWith('~http:') && key.includes('%7e'))!
    const forged = name.slice(name.indexOf('/'))
    expect(forged).toContain('%7e')
    expect((await site.get(forged, { Host: host })).body).toBe(`${host} ${forged}`)
    expect((await site.get(long, { Host: host })).body).toBe(`${host} ${long}`)
  })

  it('stores no mixture of nonces: each page keeps the policy with which it was made', async () => {
    let requests = 0
    await using site = await openSite({
      create,
      ttlSeconds: 60,
      before: (app) =>
        app.use((_request, response, next) => {
          response.locals['nonce'] = ++requests
          response.set('Content-Security-Policy', `script-src 'nonce-${requests}'`)
          next()
        }),
    })
    site.answers((_request, response) => response.send(`<script nonce="${String(response.locals['nonce'])}">`))
    expect((await site.get()).body).toContain('1')
    expect((await site.get()).body).toContain('2')
    site.answers((_request, response) =>
      response.set('Cache-Control', 'public').send(`<script nonce="${String(response.locals['nonce'])}">`),
    )
    await site.get()
    const { body, headers, isHit } = await site.get()
    expect(isHit).toBe(true)
    expect(body).toContain('"3"')
    expect(headers['content-security-policy']).toBe("script-src 'nonce-3'")
  })

  it('sends the fields of a limit and an outer middleware to each client again', async () => {
    let requests = 0
    await using site = await openSite({
      create,
      ttlSeconds: 60,
      before: (app) =>
        app.use((_request, response, next) => {
          response.set('X-Request-Id', String(++requests))
          next()
        }),
    })
    site.answers((_request, response) => response.set('RateLimit', '"a";r=1').set('Own', '1').send('ok'))
    await site.get()
    const { headers, isHit } = await site.get()
    expect(isHit).toBe(true)
    expect(headers['x-request-id']).toBe('2')
    expect(headers['ratelimit']).toBeUndefined()
    expect(headers['own']).toBe('1')
  })
})
