// oxlint-disable typescript/no-misused-promises -- express-session's Store has callbacks; without one a method returns a promise
import type { SessionData, SessionOptions as ExpressSessionOptions, Store } from 'express-session'
import { MemcacheStore as SessionStore, sessionMiddleware, sessionSettings } from 'memcache-ts/session'
import type {
  LockOptions,
  MemcacheStoreOptions as SessionStoreOptions,
  OnCacheDown,
  SessionLock,
  SessionOptions,
  SessionSettings,
} from 'memcache-ts/session'
import type { Request, RequestHandler } from 'express'
import { MemcacheOptionError } from 'memcache-ts'
import { requireOptions } from 'memcache-ts/adapter'
import { shareShapes } from './shared-shape.ts'

/** A session with its id, as `all` returns it. */
export type StoredSession = SessionData & { id: string }

/** A Node callback. */
type Callback<Value = void> = (error?: unknown, value?: Value) => void

/** Options of a `MemcacheStore`. */
export interface MemcacheStoreOptions extends Omit<SessionStoreOptions, 'userId'> {
  /**
   * Returns the user of a session: `(session) => session.userId`. `sessionsOf` and `destroySessionsOf` use it to find
   * all sessions of a user. Default: sessions have no user.
   */
  userId?: ((session: SessionData) => string | number | null | undefined) | undefined
}

/**
 * Sessions in memcached, for `memcacheSession` and express-session. No write is lost: each is merged, by path, with the
 * writes of parallel requests. A destroyed session is not restored. A request that only reads takes one round trip.
 * Every method takes a callback, or returns a promise, whose rejection does not crash the process if it is not handled.
 * Events: `disconnect` when all servers are away, `connect` when a server is back.
 */
export interface MemcacheStore extends Store {
  /** Creates a new session for a request; the middleware sets this method. */
  generate: (request: Express.Request) => void
  get(id: string): Promise<SessionData | undefined>
  get(id: string, callback: (error: unknown, session?: SessionData | null) => void): void
  set(id: string, session: SessionData): Promise<void>
  set(id: string, session: SessionData, callback: Callback | undefined): void
  destroy(id: string): Promise<void>
  destroy(id: string, callback: Callback | undefined): void
  /** Extends a session's lifetime; without a round trip if reading the session has already done so. */
  touch(id: string, session: SessionData): Promise<void>
  touch(id: string, session: SessionData, callback: Callback | undefined): void
  /** Returns all sessions, with their ids, for administrators. Sessions that begin or end meanwhile may be missing. */
  all(): Promise<StoredSession[]>
  all(callback: (error: unknown, sessions?: StoredSession[]) => void): void
  /** Returns the ids of all sessions, like `all`. An id that is too long for memcached is returned as its hash. */
  ids(): Promise<string[]>
  ids(callback: (error: unknown, ids?: string[]) => void): void
  /** Returns the number of sessions, like `all`. */
  length(): Promise<number>
  length(callback: (error: unknown, length?: number) => void): void
  /** Ends all sessions in all processes, and deletes nothing else. */
  clear(): Promise<void>
  clear(callback: Callback | undefined): void
  /**
   * Returns the sessions of a user, by the option `userId`. The list is stored in memcached, which may evict it like
   * any item.
   *
   * @throws MemcacheOptionError without that option.
   */
  sessionsOf(userId: string | number): Promise<StoredSession[]>
  /**
   * Ends the sessions of a user, except the session with the id `except`: "log out everywhere else". Returns how many
   * were ended.
   */
  destroySessionsOf(userId: string | number, options?: { except?: string | undefined }): Promise<number>
  /**
   * Acquires the lock of a session, which one caller can hold.
   *
   * @throws MemcacheServerError if other callers hold it for longer than `waitMs`.
   */
  lock(id: string, options?: LockOptions): Promise<SessionLock>
}

/**
 * The store of `memcache-ts/session`, with the types of express-session.
 *
 * @example
 *   app.use(session({ store: new MemcacheStore({ ttlSeconds: 86_400 }), secret }))
 */
export const MemcacheStore = SessionStore as unknown as new (options?: MemcacheStoreOptions) => MemcacheStore

/** Options of `memcacheSession`: those of the store and of express-session. All are optional. */
export interface MemcacheSessionOptions
  extends Omit<MemcacheStoreOptions, 'cookie'>, Omit<ExpressSessionOptions, 'store' | 'secret'> {
  /** Signs the cookie; the first of several signs, the others are still accepted. Default: `SESSION_SECRET`. */
  secret?: ExpressSessionOptions['secret'] | undefined
  /** The behaviour of requests while memcached does not respond. Default `error`. */
  onCacheDown?: OnCacheDown | undefined
  /** Selects requests without a session, such as health checks and assets. Default: none. */
  skip?: ((request: Request) => boolean) | undefined
  /**
   * The property of the request that has the session. A second session needs another property and another `name`.
   * Default `session`.
   */
  property?: string | undefined
  /**
   * A store for express-session, used in place of memcached. Its sessions are not merged. If a session cannot be saved,
   * the response is sent and the error is passed to `next`, as by express-session.
   */
  store?: Store | undefined
}

/** The middleware, and the store of its sessions: `store.sessionsOf(userId)`. */
export interface MemcacheSessionHandler extends RequestHandler {
  /** The store; with the option `store`, that store. */
  readonly store: MemcacheStore
}

declare module 'express-session' {
  interface Session {
    /**
     * Changes the id, and keeps the data if `keep` is true, for example when the user's rights change. Returns a
     * promise if there is no callback.
     */
    regenerate(options: { keep?: boolean | undefined }): Promise<void>
    /**
     * Acquires the session's lock, which one caller can hold, and reads the session again: use `req.session`
     * afterwards. The lock ends with `release`, which saves the session, or with the response.
     */
    lock(options?: LockOptions): Promise<SessionLock>
  }
}

/**
 * Returns a middleware for sessions in memcached, with express-session's API, cookies and stored format. The cookie is
 * HttpOnly, SameSite=Lax, and Secure if the connection is. A new session is stored when it has data. A response is sent
 * after its session has been saved.
 *
 * @example
 *   app.use(memcacheSession())
 *   app.get('/', (req, res) => res.json((req.session.visits = (req.session.visits ?? 0) + 1)))
 *
 * @throws MemcacheOptionError if an option is unknown or invalid, or a required secret is missing.
 */
export function memcacheSession(options: MemcacheSessionOptions = {}): MemcacheSessionHandler {
  requireOptions('memcacheSession', options)
  const { property = 'session', ...rest } = options
  if (typeof property !== 'string' || property === '')
    throw new MemcacheOptionError("property must be the name of a property of the request, such as 'session'")
  const settings = sessionSettings('memcacheSession', rest as SessionOptions<Request>, { givesPromises: false })
  const openSession = sessionMiddleware(settings as SessionSettings, property)
  const middleware: RequestHandler = (request, response, next) => {
    shareShapes(request, response)
    openSession(request, response, next)
  }
  return Object.assign(middleware, { store: settings.store as unknown as MemcacheStore })
}
