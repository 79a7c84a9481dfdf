import type { Request, RequestHandler } from 'express'
import { MemoryStore } from 'express-session'
import type { Session, SessionData, Store } from 'express-session'
import type { Memcache } from 'memcache-ts'
import { describe, expectTypeOf, it } from 'vitest'
import { memcacheSession } from '../src/index.ts'
import type {
  MemcacheSessionOptions,
  MemcacheStore,
  MemcacheStoreOptions,
  OnCacheDown,
  StoredSession,
} from '../src/index.ts'

// As an application extends it.
declare module 'express-session' {
  interface SessionData {
    basket: { items: string[] }
  }
}

describe('the types of sessions', () => {
  it('are those that an application has added to express-session’s SessionData', () => {
    expectTypeOf<Request['session']['basket']>().toEqualTypeOf<{ items: string[] } | undefined>()
    expectTypeOf<Request['session']>().toExtend<Session>()
    expectTypeOf<StoredSession>().toExtend<SessionData & { id: string }>()
  })

  it('make a middleware for app.use, and a store for express-session', () => {
    expectTypeOf(memcacheSession).returns.toExtend<RequestHandler>()
    expectTypeOf(memcacheSession).parameter(0).toEqualTypeOf<MemcacheSessionOptions | undefined>()
    expectTypeOf<MemcacheStore>().toExtend<Store>()
    expectTypeOf<MemcacheStore['get']>().toBeCallableWith('id')
    expectTypeOf<ReturnType<MemcacheStore['length']>>().not.toBeAny()
    const all = (store: MemcacheStore) => store.all()
    expectTypeOf(all).returns.resolves.toEqualTypeOf<StoredSession[]>()
    const get = (store: MemcacheStore) => store.get('id')
    expectTypeOf(get).returns.resolves.toEqualTypeOf<SessionData | undefined>()
  })

  it('allow what may be given, undefined too, and nothing else', () => {
    expectTypeOf<{ cache: Memcache; ttlSeconds: '7d'; encryptionKeys: string[] }>().toExtend<MemcacheStoreOptions>()
    expectTypeOf<{ secret: undefined; cookie: undefined; onCacheDown: 'skip' }>().toExtend<MemcacheSessionOptions>()
    expectTypeOf<MemcacheSessionOptions['onCacheDown']>().toEqualTypeOf<OnCacheDown | undefined>()
    expectTypeOf(memcacheSession).toBeCallableWith({ store: new MemoryStore() })
    // @ts-expect-error a unit that there is not
    const options: MemcacheStoreOptions = { ttlSeconds: '5min' }
    expectTypeOf(options).toEqualTypeOf<MemcacheStoreOptions>()
  })
})
