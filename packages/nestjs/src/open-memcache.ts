import { Logger } from '@nestjs/common'
import { memcache } from 'memcache-ts'
import type { Logger as MemcacheLogger, Memcache } from 'memcache-ts'
import { checkModuleOptions } from './memcache-module-options.ts'
import type { MemcacheModuleOptions } from './memcache-module-options.ts'

const OPENED = new WeakSet<Memcache>()

/**
 * The cache that a module's options say: opened, where it was not handed in.
 * @throws MemcacheOptionError for wrong options.
 */
export function openMemcache(options: MemcacheModuleOptions = {}): Memcache {
  checkModuleOptions(options)
  const { cache, rateLimit: _, ...own } = options
  if (cache !== undefined) return cache
  const opened = memcache({ logger: nestLogger(), ...own })
  OPENED.add(opened)
  return opened
}

/** Whether a module opened this cache, and so has to close it. */
export function isOpenedHere(cache: Memcache): boolean {
  return OPENED.has(cache)
}

/** What an operator should know is said by Nest's logger, as everything else that the application says. */
function nestLogger(): MemcacheLogger {
  const logger = new Logger('Memcache')
  return { info: (message) => logger.log(message), warn: (message) => logger.warn(message) }
}
