import type { Request, RequestHandler } from 'express'
import type { Store as RateLimitStore } from 'express-rate-limit'
import { MemoryStore } from 'express-session'
import type { Session, SessionData, Store } from 'express-session'
import type { Memcache } from 'memcache-ts'
import type { RateLimitResult } from 'memcache-ts/rate-limit'
import { expectTypeOf } from 'vitest'
import { memcacheSession, rateLimit } from '../src/index.ts'
import type {
  MemcacheRateLimitStore,
  MemcacheSessionOptions,
  MemcacheStore,
  MemcacheStoreOptions,
  OnCacheDown,
  StoredSession,
} from '../src/index.ts'

// Type tests: `npm run types` fails if a type differs, or an expected error is missing.

// As an application extends it.
declare module 'express-session' {
  interface SessionData {
    basket: { items: string[] }
  }
}

// What an application adds to express-session's SessionData is in its sessions.
expectTypeOf<Request['session']['basket']>().toEqualTypeOf<{ items: string[] } | undefined>()
expectTypeOf<Request['session']>().toExtend<Session>()
expectTypeOf<StoredSession>().toExtend<SessionData & { id: string }>()

// A middleware for app.use, and a store for express-session.
expectTypeOf(memcacheSession).returns.toExtend<RequestHandler>()
expectTypeOf(memcacheSession).parameter(0).toEqualTypeOf<MemcacheSessionOptions | undefined>()
expectTypeOf<MemcacheStore>().toExtend<Store>()
expectTypeOf<MemcacheStore['get']>().toBeCallableWith('id')
expectTypeOf<ReturnType<MemcacheStore['length']>>().not.toBeAny()
const all = (store: MemcacheStore) => store.all()
expectTypeOf(all).returns.resolves.toEqualTypeOf<StoredSession[]>()
const get = (store: MemcacheStore) => store.get('id')
expectTypeOf(get).returns.resolves.toEqualTypeOf<SessionData | undefined>()

// Options may be undefined, and unknown values are refused.
expectTypeOf<{ cache: Memcache; ttlSeconds: '7d'; encryptionKeys: string[] }>().toExtend<MemcacheStoreOptions>()
expectTypeOf<{ secret: undefined; cookie: undefined; onCacheDown: 'skip' }>().toExtend<MemcacheSessionOptions>()
expectTypeOf<MemcacheSessionOptions['onCacheDown']>().toEqualTypeOf<OnCacheDown | undefined>()
expectTypeOf(memcacheSession).toBeCallableWith({ store: new MemoryStore() })
// @ts-expect-error there is no such unit
export const options: MemcacheStoreOptions = { ttlSeconds: '5min' }

// `rateLimit` is a middleware, and puts its result into a request.
expectTypeOf<Request['rateLimit']>().toEqualTypeOf<RateLimitResult | undefined>()
expectTypeOf(rateLimit({ perMinute: 1 })).toExtend<RequestHandler>()

// express-rate-limit accepts the store.
expectTypeOf<MemcacheRateLimitStore>().toExtend<RateLimitStore>()
