import type { ServerClock } from './server-clock.ts'
import type { ItemStore } from './store/item-store.ts'

/** Updates the store's clock, and flushes when the delay of a `flush_all` is over. */
export class FlushSchedule {
  readonly #store: ItemStore
  readonly #clock: ServerClock
  #dueAt = 0

  constructor(store: ItemStore, clock: ServerClock) {
    this.#store = store
    this.#clock = clock
  }

  /** The second of the scheduled flush; 0 if there is none. */
  get dueAt(): number {
    return this.#dueAt
  }

  tick(): void {
    const now = this.#clock.now()
    if (now === this.#store.now) return
    this.#store.now = now
    if (this.#dueAt !== 0 && now >= this.#dueAt) {
      this.#dueAt = 0
      this.#store.flush()
    }
  }

  /** Invalidates, in `delaySeconds`, all items that are stored until then. */
  flushAll(delaySeconds: number): void {
    const { now } = this.#store
    if (delaySeconds > 0) {
      this.#dueAt = this.#clock.expiry(delaySeconds, now)
      this.#clock.oldestLive = this.#dueAt - 1
    } else {
      this.#dueAt = 0
      this.#clock.oldestLive = now - 1
      this.#store.flush()
    }
  }

  /** Restores a flush that was scheduled before a restart. If it was due in the meantime, all items are removed. */
  resume(dueAt: number): void {
    this.#dueAt = dueAt
    if (dueAt > this.#store.now) return
    this.#dueAt = 0
    this.#store.removeAll()
  }
}
