import { secondsToTtl } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'

const SECONDS_A_DAY = 86_400
const MAX_RELATIVE_SECONDS = 30 * SECONDS_A_DAY

/** A lifetime in memcached's seconds as one of ours: 0 is for ever, and over 30 days a Unix time. */
export function toTtl(seconds: number): Ttl {
  if (seconds === 0) return Infinity
  if (seconds <= MAX_RELATIVE_SECONDS) return seconds
  return secondsToTtl(seconds - nowSeconds())
}

/** Whether such a lifetime is over at once: a negative one, or a Unix time that has passed. */
export function expiresAtOnce(seconds: number): boolean {
  return seconds < 0 || (seconds > MAX_RELATIVE_SECONDS && seconds <= nowSeconds())
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000)
}
