import type { INestApplication, ModuleMetadata, Type } from '@nestjs/common'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { Test } from '@nestjs/testing'
import { Memcache } from 'memcache-ts'
import { passTime } from 'memcache-ts-testing'
import { testMemcache } from 'memcache-ts/testing'
import type { TestMemcache, TestMemcacheOptions } from 'memcache-ts/testing'
import { MemcacheModule } from '../src/index.ts'

type Platform = 'express' | 'fastify'

/** An application that listens, on a cache of its own. */
export interface TestApp extends TestMemcache {
  readonly app: INestApplication
  readonly origin: string
  get<Provider>(type: Type<Provider> | symbol | string): Provider
  /** A GET of the application. */
  fetch(path: string, init?: RequestInit): Promise<Response>
  /** Advances the clock after the sent responses were stored. */
  pass(seconds: number): Promise<void>
}

/** The parts of a test's application. */
export interface TestAppOptions extends ModuleMetadata {
  platform?: Platform
  /** The module itself. Default: `forRoot` without options. */
  root?: ReturnType<typeof MemcacheModule.forRoot>
  memcache?: TestMemcacheOptions
  /** Called with the application before it listens. */
  prepare?: (app: INestApplication) => unknown
  /** The cache, in place of the test's own: that of another process on its server, for instance. */
  cache?: Memcache
}

/** Starts an application as users' tests do: the cache of a test in the place of the module's. */
export async function openApp(options: TestAppOptions = {}): Promise<TestApp> {
  const {
    platform = 'express',
    root = MemcacheModule.forRoot(),
    memcache,
    cache,
    prepare,
    imports = [],
    ...metadata
  } = options
  const test = await testMemcache({ timeoutMs: 5000, ...memcache })
  const module = await Test.createTestingModule({ imports: [root, ...imports], ...metadata })
    .overrideProvider(Memcache)
    .useValue(cache ?? test.cache)
    .compile()
  const app =
    platform === 'express'
      ? module.createNestApplication({ logger: false })
      : module.createNestApplication(new FastifyAdapter(), { logger: false })
  prepare?.(app)
  await app.listen(0, '127.0.0.1')
  const { port } = app.getHttpServer().address() as { port: number }
  const origin = `http://127.0.0.1:${port}`
  const close = async (): Promise<void> => {
    await app.close()
    await test.close()
  }
  return {
    ...test,
    app,
    origin,
    close,
    get: (type) => app.get(type, { strict: false }),
    fetch: (path, init) => fetch(origin + path, init),
    pass: (seconds) => passTime(test.clock, cache ?? test.cache, seconds),
    [Symbol.asyncDispose]: close,
  }
}
