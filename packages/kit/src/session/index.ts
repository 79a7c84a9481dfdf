export { MemcacheStore } from './memcache-store.ts'
export type { StoredSession } from './memcache-store.ts'
export type { MemcacheStoreOptions } from './store-options.ts'
export type { OnCacheDown } from './cache-down.ts'
export type { Cookie, CookieOptions } from './cookie.ts'
export type { Secret } from './id-cookie.ts'
export { fetchSession } from './fetch-session.ts'
export type { FetchSessionOptions, FetchSessions, OpenedSession } from './fetch-session.ts'
export { isInPath } from './cookie.ts'
export type {
  AnyStore,
  AsyncSession,
  Callback,
  LockOptions,
  Session,
  SessionHolder,
  SessionLock,
  StoredData,
} from './session.ts'
export { sessionSettings } from './session-options.ts'
export type { SessionOptions, SessionSettings } from './session-options.ts'
export { RequestSession } from './request-session.ts'
export type { SessionCarrier, SessionedRequest } from './session-cookie.ts'
export type { WriteKind } from './session-writes.ts'
export { sessionMiddleware } from './session-middleware.ts'
export type { SessionMiddleware } from './session-middleware.ts'
export { SessionRepository } from './session-repository.ts'
export type { SessionRepositoryOptions } from './session-repository.ts'
export type { FoundSession, LifetimeOf, SessionSnapshot } from './session-item.ts'
export type { EncryptionKey } from './session-encryption.ts'
export { differsAsJson } from './session-merge.ts'
export type { HasChanged, SessionData } from './session-merge.ts'
