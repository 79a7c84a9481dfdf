import type { Request, RequestHandler } from 'express'
import type { SessionOptions as ExpressSessionOptions, Store } from 'express-session'
import { MemcacheOptionError } from 'memcache-ts'
import { sessionMiddleware, sessionSettings } from 'memcache-ts/session'
import type { LockOptions, OnCacheDown, SessionLock, SessionOptions, SessionSettings } from 'memcache-ts/session'
import { shareShapes } from '../shared-shape.ts'
import type { MemcacheStore, MemcacheStoreOptions } from './memcache-store.ts'

/** Options of `memcacheSession`: the store's, and those of express-session, of which none is needed. */
export interface MemcacheSessionOptions
  extends Omit<MemcacheStoreOptions, 'cookie'>, Omit<ExpressSessionOptions, 'store' | 'secret'> {
  /** Signs the cookie; the first of several signs, the others are still accepted. Default: `SESSION_SECRET`. */
  secret?: ExpressSessionOptions['secret'] | undefined
  /** The behaviour of requests while memcached does not answer. Default `error`. */
  onCacheDown?: OnCacheDown | undefined
  /** Requests that have no session: health checks, assets. Default: none. */
  skip?: ((request: Request) => boolean) | undefined
  /**
   * The property of the request that has the session. Another one makes a second session possible, with another `name`.
   * Default `session`.
   */
  property?: string | undefined
  /**
   * A store made for express-session, in place of memcached. Its sessions are not merged, and when one cannot be saved
   * the response is sent and the error passed to `next`, as by express-session.
   */
  store?: Store | undefined
}

/** The middleware, and the store of its sessions: `store.sessionsOf(userId)`. */
export interface MemcacheSessionHandler extends RequestHandler {
  /** With the option `store`, that one. */
  readonly store: MemcacheStore
}

declare module 'express-session' {
  interface Session {
    /**
     * A new id, with the same data where `keep` is true: for a change of what the user may do. Without a callback a
     * promise.
     */
    regenerate(options: { keep?: boolean | undefined }): Promise<void>
    /**
     * Waits for the right to change the session alone, among all that ask for it in this way, and reads it again:
     * afterwards use `req.session`. The lock ends with `release`, which saves the session, or with the response.
     */
    lock(options?: LockOptions): Promise<SessionLock>
  }
}

/**
 * Sessions in memcached, with express-session's API, cookies and stored format. The cookie is HttpOnly, SameSite=Lax,
 * and Secure wherever the connection is; sessions are stored when there is something in them. A response is sent when
 * its session has been saved.
 *
 * @example
 *   app.use(memcacheSession())
 *   app.get('/', (req, res) => res.json((req.session.visits = (req.session.visits ?? 0) + 1)))
 *
 * @throws MemcacheOptionError if an option is unknown or invalid, and without a secret where one is needed.
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
