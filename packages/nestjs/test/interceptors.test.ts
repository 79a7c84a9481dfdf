import 'reflect-metadata'
import type { ServerResponse } from 'node:http'
import {
  Catch,
  ClassSerializerInterceptor,
  Controller,
  Get,
  HttpException,
  Injectable,
  Logger,
  Redirect,
  Res,
  Sse,
  StreamableFile,
  UseInterceptors,
} from '@nestjs/common'
import type {
  ArgumentsHost,
  CallHandler,
  ExceptionFilter,
  ExecutionContext,
  INestApplication,
  NestInterceptor,
} from '@nestjs/common'
import { BaseExceptionFilter } from '@nestjs/core'
import { Exclude, Type } from 'class-transformer'
import {
  catchError,
  concatMap,
  delay,
  finalize,
  from,
  interval,
  lastValueFrom,
  map,
  of,
  take,
  tap,
  throwError,
  timeout,
  toArray,
} from 'rxjs'
import type { Observable } from 'rxjs'
import { until } from 'memcache-ts-testing'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Cached, CacheResponse } from '../src/index.ts'
import { openApp } from './open-app.ts'

const TIMEOUT_MS = 60_000
let logged: string[]

beforeEach(() => {
  logged = []
  vi.spyOn(Logger.prototype, 'error').mockImplementation((message: unknown) => void logged.push(String(message)))
  vi.spyOn(console, 'error').mockImplementation((message: unknown) => void logged.push(String(message)))
})
afterEach(() => vi.restoreAllMocks())

/** An interceptor around the cache that records its notifications in order. */
class Around implements NestInterceptor {
  underWay = 0
  readonly told: string[] = []
  intercept(_: ExecutionContext, next: CallHandler) {
    this.underWay++
    return next.handle().pipe(
      timeout(TIMEOUT_MS),
      map((value: { call: number }) => ({ wrapped: value.call })),
      tap({
        next: () => this.told.push('value'),
        complete: () => this.told.push('complete'),
        error: () => this.told.push('error'),
      }),
      catchError((error: unknown) => throwError(() => error)),
      finalize(() => {
        this.underWay--
        this.told.push('end')
      }),
    )
  }
}

/** Puts methods on an object that call those of its prototype, as middlewares do that log or measure. */
function wrap(object: object, ...names: string[]): void {
  const methods = object as Record<string, (...args: unknown[]) => unknown>
  for (const name of names) {
    const original = methods[name]!
    methods[name] = function (...args) {
      return original.apply(this, args)
    }
  }
}

@Catch()
class Filter extends BaseExceptionFilter implements ExceptionFilter {
  readonly caught: unknown[] = []
  override catch(exception: unknown, host: ArgumentsHost) {
    this.caught.push(exception)
    super.catch(exception, host)
  }
}

