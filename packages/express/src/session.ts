import { randomBytes } from 'node:crypto'
import type { RequestHandler } from 'express'
import session from 'express-session'
import type { SessionOptions } from 'express-session'
import { checkOptions, getDefaultMemcache, MemcacheOptionError } from 'memcache-ts'
import { CacheDown } from './cache-down.ts'
import type { OnCacheDown } from './cache-down.ts'
import { HeldStore } from './held-store.ts'
import { HeldResponse } from './held-response.ts'
import { sessionCookie, withDefaults } from './session-cookie.ts'
import { STORE_HINTS, STORE_OPTIONS } from './store-options.ts'
import type { MemcacheStoreOptions } from './store-options.ts'

/** Options of `memcacheSession`: the store's, and those of express-session, of which none is needed. */
export interface MemcacheSessionOptions
  extends Omit<MemcacheStoreOptions, 'cookie'>, Omit<SessionOptions, 'store' | 'secret'> {
  /** Signs the cookie; the first of several signs, the others are still accepted. Default: `SESSION_SECRET`. */
  secret?: SessionOptions['secret'] | undefined
  /** What becomes of requests while memcached does not answer. Default `error`. */
  onCacheDown?: OnCacheDown | undefined
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
  'unset',
] as const satisfies readonly (keyof MemcacheSessionOptions)[]

const KNOWN = [...new Set([...STORE_OPTIONS, 'onCacheDown' as const, ...EXPRESS_SESSION_OPTIONS])]

/**
 * Sessions: express-session on memcached, wired up. The cookie is HttpOnly, SameSite=Lax, and Secure wherever the
 * connection is; sessions are stored when there is something in them. A response is sent when its session has been saved.
 * @throws MemcacheOptionError for an option that there is not, and without a secret where one is needed.
 */
export function memcacheSession(options: MemcacheSessionOptions = {}): RequestHandler {
  checkOptions('memcacheSession', options, KNOWN, {
    ...STORE_HINTS,
    store: 'built in; call express-session with a MemcacheStore to wire it up yourself',
    maxAge: 'cookie.maxAge',
    key: 'name',
    keys: 'secret',
  })
  const {
    ttlSeconds,
    touchAfterSeconds,
    encryptionKeys,
    cache,
    onCacheDown = 'error',
    secret,
    cookie,
    ...rest
  } = options
  const maxAge = typeof cookie === 'object' ? cookie.maxAge : undefined
  const store = new HeldStore(
    { ttlSeconds, touchAfterSeconds, encryptionKeys, cache, cookie: { maxAge } },
    rest.resave === true,
  )
  const down = new CacheDown(onCacheDown, (message) => (cache ?? getDefaultMemcache()).warn(message))
  const engine = session({
    ...withDefaults<Omit<SessionOptions, 'secret'>>({ resave: false, saveUninitialized: false }, rest),
    secret: secret === undefined || secret === '' ? defaultSecret(process.env, cache?.client.servers) : secret,
    cookie: sessionCookie(cookie, rest.proxy),
    store,
  })
  // express-session goes on without sessions while its store is disconnected: the two other choices are made here.
  if (onCacheDown !== 'skip') for (const event of ['connect', 'disconnect']) store.removeAllListeners(event)

  return (request, response, next) => {
    // oxlint-disable-next-line typescript/unbound-method -- it is called on the response
    const { end } = response
    let isEntered = false
    engine(request, response, (error?: unknown) => {
      // After the head was sent, express-session tells of a failed save here.
      if (isEntered) return down.forgives(error, 'save') ? undefined : next(error)
      isEntered = true
      if (response.end !== end) new HeldResponse(store, down, request, response, end, next).hold()
      if (error === undefined) next()
      else down.unread(error, request, next)
    })
  }
}

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
