import type { EventEmitter } from 'node:events'

/**
 * Emits an event to every listener, whatever the others throw: an exception is the application's, and Node reports it
 * as uncaught. The client goes on.
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

/** Throws an error of the application in a tick of its own, so that Node reports it as `uncaughtException`. */
export function reportUncaught(error: unknown): void {
  process.nextTick(() => {
    throw error
  })
}
