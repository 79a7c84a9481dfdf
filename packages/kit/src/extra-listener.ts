import type { EventEmitter } from 'node:events'

/**
 * Adds a listener to a request or a response without using up Node's limit of 10 listeners: `stream.pipeline` alone
 * adds seven to a response, so that a few middlewares would cause a warning with each request.
 */
export function addListener(emitter: EventEmitter, event: 'close' | 'finish', listener: () => void): void {
  const max = emitter.getMaxListeners()
  // 0 means no limit.
  if (max > 0) emitter.setMaxListeners(max + 1)
  emitter.on(event, listener)
}
