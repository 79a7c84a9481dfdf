import fc from 'fast-check'
import type { Request, Response } from 'express'
import { describe, expect, it } from 'vitest'
import { openSite } from './cache-areas/open-site.ts'
import type { Answer } from './cache-areas/open-site.ts'
import { Gate } from './gate.ts'

/** A representation of which clients may request parts; another version has another body and entity tag. */
interface Content {
  version: number
  readonly size: number
  /** Whether the handler evaluates `If-Range`, as it must. */
  readonly honoursIfRange: boolean
  readonly tag: (version: number) => string | undefined
}

const bodyOf = ({ size }: Content, version: number): string =>
  Array.from({ length: size }, (_, index) => String.fromCharCode(97 + ((index + (version - 1) * 7) % 26))).join('')

/** Answers as a handler does that knows ranges: 200, 206 or 416. */
function serve(content: Content, request: Request, response: Response): void {
  const { version, size } = content
  const tag = content.tag(version)
  const body = bodyOf(content, version)
  response.set('Cache-Control', 'max-age=60').set('X-Version', String(version))
  if (tag !== undefined) response.set('ETag', tag)
  const condition = request.get('if-range')
  const match = /^bytes=(\d*)-(\d*)$/.exec(request.get('range') ?? '')
  if (match === null || (content.honoursIfRange && condition !== undefined && condition !== tag)) {
    response.end(body)
    return
  }
  const [, from = '', to = ''] = match
  const first = from === '' ? Math.max(0, size - Number(to)) : Number(from)
  const last = from === '' || to === '' ? size - 1 : Math.min(Number(to), size - 1)
  if (first > last) {
    response.status(416).set('Content-Range', `bytes */${size}`).end()
    return
  }
  response.status(206).set('Content-Range', `bytes ${first}-${last}/${size}`)
  response.end(body.slice(first, last + 1))
}

/** Whether what a client got is one version's, and what it requested. */
function expectOneVersion(content: Content, range: string | undefined, got: Answer): void {
  const body = bodyOf(content, Number(got.headers['x-version']))
  if (got.status === 416) {
    expect(range).toBeDefined()
    return
  }
  if (got.status === 200) {
    expect(got.body).toBe(body)
    return
  }
  expect(got.status).toBe(206)
  expect(range).toBeDefined()
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(String(got.headers['content-range']))!
  expect(Number(total)).toBe(content.size)
  expect(got.body).toBe(body.slice(Number(first), Number(last) + 1))
  const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(range!)!
  const wanted = from === '' ? Math.max(0, content.size - Number(to)) : Number(from)
  expect(Number(first)).toBe(wanted)
  expect(Number(last)).toBe(from === '' || to === '' ? content.size - 1 : Math.min(Number(to), content.size - 1))
}

const strong = (version: number): string => `"v${version}"`