describe.each(['express', 'fastify'] as const)('interceptors around @CacheResponse on %s', (platform) => {
  @Controller()
  class Pages {
    calls = 0
    @CacheResponse(60) @Get('page') async page() {
      await new Promise((resolve) => setImmediate(resolve))
      return { call: ++this.calls }
    }
    @CacheResponse({ ttlSeconds: 60, staleSeconds: 60 }) @Get('stale') stale() {
      return { call: ++this.calls }
    }
    @CacheResponse(60) @Get('known') known(
      @Res({ passthrough: true }) response: { header(n: string, v: string): void },
    ) {
      response.header('ETag', '"a"')
      return { call: ++this.calls }
    }
    @CacheResponse(60) @Get('fails') fails(): never {
      throw new HttpException('no', 400)
    }
  }

  async function open() {
    const around = new Around()
    let filter!: Filter
    const prepare = (app: INestApplication) => {
      filter = new Filter(app.getHttpAdapter())
      app.useGlobalInterceptors(around)
      app.useGlobalFilters(filter)
    }
    const test = await openApp({ platform, controllers: [Pages], prepare })
    return { ...test, around, filter: () => filter }
  }

  async function isQuiet({ around, filter }: Awaited<ReturnType<typeof open>>, caught = 0): Promise<void> {
    await until(() => around.underWay === 0)
    expect(filter().caught).toHaveLength(caught)
    expect(logged).toEqual([])
  }

  it('get the value and the completion on a miss, and only the completion on a hit', async () => {
    await using test = await open()
    for (const _ of ['miss', 'hit', 'hit']) expect(await (await test.fetch('/page')).json()).toEqual({ wrapped: 1 })
    await isQuiet(test)
    const ended = ['complete', 'end']
    expect(test.around.told).toEqual(['value', ...ended, ...ended, ...ended])
  })

  it('complete for joined requests, HEAD, 304 and stale responses', async () => {
    await using test = await open()
    await Promise.all(Array.from({ length: 5 }, () => test.fetch('/page')))
    await isQuiet(test)
    expect(test.get(Pages).calls).toBe(1)
    await test.pass(1)
    expect((await test.fetch('/page', { method: 'HEAD' })).status).toBe(200)
    await test.fetch('/known')
    await test.pass(1)
    const headers = { 'If-None-Match': '"a"', 'Cache-Control': 'max-age=3600' }
    expect((await test.fetch('/known', { headers })).status).toBe(304)
    await test.fetch('/stale')
    await test.pass(61)
    await test.fetch('/stale')
    await until(() => test.get(Pages).calls === 4)
    await isQuiet(test)
  })

  it('get the errors, and exception filters get only these errors', async () => {
    await using test = await open()
    for (const _ of [1, 2]) expect((await test.fetch('/fails')).status).toBe(400)
    await isQuiet(test, 2)
    expect(test.around.told).toEqual(['error', 'end', 'error', 'end'])
  })

  it('may transform the observable in any way', async () => {
    const operators: Record<string, (next: CallHandler) => Observable<unknown> | Promise<Observable<unknown>>> = {
      concatMap: (next) => next.handle().pipe(concatMap((value) => of(value))),
      delay: (next) => next.handle().pipe(delay(1)),
      awaited: async (next) => of((await lastValueFrom(next.handle())) as unknown),
      from: (next) => from(lastValueFrom(next.handle())),
      toArray: (next) =>
        next.handle().pipe(
          toArray(),
          map((values: unknown[]) => values[0]),
        ),
    }
    for (const [name, operate] of Object.entries(operators)) {
      @Injectable()
      class Operates implements NestInterceptor {
        intercept(_: ExecutionContext, next: CallHandler) {
          return operate(next)
        }
      }
      const prepare = (app: INestApplication) => app.useGlobalInterceptors(new Operates())
      await using test = await openApp({ platform, controllers: [Pages], prepare })
      for (const _ of ['miss', 'hit', 'hit']) {
        expect([name, await (await test.fetch('/page')).json()]).toEqual([name, { call: 1 }])
      }
    }
    expect(logged).toEqual([])
  })

  it('may be outside or inside of it', async () => {
    const told: string[] = []
    const named = (name: string) => {
      @Injectable()
      class Named implements NestInterceptor {
        intercept(_: ExecutionContext, next: CallHandler) {
          told.push(`${name} begins`)
          return next.handle().pipe(finalize(() => told.push(`${name} ends`)))
        }
      }
      return Named
    }
    @Controller()
    class Between {
      @UseInterceptors(named('outer')) @CacheResponse(60) @UseInterceptors(named('inner')) @Get() show() {
        return 'shown'
      }
    }
    await using test = await openApp({ platform, controllers: [Between] })
    for (const _ of ['miss', 'hit']) expect(await (await test.fetch('/')).text()).toBe('shown')
    // Nest runs those of a method from the last one upwards.
    await until(() => told.filter((each) => each.endsWith('ends')).length === 3)
    expect(told.filter((each) => each.endsWith('begins')).toSorted()).toEqual([
      'inner begins',
      'inner begins',
      'outer begins',
    ])
  })

  it.each([false, true])(
    'that set fields when a hit has ended break nothing, with methods of their own: %s',
    async (own) => {
      const unhandled: unknown[] = []
      const collect = (error: unknown): void => void unhandled.push(error)
      process.on('uncaughtException', collect)
      const prepare = (app: INestApplication) =>
        app.useGlobalInterceptors({
          intercept: (context: ExecutionContext, next: CallHandler) => {
            const response = context.switchToHttp().getResponse<{ header(name: string, value: string): void }>()
            const raw = (response as { raw?: ServerResponse }).raw ?? (response as unknown as ServerResponse)
            if (own) {
              wrap(response, 'status', 'send', 'json')
              wrap(raw, 'setHeader')
            }
            return next.handle().pipe(
              tap({ complete: () => response.header('X-Complete', '1') }),
              finalize(() => raw.setHeader('X-End', '1')),
            )
          },
        })
      await using test = await openApp({ platform, controllers: [Pages], prepare })
      for (const _ of ['miss', 'hit', 'hit']) expect(await (await test.fetch('/page')).json()).toEqual({ call: 1 })
      await new Promise((resolve) => setImmediate(resolve))
      process.off('uncaughtException', collect)
      expect([...unhandled, ...logged]).toEqual([])
    },
  )

  it('that fail after the response was sent do not change it', async () => {
    const prepare = (app: INestApplication) =>
      app.useGlobalInterceptors({
        intercept: async (_: ExecutionContext, next: CallHandler) => {
          const value = (await lastValueFrom(next.handle())) as { call: number }
          return of({ call: value.call })
        },
      })
    await using test = await openApp({ platform, controllers: [Pages], prepare })
    for (const _ of ['miss', 'hit', 'hit']) {
      const answer = await test.fetch('/page')
      expect([answer.status, await answer.json()]).toEqual([200, { call: 1 }])
    }
  })
})

