import { checkOptions, MemcacheOptionError } from 'memcache-ts-protocol'
import type { OptionRange } from 'memcache-ts-protocol'
import type { Memcache } from '../memcache.ts'
import { describeValue, requireCache } from '../option-types.ts'

/** Options of `concurrency`. */
export interface ConcurrencyOptions {
  /** How many calls may run at once for one id, in all processes. */
  max: number
  /** Limiters with the same name share their slots. Default `default`. */
  name?: string | undefined
  /** How many calls may wait for a slot, in all processes; up to 10,000. Default 0, or 10,000 if `waitMs` is given. */
  queue?: number | undefined
  /** How long a call waits at most, in milliseconds. Default: no limit, if there is a `queue`. */
  waitMs?: number | undefined
  /**
   * How long the slot of a killed process stays taken, in milliseconds. Running processes renew their slots. Default
   * 10,000.
   */
  leaseMs?: number | undefined
  /**
   * The behaviour while memcached is away: this process counts its own slots (`local`), every call gets a slot
   * (`open`), or no call does (`closed`). Default `local`.
   */
  onCacheDown?: 'local' | 'open' | 'closed' | undefined
  /** The cache that counts. Default: the default cache of this process. */
  cache?: Memcache | undefined
}

/** Options of `acquire`. */
export interface AcquireOptions {
  /** How long to wait at most, in milliseconds. Default: the limiter's `waitMs`. */
  waitMs?: number | undefined
  /** Ends the wait with the signal's reason. */
  signal?: AbortSignal | undefined
}

export const CONCURRENCY_OPTIONS = [
  'max',
  'name',
  'queue',
  'waitMs',
  'leaseMs',
  'onCacheDown',
  'cache',
] as const satisfies readonly (keyof ConcurrencyOptions)[]

const HINTS = {
  limit: 'max',
  maxConcurrent: 'max',
  concurrency: 'max',
  slots: 'max',
  maxQueue: 'queue',
  highWater: 'queue',
  timeout: 'waitMs',
  timeoutMs: 'waitMs',
  ttl: 'leaseMs',
  leaseSeconds: 'leaseMs',
  prefix: 'name',
}

/** Waiting and running calls are stored in one item, which has to stay small. */
const MAX_QUEUE = 10_000
const MIN_LEASE_MS = 1000
const DEFAULT_LEASE_MS = 10_000

/** The options with their defaults. */
export interface ResolvedConcurrencyOptions {
  readonly max: number
  readonly name: string
  readonly queue: number
  readonly waitMs: number
  readonly leaseMs: number
  readonly onCacheDown: 'local' | 'open' | 'closed'
  readonly cache: Memcache | undefined
}

/**
 * Returns the options with their defaults.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function resolveConcurrencyOptions(options: ConcurrencyOptions): ResolvedConcurrencyOptions {
  checkOptions('concurrency', options, { names: CONCURRENCY_OPTIONS, hints: HINTS })
  const { max, name = 'default', waitMs, leaseMs = DEFAULT_LEASE_MS, onCacheDown = 'local', cache } = options
  requireCache('concurrency', cache)
  const { queue = waitMs === undefined || waitMs === 0 ? 0 : MAX_QUEUE } = options
  wholeNumberIn('max', max, [1, MAX_QUEUE])
  wholeNumberIn('queue', queue, [0, MAX_QUEUE])
  wholeNumberIn('leaseMs', leaseMs, [MIN_LEASE_MS, Number.MAX_SAFE_INTEGER])
  if (waitMs !== undefined) checkWaitMs(waitMs)
  if (!['local', 'open', 'closed'].includes(onCacheDown)) {
    throw new MemcacheOptionError(`onCacheDown must be 'local', 'open' or 'closed', got ${describeValue(onCacheDown)}`)
  }
  if (typeof name !== 'string' || name === '') {
    throw new MemcacheOptionError(`name must be a string that is not empty, got ${describeValue(name)}`)
  }
  return { max, name, queue, waitMs: waitMs ?? Infinity, leaseMs, onCacheDown, cache }
}

/**
 * Checks the option `waitMs`.
 *
 * @throws MemcacheOptionError if the value is not a number of at least 0.
 */
export function checkWaitMs(waitMs: unknown): void {
  if (typeof waitMs !== 'number' || !(waitMs >= 0)) {
    throw new MemcacheOptionError(`waitMs must be a number of milliseconds, at least 0, got ${describeValue(waitMs)}`)
  }
}

function wholeNumberIn(name: string, value: unknown, [min, max]: OptionRange): void {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return
  throw new MemcacheOptionError(`${name} must be a whole number from ${min} to ${max}, got ${describeValue(value)}`)
}
