import { checkOptions, MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { Memcache } from '../memcache.ts'
import { describeValue, requireCache } from '../option-types.ts'
import type { CookieOptions } from './cookie.ts'
import type { EncryptionKey } from './session-encryption.ts'
import type { StoredData } from './session.ts'

/** Options of a `MemcacheStore`. */
export interface MemcacheStoreOptions {
  /** How long a session without an end of its own is kept. Default 86 400: a day. */
  ttlSeconds?: Ttl | undefined
  /**
   * The options of the cookie. If they have a `maxAge`, that is the lifetime of sessions, which each read sets again.
   * Without it, each request with such a session takes a second round trip.
   */
  cookie?: CookieOptions | undefined
  /** Lengthen the life of a session that is only read at most once in so many seconds. Default 0: with each request. */
  touchAfterSeconds?: number | undefined
  /**
   * How long a session lives at most, however active its user is: an absolute lifetime besides the idle one (OWASP).
   * Default: no end. It counts from the first write; sessions from before this option was set, from their next one.
   */
  maxLifetimeSeconds?: Ttl | undefined
  /**
   * Whose a session is: `(session) => session.userId`. By it `sessionsOf` and `destroySessionsOf` find all sessions of
   * one user. Default: nobody's.
   */
  userId?: ((session: StoredData) => string | number | null | undefined) | undefined
  /**
   * Encrypt sessions at rest by AES-256-GCM: secrets of at least 32 characters, of which the first seals and all open.
   * What none opens is no session. Default: not encrypted.
   */
  encryptionKeys?: EncryptionKey | readonly EncryptionKey[] | undefined
  /** The cache that stores the sessions. Default: this process's. */
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
  /** Absent where the option was not named. */
  readonly encryptionKeys?: readonly EncryptionKey[]
  readonly cache: Memcache | undefined
}

const DEFAULT_TTL_SECONDS = 86_400

/** @throws MemcacheOptionError if an option is unknown or invalid. */
export function resolveStoreOptions(options: MemcacheStoreOptions): ResolvedStoreOptions {
  checkOptions('MemcacheStore', options, STORE_OPTIONS, STORE_HINTS)
  requireCache('MemcacheStore', options.cache)
  const { cookie, touchAfterSeconds = 0, maxLifetimeSeconds = Infinity, userId, encryptionKeys, cache } = options
  const ttlSeconds = Math.ceil(ttlToSeconds(options.ttlSeconds ?? DEFAULT_TTL_SECONDS))
  if (ttlSeconds === Infinity) throw new MemcacheOptionError('a session must end: give ttlSeconds a number')
  const maxAge = cookie?.maxAge
  const maxAgeMs = typeof maxAge === 'number' && maxAge > 0 ? maxAge : undefined
  const usualSeconds = maxAgeMs === undefined ? ttlSeconds : maxAgeMs / 1000
  if (typeof touchAfterSeconds !== 'number' || !(touchAfterSeconds >= 0 && touchAfterSeconds < usualSeconds)) {
    throw new MemcacheOptionError(
      `touchAfterSeconds must be from 0 to less than what a session lives (${usualSeconds} s), or users who are active are logged out, got ${describeValue(touchAfterSeconds)}`,
    )
  }
  if (userId !== undefined && typeof userId !== 'function') {
    throw new MemcacheOptionError('userId must be a function of a session: (session) => session.userId')
  }
  return {
    ttlSeconds,
    maxAgeMs,
    touchAfterSeconds,
    maxLifetimeSeconds: ttlToSeconds(maxLifetimeSeconds),
    userId,
    cache,
    ...(Object.hasOwn(options, 'encryptionKeys') && {
      encryptionKeys: (isOneKey(encryptionKeys) ? [encryptionKeys] : encryptionKeys) as readonly EncryptionKey[],
    }),
  }
}

function isOneKey(keys: MemcacheStoreOptions['encryptionKeys']): keys is EncryptionKey {
  return typeof keys === 'string' || keys instanceof Uint8Array
}
