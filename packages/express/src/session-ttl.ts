import type { Ttl } from 'memcache-ts'

/** The part of a session's cookie that its lifetime hangs on. */
export interface SessionCookie {
  readonly expires?: Date | string | null | undefined
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
