import type { Session } from '../session.ts'
import type { EventLog } from './event-log.ts'
import type { Watcher } from './watcher.ts'

/** The session of a watcher. As in memcached, input of its client is ignored. */
export class WatchSession implements Session {
  readonly state = 'conn_watch'
  readonly isPaused = false
  readonly #events: EventLog
  readonly #watcher: Watcher

  constructor(events: EventLog, watcher: Watcher) {
    this.#events = events
    this.#watcher = watcher
    events.add(watcher)
  }

  push(): void {}

  resume(): void {}

  dispose(): void {
    this.#events.remove(this.#watcher)
  }
}
