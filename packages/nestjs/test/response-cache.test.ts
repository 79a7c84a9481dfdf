import 'reflect-metadata'
import {
  All,
  Body,
  Controller,
  Get,
  Header,
  HttpException,
  Injectable,
  Param,
  Patch,
  Post,
  Req,
  Res,
  StreamableFile,
  UseGuards,
  Version,
  VERSION_NEUTRAL,
  VersioningType,
} from '@nestjs/common'
import type { CanActivate, ExecutionContext, INestApplication, VersioningOptions } from '@nestjs/common'
import { passTime, until } from 'memcache-ts-testing'
import { testMemcache } from 'memcache-ts/testing'
import { describe, expect, it } from 'vitest'
import { CacheEvict, CacheResponse, MemcacheModule, RateLimit } from '../src/index.ts'
import type { CacheResponseOptions } from '../src/index.ts'
import { openApp } from './open-app.ts'

interface AnyRequest {
  headers: Record<string, string | undefined>
}
interface AnyResponse {
  header(name: string, value: string): unknown
}

@Injectable()
class Auth implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return context.switchToHttp().getRequest<AnyRequest>().headers.authorization !== 'nobody'
  }
}

const versionIn = (request: unknown): string => (request as AnyRequest).headers['api-version']!
const status = (response: Response) => response.headers.get('cache-status')

