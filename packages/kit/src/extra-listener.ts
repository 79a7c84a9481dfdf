import type { EventEmitter } from 'node:events'

/**
 * Adds a listener to a response without using up Node's limit of 10 listeners: `stream.pipeline` alone adds seven to a
 * response, so that a few middlewares would cause a warning with each request.
 */
export function addListener(response: EventEmitter, event: 'close' | 'finish', listener: () => void): void {
  // Mocks of responses in tests have no limit; 0 means that there is none.
  const max = (response as Partial<EventEmitter>).getMaxListeners?.() ?? 0
  if (max > 0) response.setMaxListeners(max + 1)
  response.on(event, listener)
}