describe.each(['express', 'fastify'] as const)('results of routes on %s', (platform) => {
  it('redirects, files and responses that the handler sends itself are served from the cache', async () => {
    @Controller()
    class Kinds {
      calls = 0
      @CacheResponse(60) @Redirect('/elsewhere', 301) @Get('redirect') redirect(): void {
        this.calls++
      }
      @CacheResponse(60) @Get('file') file() {
        this.calls++
        return new StreamableFile(Buffer.from('a file'))
      }
      @CacheResponse(60) @Get('sent') sent(@Res() response: { send(body: string): unknown }) {
        this.calls++
        response.send('by hand')
      }
    }
    await using test = await openApp({ platform, controllers: [Kinds] })
    for (const _ of ['miss', 'hit']) {
      const redirect = await test.fetch('/redirect', { redirect: 'manual' })
      expect([redirect.status, redirect.headers.get('location')]).toEqual([301, '/elsewhere'])
      expect(await (await test.fetch('/file')).text()).toBe('a file')
      expect(await (await test.fetch('/sent')).text()).toBe('by hand')
    }
    expect(test.get(Kinds).calls).toBe(3)
    expect(logged).toEqual([])
  })

  it('events arrive on a class whose other routes are cached', async () => {
    @CacheResponse(60)
    @Controller()
    class Feed {
      lists = 0
      @Sse('events') events() {
        return interval(1).pipe(
          take(3),
          map((n) => ({ data: { n } })),
        )
      }
      @Get('list') list() {
        return [++this.lists]
      }
    }
    await using test = await openApp({ platform, controllers: [Feed] })
    const headers = { accept: 'text/event-stream' }
    for (const _ of [1, 2]) {
      const text = await (await test.fetch('/events', { headers })).text()
      expect(text.match(/^data: /gm)).toHaveLength(3)
      expect(await (await test.fetch('/list')).json()).toEqual([1])
    }
    expect(logged).toEqual([])
  })

  it('hides the properties that ClassSerializerInterceptor hides, on a miss, a hit, a joined request and from memory', async () => {
    class Address {
      city = 'Oslo'
      @Exclude() door = 'code 1234'
    }
    class User {
      id = 1
      @Exclude() password = 'hunter2'
      @Type(() => Address) address = new Address()
    }
    @Injectable()
    class Users {
      @Cached({ ttlSeconds: 60, type: User }) async find(): Promise<User> {
        await new Promise((resolve) => setImmediate(resolve))
        return new User()
      }
      @Cached({ ttlSeconds: 60, type: User }) async list(): Promise<User[]> {
        return [new User()]
      }
    }
    @Controller()
    @UseInterceptors(ClassSerializerInterceptor)
    class Shows {
      readonly users: Users
      constructor(users: Users) {
        this.users = users
      }
      @Get('one') one() {
        return this.users.find()
      }
      @Get('list') list() {
        return this.users.list()
      }
      @CacheResponse(60) @Get('cached') cached() {
        return this.users.find()
      }
    }
    for (const l1 of [false, true]) {
      await using test = await openApp({ platform, memcache: { l1 }, providers: [Users], controllers: [Shows] })
      const ask = async (path: string) => (await test.fetch(path)).json()
      const shown = { id: 1, address: { city: 'Oslo' } }
      expect(await Promise.all([ask('/one'), ask('/one')])).toEqual([shown, shown])
      for (const _ of ['hit', 'again']) {
        expect(await ask('/one')).toEqual(shown)
        expect(await ask('/list')).toEqual([shown])
        expect(await ask('/cached')).toEqual(shown)
      }
    }
  })
})
