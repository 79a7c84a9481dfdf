import 'reflect-metadata'
import { Body, Controller, Get, Injectable, Post, UnauthorizedException, UseGuards } from '@nestjs/common'
import type { CanActivate, ExecutionContext } from '@nestjs/common'
import { APP_GUARD } from '@nestjs/core'
import { testMemcache } from 'memcache-ts/testing'
import { until } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { CacheResponse, MemcacheModule, RateLimit, RateLimitGuard, SkipRateLimit } from '../src/index.ts'
import type { RateLimitOptions } from '../src/index.ts'
import { openApp } from './open-app.ts'

const PLATFORMS = ['express', 'fastify'] as const

@Injectable()
class Auth implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<{ headers: Record<string, string>; user?: unknown }>()
    const { authorization } = request.headers
    if (authorization !== undefined) request.user = { sub: authorization }
    return true
  }
}

describe.each(PLATFORMS)('on %s', (platform) => {
  @Controller()
  class Shows {
    shown = 0
    @Get('free') free() {
      return 'free'
    }
    @RateLimit({ perMinute: 2 }) @Get('limited') limited() {
      return `limited ${++this.shown}`
    }
    @Get('other') @RateLimit({ name: 'other', perMinute: 1, perHour: 5 }) other() {
      return 'other'
    }
    @SkipRateLimit() @Get('health') health() {
      return 'well'
    }
    @RateLimit({ perMinute: 2, key: 'user' }) @UseGuards(Auth) @Get('mine') mine() {
      return 'mine'
    }
  }

  it('@RateLimit adds its guard: headers, and 429 with a problem document', async () => {
    await using test = await openApp({ platform, controllers: [Shows] })
    const first = await test.fetch('/limited')
    expect([first.status, await first.text()]).toEqual([200, 'limited 1'])
    expect(first.headers.get('ratelimit-policy')).toBe('"Shows.limited";q=2;w=60')
    expect(first.headers.get('ratelimit')).toMatch(/^"Shows.limited";r=1;t=\d+$/)
    await test.fetch('/limited')
    const denied = await test.fetch('/limited')
    expect(denied.status).toBe(429)
    expect(denied.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(Number(denied.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(denied.headers.get('ratelimit')).toMatch(/^"Shows.limited";r=0/)
    expect(await denied.json()).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      status: 429,
      'violated-policies': ['Shows.limited'],
    })
    const free = await test.fetch('/free')
    expect([free.status, free.headers.get('ratelimit')]).toEqual([200, null])
    test.clock.advanceSeconds(120)
    expect((await test.fetch('/limited')).status).toBe(200)
  })

  it('is exact when all come at once', async () => {
    await using test = await openApp({ platform, controllers: [Shows] })
    const answers = await Promise.all(Array.from({ length: 20 }, () => test.fetch('/limited')))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(2)
  })

  it('forRoot({ rateLimit }) limits all routes together, in addition to their own limits, except skipped routes', async () => {
    const root = MemcacheModule.forRoot({ rateLimit: { perMinute: 3 } })
    await using test = await openApp({ platform, root, controllers: [Shows] })
    expect((await test.fetch('/free')).headers.get('ratelimit-policy')).toBe('"default";q=3;w=60')
    const other = await test.fetch('/other')
    expect(other.headers.get('ratelimit-policy')).toBe(
      '"default";q=3;w=60, "other-60s";q=1;w=60, "other-3600s";q=5;w=3600',
    )
    expect((await test.fetch('/other')).status).toBe(429)
    expect((await test.fetch('/free')).status).toBe(429)
    const health = await test.fetch('/health')
    expect([health.status, health.headers.get('ratelimit')]).toEqual([200, null])
  })

  it('a guard of the application’s own counts no request twice', async () => {
    const root = MemcacheModule.forRoot({ rateLimit: { perMinute: 3 } })
    const providers = [{ provide: APP_GUARD, useClass: RateLimitGuard }]
    await using test = await openApp({ platform, root, providers, controllers: [Shows] })
    expect((await test.fetch('/free')).headers.get('ratelimit')).toMatch(/^"default";r=2;t=\d+$/)
  })

  it('counts by user behind the guard that sets the user, and otherwise by address', async () => {
    await using test = await openApp({ platform, controllers: [Shows] })
    const statusOf = async (authorization?: string) =>
      (await test.fetch('/mine', { headers: authorization === undefined ? {} : { authorization } })).status
    expect([await statusOf('ann'), await statusOf('ann'), await statusOf('ann')]).toEqual([200, 200, 429])
    expect([await statusOf('bob'), await statusOf()]).toEqual([200, 200])
  })

  it('a guard in the root module runs before the limit of the application, which so knows the user', async () => {
    const root = MemcacheModule.forRoot({ rateLimit: { perMinute: 1, key: 'user' } })
    const providers = [{ provide: APP_GUARD, useClass: Auth }]
    await using test = await openApp({ platform, root, providers, controllers: [Shows] })
    const statusOf = async (authorization: string) => (await test.fetch('/free', { headers: { authorization } })).status
    expect([await statusOf('ann'), await statusOf('ann'), await statusOf('bob')]).toEqual([200, 429, 200])
  })

  it('on a class it counts all of its routes together, and a method can be left out', async () => {
    @RateLimit({ perMinute: 1 })
    @Controller('all')
    class All {
      @Get('a') a() {
        return 'a'
      }
      @Get('b') b() {
        return 'b'
      }
      @SkipRateLimit() @Get('c') c() {
        return 'c'
      }
    }
    await using test = await openApp({ platform, controllers: [All] })
    expect((await test.fetch('/all/a')).status).toBe(200)
    expect((await test.fetch('/all/b')).status).toBe(429)
    expect((await test.fetch('/all/c')).status).toBe(200)
  })

  it('key, cost, skip and headers are functions of the request', async () => {
    const limit: RateLimitOptions = {
      perMinute: 10,
      key: (request) => request.headers?.['x-key'] as string | undefined,
      cost: (request) => Number(request.headers?.['x-cost'] ?? 1),
      skip: (request) => request.headers?.['x-skip'] === 'yes',
      headers: 'legacy',
    }
    @Controller()
    class Keyed {
      @RateLimit(limit) @Post() post() {
        return 'posted'
      }
    }
    await using test = await openApp({ platform, controllers: [Keyed] })
    const post = (headers: Record<string, string>) => test.fetch('/', { method: 'POST', headers })
    const answer = await post({ 'x-key': 'a', 'x-cost': '9' })
    expect(answer.headers.get('x-ratelimit-remaining')).toBe('1')
    expect((await post({ 'x-key': 'a', 'x-cost': '2' })).status).toBe(429)
    expect((await post({ 'x-key': 'a', 'x-cost': '2', 'x-skip': 'yes' })).status).toBe(201)
    expect((await post({ 'x-key': 'b' })).status).toBe(201)
    expect((await post({})).status).toBe(201)
  })

  it('gives successful requests back, so that only failures count', async () => {
    @Controller()
    class Login {
      @RateLimit({ perMinute: 2, skipSuccessfulRequests: true }) @Post() login(
        @Body() { password }: { password: string },
      ) {
        if (password !== 'right') throw new UnauthorizedException()
        return 'welcome'
      }
    }
    await using test = await openApp({ platform, controllers: [Login] })
    const login = async (password: string) => {
      const body = JSON.stringify({ password })
      const headers = { 'Content-Type': 'application/json' }
      const response = await test.fetch('/', { method: 'POST', headers, body })
      return { status: response.status, left: /r=(\d)/.exec(response.headers.get('ratelimit')!)![1] }
    }
    for (let i = 0; i < 4; i++) {
      await until(async () => (await login('right')).left === '1')
    }
    expect((await login('wrong')).status).toBe(401)
    await until(async () => (await login('wrong')).status === 429)
  })

  it('counts in this process while memcached is away', async () => {
    await using test = await openApp({ platform, controllers: [Shows], memcache: { timeoutMs: 100 } })
    await test.server.stop()
    const statuses: number[] = []
    for (let i = 0; i < 3; i++) statuses.push((await test.fetch('/limited')).status)
    expect(statuses).toEqual([200, 200, 429])
  })
})

describe('the functions of a limit', () => {
  it('may declare the framework’s request that they take', () => {
    interface OwnRequest {
      user: { id: string }
      body: { amount: number }
    }
    const options: RateLimitOptions = {
      perMinute: 1,
      key: (request: OwnRequest) => request.user.id,
      cost: async (request: OwnRequest) => request.body.amount,
      skip: (_, context) => context.getHandler().name === 'health',
    }
    expect(() => RateLimit(options)).not.toThrow()
  })
})

describe('a limit in a cache with a name', () => {
  it('is counted there', async () => {
    @Controller()
    class Shows {
      @RateLimit({ perMinute: 1, cache: 'limits' }) @Get() show() {
        return 'shown'
      }
    }
    await using limits = await testMemcache()
    await using test = await openApp({
      imports: [MemcacheModule.forRoot({ name: 'limits', cache: limits.cache })],
      controllers: [Shows],
    })
    await test.fetch('/')
    expect(limits.server.memcached.stats()['curr_items']).not.toBe(0)
    expect(test.server.memcached.stats()['curr_items']).toBe(0)
  })
})

describe('the limit of the application', () => {
  @Controller()
  class Shows {
    @Get() show() {
      return 'shown'
    }
  }

  it('may be counted in a cache with a name', async () => {
    await using limits = await testMemcache({ timeoutMs: 5000 })
    await using test = await openApp({
      root: MemcacheModule.forRoot({ rateLimit: { perMinute: 1, cache: 'limits' } }),
      imports: [MemcacheModule.forRoot({ name: 'limits', cache: limits.cache })],
      controllers: [Shows],
    })
    expect([(await test.fetch('/')).status, (await test.fetch('/')).status]).toEqual([200, 429])
    expect(limits.server.memcached.stats()['curr_items']).not.toBe(0)
    expect(test.server.memcached.stats()['curr_items']).toBe(0)
  })

  it('reports a missing cache, or a missing limit for its guard, with the line to write', async () => {
    await expect(
      openApp({ root: MemcacheModule.forRoot({ rateLimit: { perMinute: 1, cache: 'limts' } }) }),
    ).rejects.toThrow(
      "MemcacheModule.forRoot({ rateLimit }) needs a cache, and there is none named 'limts', but there is one without a name: write imports: [MemcacheModule.forRoot({ name: 'limts' })]",
    )
    const providers = [{ provide: APP_GUARD, useClass: RateLimitGuard }]
    await expect(openApp({ providers })).rejects.toThrow(
      'RateLimitGuard has no limit: write MemcacheModule.forRoot({ rateLimit: { perMinute: 100 } })',
    )
  })

  it('counts nothing if a test has replaced the cache', async () => {
    @Controller('limited')
    class Limited {
      @RateLimit({ perMinute: 1 }) @CacheResponse(60) @Get() show() {
        return 'shown'
      }
    }
    await using process = await testMemcache({ asDefault: true })
    const root = MemcacheModule.forRoot({ rateLimit: { perMinute: 1 } })
    await using test = await openApp({ root, cache: { mocked: true } as never, controllers: [Limited] })
    for (const _ of [1, 2]) {
      const answer = await test.fetch('/limited')
      expect([answer.status, answer.headers.get('cache-status')]).toEqual([200, null])
    }
    expect(process.server.memcached.stats()['curr_items']).toBe(0)
  })
})

describe('invalid options are refused at the declaration', () => {
  it.each<[RateLimitOptions, string]>([
    [{} as RateLimitOptions, 'a rate limit needs a limit'],
    [{ perMinute: 0 }, 'perMinute must be a whole number from 1'],
    [{ perMinute: 1, max: 3 } as RateLimitOptions, '`max` is `limit` here'],
    [{ limit: 1, ttl: 60 } as RateLimitOptions, '`ttl` is `windowMs` here'],
    [{ perMinute: 1, key: 'usr' as never }, "key must be 'ip', 'user' or a function"],
    [{ perMinute: 1, cost: -1 }, 'cost must be a whole number of at least 0'],
    [{ perMinute: 1, headers: 'draft-3' as never }, 'headers must be'],
  ])('%j', async (options, message) => {
    expect(() => {
      class Shows {
        @RateLimit(options) show(): void {}
      }
      return Shows
    }).toThrow(message)
    await expect(openApp({ root: MemcacheModule.forRoot({ rateLimit: options }) })).rejects.toThrow(message)
  })

  it('a key that is no string', async () => {
    @Controller()
    class Shows {
      @RateLimit({ perMinute: 1, key: (() => 42) as never }) @Get() show(): void {}
    }
    await using test = await openApp({ controllers: [Shows] })
    expect((await test.fetch('/')).status).toBe(500)
  })
})