describe('parts of a response', () => {
  const rangeOf = (size: number): fc.Arbitrary<string> =>
    fc.tuple(fc.constantFrom('from-to', 'from-', '-to'), fc.nat(size + 2), fc.nat(size + 2)).map(([kind, a, b]) => {
      if (kind === 'from-') return `bytes=${a}-`
      return kind === '-to' ? `bytes=-${a}` : `bytes=${Math.min(a, b)}-${Math.max(a, b)}`
    })
  const size = 12
  const steps = fc.array(
    fc.oneof(
      rangeOf(size).map((range) => ({ range })),
      fc.constantFrom({ range: undefined }, 'change' as const, 'wait' as const),
    ),
    { minLength: 2, maxLength: 12 },
  )
  const kinds = {
    'with strong entity tags': { honoursIfRange: true, tag: strong },
    'with weak entity tags': { honoursIfRange: true, tag: (version: number) => `W/"v${version}"` },
    'without validators': { honoursIfRange: true, tag: () => undefined },
    'of a handler that ignores If-Range': { honoursIfRange: false, tag: strong },
  }
  it.each(Object.entries(kinds))('%s are never mixed, and the requested part is sent', async (_, kind) => {
    await using site = await openSite()
    let path = 0
    await fc.assert(
      fc.asyncProperty(steps, async (sequence) => {
        const content: Content = { version: 1, size, ...kind }
        site.answers((request, response) => serve(content, request, response))
        const url = `/${path++}`
        for (const step of sequence) {
          if (step === 'change') content.version++
          else if (step === 'wait') await site.pass(61)
          else {
            const { range } = step
            const got = await site.get(url, range === undefined ? {} : { Range: range })
            expectOneVersion(content, range, got)
          }
        }
      }),
      { numRuns: 40 },
    )
  })

  it('serve ranges within them, and are requested once', async () => {
    await using site = await openSite()
    const content: Content = { version: 1, size: 10, honoursIfRange: true, tag: strong }
    site.answers((request, response) => serve(content, request, response))
    expect((await site.get('/', { Range: 'bytes=2-7' })).body).toBe('cdefgh')
    const got = await site.get('/', { Range: 'bytes=3-4' })
    expect([got.status, got.body, got.isHit, got.headers['content-range']]).toEqual([206, 'de', true, 'bytes 3-4/10'])
    expect((await site.get('/', { Range: 'bytes=3-4', 'If-Range': '"other"' })).isHit).toBe(false)
    expect((await site.get('/', { Range: 'bytes=3-4', 'If-None-Match': '"v1"' })).status).toBe(304)
    // The other version's condition brought the whole.
    const several = await site.get('/', { Range: 'bytes=0-1,3-4' })
    expect([several.status, several.body, several.isHit]).toEqual([200, 'abcdefghij', true])
  })

  it('are completed by the range that is missing', async () => {
    await using site = await openSite()
    const content: Content = { version: 1, size: 10, honoursIfRange: true, tag: strong }
    site.answers((request, response) => serve(content, request, response))
    await site.get('/', { Range: 'bytes=0-4' })
    const whole = await site.get('/')
    expect([whole.status, whole.body, whole.headers['content-length']]).toEqual([200, 'abcdefghij', '10'])
    expect(whole.cacheStatus).toContain('fwd=partial; fwd-status=206')
    expect(site.calls[1]!.headers).toMatchObject({ range: 'bytes=5-', 'if-range': '"v1"' })
    expect(await site.get('/')).toMatchObject({ isHit: true, body: 'abcdefghij' })
  })

  it('that adjoin are combined, up to the whole response', async () => {
    await using site = await openSite()
    const content: Content = { version: 1, size: 10, honoursIfRange: true, tag: strong }
    site.answers((request, response) => serve(content, request, response))
    await site.get('/', { Range: 'bytes=0-4' })
    await site.get('/', { Range: 'bytes=4-9' })
    expect(await site.get('/')).toMatchObject({ isHit: true, status: 200, body: 'abcdefghij' })
    expect(site.calls.length).toBe(2)
  })

  it('of another version are not used for a client that gets the whole response', async () => {
    await using site = await openSite()
    const content: Content = { version: 1, size: 10, honoursIfRange: false, tag: strong }
    site.answers((request, response) => serve(content, request, response))
    await site.get('/', { Range: 'bytes=0-4' })
    content.version = 2
    const whole = await site.get('/')
    expect([whole.status, whole.body, whole.headers['content-range']]).toEqual([200, bodyOf(content, 2), undefined])
    expect((await site.get('/')).body).toBe(bodyOf(content, 2))
  })

  it('are not stored over maxBytes, or if their Content-Range has another length', async () => {
    await using site = await openSite({ maxBytes: 6 })
    const content: Content = { version: 1, size: 10, honoursIfRange: true, tag: strong }
    site.answers((request, response) => serve(content, request, response))
    await site.get('/', { Range: 'bytes=0-7' })
    expect((await site.get('/', { Range: 'bytes=1-2' })).isHit).toBe(false)
    site.answers({
      status: 206,
      headers: { 'Cache-Control': 'max-age=60', 'Content-Range': 'bytes 0-4/20' },
      body: 'abc',
    })
    await site.get('/other', { Range: 'bytes=0-4' })
    expect((await site.get('/other', { Range: 'bytes=0-1' })).isHit).toBe(false)
  })

  it('are forgotten with the tags and the URL of their response', async () => {
    await using site = await openSite()
    const content: Content = { version: 1, size: 10, honoursIfRange: true, tag: strong }
    site.answers((request, response) => serve(content, request, response))
    await site.get('/', { Range: 'bytes=0-4' })
    await site.cache.invalidateTags(['url:/'])
    expect((await site.get('/', { Range: 'bytes=0-4' })).isHit).toBe(false)
  })

  it('that are being written do not delay requests for the whole response', async () => {
    await using site = await openSite()
    const content: Content = { version: 1, size: 10, honoursIfRange: true, tag: strong }
    const gate = new Gate()
    site.answers(async (request, response) => {
      if (request.get('range') !== undefined) await gate.pass()
      serve(content, request, response)
    })
    const range = site.get('/', { Range: 'bytes=0-4' })
    await gate.arrived
    expect((await site.get('/')).body).toBe('abcdefghij')
    gate.open()
    expect((await range).body).toBe('abcde')
  })

  it('for one user are not shared', async () => {
    await using site = await openSite()
    site.answers((request, response) => {
      response.status(206).set({ 'Cache-Control': 'max-age=60', 'Content-Range': 'bytes 0-4/10', ETag: '"same"' })
      response.end((request.get('authorization') ?? 'anon!').slice(0, 5))
    })
    expect((await site.get('/', { Range: 'bytes=0-4', Authorization: 'alice' })).body).toBe('alice')
    expect((await site.get('/', { Range: 'bytes=0-4' })).body).toBe('anon!')
    expect((await site.get('/', { Range: 'bytes=0-4', Authorization: 'bobby' })).body).toBe('bobby')
  })
})

