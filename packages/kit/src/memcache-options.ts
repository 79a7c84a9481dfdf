import type { CompressionOptions } from 'memcache-ts-client'
import {
  booleanOption,
  checkOptions,
  kindOf,
  MemcacheOptionError,
  positiveOption,
  systemClock,
  textOption,
  ttlToSeconds,
} from 'memcache-ts-protocol'
import type { Clock, Ttl } from 'memcache-ts-protocol'
import { prefixText } from './engine/cache-key.ts'
import type { Servers } from './choose-servers.ts'
import { describeValue } from './option-types.ts'
import { guardedLogger } from './logger.ts'
import type { Logger } from './logger.ts'
import { LOADING_OPTIONS, OPTION_HINTS, resolveLoading } from './engine/load/get-or-set-options.ts'
import type { LoadingDefaults, LoadingOptions } from './engine/load/get-or-set-options.ts'
import type { MemoryOptions } from './engine/memory/memory-tier.ts'

/** Options of `memcache`. */
export interface MemcacheOptions {
  /** The servers, as in `MEMCACHE_SERVERS`. Default: `MEMCACHE_SERVERS`, or `'embedded'` if it is not set. */
  servers?: Servers | undefined
  /** The prefix of every key, separated by `:`. Default: `MEMCACHE_PREFIX`. */
  prefix?: string | undefined
  /** The lifetime of values that are stored without one. Default 300. */
  ttlSeconds?: Ttl | undefined
  /** How long a cache operation may take, in milliseconds, before the application continues without its result. Default 100. */
  timeoutMs?: number | undefined
  /**
   * How long other processes wait for a process that died during a load. From 3 to 3600, since memcached counts whole
   * seconds. Default 5.
   */
  leaseSeconds?: number | undefined
  /** The loading options of calls that give none: the options of `getOrSet` except the lifetime. */
  loading?: Omit<LoadingOptions, 'ttlSeconds' | 'type' | 'revive'> | undefined
  /** Whether to keep values in memory in front of memcached: `true`, or its limits. Default false. */
  l1?: boolean | MemoryOptions | undefined
  /**
   * Whether to compress values, like the client's option: `true` for gzip over 1 kB. Programs in other languages must
   * then support it. Default false.
   */
  compression?: boolean | CompressionOptions | undefined
  /** The operator's log; `false` for none. Default `console`. */
  logger?: Logger | false | undefined
  /** The source of time, for tests. */
  clock?: Clock | undefined
}

/** The options with their defaults. */
export interface ResolvedMemcacheOptions {
  readonly servers: Servers | undefined
  readonly prefix: string
  readonly ttlSeconds: Ttl
  /** `undefined`: the timeout of the servers' URL, or 100. */
  readonly timeoutMs: number | undefined
  readonly leaseSeconds: number
  /** The loading options of calls that give none. */
  readonly loading: LoadingDefaults
  readonly l1: MemoryOptions | undefined
  readonly compression: CompressionOptions | undefined
  readonly logger: Logger
  readonly clock: Clock
}

/** The names of the options, for adapters that accept them among their own. */
export const MEMCACHE_OPTIONS = [
  'servers',
  'prefix',
  'ttlSeconds',
  'timeoutMs',
  'leaseSeconds',
  'loading',
  'l1',
  'compression',
  'logger',
  'clock',
] as const satisfies readonly (keyof MemcacheOptions)[]

const CREDENTIALS = "servers: 'memcache://user:password@host'"
const HINTS = {
  ...OPTION_HINTS,
  timeout: 'timeoutMs',
  keyPrefix: 'prefix',
  namespace: 'prefix',
  hosts: 'servers',
  host: 'servers',
  port: 'servers',
  url: 'servers',
  uri: 'servers',
  client: 'servers',
  lease: 'leaseSeconds',
  user: CREDENTIALS,
  username: CREDENTIALS,
  password: CREDENTIALS,
  auth: CREDENTIALS,
  sasl: CREDENTIALS,
  tls: "servers: 'memcaches://host'",
  ssl: "servers: 'memcaches://host'",
  max: 'l1: { maxItems }',
  maxItems: 'l1: { maxItems }',
  maxKeys: 'l1: { maxItems }',
  staleSeconds: 'loading: { staleSeconds }',
  jitter: 'loading: { jitter }',
  hardTimeoutMs: 'loading: { hardTimeoutMs }',
  softTimeoutMs: 'loading: { softTimeoutMs }',
  nullTtlSeconds: 'loading: { nullTtlSeconds }',
  earlyRefresh: 'loading: { earlyRefresh }',
}
/** The loading options of a cache: `type` and `revive` belong to the values of one call. */
const LOADING_NAMES = LOADING_OPTIONS.filter((name) => name !== 'ttlSeconds' && name !== 'type' && name !== 'revive')
const SILENT: Logger = { info: () => {}, warn: () => {} }
const MIN_LEASE_SECONDS = 3
const MAX_LEASE_SECONDS = 3600
/** A hashed key of the kit has up to 145 bytes, and a key of memcached up to 250. */
const MAX_PREFIX_BYTES = 100

