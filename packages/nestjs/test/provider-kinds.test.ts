import 'reflect-metadata'
import { Writable } from 'node:stream'
import { Controller, forwardRef, Get, Inject, Injectable, Logger, Module, Scope } from '@nestjs/common'
import { ContextIdFactory, ModuleRef, NestFactory, REQUEST } from '@nestjs/core'
import type { ContextId, ContextIdStrategy, HostComponentInfo } from '@nestjs/core'
import { ClientProxyFactory, MessagePattern, Transport } from '@nestjs/microservices'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { Test } from '@nestjs/testing'
import { cacheOf, memcache } from 'memcache-ts'
import { testMemcache } from 'memcache-ts/testing'
import { firstValueFrom } from 'rxjs'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Cached, CacheEvict, CacheResponse, MemcacheModule, RateLimit, Warm } from '../src/index.ts'
import { openApp } from './open-app.ts'

let logged: string[]

beforeEach(() => {
  logged = []
  const collect = (message: unknown): void => void logged.push(String(message))
  vi.spyOn(Logger.prototype, 'warn').mockImplementation(collect)
  vi.spyOn(Logger.prototype, 'error').mockImplementation(collect)
})
afterEach(() => {
  expect(logged).toEqual([])
  vi.restoreAllMocks()
})

function cities() {
  @Injectable()
  class Cities {
    loads = 0
    @Cached(60) async find(id: number): Promise<string> {
      return `${id}: ${++this.loads}`
    }
    @CacheEvict({ all: true }) async change(): Promise<void> {}
  }
  return Cities
}

describe('a provider', () => {
  it('in a circular dependency', async () => {
    interface Finds {
      find(id: number): Promise<string>
    }
    @Injectable()
    class One {
      loads = 0
      @Inject(forwardRef(() => Other)) readonly other!: Finds
      @Cached(60) async find(id: number): Promise<string> {
        return `one ${id} ${++this.loads}`
      }
    }
    @Injectable()
    class Other {
      loads = 0
      @Inject(forwardRef(() => One)) readonly one!: Finds
      @Cached(60) async find(id: number): Promise<string> {
        return `other ${id} ${++this.loads}`
      }
    }
    await using test = await openApp({ providers: [One, Other] })
    for (const _ of [1, 2]) {
      expect(await test.get(One).other.find(1)).toBe('other 1 1')
      expect(await test.get(Other).one.find(1)).toBe('one 1 1')
    }
  })

  it('that is durable, with one object per tenant', async () => {
    class ByTenant implements ContextIdStrategy {
      readonly #ids = new Map<string, ContextId>()
      attach(contextId: ContextId, request: { headers: Record<string, string> }) {
        const tenant = request.headers['x-tenant'] ?? 'none'
        const id = this.#ids.get(tenant) ?? ContextIdFactory.create()
        this.#ids.set(tenant, id)
        return { resolve: (info: HostComponentInfo) => (info.isTreeDurable ? id : contextId), payload: { tenant } }
      }
    }
    ContextIdFactory.apply(new ByTenant())
    @Injectable({ scope: Scope.REQUEST, durable: true })
    class Mine {
      loads = 0
      @Inject(REQUEST) readonly request!: { tenant: string }
      @Cached({ ttlSeconds: 60, key: (self: Mine) => [self.request.tenant] }) async find(): Promise<string> {
        return `${this.request.tenant} ${++this.loads}`
      }
    }
    @Controller()
    class Shows {
      @Inject(Mine) readonly mine!: Mine
      @Get() show() {
        return this.mine.find()
      }
    }
    await using test = await openApp({ providers: [Mine], controllers: [Shows] })
    const ask = async (tenant: string) => (await test.fetch('/', { headers: { 'x-tenant': tenant } })).text()
    expect([await ask('a'), await ask('b'), await ask('a')]).toEqual(['a 1', 'b 1', 'a 1'])
    ContextIdFactory.apply({ attach: (contextId) => () => contextId })
  })

  it('that is created by a ModuleRef', async () => {
    const Cities = cities()
    await using test = await openApp({})
    const made = await test.app.get(ModuleRef).create(Cities)
    expect([await made.find(1), await made.find(1)]).toEqual(['1: 1', '1: 1'])
  })

  it('that is called after its application has ended', async () => {
    const Cities = cities()
    const cache = memcache({ servers: 'embedded', logger: false, timeoutMs: 20_000 })
    @Module({ imports: [MemcacheModule.forRoot({ cache })], providers: [Cities] })
    class AppModule {}
    const app = await NestFactory.createApplicationContext(AppModule, { logger: false })
    const late = app.get(Cities)
    await late.find(1)
    await app.close()
    await cache.close()
    expect(await late.find(1)).toBe('1: 2')
    await late.change()
  })

  it('that a test replaces by a class, a value or a factory', async () => {
    const Cities = cities()
    class Fake extends Cities {
      override async find(id: number): Promise<string> {
        return `fake ${id}`
      }
    }
    Object.defineProperty(Fake, 'name', { value: 'Cities' })
    await using memory = await testMemcache()
    const build = () =>
      Test.createTestingModule({
        imports: [MemcacheModule.forRoot({ cache: memory.cache })],
        providers: [Cities],
      }).overrideProvider(Cities)
    const replaced = [
      build().useClass(Fake),
      build().useValue({ find: async () => 'fake 1' }),
      build().useFactory({ factory: () => new Fake() }),
    ]
    for (const builder of replaced) {
      const module = await builder.compile()
      await module.init()
      expect(await module.get(Cities).find(1)).toBe('fake 1')
      await module.close()
    }
  })

  it('that is a Proxy with any property, or has no prototype', async () => {
    const deep: object = new Proxy(
      {},
      { get: (_, name) => (name === 'then' || typeof name === 'symbol' ? undefined : deep) },
    )
    const values = { deep, bare: Object.create(null) as object }
    await using test = await openApp({
      providers: Object.entries(values).map(([provide, useValue]) => ({ provide, useValue })),
    })
    expect(test.get('deep')).toBe(deep)
  })

  it('that a factory creates, and that has @Warm', async () => {
    @Injectable()
    class Warms {
      loads = 0
      @Cached(60) async find(id: number): Promise<string> {
        return `${id} ${++this.loads}`
      }
      @Warm('find') top() {
        return [1]
      }
    }
    await using test = await openApp({ providers: [{ provide: 'made', useFactory: () => new Warms() }] })
    await expect.poll(() => cacheOf(test.get<Warms>('made'), 'find').get([1])).toBe('1 1')
  })
})

