import 'reflect-metadata'
import {
  Controller,
  Get,
  Inject,
  Injectable,
  Logger,
  Module,
  Scope,
  VERSION_NEUTRAL,
  VersioningType,
} from '@nestjs/common'
import type { INestApplication, Provider, Type } from '@nestjs/common'
import { LazyModuleLoader, REQUEST } from '@nestjs/core'
import { Cached as CachedByKit } from 'memcache-ts'
import { testMemcache } from 'memcache-ts/testing'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CacheConfig, Cached, CacheEvict, CachePut, MemcacheModule, RateLimit } from '../src/index.ts'
import { openApp } from './open-app.ts'
import type { TestAppOptions } from './open-app.ts'

let logged: string[]

beforeEach(() => {
  logged = []
  vi.spyOn(Logger.prototype, 'warn').mockImplementation((message: unknown) => void logged.push(String(message)))
})
afterEach(() => vi.restoreAllMocks())

const open = (options: TestAppOptions) =>
  openApp({ ...options, memcache: { logger: { info: () => {}, warn: (message) => logged.push(message) } } })

/** A class that caches what its table has, under a name of its own. */
function repository(table: string): Type<{ find(id: number): Promise<string> }> {
  @Injectable()
  class Repository {
    @Cached(60) async find(id: number): Promise<string> {
      return `${table} ${id}`
    }
  }
  return Repository
}

/** A separate class for each test, so that a message that is logged once per class is logged in each test. */
function cities() {
  @Injectable()
  class Cities {
    loads = 0
    @Cached(60) async find(id: number): Promise<string> {
      return `${id}: load ${++this.loads}`
    }
    @CacheEvict({ all: true }) async change(): Promise<void> {}
  }
  return Cities
}

describe('two classes of one name', () => {
  it('keep the application from starting, with both places', async () => {
    await expect(open({ providers: [repository('user'), repository('order')] })).rejects.toThrow(
      /class Repository \(.*startup\.test\.ts:\d+\) and class Repository \(.*\) both store their values under the name 'Repository'.*write @CacheConfig\(\{ name: 'another' \}\)/,
    )
  })

  it('are refused for request-scoped providers, controllers, and objects of a factory', async () => {
    const PerRequest = repository('user')
    Injectable({ scope: Scope.REQUEST })(PerRequest)
    await expect(open({ providers: [PerRequest, repository('order')] })).rejects.toThrow('class Repository')
    const AsController = repository('user')
    Controller()(AsController)
    await expect(open({ providers: [repository('order')], controllers: [AsController] })).rejects.toThrow('Repository')
    const Made = repository('user')
    const factory = { provide: 'made', useFactory: () => new Made() }
    await expect(open({ providers: [repository('order'), factory] })).rejects.toThrow('class Repository')
  })

  it('are refused in a module that is loaded later, when the second is used', async () => {
    const Late = repository('late')
    @Module({ providers: [Late] })
    class LateModule {}
    await using test = await open({ providers: [repository('early')] })
    const late = await test.app.get(LazyModuleLoader).load(() => LateModule)
    await expect(late.get(Late).find(1)).rejects.toThrow('class Repository')
  })

  it('are allowed in different caches, or with separate names', async () => {
    const [One, Other] = [repository('user'), repository('order')]
    CacheConfig({ name: 'orders' })(Other)
    await using test = await open({ providers: [One, Other] })
    expect([await test.get(One).find(1), await test.get(Other).find(1)]).toEqual(['user 1', 'order 1'])
    await using reports = await testMemcache()
    const Third = repository('report')
    CacheConfig({ cache: 'reports' })(Third)
    const imports = [MemcacheModule.forRoot({ name: 'reports', cache: reports.cache })]
    await using both = await open({ imports, providers: [One, Third] })
    expect([await both.get(One).find(1), await both.get(Third).find(1)]).toEqual(['user 1', 'report 1'])
    expect(logged).toEqual([])
  })

  it('that were given one name cause an error, unless one reads and the other writes', async () => {
    const [One, Other] = [repository('user'), repository('order')]
    for (const each of [One, Other]) CacheConfig({ name: 'rows' })(each)
    @Injectable()
    @CacheConfig({ name: 'rows' })
    class Writer {
      @CacheEvict({ key: (id: number) => ['find', id] }) async remove(_id: number): Promise<void> {}
      @CachePut({ key: (id: number) => ['find', id] }) async save(_id: number): Promise<void> {}
    }
    {
      await using _ = await open({ providers: [One, Writer] })
      expect(logged).toEqual([])
    }
    await using _ = await open({ providers: [One, Other, Writer] })
    expect(logged).toEqual([expect.stringMatching(/class Repository .* under the name 'rows'/)])
  })

  it('without a name cause an error that shows @CacheConfig', async () => {
    const Nameless = repository('a')
    Object.defineProperty(Nameless, 'name', { value: '' })
    await expect(open({ providers: [Nameless] })).rejects.toThrow('write @CacheConfig({ name:')
  })

  it('start again with each application of one process', async () => {
    for (const table of ['user', 'order']) {
      const Each = repository(table)
      await using test = await open({ providers: [Each] })
      expect(await test.get(Each).find(1)).toBe(`${table} 1`)
    }
    expect(logged).toEqual([])
  })
})

