import type { ServerStatistics } from 'memcache-ts-client'

/** The statistics of a server at one moment. */
export interface ServerSample {
  readonly atMs: number
  readonly statistics: ServerStatistics
}

/** The rates of a server between two samples, per second. */
export interface ServerRates {
  readonly gets: number
  readonly sets: number
  readonly others: number
  readonly hits: number
  readonly lookups: number
  readonly evictions: number
  readonly bytesIn: number
  readonly bytesOut: number
}

const OTHERS = [
  'cmd_touch',
  'delete_hits',
  'delete_misses',
  'incr_hits',
  'incr_misses',
  'decr_hits',
  'decr_misses',
] as const

/** Returns the rates between two samples; `undefined` if the server was restarted in between, or replaced by another. */
export function ratesBetween(before: ServerSample, after: ServerSample): ServerRates | undefined {
  const seconds = (after.atMs - before.atMs) / 1000
  if (seconds <= 0 || number(after.statistics, 'uptime') < number(before.statistics, 'uptime')) return undefined
  if (number(after.statistics, 'pid') !== number(before.statistics, 'pid')) return undefined
  const rate = (name: string): number =>
    Math.max(0, number(after.statistics, name) - number(before.statistics, name)) / seconds
  return {
    gets: rate('cmd_get'),
    sets: rate('cmd_set'),
    others: OTHERS.reduce((sum, name) => sum + rate(name), 0),
    hits: rate('get_hits'),
    lookups: rate('get_hits') + rate('get_misses'),
    evictions: rate('evictions'),
    bytesIn: rate('bytes_read'),
    bytesOut: rate('bytes_written'),
  }
}

/** Returns a statistic or setting as a number; 0 if the server does not have it, or says something else. */
export function number(statistics: Readonly<Record<string, string | number>>, name: string): number {
  const value = Number(statistics[name] ?? 0)
  return Number.isFinite(value) ? value : 0
}
