import { MemcacheOptionError, secondsToTtl, warnOfSeconds } from 'memcache-ts-protocol'
import type { Ttl } from 'memcache-ts-protocol'
import { describeValue } from '../option-types.ts'

/** A limit and the length of its window. */
export interface RateLimitWindow {
  readonly limit: number
  readonly windowMs: number
}

/** The windows of a limiter; if several are given, all apply. */
export interface RateLimitWindowOptions {
  perSecond?: number | undefined
  perMinute?: number | undefined
  perHour?: number | undefined
  perDay?: number | undefined
  /** The limit of a window of `windowMs`. */
  limit?: number | undefined
  /** The length of the window of `limit`, in milliseconds. */
  windowMs?: number | undefined
}

export const WINDOW_OPTIONS = [
  'perSecond',
  'perMinute',
  'perHour',
  'perDay',
  'limit',
  'windowMs',
] as const satisfies readonly (keyof RateLimitWindowOptions)[]

const PERIODS_MS = { perSecond: 1000, perMinute: 60_000, perHour: 3_600_000, perDay: 86_400_000 } as const

/**
 * The highest limit and cost. A counter needs spare bits for parallel calls that are about to be taken back, and for
 * the marks of blocks.
 */
export const MAX_COUNT = 1_000_000_000

/**
 * How far the clocks of two processes may be apart, in milliseconds: a time further in the future is invalid. Clocks
 * set to another time zone are within a day.
 */
export const MAX_CLOCK_SKEW_MS = 86_400_000

/** A longer exptime would soon exceed memcached's 31-bit times. */
const MAX_EXPTIME_SECONDS = 10 * 365 * 86_400

/** A century. Longer windows are a mistake, and their times in microseconds would not be exact. */
const MAX_WINDOW_MS = 100 * 365.25 * 86_400_000

/**
 * Returns the windows of the options, the shortest first.
 *
 * @throws MemcacheOptionError if there is no window, or a window is invalid.
 */
export function rateLimitWindows(options: RateLimitWindowOptions): RateLimitWindow[] {
  const windows: RateLimitWindow[] = []
  for (const [name, windowMs] of Object.entries(PERIODS_MS)) {
    const limit = options[name as keyof typeof PERIODS_MS]
    if (limit !== undefined) windows.push(checked(name, limit, windowMs))
  }
  if ((options.limit === undefined) !== (options.windowMs === undefined)) {
    throw new MemcacheOptionError('limit and windowMs belong together: set both, or use perMinute')
  }
  if (options.limit !== undefined) {
    windows.push(checked('limit', options.limit, options.windowMs!))
    warnOfSeconds('windowMs', options.windowMs!)
  }
  if (windows.length === 0) {
    throw new MemcacheOptionError(
      'a rate limit needs a limit: set { perMinute: 100 }, or { limit: 100, windowMs: 60_000 }',
    )
  }
  return windows.sort((a, b) => a.windowMs - b.windowMs)
}

/**
 * Returns windows as text. Limits of one name with different windows are different limits, with separate counts and
 * blocks.
 */
export function policiesOf(windows: readonly RateLimitWindow[]): string {
  return windows.map(({ limit, windowMs }) => `${limit}/${windowMs}`).join(',')
}

/** Returns the index of the window at a time; windows are aligned to 1970, so that all processes use the same windows. */
export function windowIndex(windowMs: number, nowMs: number): number {
  return Math.floor(nowMs / windowMs)
}

/**
 * Returns a lifetime that lasts at least so many milliseconds. memcached's seconds are coarse: an item with a lifetime
 * of 1 second may expire after a few milliseconds.
 */
export function lifetimeOver(milliseconds: number): Ttl {
  const seconds = Math.ceil(milliseconds / 1000) + 1
  return secondsToTtl(seconds > MAX_EXPTIME_SECONDS ? Infinity : seconds)
}

function checked(name: string, limit: number, windowMs: number): RateLimitWindow {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_COUNT) {
    throw new MemcacheOptionError(`${name} must be a whole number from 1 to ${MAX_COUNT}, got ${describeValue(limit)}`)
  }
  if (!Number.isSafeInteger(windowMs) || windowMs < 1 || windowMs > MAX_WINDOW_MS) {
    throw new MemcacheOptionError(
      `windowMs must be a whole number of milliseconds, from 1 to a century, got ${describeValue(windowMs)}`,
    )
  }
  return { limit, windowMs }
}
