import type { Request, RequestHandler } from 'express'
import type { SessionOptions as ExpressSessionOptions, Store } from 'express-session'
import { MemcacheOptionError } from 'memcache-ts'
import { sessionMiddleware, sessionSettings } from 'memcache-ts/session'
import type { LockOptions, OnCacheDown, SessionLock, SessionOptions, SessionSettings } from 'memcache-ts/session'
import { shareShapes } from '../shared-shape.ts'
import type { MemcacheStore, MemcacheStoreOptions } from './memcache-store.ts'

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
  const { property = 'session', ...rest } = options
  if (typeof property !== 'string' || property === '') throw new MemcacheOptionError('property must be a name')
  const settings = sessionSettings('memcacheSession', rest as SessionOptions<Request>, false)
  const openSession = sessionMiddleware(settings as SessionSettings, property)
  const middleware: RequestHandler = (request, response, next) => {
    shareShapes(request, response)
    openSession(request, response, next)
  }
  return Object.assign(middleware, { store: settings.store as unknown as MemcacheStore })
}
