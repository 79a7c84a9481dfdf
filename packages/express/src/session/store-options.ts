import type { CookieOptions } from 'express-session'
import { checkOptions, MemcacheOptionError, ttlToSeconds } from 'memcache-ts'
import type { EncryptionKey, Memcache, Ttl } from 'memcache-ts'

/** Options of a `MemcacheStore`. */
export interface MemcacheStoreOptions {
  /** How long a session without an end of its own is kept. Default 86 400: a day. */
  ttlSeconds?: Ttl | undefined
  /**
   * express-session's `cookie`, where it has a `maxAge`: that is how long sessions live, and what reading one sets anew. Without
   * it each request on such a session takes a second round trip.
   */
  cookie?: CookieOptions | undefined
  /** Lengthen the life of a session that is only read at most once in so many seconds. Default 0: with each request. */
  touchAfterSeconds?: number | undefined
  /**
   * Encrypt sessions at rest by AES-256-GCM: secrets of at least 32 characters, of which the first seals and all open. What none
   * opens is no session. Default: not encrypted.
   */
  encryptionKeys?: EncryptionKey | readonly EncryptionKey[] | undefined
  /** The cache that they lie in. Default: this process's. */
  cache?: Memcache | undefined
}

export const STORE_OPTIONS = [
  'ttlSeconds',
  'cookie',
  'touchAfterSeconds',
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
}

/** The options with their defaults. */
export interface ResolvedStoreOptions {
  readonly ttlSeconds: number
  readonly maxAgeMs: number | undefined
  readonly touchAfterSeconds: number
  readonly encryptionKeys: readonly EncryptionKey[] | undefined
  readonly cache: Memcache | undefined
}

const DEFAULT_TTL_SECONDS = 86_400

/** @throws MemcacheOptionError for an option that there is not, or a value that cannot be. */
export function resolveStoreOptions(options: MemcacheStoreOptions): ResolvedStoreOptions {
  checkOptions('MemcacheStore', options, STORE_OPTIONS, STORE_HINTS)
  const { cookie, touchAfterSeconds = 0, encryptionKeys, cache } = options
  const ttlSeconds = Math.ceil(ttlToSeconds(options.ttlSeconds ?? DEFAULT_TTL_SECONDS))
  if (ttlSeconds === Infinity) throw new MemcacheOptionError('a session must end: give ttlSeconds a number')
  if (!(touchAfterSeconds >= 0) || touchAfterSeconds === Infinity) {
    throw new MemcacheOptionError(`touchAfterSeconds must be a number from 0 on, got ${touchAfterSeconds}`)
  }
  const maxAgeMs = cookie?.maxAge
  return {
    ttlSeconds,
    maxAgeMs: typeof maxAgeMs === 'number' && maxAgeMs > 0 ? maxAgeMs : undefined,
    touchAfterSeconds,
    encryptionKeys: isOneKey(encryptionKeys) ? [encryptionKeys] : encryptionKeys,
    cache,
  }
}

function isOneKey(keys: MemcacheStoreOptions['encryptionKeys']): keys is EncryptionKey {
  return typeof keys === 'string' || keys instanceof Uint8Array
}