describe('an application', () => {
  it('for HTTP and messages has one cache for both', async () => {
    @CacheResponse(60)
    @RateLimit({ perMinute: 100 })
    @Controller()
    class Both {
      loads = 0
      @Get() show() {
        return { load: ++this.loads }
      }
      @MessagePattern('sum') @Cached(60) async sum(numbers: number[]) {
        return { of: numbers, load: ++this.loads }
      }
    }
    const test = await openApp({ controllers: [Both] })
    const server = test.app.connectMicroservice(
      { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } },
      { inheritAppConfig: true },
    )
    await test.app.startAllMicroservices()
    const { port } = server.unwrap<{ address(): { port: number } }>().address()
    const client = ClientProxyFactory.create({ transport: Transport.TCP, options: { host: '127.0.0.1', port } })
    const sum = () => firstValueFrom(client.send<{ load: number }>('sum', [1, 2]))
    expect([(await sum()).load, (await sum()).load]).toEqual([1, 1])
    const show = async () => ((await (await test.fetch('/')).json()) as { load: number }).load
    expect([await show(), await show()]).toEqual([2, 2])
    client.close()
    await test.close()
  })

  it('on Fastify with a logger logs no warning for responses from the cache', async () => {
    const lines: string[] = []
    const stream = new Writable({
      write(chunk, _, done) {
        lines.push(String(chunk))
        done()
      },
    })
    @Controller()
    class Pages {
      @CacheResponse(60) @Get() show() {
        return { shown: true }
      }
    }
    await using memory = await testMemcache()
    const module = await Test.createTestingModule({
      imports: [MemcacheModule.forRoot({ cache: memory.cache })],
      controllers: [Pages],
    }).compile()
    const app = module.createNestApplication(new FastifyAdapter({ logger: { level: 'warn', stream } }))
    await app.listen(0, '127.0.0.1')
    for (const _ of ['miss', 'hit', 'hit']) {
      expect(await (await fetch(await app.getUrl())).json()).toEqual({ shown: true })
    }
    await app.close()
    expect(lines).toEqual([])
  })
})
