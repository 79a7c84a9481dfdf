import type { Express, Request, Response } from 'express'
import { raw, json, text, urlencoded } from 'express'
import { describe, expect, it } from 'vitest'
import { cacheResponse } from '../src/index.ts'
import { openSite } from './cache-areas/open-site.ts'
import type { SiteOptions } from './cache-areas/open-site.ts'
import { EXPRESSES } from './open-app.ts'

const JSON_TYPE = { 'Content-Type': 'application/json' }
const FORM_TYPE = { 'Content-Type': 'application/x-www-form-urlencoded' }

/** Body parsers as applications mount them, and what they make of a content. */
const PARSERS = [
  ['json', () => json(), JSON_TYPE, '{"city":"Bern","zip":[3000]}', '{"city":"Basel"}'],
  ['urlencoded', () => urlencoded({ extended: true }), FORM_TYPE, 'city=Bern&zip[]=3000', 'city=Basel'],
  ['text', () => text(), { 'Content-Type': 'text/plain' }, 'Bern', 'Basel'],
  ['raw', () => raw({ type: '*/*' }), { 'Content-Type': 'application/sql' }, 'SELECT 1', 'SELECT 2'],
] as const

const shown = (body: unknown): string => (Buffer.isBuffer(body) ? `bytes ${body.toString()}` : JSON.stringify(body))
const handler = (request: Request, response: Response, call: number) => response.send(`${call} ${shown(request.body)}`)

