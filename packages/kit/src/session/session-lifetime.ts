import { secondsToTtl } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import type { SessionData } from './session-merge.ts'

/** memcached's clock ticks once a second: an item of 1 second may be gone after 21 ms. */
const MIN_ITEM_SECONDS = 2
/** What express-session's `originalMaxAge` and a clock read twice may differ by without anything having changed. */
const SAME_MS = 1000

/**
 * Decides how long sessions live, and how that is stored. The end of a session with the usual lifetime is the lifetime
 * of its item alone, which each read sets again; the `expires` of its cookie is stored as a number, its value at the
 * last write. The `expires` of any other session is stored as a date, which decides, and each visit writes it again.
 */
export class SessionLifetime {
  /** How long a session lives whose cookie has no end. */
  readonly #endlessSeconds: number
  /** How long most sessions live, in seconds. */
  readonly usualSeconds: number
  readonly #usualMaxAgeMs: number

  /** @param maxAgeMs the `maxAge` that cookies begin with, where they do. */
  constructor(endlessSeconds: number, maxAgeMs: number | undefined) {
    this.#endlessSeconds = endlessSeconds
    this.usualSeconds = maxAgeMs === undefined ? endlessSeconds : Math.ceil(maxAgeMs / 1000)
    this.#usualMaxAgeMs = maxAgeMs ?? endlessSeconds * 1000
  }

  /** A session as it is stored. */
  toStored(session: object, nowMs: number): Record<string, unknown> {
    const { cookie } = session as { cookie?: unknown }
    if (typeof cookie !== 'object' || cookie === null) return { ...session }
    const { toJSON } = cookie as { toJSON?: () => object }
    const stored: StoredCookie = { ...(typeof toJSON === 'function' ? toJSON.call(cookie) : cookie) }
    const endMs = momentOf(stored.expires)
    if (endMs !== undefined && secondsUntil(endMs, nowMs) === this.usualSeconds) {
      stored.expires = endMs
      // The clock goes on between express-session's two looks at it: without this each save would take a millisecond
      // off.
      if (this.#isUsual(stored.originalMaxAge)) stored.originalMaxAge = this.#usualMaxAgeMs
    }
    return { ...session, cookie: stored }
  }

  /** The seconds that a session, stored or in use, is to live from now; 0 when it has ended. */
  secondsOf(session: { readonly cookie?: unknown }, nowMs: number): number {
    const expires = (session.cookie as StoredCookie | undefined)?.expires
    if (typeof expires === 'number') return this.usualSeconds
    const endMs = momentOf(expires)
    return endMs === undefined ? this.#endlessSeconds : Math.max(0, secondsUntil(endMs, nowMs))
  }

  /** As `secondsOf`, as a lifetime for memcached. */
  ttlOf(stored: SessionData, nowMs: number): Ttl | undefined {
    const seconds = this.secondsOf(stored, nowMs)
    return seconds > 0 ? ttl(seconds) : undefined
  }

  /**
   * Sets when the cookie of a session that was read expires: as JSON has it, since that is what readers expect of a
   * store.
   *
   * @param ttlSeconds what its item still lives.
   */
  restore(stored: SessionData, ttlSeconds: number, nowMs: number): void {
    const cookie = stored['cookie'] as StoredCookie | undefined
    if (typeof cookie?.expires !== 'number') return
    // In its last second an item has 0 seconds left, and is alive.
    const leftSeconds = Number.isFinite(ttlSeconds) ? Math.max(1, ttlSeconds) : this.usualSeconds
    const endMs = nowMs + leftSeconds * 1000
    cookie.expires = new Date(Math.abs(endMs - cookie.expires) <= SAME_MS ? cookie.expires : endMs).toISOString()
  }

  #isUsual(originalMaxAge: unknown): boolean {
    return typeof originalMaxAge === 'number' && Math.abs(originalMaxAge - this.#usualMaxAgeMs) <= SAME_MS
  }
}

/** Seconds as a lifetime for memcached. */
export function ttl(seconds: number): Ttl {
  return secondsToTtl(Math.max(MIN_ITEM_SECONDS, seconds))
}

/** The part of a session's cookie that its lifetime hangs on, as it is stored. */
export interface StoredCookie {
  createdMs?: number
  expires?: unknown
  originalMaxAge?: unknown
}

/** A cookie's end in milliseconds; `undefined` for none, and for what is no date. */
function momentOf(expires: unknown): number | undefined {
  if (expires === null || expires === undefined) return undefined
  const ms = new Date(expires as Date | string | number).getTime()
  return Number.isNaN(ms) ? undefined : ms
}

function secondsUntil(endMs: number, nowMs: number): number {
  return Math.ceil((endMs - nowMs) / 1000)
}

/**
 * Whether the cookie of what is stored can be one of a session's, if there is one; other programs may have stored an
 * odd one.
 */
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
