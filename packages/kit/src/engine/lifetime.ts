import { kindOf, MemcacheOptionError, secondsToTtl, ttlToSeconds } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'

/**
 * The longest finite lifetime, four years. memcached's times end in 2038, and a value is kept for its lifetime plus its
 * stale time; longer finite lifetimes are cut to this.
 */
export const MAX_SECONDS = 126_144_000

/** Returns the seconds, shortened at random by up to this share, but not below 1. */
export function shortened(seconds: number, jitter: number): number {
  return jitter === 0 ? seconds : Math.min(seconds, Math.max(1, seconds * (1 - jitter * Math.random())))
}

/** @throws MemcacheOptionError if the jitter is not a number from 0 to under 1. */
export function checkJitter(jitter: unknown): void {
  if (typeof jitter === 'number' && jitter >= 0 && jitter < 1) return
  const got = typeof jitter === 'number' ? String(jitter) : kindOf(jitter)
  throw new MemcacheOptionError(`jitter must be from 0 to under 1, got ${got}`)
}

/**
 * Returns whole seconds as a lifetime for the client. memcached takes a plain number over 30 days for a Unix time, so
 * it is given with its unit.
 */
export function lifetime(seconds: number): Ttl {
  return secondsToTtl(Math.max(1, Math.floor(seconds)))
}

/**
 * Returns a lifetime that came with a value, such as a token's `expires_in`, in seconds; more than 30 days are allowed.
 * 0 means that the value is not stored.
 *
 * @throws MemcacheOptionError if it is not a lifetime.
 */
export function lateSeconds(ttl: Ttl): number {
  if (typeof ttl !== 'number') return ttlToSeconds(ttl)
  if (Number.isNaN(ttl)) throw new MemcacheOptionError('ttlSeconds must be a number of seconds, got NaN')
  return Math.max(0, ttl)
}

/** memcached counts whole seconds, so an item may expire up to one second early. */
const MAX_EARLY_SECONDS = 1

/**
 * How far a time that memcached tells and one that is measured here may differ, in seconds: memcached counts whole
 * seconds, and its seconds and ours do not begin together.
 */
export const MAX_ROUNDING_SECONDS = 2

/** Returns until when a value that is stored now is certainly still there, in milliseconds since 1970. */
export function surelyFreshUntilMs(nowMs: number, ttlSeconds: number): number {
  return nowMs + (ttlSeconds - Math.min(MAX_EARLY_SECONDS, ttlSeconds / 2)) * 1000
}

/**
 * Decides by XFetch whether this caller reloads a value before it expires (Vattani, Chierichetti, Lowenstein: Optimal
 * Probabilistic Cache Stampede Prevention, VLDB 2015). The probability grows as the end approaches and with the
 * duration of the load.
 */
export function isDueEarly(loadMs: number, freshUntilMs: number, beta: number, nowMs: number): boolean {
  return nowMs - loadMs * beta * Math.log(Math.random()) >= freshUntilMs
}
