import { Logger } from '@nestjs/common'
import type { ModulesContainer } from '@nestjs/core'
import { classOf } from 'memcache-ts/adapter'

/** The applications that have a `MemcacheModule` and have not ended. */
const RUNNING = new Set<ModulesContainer>()
/** The classes of which it was said that an object of theirs has no cache. */
const TOLD = new WeakSet<Function>()

/** From now on an object that is called without a cache is told about. */
export function applicationStarted(modules: ModulesContainer): void {
  RUNNING.add(modules)
}

export function applicationEnded(modules: ModulesContainer): void {
  RUNNING.delete(modules)
}

/**
 * A decorated method was called on an object that has no cache, and that Nest has not made: it was made by `new`, or is
 * a Proxy of one that has a cache. In a test that is as it should be; in an application it is told once for a class.
 */
export function warnOfOutsider(self: object): void {
  const constructor = classOf(self)
  if (RUNNING.size === 0 || TOLD.has(constructor)) return
  TOLD.add(constructor)
  new Logger('Memcache').warn(
    `a ${constructor.name} that Nest has not made is called: nothing is cached or evicted by it. Provide the class itself, or make it by moduleRef.create(${constructor.name}); a Proxy has to call the methods on its target`,
  )
}
