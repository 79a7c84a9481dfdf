import { types } from 'node:util'
import { checkOptions, MemcacheOptionError, ttlToSeconds, warnOfSeconds } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { Memcache } from '../memcache.ts'
import { describeValue, requireCache, requireOptions } from '../option-types.ts'
import type { CookieOptions } from './cookie.ts'
import type { EncryptionKey } from './session-encryption.ts'
import type { StoredData } from './session.ts'

/** Options of a `MemcacheStore`. */
export interface MemcacheStoreOptions {
  /** The lifetime of a session whose cookie does not expire, in seconds. Default 86 400, a day. */
  ttlSeconds?: Ttl | undefined
  /**
   * The options of the cookie, as given to the session middleware. Its `maxAge` becomes the lifetime of sessions, which
   * each read resets. If cookies have a `maxAge` and it is not given here, each request takes a second round trip.
   */
  cookie?: CookieOptions | undefined
  /**
   * The minimum time between two resets of the lifetime of a session that is only read, in seconds. Default 0: each
   * request resets it.
   */
  touchAfterSeconds?: number | undefined
  /**
   * The maximum lifetime of a session, however active its user is: OWASP's absolute timeout, besides the idle timeout.
   * Default: no limit. It counts from the first write; for sessions that are older than this option, from their next
   * write.
   */
  maxLifetimeSeconds?: Ttl | undefined
  /**
   * Returns the user of a session: `(session) => session.userId`. `sessionsOf` and `destroySessionsOf` find sessions by
   * it. Default: sessions have no user.
   */
  userId?: ((session: StoredData) => string | number | null | undefined) | undefined
  /**
   * The secrets that encrypt sessions at rest by AES-256-GCM, of at least 32 characters each. The first encrypts, all
   * decrypt; a session that no secret decrypts counts as missing. Default: sessions are not encrypted.
   */
  encryptionKeys?: EncryptionKey | readonly EncryptionKey[] | undefined
  /** The cache that stores the sessions. Default: the default cache of this process. */
  cache?: Memcache | undefined
}

export const STORE_OPTIONS = [
  'ttlSeconds',
  'cookie',
  'touchAfterSeconds',
  'maxLifetimeSeconds',
  'userId',
  'encryptionKeys',
  'cache',
] as const satisfies readonly (keyof MemcacheStoreOptions)[]

export const STORE_HINTS = {
  ttl: 'ttlSeconds',
  touchAfter: 'touchAfterSeconds',
  crypto: 'encryptionKeys',
  client: 'cache',
  hosts: 'the servers of memcache()',
  prefix: 'the prefix of memcache()',
  absoluteTimeout: 'maxLifetimeSeconds',
  idleTimeout: 'ttlSeconds',
}

/** The options with their defaults. */
export interface ResolvedStoreOptions {
  readonly ttlSeconds: number
  readonly maxAgeMs: number | undefined
  readonly touchAfterSeconds: number
  readonly maxLifetimeSeconds: number
  readonly userId: MemcacheStoreOptions['userId']
  /** Absent if the option was not named. */
  readonly encryptionKeys?: readonly EncryptionKey[]
  readonly cache: Memcache | undefined
}

const DEFAULT_TTL_SECONDS = 86_400

/** @throws MemcacheOptionError if an option is unknown or invalid. */
export function resolveStoreOptions(options: MemcacheStoreOptions): ResolvedStoreOptions {
  checkOptions('MemcacheStore', options, { names: STORE_OPTIONS, hints: STORE_HINTS })
  requireCache('MemcacheStore', options.cache)
  const { cookie, touchAfterSeconds = 0, maxLifetimeSeconds = Infinity, userId, encryptionKeys, cache } = options
  const { ttlSeconds: given = DEFAULT_TTL_SECONDS } = options
  const ttlSeconds = Math.ceil(ttlToSeconds(given))
  if (ttlSeconds === Infinity)
    throw new MemcacheOptionError('ttlSeconds must be finite, since a session must end: give it a number of seconds')
  if (cookie !== undefined) requireOptions('MemcacheStore: cookie', cookie)
  const maxAge = cookie?.maxAge
  const maxAgeMs = typeof maxAge === 'number' && maxAge > 0 ? maxAge : undefined
  if (maxAgeMs !== undefined) warnOfSeconds('cookie.maxAge', maxAgeMs)
  const usualSeconds = maxAgeMs === undefined ? ttlSeconds : maxAgeMs / 1000
  if (typeof touchAfterSeconds !== 'number' || !(touchAfterSeconds >= 0 && touchAfterSeconds < usualSeconds)) {
    throw new MemcacheOptionError(
      `touchAfterSeconds must be at least 0 and less than the lifetime of a session (${usualSeconds} s), or active users would be logged out, got ${describeValue(touchAfterSeconds)}`,
    )
  }
  if (userId !== undefined && typeof userId !== 'function') {
    throw new MemcacheOptionError(
      `userId must be a function of a session, (session) => session.userId; got ${describeValue(userId)}`,
    )
  }
  return {
    ttlSeconds,
    maxAgeMs,
    touchAfterSeconds,
    maxLifetimeSeconds: ttlToSeconds(maxLifetimeSeconds, 'maxLifetimeSeconds'),
    userId,
    cache,
    ...(Object.hasOwn(options, 'encryptionKeys') && {
      encryptionKeys: (isOneKey(encryptionKeys) ? [encryptionKeys] : encryptionKeys) as readonly EncryptionKey[],
    }),
  }
}

function isOneKey(keys: MemcacheStoreOptions['encryptionKeys']): keys is EncryptionKey {
  return typeof keys === 'string' || types.isUint8Array(keys)
}