describe('one class whose objects differ', () => {
  @Injectable()
  class Api {
    @Inject('BASE') readonly base!: string
    @Cached(60) async fetch(path: string): Promise<string> {
      return this.base + path
    }
  }
  class Keyed extends Api {
    @Cached({ ttlSeconds: 60, key: (path: string, self: Keyed) => [self.base, path] })
    override async fetch(path: string): Promise<string> {
      return this.base + path
    }
  }
  const moduleOf = (base: string, provider: Provider) => {
    @Module({ providers: [provider, { provide: 'BASE', useValue: base }], exports: [provider] })
    class ApiModule {}
    return ApiModule
  }

  it.each<[string, TestAppOptions]>([
    [
      'under two tokens',
      {
        providers: [
          { provide: 'BASE', useValue: 'a' },
          { provide: 'one', useClass: Api },
          { provide: 'other', useClass: Api },
        ],
      },
    ],
    ['in two modules, with different settings', { imports: [moduleOf('a', Api), moduleOf('b', Api)] }],
  ])('is told: %s', async (_, options) => {
    await using _app = await open(options)
    expect(logged).toEqual([
      expect.stringMatching(/^Api is provided .*@Cached\(\{ key: \(id, self\) => \['fetch', self\.tenant, id\]/),
    ])
  })

  it('causes a warning if it is request-scoped', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Mine {
      @Cached(60) async all(): Promise<string> {
        return 'mine'
      }
    }
    @Injectable()
    class Bubbles {
      readonly mine: Mine
      constructor(mine: Mine) {
        this.mine = mine
      }
      @Cached(60) async all(): Promise<string> {
        return 'mine'
      }
    }
    await using _ = await open({ providers: [Mine, Bubbles] })
    expect(logged).toEqual(['Mine', 'Bubbles'].map((name) => expect.stringMatching(`^${name} is request-scoped`)))
  })

  it('causes no warning if the objects are equal, or the key separates them', async () => {
    await using _ = await open({ imports: [moduleOf('a', Api), moduleOf('a', Api)] })
    await using _keyed = await open({ imports: [moduleOf('a', Keyed), moduleOf('b', Keyed)] })
    expect(logged).toEqual([])
  })
})

describe('an object that Nest does not create', () => {
  const isCached = async (object: { find(id: number): Promise<string> }) =>
    (await object.find(2)) === (await object.find(2))

  it('has the cache when the application has started, if a factory or a value provides it', async () => {
    const [Made, Valued, Wrapped] = [cities(), cities(), cities()]
    for (const [index, each] of [Made, Valued, Wrapped].entries()) CacheConfig({ name: `cities${index}` })(each)
    const value = new Valued()
    const providers = [
      { provide: 'made', useFactory: async () => new Made() },
      { provide: 'value', useValue: value },
      { provide: 'proxy', useFactory: () => new Proxy(new Wrapped(), {}) },
      { provide: 'alias', useFactory: (made: object) => made, inject: ['made'] },
    ]
    {
      await using test = await open({ providers })
      for (const token of ['made', 'value', 'proxy', 'alias']) expect(await isCached(test.get(token))).toBe(true)
      const before = await test.get<InstanceType<typeof Made>>('made').find(3)
      await test.get<InstanceType<typeof Made>>('made').change()
      expect(await test.get<InstanceType<typeof Made>>('made').find(3)).not.toBe(before)
    }
    expect(await isCached(value)).toBe(false)
    await using again = await open({ providers })
    expect(await isCached(again.get('value'))).toBe(true)
    expect(logged).toEqual([])
  })

  it('has the cache behind a Proxy that wraps every function, `constructor` among them', async () => {
    const [Bound, Received] = [cities(), cities()]
    CacheConfig({ name: 'received' })(Received)
    const wrapping = (object: object, isBound: boolean): object =>
      new Proxy(object, {
        get(target, key, receiver) {
          const value: unknown = Reflect.get(target, key, target)
          if (typeof value !== 'function') return value
          return (...args: unknown[]): unknown => Reflect.apply(value, isBound ? target : receiver, args)
        },
      })
    await using test = await open({
      providers: [
        { provide: 'bound', useFactory: () => wrapping(new Bound(), true) },
        { provide: 'received', useFactory: () => wrapping(new Received(), false) },
      ],
    })
    expect(await isCached(test.get('received'))).toBe(true)
    expect(logged).toEqual([])
    expect(await isCached(test.get('bound'))).toBe(false)
    expect(logged).toEqual([expect.stringMatching(/^a Cities that Nest has not created is called/)])
  })

  it('causes a warning with the consequences, if it cannot get the cache', async () => {
    const [Shared, Named] = [cities(), cities()]
    CacheConfig({ cache: 'reports' })(Named)
    const value = new Shared()
    const named = { provide: 'named', useFactory: () => new Named() }
    await using _ = await open({ providers: [{ provide: 'value', useValue: value }] })
    await using _other = await open({ providers: [{ provide: 'value', useValue: value }, named] })
    expect(logged).toEqual([
      expect.stringMatching(
        /^Cities\.change evicts nothing.*'value'.*another application in this process already uses it/,
      ),
      expect.stringMatching(/^Cities\.change evicts nothing.*'named'.*there is no cache of the name/),
    ])
  })

  it('causes a warning if another copy of the package has decorated its class', async () => {
    class Foreign {
      async find(id: number): Promise<number> {
        return id
      }
    }
    Object.defineProperty(Foreign.prototype, Symbol.for('memcache-ts-nestjs.decorated'), { value: new WeakMap() })
    await using _ = await open({ providers: [{ provide: 'foreign', useFactory: () => new Foreign() }] })
    expect(logged).toEqual([
      expect.stringMatching(/^Foreign caches and evicts nothing.*another copy of memcache-ts-nestjs/),
    ])
  })

  it('causes a warning if a class has several objects, and is cached if its keys separate them', async () => {
    class Api {
      readonly base: string
      constructor(base: string) {
        this.base = base
      }
      @Cached(60) async find(id: number): Promise<string> {
        return `${this.base} ${id}`
      }
    }
    class Keyed extends Api {
      loads = 0
      @Cached({ ttlSeconds: 60, key: (id: number, self: Keyed) => [self.base, id] })
      override async find(id: number): Promise<string> {
        return `${this.base} ${id} ${++this.loads}`
      }
    }
    const providers = ['a', 'b'].flatMap((base) => [
      { provide: base, useFactory: () => new Api(base) },
      { provide: `keyed ${base}`, useFactory: () => new Keyed(base) },
    ])
    await using test = await open({ providers })
    expect(logged).toEqual(
      ['a', 'b'].map(() => expect.stringMatching(/^Api\.find caches nothing.*there are several objects/)),
    )
    for (const base of ['a', 'b', 'a', 'b']) {
      expect(await test.get<Api>(base).find(1)).toBe(`${base} 1`)
      expect(await test.get<Keyed>(`keyed ${base}`).find(1)).toBe(`${base} 1 1`)
    }
  })

  it('causes one warning per class when it is called while an application runs: new, a Proxy, a request-scoped factory', async () => {
    const Cities = cities()
    const PerRequest = cities()
    Object.defineProperty(PerRequest, 'name', { value: 'PerRequest' })
    const factory = { provide: 'made', scope: Scope.REQUEST, inject: [REQUEST], useFactory: () => new PerRequest() }
    @Controller()
    class Shows {
      @Inject('made') readonly made!: InstanceType<typeof Cities>
      @Get() async show() {
        return this.made.find(1)
      }
    }
    await using test = await open({ providers: [Cities, factory], controllers: [Shows] })
    const proxy = new Proxy(test.get(Cities), {})
    for (const _ of [1, 2]) {
      expect(await isCached(proxy)).toBe(false)
      expect(await isCached(new Cities())).toBe(false)
      await test.fetch('/')
    }
    expect(logged).toEqual(
      ['Cities', 'PerRequest'].map((name) => expect.stringMatching(`^a ${name} that Nest has not created`)),
    )
  })

  it('logs nothing if no application runs', async () => {
    const Cities = cities()
    await (await open({ providers: [Cities] })).close()
    expect(await isCached(new Cities())).toBe(false)
    expect(logged).toEqual([])
  })
})

describe('a decorator of memcache-ts', () => {
  it('causes a warning, unless its cache is the application’s', async () => {
    @Injectable()
    class Wrong {
      @CachedByKit(60) async find(id: number): Promise<number> {
        return id
      }
    }
    {
      await using _ = await open({ providers: [Wrong] })
      expect(logged).toEqual([expect.stringMatching(/^Wrong\.find has a decorator of memcache-ts, .*import it from/)])
    }
    logged = []
    await using process = await testMemcache({ asDefault: true })
    @Injectable()
    class Chosen {
      @CachedByKit({ ttlSeconds: 60, cache: process.cache }) async find(id: number): Promise<number> {
        return id
      }
    }
    await using _chosen = await open({ providers: [Chosen] })
    await using _same = await open({
      root: MemcacheModule.forRoot({ cache: process.cache }),
      providers: [Wrong],
      cache: process.cache,
    })
    expect(logged).toEqual([])
  })
})

describe('a method that evicts', () => {
  it('causes a warning if no method stores anything in its namespace', async () => {
    @Injectable()
    class Writer {
      @CacheEvict({ key: (id: number) => ['find', id] }) async remove(_id: number): Promise<void> {}
    }
    @Injectable()
    class ByTag {
      @CacheEvict({ tags: ['all'] }) async remove(): Promise<void> {}
    }
    await using _ = await open({ providers: [Writer, ByTag] })
    expect(logged).toEqual([expect.stringMatching(/^Writer\.remove evicts nothing: .* namespace 'Writer'/)])
  })
})

describe('@RateLimit on classes of one name', () => {
  function login(path: string | { path: string; version: string }) {
    @Controller(path as string)
    class LoginController {
      @RateLimit({ perMinute: 2 }) @Get() login() {
        return 'in'
      }
    }
    return LoginController
  }

  it('counts separately, under names that are the same in all processes, and logs the names', async () => {
    const names = (controllers: Type[]) => async () => {
      await using test = await open({ controllers })
      const policies: Record<string, string | null> = {}
      for (const path of ['/v1', '/v2']) {
        const answers = [await test.fetch(path), await test.fetch(path), await test.fetch(path)]
        expect(answers.map(({ status }) => status)).toEqual([200, 200, 429])
        policies[path] = answers[0]!.headers.get('ratelimit-policy')
      }
      return policies
    }
    const [One, Other] = [login('v1'), login('v2')]
    const expected = {
      '/v1': '"LoginController(v1).login";q=2;w=60',
      '/v2': '"LoginController(v2).login";q=2;w=60',
    }
    expect(await names([One, Other])()).toEqual(expected)
    expect(await names([Other, One])()).toEqual(expected)
    expect(logged).toHaveLength(2)
    expect(logged[0]).toContain('as LoginController(v1) and LoginController(v2)')
  })

  it('counts the versions of one route apart', async () => {
    const prepare = (app: INestApplication) => app.enableVersioning({ type: VersioningType.HEADER, header: 'v' })
    const versioned = (version: string | typeof VERSION_NEUTRAL) => {
      @Controller({ path: 'login', version })
      class LoginController {
        @RateLimit({ perMinute: 1 }) @Get() login() {
          return 'in'
        }
      }
      return LoginController
    }
    await using test = await open({ controllers: [versioned('1'), versioned(VERSION_NEUTRAL)], prepare })
    const answers: (string | number | null)[] = []
    for (const v of ['1', '9', '1', '9']) {
      const { status, headers } = await test.fetch('/login', { headers: { v } })
      answers.push(status, headers.get('ratelimit-policy'))
    }
    const [one, neutral] = [
      '"LoginController(login@1).login";q=1;w=60',
      '"LoginController(login@neutral).login";q=1;w=60',
    ]
    expect(answers).toEqual([200, one, 200, neutral, 429, one, 429, neutral])
  })

  it('counts the routes apart that two controllers inherit', async () => {
    abstract class Base {
      @RateLimit({ perMinute: 1 }) @Get() show() {
        return 'shown'
      }
    }
    @Controller('one')
    class One extends Base {}
    @Controller('other')
    class Other extends Base {}
    await using test = await open({ controllers: [One, Other] })
    const paths = ['/one', '/other', '/one', '/other']
    const statuses: number[] = []
    for (const path of paths) statuses.push((await test.fetch(path)).status)
    expect(statuses).toEqual([200, 200, 429, 429])
    expect((await test.fetch('/one')).headers.get('ratelimit-policy')).toBe('"One.show";q=1;w=60')
    expect(logged).toEqual([])
  })

  it('counts together under a name that was given', async () => {
    function named(path: string) {
      @Controller(path)
      class LoginController {
        @RateLimit({ perMinute: 1, name: 'login' }) @Get() login() {
          return 'in'
        }
      }
      return LoginController
    }
    await using test = await open({ controllers: [named('a'), named('b')] })
    expect([(await test.fetch('/a')).status, (await test.fetch('/b')).status]).toEqual([200, 429])
    expect(logged).toEqual([])
  })
})