describe.each(EXPRESSES)('QUERY in %s', (_name, create) => {
  const open = (options: SiteOptions) => openSite({ create, ttlSeconds: 60, ...options })

  describe.each([
    ['before', true],
    ['after', false],
  ])('with a body parser %s the cache', (_where, isBefore) => {
    it.each(PARSERS)(
      '%s: the content is in the key, and the handler has it parsed',
      async (_parser, parser, fields, one, other) => {
        // The handler of a site is the last middleware, so a parser after the cache runs within it.
        await using site = await open(isBefore ? { before: (app) => void app.use(parser()) } : {})
        site.answers((request, response, call) => {
          if (isBefore) return handler(request, response, call)
          return parser()(request, response, (error: unknown) => {
            if (error === undefined) handler(request, response, call)
            else response.sendStatus(500)
          })
        })
        const first = await site.send('QUERY', '/', fields, one)
        expect(first.body).toMatch(/^1 .*Bern|^1 bytes SELECT 1/)
        expect(first.cacheStatus).toBe('memcache-ts; fwd=uri-miss; stored')
        const again = await site.send('QUERY', '/', fields, one)
        expect([again.isHit, again.body]).toEqual([true, first.body])
        const second = await site.send('QUERY', '/', fields, other)
        expect([second.isHit, second.body[0]]).toEqual([false, '2'])
        expect(second.body).not.toContain('Bern')
        expect((await site.get('/')).isHit).toBe(false)
      },
    )
  })

  it('is not served from the cache if a parser has stored a part of the content elsewhere', async () => {
    await using site = await open({
      before: (app) =>
        void app.use(async (request, _response, next) => {
          for await (const _part of request);
          // As multer does: fields here, files there.
          request.body = { name: 'x' }
          next()
        }),
    })
    for (const call of [1, 2]) {
      const got = await site.send('QUERY', '/', { 'Content-Type': 'multipart/form-data; boundary=x' }, `file ${call}`)
      expect(got.cacheStatus).toBe('memcache-ts; fwd=bypass; detail=content-read')
    }
    expect(site.calls).toHaveLength(2)
  })

  it('is keyed by the raw text too if a parser has kept it', async () => {
    await using site = await open({
      before: (app) =>
        void app.use(json({ verify: (request, _response, bytes) => void Object.assign(request, { rawBody: bytes }) })),
    })
    site.answers((request, response) => response.send(String((request as { rawBody?: Buffer }).rawBody)))
    expect((await site.send('QUERY', '/', JSON_TYPE, '{"a":1}')).body).toBe('{"a":1}')
    expect((await site.send('QUERY', '/', JSON_TYPE, '{"a": 1}')).body).toBe('{"a": 1}')
  })

  it('separates values that parsers distinguish', async () => {
    await using site = await open({ before: (app) => void app.use(json({ strict: false })) })
    const seen = new Set<string>()
    const contents = [
      '{"a":1}',
      '{"a":"1"}',
      '{"a":[1]}',
      '{"a":{"0":1}}',
      '{"a":null}',
      '{}',
      '[]',
      '"{}"',
      '1',
      '{"a":1,"b":2}',
      '{"__proto__":1}',
      '0',
      '-0',
    ]
    for (const content of contents) {
      const got = await site.send('QUERY', '/', JSON_TYPE, content)
      expect(got.isHit, content).toBe(false)
      seen.add(content)
    }
    expect(site.calls).toHaveLength(seen.size)
  })

  it('is revalidated in the background with its content, while others are served the old response', async () => {
    await using site = await open({ staleSeconds: 60 })
    site.answers((request, response, call) => {
      json()(request, response, () =>
        response.set('ETag', `"${call}"`).send(`${call} ${shown(request.body)} ${request.method}`),
      )
    })
    expect((await site.send('QUERY', '/', JSON_TYPE, '{"a":1}')).body).toBe('1 {"a":1} QUERY')
    await site.pass(61)
    expect((await site.send('QUERY', '/', JSON_TYPE, '{"a":1}')).body).toBe('1 {"a":1} QUERY')
    await site.pass(0)
    const later = await site.send('QUERY', '/', JSON_TYPE, '{"a":1}')
    expect([later.isHit, later.body]).toEqual([true, '2 {"a":1} QUERY'])
  })

  it('is loaded again by a client, and not in the background, if its bytes were evicted', async () => {
    await using site = await open({ staleSeconds: 60, before: (app) => void app.use(json()) })
    site.answers(handler)
    await site.send('QUERY', '/', JSON_TYPE, '{"a":1}')
    await site.pass(61)
    const later = await site.send('QUERY', '/', JSON_TYPE, '{"a":1}')
    expect([later.isHit, later.body]).toEqual([false, '2 {"a":1}'])
    expect((await site.send('QUERY', '/', JSON_TYPE, '{"a":1}')).body).toBe('2 {"a":1}')
  })

  it('is one response for two caches in its way, and for a parser between them', async () => {
    const inner = (app: Express, cache: SiteOptions['cache']) => app.use(cacheResponse({ ttlSeconds: 60, cache }))
    await using site = await open({})
    await using two = await open({
      cache: site.cache,
      before: (app) => {
        inner(app, site.cache)
        app.use(json())
      },
    })
    two.answers(handler)
    const first = await two.send('QUERY', '/', JSON_TYPE, '{"a":1}')
    expect([first.body, (await two.send('QUERY', '/', JSON_TYPE, '{"a":1}')).body]).toEqual(['1 {"a":1}', '1 {"a":1}'])
    expect(two.calls).toHaveLength(1)
  })

  it('respects credentials, cookies and preconditions as for GET', async () => {
    await using site = await open({})
    for (const fields of [
      { Cookie: 'a=1' },
      { 'If-Match': '"x"' },
      { Range: 'bytes=0-1' },
      { 'X-HTTP-Method-Override': 'GET' },
    ]) {
      await site.send('QUERY', '/', JSON_TYPE, '{}')
      expect((await site.send('QUERY', '/', { ...JSON_TYPE, ...fields }, '{}')).isHit).toBe(false)
    }
    expect((await site.send('QUERY', '/', { ...JSON_TYPE, Authorization: 'Bearer x' }, '{}')).isHit).toBe(false)
    expect((await site.send('QUERY', '/', JSON_TYPE, '{}')).isHit).toBe(true)
  })

  it('sends 304 to a client that has the response, from the cache and from the handler', async () => {
    await using site = await open({})
    site.answers({ headers: { ETag: '"a"' }, body: 'x' })
    const fields = { ...JSON_TYPE, 'If-None-Match': '"a"' }
    for (const isHit of [false, true]) {
      const got = await site.send('QUERY', '/', fields, '{}')
      expect([got.status, got.body, got.isHit]).toEqual([304, '', isHit])
    }
  })
})
