import fastifyCookie from '@fastify/cookie'
import fastify from 'fastify'
import type { FastifyPluginAsync } from 'fastify'
import { testMemcache } from 'memcache-ts/testing'
import { describe, expect, it } from 'vitest'
import { MemcacheStore } from '../src/index.ts'

/** Its types would declare another `request.session` for all tests of this package. */
const SPECIFIER: string = '@fastify/session'

interface LibrarySession {
  set(name: string, value: unknown): void
  get(name: string): unknown
  regenerate(): Promise<void>
  destroy(): Promise<void>
}

describe('MemcacheStore under @fastify/session', () => {
  it('keeps sessions from request to request, renews their ids and ends them', async () => {
    await using test = await testMemcache()
    const { default: fastifySession } = (await import(SPECIFIER)) as {
      default: FastifyPluginAsync<Record<string, unknown>>
    }
    const app = fastify()
    await app.register(fastifyCookie)
    await app.register(fastifySession, {
      secret: 'a secret of at least thirty-two characters',
      cookie: { secure: false },
      saveUninitialized: false,
      store: new MemcacheStore({ cache: test.cache }),
    })
    const sessionOf = (request: object): LibrarySession => (request as { session: LibrarySession }).session
    app.get('/in', (request) => {
      sessionOf(request).set('user', 'ann')
      return { in: true }
    })
    app.get('/me', (request) => ({ user: sessionOf(request).get('user') ?? 'nobody' }))
    app.get('/renew', async (request) => {
      await sessionOf(request).regenerate()
      sessionOf(request).set('user', 'bob')
      return {}
    })
    app.get('/out', async (request) => {
      await sessionOf(request).destroy()
      return { out: true }
    })
    let cookie = String((await app.inject('/in')).headers['set-cookie']).split(';')[0]!
    const get = async (url: string) => app.inject({ url, headers: { cookie } })
    expect((await get('/me')).json()).toEqual({ user: 'ann' })
    const renewed = await get('/renew')
    expect((await get('/me')).json()).toEqual({ user: 'nobody' })
    cookie = String(renewed.headers['set-cookie']).split(';')[0]!
    expect((await get('/me')).json()).toEqual({ user: 'bob' })
    expect((await get('/out')).json()).toEqual({ out: true })
    expect((await get('/me')).json()).toEqual({ user: 'nobody' })
    await app.close()
  })
})
