import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Request, RequestHandler } from 'express'
import type { SessionOptions, Store as ExpressSessionStore } from 'express-session'
import { checkOptions, getDefaultMemcache, MemcacheOptionError } from 'memcache-ts'
import { CacheDown } from './cache-down.ts'
import type { OnCacheDown } from './cache-down.ts'
import type { CookieData } from './cookie.ts'
import type { Secret } from './id-cookie.ts'
import { MemcacheStore } from './memcache-store.ts'
import { warnOfUntrustedProxy } from './secure-connection.ts'
import { generateFor } from './session.ts'
import type { AnyStore, LockOptions, SessionHolder, SessionLock } from './session.ts'
import { sessionCookie } from './session-cookie.ts'
import { SessionExchange } from './session-exchange.ts'
import type { SessionRequest, SessionSettings } from './session-exchange.ts'
import { STORE_HINTS, STORE_OPTIONS } from './store-options.ts'
import type { MemcacheStoreOptions } from './store-options.ts'

/** Options of `memcacheSession`: the store's, and those of express-session, of which none is needed. */
export interface MemcacheSessionOptions
  extends Omit<MemcacheStoreOptions, 'cookie'>, Omit<SessionOptions, 'store' | 'secret'> {
  /** Signs the cookie; the first of several signs, the others are still accepted. Default: `SESSION_SECRET`. */
  secret?: SessionOptions['secret'] | undefined
  /** What becomes of requests while memcached does not answer. Default `error`. */
  onCacheDown?: OnCacheDown | undefined
  /** Requests that have no session: health checks, assets. Default: none. */
  skip?: ((request: Request) => boolean) | undefined
  /** The property of the request that has the session. Another one makes a second session possible, with another `name`. Default `session`. */
  property?: string | undefined
  /**
   * A store made for express-session, in place of memcached. Its sessions are not merged, and when one cannot be saved the response is sent and
   * the error passed to `next`, as by express-session.
   */
  store?: ExpressSessionStore | undefined
}

/** The middleware, and the store of its sessions: `store.sessionsOf(userId)`. */
export interface MemcacheSessionHandler extends RequestHandler {
  /** With the option `store`, that one. */
  readonly store: MemcacheStore
}

declare module 'express-session' {
  interface Session {
    /** A new id, with the same data where `keep` is true: for a change of what the user may do. Without a callback a promise. */
    regenerate(options: { keep?: boolean | undefined }): Promise<void>
    /**
     * Waits for the right to change the session alone, among all that ask for it in this way, and reads it again: afterwards use
     * `req.session`. The lock ends with `release`, which saves the session, or with the response.
     */
    lock(options?: LockOptions): Promise<SessionLock>
  }
}

const EXPRESS_SESSION_OPTIONS = [
  'cookie',
  'genid',
  'name',
  'proxy',
  'resave',
  'rolling',
  'saveUninitialized',
  'secret',
  'store',
  'unset',
] as const satisfies readonly (keyof MemcacheSessionOptions)[]

const OPTION_NAMES = [
  ...new Set([
    ...STORE_OPTIONS,
    'onCacheDown' as const,
    'property' as const,
    'skip' as const,
    ...EXPRESS_SESSION_OPTIONS,
  ]),
]

const DEFAULT_NAME = 'connect.sid'
const ID_BYTES = 24

/**
 * Sessions in memcached, with express-session's API, cookies and stored format. The cookie is HttpOnly, SameSite=Lax, and Secure wherever
 * the connection is; sessions are stored when there is something in them. A response is sent when its session has been saved.
 * @throws MemcacheOptionError if an option is unknown or invalid, and without a secret where one is needed.
 */
export function memcacheSession(options: MemcacheSessionOptions = {}): MemcacheSessionHandler {
  checkOptions('memcacheSession', options, OPTION_NAMES, {
    ...STORE_HINTS,
    maxAge: 'cookie.maxAge',
    key: 'name',
    keys: 'secret',
  })
  const { skip, property = 'session' } = options
  const settings = settingsOf(options)
  const { store } = settings
  let isConnected = true
  if (settings.down?.skips !== false) {
    store.on?.('disconnect', () => (isConnected = false))
    store.on?.('connect', () => (isConnected = true))
  }

  const handler: RequestHandler = (request, response, next) => {
    const holder = holderOf(request as unknown as SessionRequest, property)
    if (holder.session || !isConnected || !isInPath(request, settings.cookie) || skip?.(request) === true) return next()
    const secret = settings.secrets ?? secretOf(request)
    if (secret === undefined) return next(new MemcacheOptionError('secret option required for sessions'))
    new SessionExchange(settings, secret, {
      request: request as unknown as SessionRequest,
      response: response as ServerResponse,
      next,
      holder,
    }).open()
  }
  return Object.assign(handler, { store: store as unknown as MemcacheStore })
}

