import { kindOf, MemcacheOptionError, secondsToTtl, ttlToSeconds } from 'memcache-ts-protocol'
import type { Clock, Ttl } from 'memcache-ts-protocol'

/**
 * The longest finite lifetime, four years. memcached's times end in 2038, and a value is kept for its lifetime plus its
 * stale time; longer finite lifetimes are cut to this.
 */
export const MAX_FINITE_SECONDS = 126_144_000

/** Returns the seconds, shortened at random by up to this share, but not below 1. */
export function shortened(seconds: number, jitter: number): number {
  return jitter === 0 ? seconds : Math.min(seconds, Math.max(1, seconds * (1 - jitter * Math.random())))
}

/** @throws MemcacheOptionError if the jitter is not a number from 0 to under 1. */
export function checkJitter(jitter: unknown): void {
  if (typeof jitter === 'number' && jitter >= 0 && jitter < 1) return
  const got = typeof jitter === 'number' ? String(jitter) : kindOf(jitter)
  throw new MemcacheOptionError(`jitter must be at least 0 and less than 1, got ${got}`)
}

/** The longest finite time that an item is kept: a lifetime, a stale time, and the second added by `lifetimeFrom`. */
const MAX_KEPT_SECONDS = 2 * MAX_FINITE_SECONDS + 1

/**
 * Returns whole seconds as a lifetime for the client. memcached takes a plain number over 30 days for a Unix time, so
 * it is given with its unit. A finite lifetime of more than `MAX_KEPT_SECONDS` is cut.
 */
export function lifetime(seconds: number): Ttl {
  if (seconds === Infinity) return Infinity
  return secondsToTtl(Math.min(MAX_KEPT_SECONDS, Math.max(1, Math.floor(seconds))))
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

/** How long a value is fresh, and how long its item is kept. */
export interface Lifetime {
  readonly freshSeconds: number
  readonly keptSeconds: number
  /** The end of its freshness, in milliseconds since 1970; `undefined` if the expiry of its item is the end. */
  readonly freshUntilMs: number | undefined
}

/** memcached counts whole seconds, so an item may expire up to one second early. */
const MAX_EARLY_SECONDS = 1

/**
 * Returns the lifetime of a value that is stored now. memcached keeps an item past the end of its freshness if the
 * value may be served stale, and for a whole second if the value is fresh for less. Then the value carries the exact
 * end, so that no caller takes it for a fresh one afterwards, and the item is kept a second longer, so that it does not
 * expire before that end.
 *
 * @param given `freshSeconds` is cut to `MAX_FINITE_SECONDS`; `beta` is the option of early refreshes, which need the
 *   end as well; 0 for none.
 */
export function lifetimeFrom(
  nowMs: number,
  given: { freshSeconds: number; staleSeconds?: number; beta?: number },
): Lifetime {
  const { staleSeconds = 0, beta = 0 } = given
  const freshSeconds = given.freshSeconds === Infinity ? Infinity : Math.min(given.freshSeconds, MAX_FINITE_SECONDS)
  const keptSeconds = freshSeconds + staleSeconds
  const needsEnd = freshSeconds !== Infinity && (staleSeconds > 0 || beta > 0 || freshSeconds < 1)
  if (!needsEnd) return { freshSeconds, keptSeconds, freshUntilMs: undefined }
  return {
    freshSeconds,
    keptSeconds: Math.ceil(keptSeconds) + MAX_EARLY_SECONDS,
    freshUntilMs: Math.floor(nowMs + freshSeconds * 1000),
  }
}

/**
 * Returns how long a value that was read is certainly fresh, in seconds.
 *
 * @param item `freshUntilMs` is the end that it carries; `ttlSeconds` is the remaining lifetime of its item.
 */
export function freshSecondsLeft(
  clock: Clock,
  { freshUntilMs, ttlSeconds }: { freshUntilMs: number | undefined; ttlSeconds: number },
): number {
  if (freshUntilMs !== undefined) return Math.max(0, (freshUntilMs - clock.nowMs()) / 1000)
  return Math.max(0, ttlSeconds - MAX_EARLY_SECONDS)
}

/**
 * The maximum difference between a lifetime that memcached reports and a lifetime that is measured here, in seconds:
 * memcached counts whole seconds, which do not begin when those of this process begin.
 */
export const MAX_ROUNDING_SECONDS = 2

/**
 * Decides by XFetch whether this caller reloads a value before it expires (Vattani, Chierichetti, Lowenstein: Optimal
 * Probabilistic Cache Stampede Prevention, VLDB 2015). The probability grows as the end approaches and with the
 * duration of the load.
 *
 * @param freshMs milliseconds until the value expires.
 * @param loadMs the duration of the load, times beta.
 */
export function isDueEarly(freshMs: number, loadMs: number): boolean {
  return -loadMs * Math.log(Math.random()) >= freshMs
}
