import { Logger } from '@nestjs/common'
import { memcache } from 'memcache-ts'
import type { Logger as MemcacheLogger, Memcache } from 'memcache-ts'
import { checkModuleOptions } from './memcache-module-options.ts'
import type { MemcacheModuleOptions } from './memcache-module-options.ts'

const OPENED = new WeakSet<Memcache>()

/**
 * Returns the cache of a module's options, and opens it unless the options contain one.
 *
 * @throws MemcacheOptionError if an option is unknown or invalid.
 */
export function openMemcache(options: MemcacheModuleOptions = {}): Memcache {
  checkModuleOptions(options)
  const { cache, rateLimit: _, ...own } = options
  if (cache !== undefined) return cache
  const opened = memcache({ logger: nestLogger(), ...own })
  OPENED.add(opened)
  return opened
}

/** Returns whether a module opened this cache and must close it. */
export function isOpenedHere(cache: Memcache): boolean {
  return OPENED.has(cache)
}

/** Returns a logger that writes to Nest's. */
function nestLogger(): MemcacheLogger {
  const logger = new Logger('Memcache')
  return { info: (message) => logger.log(message), warn: (message) => logger.warn(message) }
}
