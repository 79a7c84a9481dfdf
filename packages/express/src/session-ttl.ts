import type { Ttl } from 'memcache-ts'

/** The part of a session's cookie that its lifetime hangs on. */
export interface SessionCookie {
  expires?: Date | string | null | undefined
}

/**
 * How long a session is kept: until its cookie expires, rounded up; `defaultSeconds` for a cookie without an end or with
 * one that is no date; `undefined` when it has expired already.
 */
export function sessionTtl(cookie: SessionCookie | undefined, defaultSeconds: number, nowMs: number): Ttl | undefined {
  const { expires } = cookie ?? {}
  const endMs = expires === null || expires === undefined ? NaN : new Date(expires).getTime()
  if (Number.isNaN(endMs)) return `${defaultSeconds}s`
  const seconds = Math.ceil((endMs - nowMs) / 1000)
  return seconds > 0 ? `${seconds}s` : undefined
}

/**
 * Sets when a cookie that was read expires by how long its session still lives. A session that was only read since has
 * been touched, not written: the moment that is stored with it may be past, and to save it would end the session.
 */
export function restoreExpires(cookie: SessionCookie | undefined, ttlSeconds: number, nowMs: number): void {
  if (cookie?.expires === undefined || cookie.expires === null || !Number.isFinite(ttlSeconds)) return
  // In its last second an item has 0 seconds left, and is alive.
  cookie.expires = new Date(nowMs + Math.max(1, ttlSeconds) * 1000)
}
