import 'reflect-metadata'
import { Controller, Get, Module, Req } from '@nestjs/common'
import type { MiddlewareConsumer, NestModule } from '@nestjs/common'
import { Memcache } from 'memcache-ts'
import { memcacheSession } from 'memcache-ts-express'
import { expect, it } from 'vitest'
import { openApp } from './open-app.ts'

@Controller()
class Visits {
  @Get() count(@Req() request: { session: { visits?: number } }) {
    request.session.visits = (request.session.visits ?? 0) + 1
    return { visits: request.session.visits }
  }
}

@Module({ controllers: [Visits] })
class SessionModule implements NestModule {
  readonly #cache: Memcache
  constructor(cache: Memcache) {
    this.#cache = cache
  }
  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(memcacheSession({ cache: this.#cache, secret: 'of a test' })).forRoutes('{*path}')
  }
}

it('sessions are the Express middleware, on the cache of the application', async () => {
  await using test = await openApp({ imports: [SessionModule] })
  const first = await test.fetch('/')
  const cookie = first.headers.get('set-cookie')!.split(';')[0]!
  expect(await first.json()).toEqual({ visits: 1 })
  expect(await (await test.fetch('/', { headers: { cookie } })).json()).toEqual({ visits: 2 })
})

it.each(['reads', 'writes'])('a request that %s a session gets 503 while memcached is down', async (way) => {
  await using test = await openApp({ imports: [SessionModule] })
  const cookie = (await test.fetch('/')).headers.get('set-cookie')!.split(';')[0]!
  await test.server.stop()
  const response = await test.fetch('/', { headers: way === 'reads' ? { cookie } : {} })
  expect(response.status).toBe(503)
  expect(await response.json()).toEqual({ statusCode: 503, message: 'Service Unavailable' })
})