describe('a HEAD', () => {
  it('freshens a stored response of the same version', async () => {
    await using site = await openSite()
    site.answers({ headers: { 'Cache-Control': 'max-age=60', ETag: '"v1"', A: '1' } })
    await site.get()
    await site.pass(61)
    site.answers({ headers: { 'Cache-Control': 'max-age=600', ETag: '"v1"', A: '2' } })
    expect(await site.send('HEAD')).toMatchObject({ status: 200, isHit: false, headers: { a: '2' } })
    expect(site.calls[1]!.method).toBe('HEAD')
    await site.pass(60)
    expect(await site.get()).toMatchObject({ isHit: true, body: 'body', headers: { a: '2' } })
  })

  it.each([
    ['another version', { 'Cache-Control': 'max-age=600', ETag: '"v2"' }],
    ['another length', { 'Cache-Control': 'max-age=600', ETag: '"v1"', 'Content-Length': 7 }],
    ['no validator', { 'Cache-Control': 'max-age=600' }],
    ['no leave to store', { 'Cache-Control': 'no-store', ETag: '"v1"' }],
  ])('with %s freshens nothing', async (_, headers) => {
    await using site = await openSite()
    site.answers({ headers: { 'Cache-Control': 'max-age=60', ETag: '"v1"' } })
    await site.get()
    await site.pass(61)
    site.answers((_request, response) => response.writeHead(200, headers).end())
    expect((await site.send('HEAD')).status).toBe(200)
    site.answers({ headers: { 'Cache-Control': 'max-age=60', ETag: '"v2"' }, body: 'new' })
    expect(await site.get()).toMatchObject({ isHit: false, body: 'new' })
  })
})

describe('languages and encodings', () => {
  it('that are not in the options do not select a response, and are hidden from the handler', async () => {
    await using site = await openSite({ ttlSeconds: 60, languages: ['en', 'de'], encodings: ['br', 'gzip'] })
    site.answers((request, response) => {
      response.set('Vary', 'Accept-Language, Accept-Encoding')
      response.end(`${request.get('accept-language')} ${request.get('accept-encoding')}`)
    })
    const first = await site.get('/', {
      'Accept-Language': 'fr, de-AT, en;q=0.5',
      'Accept-Encoding': 'gzip, deflate, br, zstd',
    })
    expect(first.body).toBe('de;q=1, en;q=0.5 br, gzip')
    const same = { 'Accept-Language': 'es;q=0.9,en-US;q=0.5,DE', 'Accept-Encoding': 'br;q=1.0, gzip' }
    expect(await site.get('/', same)).toMatchObject({ isHit: true })
    expect((await site.get('/', { ...same, 'Accept-Language': 'en' })).body).toBe('en br, gzip')
    expect((await site.get('/', { ...same, 'Accept-Encoding': '*, br;q=0' })).body).toBe('de;q=1, en;q=0.5 gzip')
  })

  it('serve a stored response in the language that a client prefers to all others', async () => {
    await using site = await openSite({ ttlSeconds: 60, languages: ['en', 'de', 'fr'] })
    site.answers({ headers: { Vary: 'Accept-Language', 'Content-Language': 'de' }, body: 'deutsch' })
    await site.get('/', { 'Accept-Language': 'en, de' })
    expect(await site.get('/', { 'Accept-Language': 'fr;q=0.5, de' })).toMatchObject({ isHit: true, body: 'deutsch' })
    expect((await site.get('/', { 'Accept-Language': 'fr;q=0.5, en' })).isHit).toBe(false)
    await site.cache.invalidateTags(['url:/'])
    expect((await site.get('/', { 'Accept-Language': 'fr;q=0.5, de' })).isHit).toBe(false)
  })
})
