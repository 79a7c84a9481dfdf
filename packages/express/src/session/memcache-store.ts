// oxlint-disable typescript/no-misused-promises -- express-session's Store has callbacks; without one a method returns a promise
import type { SessionData, Store } from 'express-session'
import { MemcacheStore as SessionStore } from 'memcache-ts/session'
import type { LockOptions, MemcacheStoreOptions as SessionStoreOptions, SessionLock } from 'memcache-ts/session'

/** A session with its id, as `all` has it. */
export type StoredSession = SessionData & { id: string }

/** A Node callback. */
type Callback<Value = void> = (error?: unknown, value?: Value) => void

/** Options of a `MemcacheStore`. */
export interface MemcacheStoreOptions extends Omit<SessionStoreOptions, 'userId'> {
  /**
   * Whose a session is: `(session) => session.userId`. By it `sessionsOf` and `destroySessionsOf` find all sessions of
   * one user. Default: nobody's.
   */
  userId?: ((session: SessionData) => string | number | null | undefined) | undefined
}

/**
 * Sessions in memcached, for `memcacheSession` and express-session. No write is lost: each is merged, by path, with
 * what parallel requests wrote meanwhile. A destroyed session stays so. A request that only reads is one round trip.
 * Every method takes a callback, or returns a promise; one that nobody waits for does not crash the process. Events:
 * `disconnect` when all servers are away, `connect` when one is back.
 */
export interface MemcacheStore extends Store {
  /** Gives a request a new session; the middleware sets it. */
  generate: (request: Express.Request) => void
  get(id: string): Promise<SessionData | undefined>
  get(id: string, callback: (error: unknown, session?: SessionData | null) => void): void
  set(id: string, session: SessionData): Promise<void>
  set(id: string, session: SessionData, callback: Callback | undefined): void
  destroy(id: string): Promise<void>
  destroy(id: string, callback: Callback | undefined): void
  /** Lengthens a session's life; without a round trip, and calling back at once, where reading it has done so. */
  touch(id: string, session: SessionData): Promise<void>
  touch(id: string, session: SessionData, callback: Callback | undefined): void
  /**
   * All sessions, with their ids. What begins or ends meanwhile may be missed, and all is read: it is for
   * administrators.
   */
  all(): Promise<StoredSession[]>
  all(callback: (error: unknown, sessions?: StoredSession[]) => void): void
  /** The ids of all sessions, as `all`. One that memcached could not hold comes as its hash. */
  ids(): Promise<string[]>
  ids(callback: (error: unknown, ids?: string[]) => void): void
  /** How many sessions there are, as `all`. */
  length(): Promise<number>
  length(callback: (error: unknown, length?: number) => void): void
  /** Ends all sessions at once, in all processes, and touches nothing else. */
  clear(): Promise<void>
  clear(callback: Callback | undefined): void
  /**
   * The sessions of one user, by the option `userId`. The list is kept in memcached, which may evict it like any item.
   *
   * @throws MemcacheOptionError without that option.
   */
  sessionsOf(userId: string | number): Promise<StoredSession[]>
  /** Ends the sessions of one user, all but one where `except` is its id: "log out everywhere else". Returns how many. */
  destroySessionsOf(userId: string | number, options?: { except?: string | undefined }): Promise<number>
  /**
   * Waits for the right to change a session alone, among all that ask for it in this way.
   *
   * @throws MemcacheServerError if others have it for longer than `waitMs`.
   */
  lock(id: string, options?: LockOptions): Promise<SessionLock>
}

/** The store of `memcache-ts/session`, with the types that callers of express-session know. */
export const MemcacheStore = SessionStore as unknown as new (options?: MemcacheStoreOptions) => MemcacheStore
