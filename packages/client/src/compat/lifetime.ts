import type { Ttl } from 'memcache-ts-protocol'

const SECONDS_A_DAY = 86_400

/** A lifetime in memcached's seconds as one of ours: 0 is for ever, and over 30 days a Unix time. */
export function toTtl(seconds: number): Ttl {
  if (seconds === 0) return Infinity
  if (seconds <= 30 * SECONDS_A_DAY) return seconds
  return `${Math.max(1, seconds - Math.floor(Date.now() / 1000))}s`
}
