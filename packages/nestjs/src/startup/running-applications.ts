import { Logger } from '@nestjs/common'
import type { ModulesContainer } from '@nestjs/core'
import { classOf } from 'memcache-ts/adapter'

/** The applications that have a `MemcacheModule` and have not ended. */
const RUNNING = new Set<ModulesContainer>()
/** The classes that were reported for objects without a cache. */
const TOLD = new WeakSet<Function>()

/** Starts reporting objects that are called without a cache. */
export function applicationStarted(modules: ModulesContainer): void {
  RUNNING.add(modules)
}

export function applicationEnded(modules: ModulesContainer): void {
  RUNNING.delete(modules)
}

/**
 * Reports a decorated method that was called on an object without a cache: the object was created with `new`, or is a
 * Proxy of an object that has a cache. In a test this is normal; in a running application it is logged once per class.
 */
export function warnOfOutsider(self: object): void {
  const constructor = classOf(self)
  if (RUNNING.size === 0 || TOLD.has(constructor)) return
  TOLD.add(constructor)
  new Logger('Memcache').warn(
    `a ${constructor.name} that Nest has not created is called: it neither caches nor evicts anything. Provide the class itself, or create it with moduleRef.create(${constructor.name}); a Proxy must call the methods on its target`,
  )
}
