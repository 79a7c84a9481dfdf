import { secondsToTtl } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { SessionData } from './session-merge.ts'

/** memcached's clock ticks once a second: an item with a lifetime of 1 second may expire after a few milliseconds. */
const MIN_ITEM_SECONDS = 2
/** The difference that counts as no change: express-session reads the clock twice, so its times vary slightly. */
const SAME_MS = 1000

/**
 * Decides how long sessions live, and how that is stored. A session with the usual lifetime ends with its item, whose
 * lifetime each read resets; the `expires` of its cookie is stored as a number, its value at the last write. For any
 * other session `expires` is stored as a date, which decides, and each visit writes it again.
 */
export class SessionLifetime {
  /** The lifetime in seconds of a session whose cookie does not expire. */
  readonly #endlessSeconds: number
  /** The usual lifetime of sessions, in seconds. */
  readonly usualSeconds: number
  readonly #usualMaxAgeMs: number
  readonly #maxSeconds: number

  /**
   * @param maxAgeMs the default `maxAge` of cookies; `undefined` if they have none.
   * @param maxSeconds the maximum lifetime from the creation of a session, in seconds.
   */
  constructor(endlessSeconds: number, maxAgeMs: number | undefined, maxSeconds = Infinity) {
    this.#maxSeconds = maxSeconds
    this.#endlessSeconds = endlessSeconds
    this.usualSeconds = maxAgeMs === undefined ? endlessSeconds : Math.ceil(maxAgeMs / 1000)
    this.#usualMaxAgeMs = maxAgeMs ?? endlessSeconds * 1000
  }

  /** Returns a session as it is stored. */
  toStored(session: object, nowMs: number): Record<string, unknown> {
    const { cookie } = session as { cookie?: unknown }
    if (typeof cookie !== 'object' || cookie === null) return { ...session }
    const { toJSON } = cookie as { toJSON?: () => object }
    const stored: StoredCookie = { ...(typeof toJSON === 'function' ? toJSON.call(cookie) : cookie) }
    const endMs = momentOf(stored.expires)
    if (endMs !== undefined && secondsUntil(endMs, nowMs) === this.usualSeconds) {
      stored.expires = endMs
      // express-session reads the clock twice: without this, each save would shorten the lifetime by a millisecond.
      if (this.#isUsual(stored.originalMaxAge)) stored.originalMaxAge = this.#usualMaxAgeMs
    }
    return { ...session, cookie: stored }
  }

  /** Returns the remaining lifetime of a session, stored or in use, in seconds; 0 if it has ended. */
  secondsOf(session: { readonly cookie?: unknown }, nowMs: number): number {
    const expires = (session.cookie as StoredCookie | undefined)?.expires
    if (typeof expires === 'number') return this.usualSeconds
    const endMs = momentOf(expires)
    return endMs === undefined ? this.#endlessSeconds : Math.max(0, secondsUntil(endMs, nowMs))
  }

  /** Returns the lifetime for memcached, as `secondsOf`; `undefined` if the session has ended. */
  ttlOf(stored: SessionData, nowMs: number): Ttl | undefined {
    const seconds = this.secondsOf(stored, nowMs)
    return seconds > 0 ? ttl(seconds) : undefined
  }

  /** Returns whether a stored session has ended, by its cookie or by the maximum lifetime. */
  hasEnded(stored: SessionData, nowMs: number): boolean {
    return this.secondsOf(stored, nowMs) === 0 || this.#leftOfMaxSeconds(stored, nowMs) <= 0
  }

  /** Returns the lifetime for memcached, as `ttlOf`, within the maximum lifetime. */
  cappedTtlOf(stored: SessionData, nowMs: number): Ttl | undefined {
    const seconds = Math.min(this.secondsOf(stored, nowMs), this.#leftOfMaxSeconds(stored, nowMs))
    return seconds > 0 ? ttl(seconds) : undefined
  }

  /**
   * Sets `expires` of the cookie of a session that was read, as a string, since the callers of a store expect JSON
   * data.
   *
   * @param ttlSeconds the remaining lifetime of its item.
   */
  restore(stored: SessionData, ttlSeconds: number, nowMs: number): void {
    const cookie = stored['cookie'] as StoredCookie | undefined
    if (typeof cookie?.expires !== 'number') return
    // An item in its last second has 0 seconds left but is still alive.
    const leftSeconds = Number.isFinite(ttlSeconds) ? Math.max(1, ttlSeconds) : this.usualSeconds
    const endMs = nowMs + leftSeconds * 1000
    cookie.expires = new Date(Math.abs(endMs - cookie.expires) <= SAME_MS ? cookie.expires : endMs).toISOString()
  }

  #leftOfMaxSeconds(stored: SessionData, nowMs: number): number {
    const createdMs: unknown = (stored['cookie'] as StoredCookie | undefined)?.createdMs
    if (this.#maxSeconds === Infinity || typeof createdMs !== 'number') return Infinity
    return Math.ceil((createdMs - nowMs) / 1000 + this.#maxSeconds)
  }

  #isUsual(originalMaxAge: unknown): boolean {
    return typeof originalMaxAge === 'number' && Math.abs(originalMaxAge - this.#usualMaxAgeMs) <= SAME_MS
  }
}

/** Returns seconds as a lifetime for memcached. */
export function ttl(seconds: number): Ttl {
  return secondsToTtl(Math.max(MIN_ITEM_SECONDS, seconds))
}

/** The properties of a stored cookie on which the lifetime depends. */
export interface StoredCookie {
  /** The time when the session was created, in milliseconds, if sessions have a maximum lifetime. */
  createdMs?: number
  expires?: unknown
  originalMaxAge?: unknown
}

/** Returns the time of `expires` in milliseconds; `undefined` if it is absent or no date. */
function momentOf(expires: unknown): number | undefined {
  if (expires === null || expires === undefined) return undefined
  const ms = new Date(expires as Date | string | number).getTime()
  return Number.isNaN(ms) ? undefined : ms
}

function secondsUntil(endMs: number, nowMs: number): number {
  return Math.ceil((endMs - nowMs) / 1000)
}

/** Returns whether stored data has no cookie or a valid one; other programs may have stored an invalid cookie. */
export function isSession(data: { readonly cookie?: unknown }): boolean {
  const { cookie } = data
  if (cookie === undefined) return true
  if (typeof cookie !== 'object' || cookie === null || Array.isArray(cookie)) return false
  const { originalMaxAge, expires, path, domain } = cookie as Record<string, unknown>
  const isAge = originalMaxAge === undefined || originalMaxAge === null || Number.isFinite(originalMaxAge)
  const isEnd = expires === undefined || expires === null || momentOf(expires) !== undefined
  return isAge && isEnd && isTextOrNone(path) && isTextOrNone(domain)
}

function isTextOrNone(value: unknown): boolean {
  return value === undefined || value === null || typeof value === 'string'
}
