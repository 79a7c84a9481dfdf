import { Hono } from 'hono'
import type { Context } from 'hono'
import { fetchSession } from 'memcache-ts/session'
import type { FetchSessions, OpenedSession } from 'memcache-ts/session'
import { testMemcache } from 'memcache-ts/testing'
import type { TestMemcache } from 'memcache-ts/testing'
import { until } from 'memcache-ts-testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { FetchSessionOptions } from '../src/session/index.ts'

interface Data {
  views: number
  user: string
  nested: Record<string, number>
}

/** Asks what handles requests, and keeps the cookie that it is given. */
class Visitor {
  readonly #answer: (request: Request) => Response | Promise<Response>
  cookie: string | undefined

  constructor(answer: (request: Request) => Response | Promise<Response>) {
    this.#answer = answer
  }

  async get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    const cookies = this.cookie === undefined ? {} : { cookie: this.cookie }
    const response = await this.#answer(new Request(`http://localhost${path}`, { headers: { ...cookies, ...headers } }))
    const set = response.headers.getSetCookie().find((cookie) => cookie.startsWith('connect.sid='))
    if (set !== undefined) this.cookie = set.startsWith('connect.sid=;') ? undefined : set.split(';')[0]!
    return response
  }
}

const idOf = (cookie: string): string => decodeURIComponent(cookie.split('=')[1]!).slice(2).split('.')[0]!

