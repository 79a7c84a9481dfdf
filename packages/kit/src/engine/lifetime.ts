import { kindOf, MemcacheOptionError, secondsToTtl, ttlToSeconds } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'

/**
 * The longest lifetime that is counted, four years: memcached's times end in 2038, and a value is kept for its lifetime and
 * its stale time together. A longer one that is not for ever ends then.
 */
export const MAX_SECONDS = 126_144_000

/** Seconds shortened by chance by up to this share, but not below one. */
export function shortened(seconds: number, jitter: number): number {
  return jitter === 0 ? seconds : Math.min(seconds, Math.max(1, seconds * (1 - jitter * Math.random())))
}

/** @throws MemcacheOptionError if a share is none. */
export function checkJitter(jitter: unknown): void {
  if (typeof jitter === 'number' && jitter >= 0 && jitter < 1) return
  const got = typeof jitter === 'number' ? String(jitter) : kindOf(jitter)
  throw new MemcacheOptionError(`jitter must be from 0 to under 1, got ${got}`)
}

/** Seconds as a lifetime for the client, whole ones: over 30 days they have to be said with their unit. */
export function lifetime(seconds: number): Ttl {
  return secondsToTtl(Math.max(1, Math.floor(seconds)))
}

/**
 * A lifetime that came with a value, such as a token's `expires_in`: seconds, also over 30 days; 0 where the value is not to
 * be stored.
 * @throws MemcacheOptionError for what is no lifetime.
 */
export function lateSeconds(ttl: Ttl): number {
  if (typeof ttl !== 'number') return ttlToSeconds(ttl)
  if (Number.isNaN(ttl)) throw new MemcacheOptionError('ttlSeconds must be a number of seconds, got NaN')
  return Math.max(0, ttl)
}

/** memcached counts whole seconds, so that up to one second of a lifetime is missing. */
const GRAIN_SECONDS = 1

/**
 * Until when a value that is stored now is there for sure, in milliseconds since 1970: memcached's seconds are whole, so
 * that up to one of them is missing.
 */
export function surelyFreshUntilMs(nowMs: number, ttlSeconds: number): number {
  return nowMs + (ttlSeconds - Math.min(GRAIN_SECONDS, ttlSeconds / 2)) * 1000
}

/**
 * XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015): whether this
 * caller is to load a value before its end. The nearer the end, and the slower the loader, the likelier.
 */
export function isDueEarly(loadMs: number, freshUntilMs: number, beta: number, nowMs: number): boolean {
  return nowMs - loadMs * beta * Math.log(Math.random()) >= freshUntilMs
}