/**
 * Returns the options with their defaults.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function resolveMemcacheOptions(options: MemcacheOptions, env: NodeJS.ProcessEnv): ResolvedMemcacheOptions {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new MemcacheOptionError(
      `memcache takes its servers as a string, or its options as an object, got ${kindOf(options)}`,
    )
  }
  checkOptions('memcache', options, { names: MEMCACHE_OPTIONS, hints: HINTS })
  const { ttlSeconds = 300, timeoutMs, leaseSeconds = 5, l1 = false, compression = false, logger = console } = options
  ttlToSeconds(ttlSeconds)
  return {
    servers: serversOf(options.servers),
    prefix: prefixOf(options.prefix !== undefined ? options.prefix : (env['MEMCACHE_PREFIX'] ?? '')),
    ttlSeconds,
    timeoutMs: timeoutMs === undefined ? undefined : positiveOption('timeoutMs', timeoutMs),
    leaseSeconds: leaseOf(leaseSeconds),
    loading: loadingOf(options.loading, ttlSeconds),
    l1: optional('l1', l1),
    // The client refuses `false` and names of algorithms.
    compression: compressionOf(compression),
    logger: loggerOf(logger),
    clock: clockOf(options.clock),
  }
}

function prefixOf(given: unknown): string {
  const prefix = textOption('prefix', given)
  const quoted = JSON.stringify(prefix.length > 40 ? `${prefix.slice(0, 40)}…` : prefix)
  // oxlint-disable-next-line no-control-regex -- the expression finds control characters
  if (/[\u0000- \u007f]/.test(prefix)) {
    throw new MemcacheOptionError(`prefix must not contain spaces or control characters, got ${quoted}`)
  }
  const bytes = Buffer.byteLength(prefixText(prefix))
  if (bytes > MAX_PREFIX_BYTES) {
    throw new MemcacheOptionError(
      `prefix must have at most ${MAX_PREFIX_BYTES} bytes, so that there is room for keys: ${quoted} has ${bytes} bytes`,
    )
  }
  return prefix
}

function leaseOf(seconds: number): number {
  if (positiveOption('leaseSeconds', seconds) >= MIN_LEASE_SECONDS && seconds <= MAX_LEASE_SECONDS) return seconds
  throw new MemcacheOptionError(
    `leaseSeconds must be from ${MIN_LEASE_SECONDS} to ${MAX_LEASE_SECONDS}, got ${seconds}`,
  )
}

function loadingOf(loading: unknown, ttlSeconds: Ttl): LoadingDefaults {
  if (loading === undefined) return { ttlSeconds }
  if (typeof loading !== 'object' || loading === null || Array.isArray(loading)) {
    throw new MemcacheOptionError(`loading must be an object such as { staleSeconds: 600 }, got ${kindOf(loading)}`)
  }
  checkOptions('loading', loading, { names: LOADING_NAMES, hints: OPTION_HINTS })
  resolveLoading(loading, ttlSeconds)
  return { ...loading, ttlSeconds }
}

function compressionOf(given: boolean | CompressionOptions): CompressionOptions | undefined {
  return optional('compression', given)
}

/**
 * Returns the option `servers`. It refuses `null`, such as from a missing setting, instead of using the default
 * servers.
 */
function serversOf(given: Servers | undefined | null): Servers | undefined {
  if (given === null)
    throw new MemcacheOptionError(
      "servers must be a string such as 'localhost:11211', or a list of such strings, got null",
    )
  return given
}

function optional<Options extends object>(name: string, given: boolean | Options): Options | undefined {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return given
  if (typeof given !== 'boolean' && typeof given !== 'string') {
    throw new MemcacheOptionError(`${name} must be true, false or an object of its options, got ${kindOf(given)}`)
  }
  return booleanOption(name, given) ? ({} as Options) : undefined
}

/** Returns the logger, guarded so that its errors do not disturb the cache. */
function loggerOf(given: Logger | false): Logger {
  if (given === false) return SILENT
  if (typeof given?.info !== 'function' || typeof given.warn !== 'function') {
    throw new MemcacheOptionError(
      `logger must have the methods info() and warn(), like console, or be false; got ${kindOf(given)}`,
    )
  }
  return guardedLogger(given)
}

function clockOf(clock: Clock | undefined): Clock {
  if (clock === undefined) return systemClock
  if (typeof clock?.nowMs !== 'function') throw new MemcacheOptionError(`clock must have nowMs(), got ${kindOf(clock)}`)
  const now = timeOf(clock)
  if (typeof now === 'number' && Number.isFinite(now)) return clock
  throw new MemcacheOptionError(
    `clock.nowMs() must return milliseconds since 1970, a finite number, got ${describeValue(now)}`,
  )
}

function timeOf(clock: Clock): unknown {
  try {
    return clock.nowMs()
  } catch (cause) {
    throw new MemcacheOptionError('clock.nowMs() must return milliseconds since 1970, and it throws', { cause })
  }
}
