import { randomBytes } from 'node:crypto'
import type { RequestHandler } from 'express'
import session from 'express-session'
import type { SessionOptions } from 'express-session'
import { checkOptions, MemcacheOptionError } from 'memcache-ts'
import { MemcacheStore } from './memcache-store.ts'
import type { MemcacheStoreOptions } from './memcache-store.ts'
import { sessionCookie, withDefaults } from './session-cookie.ts'

/** Options of `memcacheSession`: the store's, and those of express-session, of which none is needed. */
export interface MemcacheSessionOptions extends MemcacheStoreOptions, Omit<SessionOptions, 'store' | 'secret'> {
  /** Signs the cookie; the first of several signs, the others are still accepted. Default: `SESSION_SECRET`. */
  secret?: SessionOptions['secret'] | undefined
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

const KNOWN = ['ttlSeconds', 'cache', ...EXPRESS_SESSION_OPTIONS]

/**
 * Sessions: express-session on memcached, wired up. The cookie is HttpOnly, SameSite=Lax, and Secure wherever the
 * connection is; sessions are stored when there is something in them.
 * @throws MemcacheOptionError for an option that there is not, and without a secret where one is needed.
 */
export function memcacheSession(options: MemcacheSessionOptions = {}): RequestHandler {
  checkOptions('memcacheSession', options, KNOWN, {
    store: 'built in; call express-session with a MemcacheStore to wire it up yourself',
    maxAge: 'cookie.maxAge',
    ttl: 'ttlSeconds',
  })
  const { ttlSeconds, cache, secret, cookie, ...rest } = options
  return session({
    ...withDefaults<Omit<SessionOptions, 'secret'>>({ resave: false, saveUninitialized: false }, rest),
    secret: secret === undefined || secret === '' ? defaultSecret(process.env, cache?.client.servers) : secret,
    cookie: sessionCookie(cookie, rest.proxy),
    store: new MemcacheStore({ ttlSeconds, cache }),
  })
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
