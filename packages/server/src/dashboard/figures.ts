import { byClass, numberOf } from './watched-server.ts'
import type { Statistics } from './watched-server.ts'

/** The statistics that add up over servers, and that the page shows. */
const SUMS = [
  'get_hits',
  'get_misses',
  'cmd_get',
  'cmd_set',
  'bytes',
  'limit_maxbytes',
  'evictions',
  'bytes_read',
  'bytes_written',
  'curr_connections',
  'max_connections',
  'total_connections',
  'rejected_connections',
  'curr_items',
  'total_items',
] as const

/** Figures of a server, or of several together, by memcached's names. */
export type Figures = Record<(typeof SUMS)[number], number>

const MAX_TEXT_LENGTH = 200

/** Events a second, by kind. */
export interface Rates {
  get: number
  set: number
  delete: number
  /** Increments and decrements. */
  count: number
  touch: number
  hits: number
  misses: number
  evictions: number
  bytesRead: number
  bytesWritten: number
}

const COUNTERS: Readonly<Record<keyof Rates, readonly string[]>> = {
  get: ['cmd_get'],
  set: ['cmd_set'],
  delete: ['delete_hits', 'delete_misses'],
  count: ['incr_hits', 'incr_misses', 'decr_hits', 'decr_misses'],
  touch: ['cmd_touch'],
  hits: ['get_hits'],
  misses: ['get_misses'],
  evictions: ['evictions'],
  bytesRead: ['bytes_read'],
  bytesWritten: ['bytes_written'],
}
const RATE_NAMES = Object.keys(COUNTERS) as (keyof Rates)[]

/** A slab class. */
export interface SlabFigures {
  readonly id: number
  readonly chunkBytes: number
  readonly pages: number
  readonly usedChunks: number
  readonly totalChunks: number
  readonly items: number
  readonly evicted: number
  /** Seconds since the last access of the least recently used item. */
  readonly ageSeconds: number
  /** Seconds since the last access of the item that was evicted last, at its eviction. */
  readonly evictedAgeSeconds: number
}

/** One connection of a server. */
export interface ConnectionFigures {
  readonly address: string
  readonly state: string
  readonly idleSeconds: number
}

/** Returns the figures of a server's `stats`. */
export function figuresOf(statistics: Statistics): Figures {
  return Object.fromEntries(SUMS.map((name) => [name, numberOf(statistics, name)])) as Figures
}

/** Returns the figures of several servers together. */
export function sumFigures(all: readonly Figures[]): Figures {
  return Object.fromEntries(SUMS.map((name) => [name, all.reduce((sum, figures) => sum + figures[name], 0)])) as Figures
}

/** Returns the rates between two samples; `undefined` if the server was restarted or replaced in between. */
export function ratesBetween(before: Statistics, after: Statistics, seconds: number): Rates | undefined {
  if (seconds <= 0 || numberOf(after, 'uptime') < numberOf(before, 'uptime')) return undefined
  if (numberOf(after, 'pid') !== numberOf(before, 'pid')) return undefined
  const rate = (names: readonly string[]): number =>
    names.reduce((sum, name) => sum + Math.max(0, numberOf(after, name) - numberOf(before, name)), 0) / seconds
  return Object.fromEntries(RATE_NAMES.map((name) => [name, rate(COUNTERS[name])])) as unknown as Rates
}

/** Returns the rates of several servers together. */
export function sumRates(all: readonly Rates[]): Rates {
  return Object.fromEntries(
    RATE_NAMES.map((name) => [name, all.reduce((sum, rates) => sum + rates[name], 0)]),
  ) as unknown as Rates
}

/** Returns the slab classes in `stats slabs` and `stats items`. */
export function slabFigures(slabs: Statistics, items: Statistics): SlabFigures[] {
  const itemsByClass = byClass(items)
  return [...byClass(slabs)].map(([id, slab]) => {
    const item = itemsByClass.get(id)
    return {
      id,
      chunkBytes: numberOf(slab, 'chunk_size'),
      pages: numberOf(slab, 'total_pages'),
      usedChunks: numberOf(slab, 'used_chunks'),
      totalChunks: numberOf(slab, 'total_chunks'),
      items: numberOf(item, 'number'),
      evicted: numberOf(item, 'evicted'),
      ageSeconds: numberOf(item, 'age'),
      evictedAgeSeconds: numberOf(item, 'evicted_time'),
    }
  })
}

/** Returns text of a server, which may have any length, as the page shows it. */
export function shortened(text: string | number): string {
  return String(text).slice(0, MAX_TEXT_LENGTH)
}

/** Returns connections of `stats conns`, up to a limit, the most recently used first. */
export function connectionFigures(conns: Statistics, limit: number): ConnectionFigures[] {
  const byId = new Map<string, { address: string; state: string; idleSeconds: number }>()
  for (const [name, value] of Object.entries(conns)) {
    const [, id, field] = /^(\d+):(\w+)$/.exec(name) ?? []
    if (id === undefined) continue
    const connection = byId.get(id) ?? { address: '', state: '', idleSeconds: 0 }
    if (field === 'addr') connection.address = shortened(value)
    else if (field === 'state') connection.state = shortened(value).replace(/^conn_/, '')
    else if (field === 'secs_since_last_cmd') connection.idleSeconds = numberOf(conns, name)
    byId.set(id, connection)
  }
  return [...byId.values()]
    .filter(({ state }) => state !== 'listening')
    .sort((a, b) => a.idleSeconds - b.idleSeconds)
    .slice(0, limit)
}
