import type { EventEmitter } from 'node:events'

/**
 * Emits an event to every listener, even if other listeners throw: Node reports their exceptions as uncaught, and the
 * client continues.
 */
export function emitSafely(emitter: EventEmitter, event: string, ...args: readonly unknown[]): void {
  for (const listener of emitter.rawListeners(event)) {
    try {
      Reflect.apply(listener, emitter, args)
    } catch (error) {
      reportUncaught(error)
    }
  }
}

/** Throws an error of the application in a separate tick, so that Node reports it as `uncaughtException`. */
export function reportUncaught(error: unknown): void {
  process.nextTick(() => {
    throw error
  })
}
