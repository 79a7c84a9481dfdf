import fastifyCookie from '@fastify/cookie'
import fastifySession from '@fastify/session'
import fastify from 'fastify'
import { testMemcache } from 'memcache-ts/testing'
import { describe, expect, it } from 'vitest'
import { MemcacheStore } from '../src/index.ts'

describe('MemcacheStore under @fastify/session', () => {
  it('keeps sessions from request to request, and ends them', async () => {
    await using test = await testMemcache()
    const app = fastify()
    await app.register(fastifyCookie)
    await app.register(fastifySession, {
      secret: 'a secret of at least thirty-two characters',
      cookie: { secure: false },
      saveUninitialized: false,
      store: new MemcacheStore({ cache: test.cache }) as never,
    })
    app.get('/in', (request) => {
      request.session.set('user' as never, 'ann' as never)
      return { in: true }
    })
    app.get('/me', (request) => ({ user: request.session.get('user' as never) ?? 'nobody' }))
    app.get('/out', async (request) => {
      await request.session.destroy()
      return { out: true }
    })
    const { headers } = await app.inject('/in')
    const cookie = String(headers['set-cookie']).split(';')[0]!
    const get = async (url: string) => (await app.inject({ url, headers: { cookie } })).json<unknown>()
    expect(await get('/me')).toEqual({ user: 'ann' })
    expect(await get('/out')).toEqual({ out: true })
    expect(await get('/me')).toEqual({ user: 'nobody' })
    await app.close()
  })
})