describe.each(['express', 'fastify'] as const)('@CacheResponse on %s', (platform) => {
  @Controller()
  class Shows {
    calls = 0
    @CacheResponse(60) @Get('city/:id') city(@Param('id') id: string) {
      return { id, call: ++this.calls }
    }
    @CacheResponse(60) @Header('ETag', '"fixed"') @Get('versioned') versioned() {
      return { call: ++this.calls }
    }
    @CacheResponse(60)
    @Header('Last-Modified', 'Thu, 01 Jan 2015 00:00:00 GMT')
    @Get('dated')
    dated() {
      return { call: ++this.calls }
    }
    @CacheResponse(60) @Get('slow') async slow() {
      const call = ++this.calls
      await new Promise((resolve) => setImmediate(resolve))
      return { call }
    }
    @CacheResponse(60) @Get('whoami') whoami(@Req() request: AnyRequest) {
      return { who: request.headers.authorization ?? 'nobody', call: ++this.calls }
    }
    @CacheResponse(60) @Get('cookie') cookie(@Res({ passthrough: true }) response: AnyResponse) {
      response.header('Set-Cookie', `id=${++this.calls}`)
      return { call: this.calls }
    }
    @CacheResponse(60) @Header('Vary', 'Accept-Language') @Get('hello') hello(@Req() request: AnyRequest) {
      return { hello: request.headers['accept-language'], call: ++this.calls }
    }
    @CacheResponse(60) @Header('Cache-Control', 'private') @Get('private') private() {
      return { call: ++this.calls }
    }
    @CacheResponse() @Header('Cache-Control', 'max-age=30') @Get('own') own() {
      return { call: ++this.calls }
    }
    @CacheResponse({ ttlSeconds: 60, staleSeconds: 60 }) @Get('stale') stale() {
      return { call: ++this.calls }
    }
    @CacheResponse(60) @Get('fails') fails() {
      this.calls++
      throw new HttpException('out of order', 503)
    }
    @CacheResponse(60) @Get('file') file() {
      this.calls++
      return new StreamableFile(Buffer.from('a file'), { type: 'text/plain' })
    }
    @RateLimit({ perMinute: 3 }) @UseGuards(Auth) @CacheResponse(60) @Get('guarded') guarded() {
      return { call: ++this.calls }
    }
    @CacheResponse(60) @Patch('city/:id') change(@Param('id') id: string) {
      return { changed: id }
    }
    @CacheEvict({ tags: ['cities'] }) @Post('reload') async reload() {
      return { reloaded: true }
    }
    @CacheResponse({ ttlSeconds: 60, tags: ['cities'], key: (request) => request.params['id']!.toLowerCase() })
    @Get('tagged/:id')
    tagged() {
      return { call: ++this.calls }
    }
    @CacheResponse({ ttlSeconds: 60, condition: (request) => request.query['fresh'] === undefined })
    @Get('conditional')
    conditional() {
      return { call: ++this.calls }
    }
  }

  const open = () => openApp({ platform, controllers: [Shows] })

  it.each([
    ['versioned', { 'If-None-Match': '"fixed"' }, { 'If-None-Match': '"other"' }],
    [
      'dated',
      { 'If-Modified-Since': 'Thu, 01 Jan 2015 00:00:00 GMT' },
      { 'If-Modified-Since': 'Wed, 31 Dec 2014 00:00:00 GMT' },
    ],
  ])('evaluates conditions by a static validator on a hit as on a miss: %s', async (path, same, other) => {
    await using test = await open()
    // By default, fetch would request a newer one.
    const get = (headers: Record<string, string>) =>
      test.fetch(`/${path}`, { headers: { ...headers, 'Cache-Control': 'max-age=3600' } })
    expect((await get(same)).status).toBe(304)
    const hit = await get(same)
    expect([hit.status, status(hit)]).toEqual([304, expect.stringContaining('hit')])
    const changed = await get(other)
    expect([changed.status, await changed.json()]).toEqual([200, { call: 1 }])
  })

  it('serves the second request without the handler, with Age, ETag and 304', async () => {
    await using test = await open()
    const first = await test.fetch('/city/1')
    expect(await first.json()).toEqual({ id: '1', call: 1 })
    expect(status(first)).toBe('memcache-ts; fwd=uri-miss; stored')
    await test.pass(20)
    const second = await test.fetch('/city/1')
    expect(await second.json()).toEqual({ id: '1', call: 1 })
    expect(status(second)).toBe('memcache-ts; hit; ttl=40')
    expect(second.headers.get('age')).toBe('20')
    expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'))
    expect(second.headers.get('content-length')).toBe('19')
    const head = await test.fetch('/city/1', { method: 'HEAD' })
    expect([head.status, status(head), await head.text()]).toEqual([200, 'memcache-ts; hit; ttl=40', ''])
    const etag = first.headers.get('etag')
    if (etag !== null) {
      // By default, fetch would request a newer one.
      const headers = { 'If-None-Match': etag, 'Cache-Control': 'max-age=3600' }
      const known = await test.fetch('/city/1', { headers })
      expect([known.status, await known.text()]).toEqual([304, ''])
    }
    await test.pass(41)
    expect(await (await test.fetch('/city/1')).json()).toEqual({ id: '1', call: 2 })
    expect(test.get(Shows).calls).toBe(2)
  })

  it('20 misses at once are one call', async () => {
    await using test = await open()
    const answers = await Promise.all(Array.from({ length: 20 }, () => test.fetch('/slow')))
    for (const answer of answers) expect(await answer.json()).toEqual({ call: 1 })
    expect(test.get(Shows).calls).toBe(1)
  })

  it('serves no client the response of another client: Authorization, cookies, Vary, private', async () => {
    await using test = await open()
    const ask = async (path: string, headers: Record<string, string> = {}) => {
      const response = await test.fetch(path, { headers })
      return { ...((await response.json()) as object), cookie: response.headers.get('set-cookie') }
    }
    expect(await ask('/whoami', { authorization: 'ann' })).toMatchObject({ who: 'ann', call: 1 })
    expect(await ask('/whoami', { authorization: 'bob' })).toMatchObject({ who: 'bob', call: 2 })
    expect(await ask('/whoami')).toMatchObject({ who: 'nobody', call: 3 })
    expect(await ask('/city/1', { cookie: 'session=ann' })).toMatchObject({ call: 4 })
    expect(await ask('/city/1', { cookie: 'session=bob' })).toMatchObject({ call: 5 })
    expect(await ask('/cookie')).toMatchObject({ call: 6, cookie: 'id=6' })
    expect(await ask('/cookie')).toMatchObject({ call: 7, cookie: 'id=7' })
    expect(await ask('/hello', { 'accept-language': 'de' })).toMatchObject({ hello: 'de', call: 8 })
    expect(await ask('/hello', { 'accept-language': 'fr' })).toMatchObject({ hello: 'fr', call: 9 })
    expect(await ask('/hello', { 'accept-language': 'de' })).toMatchObject({ hello: 'de', call: 8 })
    expect(await ask('/private')).toMatchObject({ call: 10 })
    expect(await ask('/private')).toMatchObject({ call: 11 })
  })

  it('waiting requests do not get a private response of another request', async () => {
    await using test = await open()
    const answers = await Promise.all(Array.from({ length: 5 }, () => test.fetch('/cookie')))
    const cookies = new Set(answers.map((answer) => answer.headers.get('set-cookie')))
    expect(cookies.size).toBe(5)
  })

  it('a response’s own lifetime counts before ours', async () => {
    await using test = await open()
    await test.fetch('/own')
    await test.pass(1)
    expect(status(await test.fetch('/own'))).toBe('memcache-ts; hit; ttl=29')
  })

  it('serves a stale response while a separate request through the application loads it again', async () => {
    await using test = await open()
    await test.fetch('/stale')
    await test.pass(61)
    const stale = await test.fetch('/stale')
    expect(await stale.json()).toEqual({ call: 1 })
    expect(status(stale)).toContain('hit')
    await until(() => test.get(Shows).calls === 2)
    await until(async () => {
      const { call } = (await (await test.fetch('/stale')).json()) as { call: number }
      return call === 2
    })
  })

  it('keeps no errors', async () => {
    await using test = await open()
    for (const _ of [1, 2]) expect((await test.fetch('/fails')).status).toBe(503)
    expect(test.get(Shows).calls).toBe(2)
  })

  it('keeps files', async () => {
    await using test = await open()
    for (const _ of [1, 2]) {
      const file = await test.fetch('/file')
      expect([file.headers.get('content-type'), await file.text()]).toEqual(['text/plain', 'a file'])
    }
    expect(test.get(Shows).calls).toBe(1)
  })

  it('runs behind guards, whose fields are each request’s own', async () => {
    await using test = await open()
    const headers = { authorization: 'nobody' }
    const first = await test.fetch('/guarded')
    await test.pass(1)
    const second = await test.fetch('/guarded')
    expect(status(second)).toContain('hit')
    expect([first, second].map((response) => response.headers.get('ratelimit')?.slice(0, 20))).toEqual([
      '"Shows.guarded";r=2;',
      '"Shows.guarded";r=1;',
    ])
    expect((await test.fetch('/guarded', { headers })).status).toBe(403)
    expect((await test.fetch('/guarded')).status).toBe(200)
    expect((await test.fetch('/guarded')).status).toBe(429)
  })

  it('an unsafe request invalidates the responses of its URL, and a tag the responses that carry it', async () => {
    await using test = await open()
    const call = async (path: string) => ((await (await test.fetch(path)).json()) as { call: number }).call
    expect(await call('/city/1')).toBe(1)
    await test.fetch('/city/1', { method: 'PATCH' })
    expect(await call('/city/1')).toBe(2)
    expect([await call('/tagged/A'), await call('/tagged/a')]).toEqual([3, 3])
    await test.fetch('/reload', { method: 'POST' })
    expect(await call('/tagged/a')).toBe(4)
    await test.cache.invalidateTags('url:/city/1')
    expect(await call('/city/1')).toBe(5)
  })

  it('does not cache requests that its condition excludes', async () => {
    await using test = await open()
    for (const path of ['/conditional', '/conditional', '/conditional?fresh=1']) await test.fetch(path)
    expect(test.get(Shows).calls).toBe(2)
  })

  it.each([
    ['a header', { type: VersioningType.HEADER, header: 'API-Version' }],
    ['a media type', { type: VersioningType.MEDIA_TYPE, key: 'v=' }],
    ['a function', { type: VersioningType.CUSTOM, extractor: versionIn }],
    ['a function of several', { type: VersioningType.CUSTOM, extractor: (request: unknown) => [versionIn(request)] }],
    ['a header, by default', { type: VersioningType.HEADER, header: 'api-version', defaultVersion: ['3', '33'] }],
  ] as [string, VersioningOptions][])(
    'tells versions apart that %s selects, of one route, too',
    async (_, versioning) => {
      @Controller('versions')
      class Versions {
        @Version('1') @CacheResponse(60) @Get() one() {
          return 'one'
        }
        @Version('2') @CacheResponse(60) @Get() two() {
          return 'two'
        }
        @('defaultVersion' in versioning ? () => {} : Version(['3', VERSION_NEUTRAL, '33']))
        @CacheResponse(60)
        @Get()
        more(@Req() request: unknown) {
          return `more ${versionIn(request)}`
        }
      }
      const prepare = (app: INestApplication) => app.enableVersioning(versioning)
      await using test = await openApp({ platform, prepare, controllers: [Versions] })
      const ask = async (version: string) => {
        const headers = { 'API-Version': version, Accept: `text/plain;v=${version}` }
        return (await test.fetch('/versions', { headers })).text()
      }
      const asked = ['1', '2', '3', '33', '1', '3', '33']
      const answers = []
      for (const version of asked) answers.push(await ask(version))
      expect(answers).toEqual(['one', 'two', 'more 3', 'more 33', 'one', 'more 3', 'more 33'])
    },
  )

  it('stores no response for a user that a guard has set, unless key separates the users', async () => {
    @Injectable()
    class ByKey implements CanActivate {
      canActivate(context: ExecutionContext): boolean {
        const request = context.switchToHttp().getRequest<AnyRequest & { user?: unknown }>()
        request.user = { id: request.headers['x-api-key'] }
        return true
      }
    }
    @UseGuards(ByKey)
    @Controller('mine')
    class Mine {
      calls = 0
      @CacheResponse(60) @Get() mine(@Req() { user }: { user: { id: string } }) {
        return { user: user.id, call: ++this.calls }
      }
      @CacheResponse({ ttlSeconds: 60, vary: ['x-api-key'] }) @Get('varied') varied(
        @Req() { user }: { user: { id: string } },
      ) {
        return { user: user.id, call: ++this.calls }
      }
    }
    await using test = await openApp({ platform, controllers: [Mine] })
    const ask = async (path: string, key: string) =>
      (await test.fetch(path, { headers: { 'x-api-key': key } })).json() as Promise<object>
    expect(await ask('/mine', 'ann')).toEqual({ user: 'ann', call: 1 })
    expect(await ask('/mine', 'bob')).toEqual({ user: 'bob', call: 2 })
    expect(await ask('/mine/varied', 'ann')).toEqual({ user: 'ann', call: 3 })
    expect(await ask('/mine/varied', 'bob')).toEqual({ user: 'bob', call: 4 })
    expect(await ask('/mine/varied', 'ann')).toEqual({ user: 'ann', call: 3 })
  })

  it('applies to all routes of a class, unless a method has its own', async () => {
    @CacheResponse(60)
    @Controller('all')
    class All {
      @Get('a') a() {
        return 'a'
      }
      @CacheResponse(10) @Get('b') b() {
        return 'b'
      }
    }
    await using test = await openApp({ platform, controllers: [All] })
    for (const path of ['/all/a', '/all/b']) await test.fetch(path)
    await test.pass(1)
    expect(status(await test.fetch('/all/a'))).toBe('memcache-ts; hit; ttl=59')
    expect(status(await test.fetch('/all/b'))).toBe('memcache-ts; hit; ttl=9')
  })

  it('continues without memcached', async () => {
    await using test = await openApp({ platform, controllers: [Shows], memcache: { timeoutMs: 100 } })
    await test.server.stop()
    for (const _ of [1, 2]) expect((await test.fetch('/city/1')).status).toBe(200)
  })

  it('uses the named cache of its option', async () => {
    @Controller()
    class Named {
      @CacheResponse({ ttlSeconds: 60, cache: 'pages' }) @Get() show() {
        return 'shown'
      }
    }
    await using pages = await testMemcache({ timeoutMs: 5000 })
    const imports = [MemcacheModule.forRoot({ name: 'pages', cache: pages.cache })]
    await using test = await openApp({ platform, imports, controllers: [Named] })
    await test.fetch('/')
    await passTime(pages.clock, pages.cache, 1)
    expect(status(await test.fetch('/'))).toContain('hit')
    expect(test.server.memcached.stats()['curr_items']).toBe(0)
  })
})

