import type { RateLimitWindow } from './rate-limit-window.ts'

/** How long a process goes by what it knows of an id: that long at most, a `reset` in another process is not seen. */
export const BELIEVED_MS = 1000

/** What a process knows of an id besides its counters, which it asks with every call. */
export class Standing {
  readonly id: string
  /** The counters' keys, in the order of the limiter's windows, as everything here. */
  readonly keys: readonly string[]
  readonly blockKey: string
  /** All keys of an id go to the server of this one. */
  readonly groupKey: string
  blockedUntilMs = 0
  /** The block marks that were in the first counter when `blockedUntilMs` was asked for. */
  marks = 0
  /** What is being asked for. */
  reading: Promise<void> | undefined
  /** The block that is being stored, and until when it then holds. */
  blocking: Promise<void> | undefined
  #asOfMs = -Infinity

  constructor(id: string, keys: readonly string[], blockKey: string, groupKey: string) {
    this.id = id
    this.keys = keys
    this.blockKey = blockKey
    this.groupKey = groupKey
  }

  /** Whether it may be gone by without asking. */
  isBelieved(nowMs: number): boolean {
    return isYoung(nowMs - this.#asOfMs, BELIEVED_MS)
  }

  /** Has it asked for, unless that is under way. */
  read(nowMs: number, ask: () => Promise<void>): Promise<void> {
    if (this.reading !== undefined) return this.reading
    const reading = ask()
      .then(() => {
        this.#asOfMs = nowMs
      })
      .finally(() => {
        this.reading = undefined
      })
    // If a counter fails first, nobody awaits this.
    reading.catch(() => {})
    this.reading = reading
    return reading
  }
}

/** What a process knows of an id in the aligned windows of a time. */
export class AlignedStanding extends Standing {
  /** The windows' indexes. */
  readonly indexes: readonly number[]
  /** What was admitted in the windows before. */
  readonly previous: number[]

  constructor(id: string, indexes: readonly number[], keys: readonly string[], blockKey: string, groupKey: string) {
    super(id, keys, blockKey, groupKey)
    this.indexes = indexes
    this.previous = indexes.map(() => 0)
  }

  /** Whether these are the windows of a time. */
  isIn(windows: readonly RateLimitWindow[], nowMs: number): boolean {
    for (let index = 0; index < windows.length; index++) {
      const { windowMs } = windows[index]!
      const elapsedMs = nowMs - this.indexes[index]! * windowMs
      if (elapsedMs < 0 || elapsedMs >= windowMs) return false
    }
    return true
  }
}

/** What a process knows of an id whose windows start at its first hits. */
export class FirstHitStanding extends Standing {
  /** When the first window started that `blockedUntilMs` was asked for in. */
  startMs = -Infinity
}

/** Whether something of this age may still be believed; what is from the future is from before the clock was set back. */
export function isYoung(ageMs: number, believedMs: number): boolean {
  return ageMs >= 0 && ageMs < believedMs
}
