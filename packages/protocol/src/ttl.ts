import { MemcacheOptionError } from './errors.ts'
import { kindOf } from './option-checks.ts'
import { MAX_RELATIVE_EXPTIME_SECONDS } from './limits.ts'

/** A lifetime: a number of seconds, or a number with its unit. `Infinity` means that it does not expire. */
export type Ttl = number | `${number}s` | `${number}m` | `${number}h` | `${number}d`

const UNIT_SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }

/**
 * Returns the lifetime in seconds; `Infinity` stays.
 *
 * @throws MemcacheOptionError if it is not a number greater than 0, or a number over 30 days without a unit, which is
 *   usually meant as milliseconds: write `'31d'`.
 */
export function ttlToSeconds(ttl: Ttl, name = 'ttlSeconds'): number {
  if (typeof ttl === 'number') {
    if (ttl === Infinity) return ttl
    if (!(ttl > 0)) {
      throw new MemcacheOptionError(
        `${name} must be greater than 0 seconds, got ${ttl}; Infinity means that it does not expire`,
      )
    }
    if (ttl > MAX_RELATIVE_EXPTIME_SECONDS) {
      throw new MemcacheOptionError(
        `${name} is in seconds and ${ttl} is over 30 days; write '${Math.ceil(ttl / 86_400)}d' if that is intended, or ${ttl / 1000} if it was milliseconds`,
      )
    }
    if (ttl % 1000 === 0 && looksLikeMilliseconds(ttl)) warnOfMilliseconds(ttl, name)
    return ttl
  }
  const match = typeof ttl === 'string' ? /^(\d+(?:\.\d+)?)([smhd])$/.exec(ttl) : null
  const seconds = match ? Number(match[1]) * UNIT_SECONDS[match[2]!]! : 0
  if (!(seconds > 0)) {
    throw new MemcacheOptionError(
      `${name} must be a number of seconds, or a string such as '30s', '5m', '2h' or '7d'; got ${typeof ttl === 'string' ? `the text '${ttl}'` : kindOf(ttl)}`,
    )
  }
  return seconds
}

/**
 * Returns whether a lifetime that ends in three zeros is more likely one in milliseconds: it is not a whole number of
 * hours, or it is over a day and not a whole number of days.
 */
function looksLikeMilliseconds(ttl: number): boolean {
  return (ttl >= 60_000 && ttl % 3600 !== 0) || (ttl > 86_400 && ttl % 86_400 !== 0)
}

/** The times that a warning was emitted for: one warning each, up to a maximum number. */
const warned = new Set<number>()
const MAX_WARNED = 10

function warnOnce(time: number, message: string): void {
  if (warned.has(time) || warned.size === MAX_WARNED) return
  warned.add(time)
  process.emitWarning(message, 'MemcacheWarning')
}

function warnOfMilliseconds(ttl: number, name: string): void {
  const hours = ttl / 3600
  const length = hours > 24 ? `${(hours / 24).toFixed(1)} days` : `${hours.toFixed(1)} hours`
  warnOnce(
    ttl,
    `${name} is in seconds, and ${ttl} is ${length}: write ${ttl / 1000} if it was milliseconds, or '${ttl}s' if that is intended`,
  )
}

/**
 * Emits a warning, once, for a time in milliseconds that is more likely one in seconds: minutes, hours or days in
 * seconds, such as 900, 3600 or 86 400, are seldom meant as that many milliseconds.
 */
export function warnOfSeconds(name: string, ms: number): void {
  const isShort = ms >= 60 && ms < 1000 && ms % 60 === 0
  if (!isShort && (ms % 900 !== 0 || ms % 1000 === 0 || ms <= 0)) return
  warnOnce(ms, `${name} is in milliseconds, and ${ms} is ${ms / 1000} seconds: write ${ms * 1000} if it was seconds`)
}

const FIRST_EXPONENT = 1e21

/**
 * Converts computed seconds to a `Ttl`, the reverse of `ttlToSeconds`. Computed lifetimes may be over 30 days, which a
 * bare number may not be, and cause no warning.
 */
export function secondsToTtl(seconds: number): Ttl {
  // From here on, a number is written with an exponent, and memcached has no such times.
  if (seconds >= FIRST_EXPONENT) return Infinity
  const needsUnit = seconds > MAX_RELATIVE_EXPTIME_SECONDS || (seconds % 1000 === 0 && looksLikeMilliseconds(seconds))
  return needsUnit ? `${seconds}s` : seconds
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