describe.each(['express', 'fastify'] as const)('QUERY on %s', (platform) => {
  @Controller()
  class Search {
    calls = 0
    @CacheResponse(60) @All('search') search(@Body() body: unknown) {
      return { call: ++this.calls, body }
    }
  }

  it('selects its response by its content', async () => {
    await using test = await openApp({
      platform,
      controllers: [Search],
    })
    const query = async (body: object) => {
      const headers = { 'Content-Type': 'application/json' }
      const response = await test.fetch('/search', { method: 'QUERY', headers, body: JSON.stringify(body) })
      return [status(response)?.includes('hit'), await response.json()]
    }
    expect(await query({ a: 1 })).toEqual([false, { call: 1, body: { a: 1 } }])
    expect(await query({ a: 1 })).toEqual([true, { call: 1, body: { a: 1 } }])
    expect(await query({ a: 2 })).toEqual([false, { call: 2, body: { a: 2 } }])
  })
})

describe('invalid options are refused at the declaration', () => {
  it.each<[CacheResponseOptions, string]>([
    [{ ttl: 60 } as CacheResponseOptions, '`ttl` is `ttlSeconds` here'],
    [{ ttlSeconds: 0 }, 'ttlSeconds'],
    [{ tags: 'cities' as never }, 'tags must be a list'],
    [{ staleSeconds: '7d' }, 'at most a day'],
  ])('%j', (options, message) => {
    expect(() => {
      class Shows {
        @CacheResponse(options) show(): void {}
      }
      return Shows
    }).toThrow(message)
  })
})