/** @throws MemcacheOptionError for a value that cannot be. */
function settingsOf(options: MemcacheSessionOptions): SessionSettings {
  const { cache, cookie, genid, proxy, unset, onCacheDown = 'error', property = 'session' } = options
  if (genid !== undefined && typeof genid !== 'function')
    throw new MemcacheOptionError('genid option must be a function')
  if (unset !== undefined && unset !== 'destroy' && unset !== 'keep') {
    throw new MemcacheOptionError('unset option must be "destroy" or "keep"')
  }
  if (options.skip !== undefined && typeof options.skip !== 'function') {
    throw new MemcacheOptionError('skip must be a function of the request')
  }
  if (typeof property !== 'string' || property === '') throw new MemcacheOptionError('property must be a name')
  const down = new CacheDown(onCacheDown, (message) => (cache ?? getDefaultMemcache()).warn(message))
  const given = options.store as AnyStore | undefined
  const store: AnyStore = given ?? openStore(options)
  store.generate = generateFor
  return {
    name: options.name ?? DEFAULT_NAME,
    secrets: secretsOf(options),
    store,
    cookie: sessionCookie(cookie) as SessionSettings['cookie'],
    genid: (genid as SessionSettings['genid'] | undefined) ?? generateId,
    proxy,
    resave: options.resave ?? false,
    rolling: options.rolling ?? false,
    saveUninitialized: options.saveUninitialized ?? false,
    unsetDestroys: unset === 'destroy',
    down: given === undefined || given instanceof MemcacheStore ? down : undefined,
    warnOfInsecure: warnOfUntrustedProxy,
  }
}

function openStore(options: MemcacheSessionOptions): AnyStore {
  const { cookie } = options
  const storeOptions: MemcacheStoreOptions = { cookie: typeof cookie === 'object' ? cookie : undefined }
  for (const name of STORE_OPTIONS) {
    // An option that is named is passed on even if it is undefined: for some that is an error.
    if (name !== 'cookie' && Object.hasOwn(options, name)) Object.assign(storeOptions, { [name]: options[name] })
  }
  return new MemcacheStore(storeOptions) as unknown as AnyStore
}

/** `undefined`: those of cookie-parser, where a store of express-session's is used without any. */
function secretsOf({ secret, store, cache }: MemcacheSessionOptions): readonly Secret[] | undefined {
  if (Array.isArray(secret)) {
    if (secret.length === 0) throw new MemcacheOptionError('secret option array must contain one or more strings')
    return secret
  }
  if (secret !== undefined && secret !== '') return [secret]
  if (store !== undefined && (process.env['SESSION_SECRET'] ?? '') === '') return undefined
  return [defaultSecret(process.env, cache?.client.servers)]
}

function secretOf(request: IncomingMessage): readonly Secret[] | undefined {
  const { secret } = request as SessionRequest
  return secret === undefined || secret === '' ? undefined : [secret]
}

function generateId(): string {
  return randomBytes(ID_BYTES).toString('base64url')
}

/** Whether the cookie would be sent with a request of this path. */
function isInPath(request: SessionRequest | Request, cookie: SessionSettings['cookie']): boolean {
  const options = typeof cookie === 'function' ? cookie(request as SessionRequest) : cookie
  const { path = '/' } = options as Partial<CookieData>
  const url = (request.originalUrl ?? request.url ?? '') || '/'
  if (path === '/' && url.startsWith('/')) return true
  return pathOf(url).startsWith(path || '/')
}

/** The path of a request's target, which may be absolute (RFC 9112 section 3.2.2). */
function pathOf(url: string): string {
  if (!url.startsWith('/')) {
    try {
      return new URL(url).pathname
    } catch {
      return url
    }
  }
  const query = url.indexOf('?')
  return query === -1 ? url : url.slice(0, query)
}

/** The request itself for `session`; for another property an object of its own, which has `session` and `sessionID`. */
function holderOf(request: SessionRequest, property: string): SessionHolder {
  if (property === 'session') return request
  const holders = request as unknown as Record<symbol, Record<string, SessionHolder> | undefined>
  const known = (holders[HOLDERS] ??= {})
  const existing = known[property]
  if (existing !== undefined) return existing
  const holder: SessionHolder = Object.create(request, {
    session: { value: undefined, writable: true, configurable: true },
    sessionID: { value: undefined, writable: true, configurable: true },
    sessionStore: { value: undefined, writable: true, configurable: true },
  })
  known[property] = holder
  Object.defineProperty(request, property, {
    get: () => holder.session,
    set: (session: SessionHolder['session']) => {
      holder.session = session
    },
    configurable: true,
    enumerable: true,
  })
  return holder
}

const HOLDERS: unique symbol = Symbol('sessions by their properties')

/** One for all sessions of this process, so that two `memcacheSession()` read each other's cookies. */
let madeUpSecret: string | undefined

/** The secret of the environment; a random one where nobody else has to know it. */
function defaultSecret(env: NodeJS.ProcessEnv, servers: readonly string[] | undefined): string {
  const secret = env['SESSION_SECRET']
  if (secret !== undefined && secret !== '') return secret
  const shared = (env['MEMCACHE_SERVERS'] ?? '') !== '' || servers?.some((server) => server !== 'embedded') === true
  if (env['NODE_ENV'] === 'production' || shared) {
    throw new MemcacheOptionError(
      'sessions need a secret that all processes share: set SESSION_SECRET, or give memcacheSession({ secret })',
    )
  }
  if (madeUpSecret !== undefined) return madeUpSecret
  process.emitWarning('SESSION_SECRET is not set: using a random one, so sessions end with this process', {
    code: 'MEMCACHE_SESSION_SECRET',
  })
  return (madeUpSecret = randomBytes(32).toString('base64url'))
}
