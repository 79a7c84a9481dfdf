import { MemcacheOptionError } from 'memcache-ts-protocol'
import { memcache } from './memcache.ts'
import type { Memcache } from './memcache.ts'

/** One a process, even where the package is installed twice. */
const DEFAULT = Symbol.for('memcache-ts.default')
const holder = globalThis as { [DEFAULT]?: Memcache }

/** The cache of this process: the one that `setDefaultMemcache` gave, else `memcache()`, made at its first use. */
export function getDefaultMemcache(): Memcache {
  return (holder[DEFAULT] ??= memcache())
}

/** The cache of this process, if there is one yet. */
export function peekDefaultMemcache(): Memcache | undefined {
  return holder[DEFAULT]
}

/**
 * Makes a cache the one of this process.
 * @throws MemcacheOptionError when the default one is already in use: then some already talk to another.
 */
export function setDefaultMemcache(cache: Memcache): void {
  if (holder[DEFAULT] !== undefined && holder[DEFAULT] !== cache) {
    throw new MemcacheOptionError(
      'the default cache is already in use: call setDefaultMemcache before anything uses it',
    )
  }
  holder[DEFAULT] = cache
}

/** Puts a cache in the place of this process's, whatever that is, for a test; returns what puts it back. */
export function replaceDefaultMemcache(cache: Memcache): () => void {
  const before = holder[DEFAULT]
  holder[DEFAULT] = cache
  return () => {
    if (before === undefined) delete holder[DEFAULT]
    else holder[DEFAULT] = before
  }
}
