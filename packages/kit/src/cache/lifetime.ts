import { MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'

/** A lifetime in seconds, changed by chance by up to `jitter` of it. @throws MemcacheOptionError for what cannot be one. */
export function jitteredSeconds(ttl: Ttl, jitter: number): number {
  if (!(jitter >= 0 && jitter < 1)) throw new MemcacheOptionError(`jitter must be from 0 to under 1, got ${jitter}`)
  const seconds = ttlToSeconds(ttl)
  if (seconds === Infinity || jitter === 0) return seconds
  return Math.max(1, seconds * (1 + jitter * (Math.random() * 2 - 1)))
}

/** Seconds as a lifetime for the client; over 30 days they have to be said with their unit. */
export function lifetime(seconds: number): Ttl {
  return seconds === Infinity ? Infinity : `${Math.max(1, Math.round(seconds))}s`
}
