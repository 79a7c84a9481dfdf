import { MemcacheOptionError } from './errors.ts'
import { kindOf } from './kind-of.ts'
import { MAX_RELATIVE_EXPTIME_SECONDS } from './limits.ts'

/** A lifetime: a number of seconds, or a number with its unit. `Infinity` means that it does not expire. */
export type Ttl = number | `${number}s` | `${number}m` | `${number}h` | `${number}d`

const UNIT_SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }

/**
 * Returns the lifetime in seconds; `Infinity` stays.
 * @throws MemcacheOptionError if it is not a number over 0, or a number over 30 days without a unit, which is usually
 * meant as milliseconds: write `'31d'`.
 */
export function ttlToSeconds(ttl: Ttl, name = 'ttlSeconds'): number {
  if (typeof ttl === 'number') {
    if (ttl === Infinity) return ttl
    if (!(ttl > 0)) {
      throw new MemcacheOptionError(`${name} must be over 0 seconds, got ${ttl}; Infinity is forever`)
    }
    if (ttl > MAX_RELATIVE_EXPTIME_SECONDS) {
      throw new MemcacheOptionError(
        `${name} is in seconds and ${ttl} is over 30 days; write '${Math.ceil(ttl / 86_400)}d' if that is meant, or ${ttl / 1000} if it was milliseconds`,
      )
    }
    return ttl
  }
  const match = typeof ttl === 'string' ? /^(\d+(?:\.\d+)?)([smhd])$/.exec(ttl) : null
  const seconds = match ? Number(match[1]) * UNIT_SECONDS[match[2]!]! : 0
  if (!(seconds > 0)) {
    throw new MemcacheOptionError(
      `${name} must be seconds as a number, or like '30s', '5m', '2h', '7d'; got ${typeof ttl === 'string' ? ttl : kindOf(ttl)}`,
    )
  }
  return seconds
}

/**
 * Seconds as a `Ttl`, the reverse of `ttlToSeconds`: computed lifetimes may be over 30 days, which a bare number may not. Every part that hands a computed
 * lifetime to the client or the kit uses this.
 */
export function secondsToTtl(seconds: number): Ttl {
  return seconds <= MAX_RELATIVE_EXPTIME_SECONDS || seconds === Infinity ? seconds : `${seconds}s`
}

/**
 * Returns the exptime for a lifetime: 0 for `Infinity`, seconds up to 30 days, otherwise a Unix time (protocol.txt,
 * "Expiration times"). Fractions are rounded up, so that nothing expires early.
 */
export function exptimeOf(seconds: number, nowMs: number): number {
  if (seconds === Infinity) return 0
  const whole = Math.ceil(seconds)
  return whole <= MAX_RELATIVE_EXPTIME_SECONDS ? whole : Math.floor(nowMs / 1000) + whole
}