describe('fetchSession', () => {
  let test: TestMemcache
  beforeEach(async () => {
    test = await testMemcache()
  })
  afterEach(() => test.close())

  function open(options: FetchSessionOptions = {}): FetchSessions<Data> {
    return fetchSession<Data>({ cache: test.cache, secret: 'of the tests', ...options })
  }

  function visitor(
    handler: (opened: OpenedSession<Data>, request: Request) => Response | Promise<Response>,
    options?: FetchSessionOptions,
  ): Visitor {
    const sessions = open(options)
    return new Visitor((request) => sessions.handle(request, handler))
  }

  const count = ({ session }: OpenedSession<Data>): Response => {
    session.views = (session.views ?? 0) + 1
    return Response.json({ views: session.views })
  }

  it('stores a session that has data, and creates no session without data', async () => {
    const ann = visitor((opened, { url }) => (url.endsWith('/none') ? new Response('') : count(opened)))
    expect((await ann.get('/none')).headers.getSetCookie()).toEqual([])
    const first = await ann.get('/')
    expect(first.headers.get('set-cookie')).toMatch(/^connect\.sid=s%3A.*; Path=\/; HttpOnly; SameSite=Lax$/)
    expect(await (await ann.get('/')).json()).toEqual({ views: 2 })
    expect((await ann.get('/')).headers.getSetCookie()).toEqual([])
  })

  it.each([
    ['a redirect, whose headers cannot be changed', () => Response.redirect('http://localhost/next', 303), 303],
    ['a response with cookies of its own', () => new Response('', { headers: [['Set-Cookie', 'a=1']] }), 200],
    ['no content', () => new Response(null, { status: 204 }), 204],
    ['a stream', () => new Response(new Blob(['text']).stream()), 200],
  ])('sets the cookie of %s', async (_, respond, status) => {
    const ann = visitor(({ session }) => {
      session.user = 'ann'
      return respond()
    })
    const response = await ann.get('/')
    expect(response.status).toBe(status)
    expect(response.headers.getSetCookie().at(-1)).toContain('connect.sid=')
    if (status === 303) expect(response.headers.get('location')).toBe('http://localhost/next')
  })

  it('regenerates, reloads and destroys a session', async () => {
    const ann = visitor(async (opened, { url }) => {
      const path = new URL(url).pathname
      if (path === '/in') {
        opened.session.views = 3
        await opened.session.regenerate({ keep: true })
        opened.session.user = 'ann'
        await opened.session.save()
        await opened.session.reload()
      }
      if (path === '/out') await opened.session.destroy()
      const session = opened.session as Partial<Data> | undefined
      return Response.json({ views: session?.views, user: session?.user })
    })
    expect(await (await ann.get('/in')).json()).toEqual({ views: 3, user: 'ann' })
    const { cookie } = ann
    await ann.get('/in')
    expect(ann.cookie).not.toBe(cookie)
    expect(await (await ann.get('/')).json()).toEqual({ views: 3, user: 'ann' })
    await ann.get('/out')
    expect(ann.cookie).toBeUndefined()
    ann.cookie = cookie
    expect(await (await ann.get('/')).json()).toEqual({})
  })

  it('keeps the id of a client that disconnects before its response has the new one', async () => {
    const sessions = open()
    const ann = new Visitor((request) => sessions.handle(request, count))
    const openedBy = (signal: AbortSignal): Promise<OpenedSession<Data>> =>
      sessions.open(new Request('http://localhost/', { headers: { cookie: ann.cookie! }, signal }))
    await ann.get('/')
    for (const isEarly of [true, false]) {
      const leaving = new AbortController()
      const opened = await openedBy(leaving.signal)
      if (isEarly) leaving.abort()
      await opened.session.regenerate({ keep: true })
      opened.session.user = 'admin'
      if (!isEarly) leaving.abort()
      const { session } = opened
      await until(async () => (await sessions.store.get(idOf(ann.cookie!))) !== undefined)
      expect(await sessions.store.get(idOf(ann.cookie!))).toMatchObject({ views: 1 })
      expect(await sessions.store.get(idOf(ann.cookie!))).not.toHaveProperty('user')
      expect(await sessions.store.get(session.id)).toMatchObject({ views: 1 })
    }
    const done = new AbortController()
    const opened = await openedBy(done.signal)
    await opened.session.regenerate({ keep: true })
    await opened.commit(new Response())
    // As platforms do whose signals end with each response.
    done.abort()
    expect(await sessions.store.get(idOf(ann.cookie!))).toBeUndefined()
    expect(await sessions.store.get(opened.session.id)).toMatchObject({ views: 1 })
  })

  it('loses no parallel write, and runs requests one after another under a lock', async () => {
    const ann = visitor(async (opened, { url }) => {
      const path = new URL(url).pathname
      if (path === '/lock') {
        await opened.session.lock()
        opened.session.views!++
      } else if (path !== '/') opened.session.nested = { ...opened.session.nested, [path]: 1 }
      else opened.session.views ??= 0
      return Response.json({ ...opened.session })
    })
    await ann.get('/')
    await Promise.all(Array.from({ length: 20 }, (_, index) => ann.get(index % 2 === 0 ? '/lock' : `/${index}`)))
    const { views, nested } = (await (await ann.get('/')).json()) as Data
    expect(views).toBe(10)
    expect(Object.keys(nested)).toHaveLength(10)
  })

  it('ends the lock of a request whose handler throws', async () => {
    const ann = visitor(async (opened, { url }) => {
      if (url.endsWith('/fail')) {
        await opened.session.lock()
        opened.session.user = 'nobody'
        throw new Error('the handler failed')
      }
      if (url.endsWith('/lock')) await opened.session.lock({ waitMs: 0 })
      return count(opened)
    })
    await ann.get('/')
    await expect(ann.get('/fail')).rejects.toThrow('the handler failed')
    expect((await ann.get('/lock')).status).toBe(200)
  })

  it('sends the cookie of a regenerated session with an error response', async () => {
    const sessions = open()
    const ann = visitor(count)
    await ann.get('/')
    const request = new Request('http://localhost/', { headers: { cookie: ann.cookie! } })
    const opened = await sessions.open(request)
    await opened.session.regenerate({ keep: true })
    Object.assign(opened.session, { self: opened.session })
    await expect(opened.commit(new Response())).rejects.toThrow('cannot be stored as JSON')
    const response = await opened.commit(new Response('', { status: 503 }))
    ann.cookie = response.headers.getSetCookie()[0]!.split(';')[0]!
    expect(await (await ann.get('/')).json()).toEqual({ views: 2 })
  })

  it('commits a response that its handler throws, as React Router redirects', async () => {
    const ann = visitor((opened) => {
      count(opened)
      throw Response.redirect('http://localhost/elsewhere')
    })
    const thrown = (await ann.get('/').catch((response: unknown) => response)) as Response
    expect([thrown.status, thrown.headers.getSetCookie()]).toEqual([302, [expect.stringContaining('connect.sid=s')]])
  })

  it('rejects if the session cannot be read or saved, and continues if onCacheDown allows it', async () => {
    const ann = visitor(count)
    const bob = visitor(count, { onCacheDown: 'anonymous' })
    await ann.get('/')
    await bob.get('/')
    const { cookie } = bob
    await test.server.stop()
    await expect(ann.get('/')).rejects.toMatchObject({
      name: expect.stringMatching(/^Memcache/) as string,
      message: expect.stringMatching(
        /^the session could not be read: memcached at .*; the option onCacheDown/,
      ) as string,
      statusCode: 503,
    })
    expect(await (await bob.get('/')).json()).toEqual({ views: 1 })
    expect(bob.cookie).toBe(cookie)
    // Of a new visitor, what cannot be saved has no cookie either.
    bob.cookie = undefined
    expect((await bob.get('/')).headers.getSetCookie()).toEqual([])
  })

  it('sends a secure cookie over https, and trusts a proxy only with the option proxy', async () => {
    const [plain, trusting] = [open(), open({ proxy: true })]
    const cookieOf = async (sessions: FetchSessions<Data>, url: string, headers: Record<string, string> = {}) =>
      (await sessions.handle(new Request(url, { headers }), count)).headers.get('set-cookie')
    expect(await cookieOf(plain, 'https://localhost/')).toContain('; Secure')
    expect(await cookieOf(plain, 'http://localhost/', { 'x-forwarded-proto': 'https' })).not.toContain('Secure')
    expect(await cookieOf(trusting, 'http://localhost/', { 'x-forwarded-proto': 'https' })).toContain('; Secure')
  })

  it('has no session for skipped requests and for requests outside of the cookie’s path', async () => {
    const sessions = open({ skip: ({ url }) => url.endsWith('/health'), cookie: { path: '/app' } })
    for (const path of ['/app/health', '/other']) {
      const opened = await sessions.open(new Request(`http://localhost${path}`))
      expect(opened.session).toBeUndefined()
      const response = new Response('as it was')
      expect(await opened.commit(response)).toBe(response)
    }
  })

  it('is a middleware of Hono in a few lines', async () => {
    const sessions = open()
    const app = new Hono<{ Variables: { opened: OpenedSession<Data> } }>()
    app.use(async (context: Context, next) => {
      const opened = await sessions.open(context.req.raw)
      context.set('opened', opened)
      await next()
      context.res = await opened.commit(context.res)
    })
    app.get('/', (context) => {
      const { session } = context.get('opened')
      session.views = (session.views ?? 0) + 1
      context.header('Set-Cookie', 'a=1')
      return context.json({ views: session.views })
    })
    const ann = new Visitor((request) => app.fetch(request))
    const first = await ann.get('/')
    expect(first.headers.getSetCookie()).toEqual(['a=1', expect.stringContaining('connect.sid=')])
    expect(await (await ann.get('/')).json()).toEqual({ views: 2 })
    await test.server.stop()
    // By Hono's own error handler.
    expect((await ann.get('/')).status).toBe(503)
  })

  it('lists and ends the sessions of a user', async () => {
    const sessions = open({ userId: (session) => session['user'] as string })
    const sign = (opened: OpenedSession<Data>): Response => {
      opened.session.user = 'ann'
      return new Response('')
    }
    const [phone, laptop] = [1, 2].map(() => new Visitor((request) => sessions.handle(request, sign)))
    await phone!.get('/')
    await laptop!.get('/')
    expect(await sessions.store.sessionsOf('ann')).toHaveLength(2)
    expect(await sessions.store.destroySessionsOf('ann')).toBe(2)
  })

  it('refuses options that are unknown or invalid', () => {
    expect(() => open({ ttl: 5 } as never)).toThrow('`ttlSeconds` here')
    expect(() => open({ secret: [] })).toThrow('one or more')
  })
})
