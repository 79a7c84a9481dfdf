import { Logger } from '@nestjs/common'
import type { ModulesContainer } from '@nestjs/core'
import { configOf, peekDefaultMemcache, processMethodsOf } from 'memcache-ts/adapter'
import { cachesOf, providersOf } from './providers.ts'

/**
 * Warns about classes with decorators of `memcache-ts` in place of this package's: they use the process's cache instead
 * of the application's, so neither evicts what the other has stored.
 */
export function checkProcessCache(modules: ModulesContainer): void {
  const process = peekDefaultMemcache()
  if (process !== undefined && [...cachesOf(modules).values()].includes(process)) return
  const warned = new Set<Function>()
  for (const { constructor } of providersOf(modules)) {
    if (constructor === undefined || warned.has(constructor) || configOf(constructor)?.cache !== undefined) continue
    const [method] = processMethodsOf(constructor)
    if (method === undefined) continue
    warned.add(constructor)
    new Logger('Memcache').warn(
      `${constructor.name}.${String(method)} has a decorator of memcache-ts, which uses the cache of the process instead of the application's: import it from memcache-ts-nestjs`,
    )
  }
}
