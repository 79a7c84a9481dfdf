import { checkOptions, kindOf, MemcacheOptionError, ttlToSeconds } from 'memcache-ts-protocol'
import type { Key, Ttl } from 'memcache-ts-protocol'
import {
  checkCallOptions,
  checkTags,
  checkObject,
  LOADING_OPTIONS,
  OPTION_HINTS,
} from './engine/load/get-or-set-options.ts'
import type { LoadingOptions } from './engine/load/get-or-set-options.ts'
import { requireType } from './option-types.ts'

/** Options of `set`. */
export interface SetOptions {
  /** The lifetime of the value. Default: the default lifetime of the cache. */
  ttlSeconds?: Ttl | undefined
  /** The tags of the value, for `invalidateTags`. */
  tags?: readonly string[] | undefined
}

/** Options of `lock`. */
export interface LockOptions {
  /** The time after which the lock expires if its holder dies, in seconds. Default 30. */
  ttlSeconds?: Ttl | undefined
  /** How long to wait for another caller to release it, in milliseconds. Default 0. */
  waitMs?: number | undefined
  /** Ends the wait for the lock. */
  signal?: AbortSignal | undefined
}

/** Options of `getOrSetMany`. */
export interface GetOrSetManyOptions<Id> extends LoadingOptions {
  /** Returns the key of an id. Default: the id itself. */
  key?: ((id: Id) => Key) | undefined
  /** Tags of the values, for `invalidateTags`: one list for all ids, or a function of the id. */
  tags?: readonly string[] | ((id: Id) => readonly string[]) | undefined
  /** Ends this caller's wait. The load is aborted when no caller waits for it any more. */
  signal?: AbortSignal | undefined
}

const LOCK_OPTIONS = ['ttlSeconds', 'waitMs', 'signal'] as const satisfies readonly (keyof LockOptions)[]
const LOCK_HINTS = { ...OPTION_HINTS, timeout: 'waitMs', timeoutMs: 'waitMs', retry: 'waitMs' }
const SET_OPTIONS = ['ttlSeconds', 'tags'] as const satisfies readonly (keyof SetOptions)[]
const MANY_OPTIONS = [
  ...LOADING_OPTIONS,
  'key',
  'tags',
  'signal',
] as const satisfies readonly (keyof GetOrSetManyOptions<unknown>)[]

/**
 * Returns the options of `lock` with their defaults.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function toLockOptions(
  options: LockOptions,
): Required<LockOptions> & { readonly ttlSeconds: number; readonly waitMs: number } {
  checkObject('lock', options)
  checkOptions('lock', options, { names: LOCK_OPTIONS, hints: LOCK_HINTS })
  const { ttlSeconds = 30, waitMs = 0, signal } = options
  if (typeof waitMs !== 'number' || !(waitMs >= 0)) {
    throw new MemcacheOptionError(
      `waitMs must be a number of milliseconds, at least 0, got ${typeof waitMs === 'number' ? waitMs : kindOf(waitMs)}`,
    )
  }
  checkCallOptions({ signal })
  return { ttlSeconds: ttlToSeconds(ttlSeconds), waitMs, signal }
}

/**
 * Returns a lifetime or options as options.
 *
 * @param owner the method that takes the options, for error messages.
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function toSetOptions(options: Ttl | SetOptions | undefined, owner = 'set'): SetOptions {
  if (options === undefined) return {}
  if (typeof options === 'object') {
    checkObject(owner, options)
    checkOptions(owner, options, { names: SET_OPTIONS, hints: OPTION_HINTS })
    checkCallOptions(options)
    return options
  }
  ttlToSeconds(options)
  return { ttlSeconds: options }
}

/**
 * Returns a lifetime or options as options.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function toManyOptions<Id>(options: Ttl | GetOrSetManyOptions<Id> | undefined): GetOrSetManyOptions<Id> {
  if (options === undefined) return {}
  if (typeof options !== 'object') return { ttlSeconds: options }
  checkObject('getOrSetMany', options)
  checkOptions('getOrSetMany', options, { names: MANY_OPTIONS, hints: OPTION_HINTS })
  const { key, tags, signal } = options
  requireType('getOrSetMany', 'function', { key })
  if (typeof tags !== 'function' && tags !== undefined) checkTags(tags)
  checkCallOptions({ signal })
  return options
}
