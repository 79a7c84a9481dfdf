import { checkOptions, DEFAULT_ITEM_MAX_BYTES, DEFAULT_PORT, MemcacheOptionError } from 'memcache-ts-protocol'
import type { Clock } from 'memcache-ts-protocol'

/** Options of a `MemcachedServer`: the long flags of the command line, with units. */
export interface MemcachedServerOptions {
  /** TCP port; 0 is a free one. Default 11211. */
  port?: number | undefined
  /** Address to listen on. Default 127.0.0.1: a cache without a password is nobody else's business. */
  host?: string | undefined
  /** Item memory in MiB (`-m`). Default 64. */
  memoryLimitMb?: number | undefined
  /** The largest item in bytes (`-I`). Default 1 MiB. */
  itemMaxBytes?: number | undefined
  /** Whether a full memory refuses new items instead of evicting old ones (`-M`). Default false. */
  disableEvictions?: boolean | undefined
  /** Most connections at once (`-c`). Default 1024. */
  maxConnections?: number | undefined
  /** 0 to 3 (`-v`). Default 0. */
  verbosity?: number | undefined
  /** Where the time comes from; for tests. */
  clock?: Clock | undefined
}

/** The options with their defaults. */
export type ResolvedServerOptions = {
  [Name in Exclude<keyof MemcachedServerOptions, 'clock'>]-?: NonNullable<MemcachedServerOptions[Name]>
}

const DEFAULTS: ResolvedServerOptions = {
  port: DEFAULT_PORT,
  host: '127.0.0.1',
  memoryLimitMb: 64,
  itemMaxBytes: DEFAULT_ITEM_MAX_BYTES,
  disableEvictions: false,
  maxConnections: 1024,
  verbosity: 0,
}

/**
 * Fills in the defaults.
 * @throws MemcacheOptionError for an option that there is not, or a value that cannot be.
 */
export function resolveServerOptions(options: MemcachedServerOptions): ResolvedServerOptions {
  const { clock: _clock, ...rest } = options
  checkOptions('MemcachedServer', rest, Object.keys(DEFAULTS), { memory: 'memoryLimitMb', maxConns: 'maxConnections' })
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
  const resolved: ResolvedServerOptions = { ...DEFAULTS, ...given }
  requireInteger('port', resolved.port, 0, 65_535)
  requireInteger('memoryLimitMb', resolved.memoryLimitMb, 1, 16 * 1024)
  requireInteger('itemMaxBytes', resolved.itemMaxBytes, 1024, 1024 * 1024 * 1024)
  requireInteger('maxConnections', resolved.maxConnections, 1, Number.MAX_SAFE_INTEGER)
  if (resolved.itemMaxBytes > (resolved.memoryLimitMb * 1024 * 1024) / 2 && resolved.memoryLimitMb > 2) {
    throw new MemcacheOptionError('itemMaxBytes must be at most half of memoryLimitMb: raise memoryLimitMb or lower it')
  }
  return resolved
}

function requireInteger(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new MemcacheOptionError(`${name} must be a whole number from ${least} to ${most}, got ${value}`)
  }
}
