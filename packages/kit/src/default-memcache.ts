import { kindOf, MemcacheOptionError } from 'memcache-ts-protocol'
import { memcache } from './memcache.ts'
import type { Memcache } from './memcache.ts'
import { isCache } from './option-types.ts'

/** There is one per process, even if the package is installed twice. */
const DEFAULT = Symbol.for('memcache-ts.default')
const holder = globalThis as { [DEFAULT]?: Memcache }

/**
 * Returns the default cache of this process: the cache that was passed to `setDefaultMemcache`, or `memcache()`,
 * created at the first use.
 */
export function getDefaultMemcache(): Memcache {
  return (holder[DEFAULT] ??= memcache())
}

/** Returns the default cache of this process; `undefined` if it does not exist yet. */
export function peekDefaultMemcache(): Memcache | undefined {
  return holder[DEFAULT]
}

/**
 * Sets the default cache of this process.
 *
 * @example
 *   setDefaultMemcache(memcache({ prefix: 'shop' }))
 *
 * @throws MemcacheOptionError if the argument is not a cache, or another cache is already in use, whose users could not
 *   be switched.
 */
export function setDefaultMemcache(cache: Memcache): void {
  if (!isCache(cache)) {
    throw new MemcacheOptionError(`setDefaultMemcache takes the result of memcache(), got ${kindOf(cache)}`)
  }
  if (holder[DEFAULT] !== undefined && holder[DEFAULT] !== cache) {
    throw new MemcacheOptionError(
      'the default cache is already in use: call setDefaultMemcache before anything uses it',
    )
  }
  holder[DEFAULT] = cache
}

/** Replaces the default cache of this process for a test, and returns a function that restores the previous cache. */
export function replaceDefaultMemcache(cache: Memcache): () => void {
  const before = holder[DEFAULT]
  holder[DEFAULT] = cache
  return () => {
    if (before === undefined) delete holder[DEFAULT]
    else holder[DEFAULT] = before
  }
}
