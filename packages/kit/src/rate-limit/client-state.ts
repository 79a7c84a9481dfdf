import type { GroupedKey } from './rate-limit-store.ts'
import type { RateLimitWindow } from './rate-limit-window.ts'

/** How long a process uses its remembered state of an id, and therefore may miss a `reset` in another process. */
export const FRESH_MS = 1000

/** An id, and its keys, which are one group. */
export interface ClientKeys {
  readonly id: string
  /** The counters' keys, in the order of the limiter's windows. */
  readonly counters: readonly string[]
  readonly block: string
  /** The key that selects the server for all keys of the id. */
  readonly group: string
}

/** The state of an id that a process remembers. The counters are not part of it, since every call reads them. */
export class ClientState {
  readonly id: string
  /** The counters' keys, in the order of the limiter's windows, like all lists here. */
  readonly keys: readonly GroupedKey[]
  readonly blockKey: GroupedKey
  /** The key that selects the server for all keys of the id. */
  readonly groupKey: string
  blockedUntilMs = 0
  /** The block marks that were in the first counter when `blockedUntilMs` was read. */
  marks = 0
  /** The running read. */
  reading: Promise<void> | undefined
  /** The block that is being stored, and its end. */
  blocking: Promise<void> | undefined
  #asOfMs = -Infinity

  constructor({ id, counters, block, group }: ClientKeys) {
    this.id = id
    this.keys = counters.map((key) => ({ key, groupKey: group }))
    this.blockKey = { key: block, groupKey: group }
    this.groupKey = group
  }

  /** Returns whether the state may be used without reading it again. */
  isFresh(nowMs: number): boolean {
    return isFreshAge(nowMs - this.#asOfMs, FRESH_MS)
  }

  /** Starts a read, unless one is running. */
  read(nowMs: number, load: () => Promise<void>): Promise<void> {
    if (this.reading !== undefined) return this.reading
    const reading = load()
      .then(() => {
        this.#asOfMs = nowMs
      })
      .finally(() => {
        this.reading = undefined
      })
    // If a counter fails first, no caller awaits this.
    reading.catch(() => {})
    this.reading = reading
    return reading
  }
}

/** The remembered state of an id in the aligned windows of a time. */
export class AlignedClientState extends ClientState {
  /** The windows' indexes. */
  readonly indexes: readonly number[]
  /** The counts of the previous windows. */
  readonly previous: number[]

  constructor(keys: ClientKeys, indexes: readonly number[]) {
    super(keys)
    this.indexes = indexes
    this.previous = indexes.map(() => 0)
  }

  /** Returns whether these windows are those of a time. */
  isIn(windows: readonly RateLimitWindow[], nowMs: number): boolean {
    for (let index = 0; index < windows.length; index++) {
      const { windowMs } = windows[index]!
      const elapsedMs = nowMs - this.indexes[index]! * windowMs
      if (elapsedMs < 0 || elapsedMs >= windowMs) return false
    }
    return true
  }
}

/** The remembered state of an id whose windows start at its first hits. */
export class FirstHitClientState extends ClientState {
  /** The start of the first window when `blockedUntilMs` was read. */
  startMs = -Infinity
}

/**
 * Returns whether state of this age may still be used. State from the future was read before the clock was set back,
 * and may not be used.
 */
export function isFreshAge(ageMs: number, freshMs: number): boolean {
  return ageMs >= 0 && ageMs < freshMs
}
