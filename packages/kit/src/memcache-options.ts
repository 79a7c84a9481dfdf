import type { CompressionOptions } from 'memcache-ts-client'
import { checkOptions, MemcacheOptionError, systemClock, ttlToSeconds } from 'memcache-ts-protocol'
import type { Clock, Ttl } from 'memcache-ts-protocol'
import type { Servers } from './choose-servers.ts'
import { guardedLogger } from './logger.ts'
import type { Logger } from './logger.ts'
import { OPTION_HINTS } from './cache/get-or-set-options.ts'
import type { MemoryOptions } from './cache/memory-tier.ts'

/** Options of `memcache`. */
export interface MemcacheOptions {
  /** The servers, as in `MEMCACHE_SERVERS`, which is the default; else `'embedded'`. */
  servers?: Servers | undefined
  /** Put before every key, with a `:` between. Default: `MEMCACHE_PREFIX`. */
  prefix?: string | undefined
  /** The lifetime of what is stored without one of its own. Default 300. */
  ttlSeconds?: Ttl | undefined
  /** How long an operation of the cache may take, in milliseconds, before the application goes on without. Default 100. */
  timeoutMs?: number | undefined
  /** How long a loader has before another process takes over. At least 1. Default 5. */
  leaseSeconds?: number | undefined
  /** Keep values in memory in front of memcached: `true`, or its bounds. Default false. */
  l1?: boolean | MemoryOptions | undefined
  /**
   * Compress what is stored, as the client's option: `true` for gzip over 1 kB. Programs in other languages then have to
   * know of it. Default false.
   */
  compression?: boolean | CompressionOptions | undefined
  /** Where to say what an operator should know; `false` for nowhere. Default `console`. */
  logger?: Logger | false | undefined
  /** Where the time comes from; for tests. */
  clock?: Clock | undefined
}

/** The options with their defaults. */
export interface ResolvedMemcacheOptions {
  readonly servers: Servers | undefined
  readonly prefix: string
  readonly ttlSeconds: Ttl
  /** `undefined`: what the servers' URL says, else 100. */
  readonly timeoutMs: number | undefined
  readonly leaseSeconds: number
  readonly l1: MemoryOptions | undefined
  readonly compression: CompressionOptions | undefined
  readonly logger: Logger
  readonly clock: Clock
}

/** The names of the options, for adapters that take them among their own. */
export const MEMCACHE_OPTIONS = [
  'servers',
  'prefix',
  'ttlSeconds',
  'timeoutMs',
  'leaseSeconds',
  'l1',
  'compression',
  'logger',
  'clock',
] as const satisfies readonly (keyof MemcacheOptions)[]

const HINTS = { ...OPTION_HINTS, timeout: 'timeoutMs', keyPrefix: 'prefix', namespace: 'prefix', hosts: 'servers' }
const SILENT: Logger = { info: () => {}, warn: () => {} }

/** @throws MemcacheOptionError for an option that there is not, or a value that cannot be. */
export function resolveMemcacheOptions(options: MemcacheOptions, env: NodeJS.ProcessEnv): ResolvedMemcacheOptions {
  checkOptions('memcache', options, MEMCACHE_OPTIONS, HINTS)
  const { ttlSeconds = 300, timeoutMs, leaseSeconds = 5, l1 = false, compression = false, logger = console } = options
  ttlToSeconds(ttlSeconds)
  if (!(leaseSeconds >= 1)) throw new MemcacheOptionError(`leaseSeconds must be at least 1, got ${leaseSeconds}`)
  if (timeoutMs !== undefined && !(timeoutMs > 0))
    throw new MemcacheOptionError(`timeoutMs must be over 0, got ${timeoutMs}`)
  return {
    servers: options.servers,
    prefix: options.prefix ?? env['MEMCACHE_PREFIX'] ?? '',
    ttlSeconds,
    timeoutMs,
    leaseSeconds,
    l1: optional(l1),
    compression: optional(compression),
    logger: logger === false ? SILENT : guardedLogger(logger),
    clock: options.clock ?? systemClock,
  }
}

function optional<Options extends object>(given: boolean | Options): Options | undefined {
  if (typeof given === 'object') return given
  return given ? ({} as Options) : undefined
}
